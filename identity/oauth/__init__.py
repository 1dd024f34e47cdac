"""The authorisation server: OAuth 2.0 (RFC 6749 as narrowed by RFC 9700) and OpenID Connect."""
