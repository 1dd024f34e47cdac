"""What the identity room refuses.

CamTrustError
├── ActorInvalid          a label, role or kind that cannot be registered
├── ActorKeyInvalid       not a P-256 public key
├── ActorKeyRegistered    another actor has this key (or had it)
├── ActorPersonRegistered this person is an officer already: two officers are two people
├── ActorUnknown
├── ActorDisabled         is disabled already
├── ActorIsYourself       nobody changes their own registration
├── ClientInvalid         what a client may ask the authorisation server for cannot be registered so
├── AuthorizationGone     a client's request to a person: not open here, or not any more
├── AuthorizationUnavailable  … whose client may not ask (any more)
├── FormForged            a form that this browser was not shown
├── CursorInvalid
└── LoginRefused          person, PIN or code: which of them is not told
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class ActorInvalid(CamTrustError):
    """``field`` is the name of the field: label, roles or kind."""

    code = "identity.actor_invalid"
    kind = Kind.INVALID

    def __init__(self, field: str) -> None:
        super().__init__(field=field)


class ActorKeyInvalid(CamTrustError):
    code = "identity.actor_key_invalid"
    kind = Kind.INVALID


class ActorKeyRegistered(CamTrustError):
    code = "identity.actor_key_registered"
    kind = Kind.CONFLICT


class ActorPersonRegistered(CamTrustError):
    """Where two officers are asked for, one person under two ids would be both."""

    code = "identity.actor_person_registered"
    kind = Kind.CONFLICT


class ActorUnknown(CamTrustError):
    code = "identity.actor_unknown"
    kind = Kind.NOT_FOUND


class ActorDisabled(CamTrustError):
    code = "identity.actor_disabled"
    kind = Kind.CONFLICT


class ActorIsYourself(CamTrustError):
    code = "identity.actor_is_yourself"
    kind = Kind.FORBIDDEN


class ClientInvalid(CamTrustError):
    """``field``: kind, grants, redirect_uris or scopes."""

    code = "identity.client_invalid"
    kind = Kind.INVALID

    def __init__(self, field: str) -> None:
        super().__init__(field=field)


class AuthorizationGone(CamTrustError):
    code = "identity.authorization_gone"
    kind = Kind.NOT_FOUND


class AuthorizationUnavailable(CamTrustError):
    code = "identity.authorization_unavailable"
    kind = Kind.FORBIDDEN


class FormForged(CamTrustError):
    code = "identity.form_forged"
    kind = Kind.FORBIDDEN


class CursorInvalid(CamTrustError):
    code = "identity.cursor_invalid"
    kind = Kind.INVALID


class LoginRefused(CamTrustError):
    """The ``rule`` parameter (the token's code for the cause) goes to the audit trail, not into the answer."""

    code = "identity.login_refused"
    kind = Kind.UNAUTHENTICATED
