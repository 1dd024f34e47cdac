"""Refusals in the words of OAuth 2.0 (RFC 6749 §5.2): ``error`` is a name for programs."""

from __future__ import annotations


class OAuthRefused(Exception):
    """``description`` is for the developer at the other end, in English; ``rule`` is for the audit trail alone."""

    def __init__(self, error: str, description: str, rule: str | None = None, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error, self.description, self.rule, self.status = error, description, rule, status


def invalid_client(rule: str) -> OAuthRefused:
    """The client did not prove who it is; which check failed stands in the audit trail alone."""
    return OAuthRefused("invalid_client", "the client did not prove who it is", rule, 401)


def invalid_request(description: str, rule: str | None = None) -> OAuthRefused:
    return OAuthRefused("invalid_request", description, rule)


def invalid_grant(rule: str) -> OAuthRefused:
    """What was shown is not good, or not any more, or not for this client: one answer for all of them."""
    return OAuthRefused("invalid_grant", "the code is not good for this client", rule)
