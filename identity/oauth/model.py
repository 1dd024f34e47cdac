"""Clients as the authorisation server knows them, and what an access token stands for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from foundation.http.actor import Actor, ActorKind, Delegation
from identity.errors import ClientInvalid

OPENID, PROFILE, SERVICE, CREDENTIAL = "openid", "profile", "service", "credential"
PERSON_SCOPES = frozenset({OPENID, PROFILE, SERVICE, CREDENTIAL})
"""What a person can let a client do: know them again, read their name, use the signing service, sign (CSC §8.4)."""

_LOOPBACK = frozenset({"127.0.0.1", "[::1]", "localhost"})
_MOST_URIS, _LONGEST_URI = 10, 500


class GrantType(StrEnum):
    """How a client may get a token; nothing else is built (RFC 9700 §2.1.2, §2.4)."""

    CLIENT_CREDENTIALS = "client_credentials"
    AUTHORIZATION_CODE = "authorization_code"


@dataclass(frozen=True)
class OAuthClient:
    """What a registered actor of kind client may ask the authorisation server for.

    ``redirect_uris`` are compared octet by octet (RFC 9700 §2.1). ``scopes``: what it may ask persons for; what it gets
    for itself is among the roles that the actor was registered with. ``certificate_bound``: its tokens are always bound
    to a certificate (RFC 8705 §3.4); without it they are when one was shown.
    """

    client_id: str
    grants: frozenset[GrantType]
    redirect_uris: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    certificate_bound: bool = False


@dataclass(frozen=True)
class AccessGrant:
    """What an access token stands for.

    ``person_id`` None: the client acts for itself, with ``scopes`` of its roles. Of scope ``credential``:
    ``credential_id`` and the ``digests`` that the person approved, which the token of the key store permits.
    """

    client_id: str
    person_id: str | None
    scopes: frozenset[str]
    expires_at: datetime
    certificate: bytes | None = None
    credential_id: str | None = None
    digests: tuple[bytes, ...] = ()

    def acting(self, roles: frozenset[str]) -> Actor:
        """Whom it stands for; ``roles`` are those that the client has now."""
        if self.person_id is None:
            return Actor(ActorKind.CLIENT, self.client_id, roles & self.scopes)
        return Actor(ActorKind.PERSON, self.person_id, delegation=Delegation(self.client_id, self.scopes))


def checked_client(
    client_id: str,
    grants: Iterable[str],
    redirect_uris: Iterable[str] = (),
    scopes: Iterable[str] = (),
    certificate_bound: bool = False,
) -> OAuthClient:
    """A registration. Raises ClientInvalid, with the field."""
    try:
        chosen = frozenset(GrantType(one) for one in grants)
    except ValueError:
        raise ClientInvalid(field="grants") from None
    uris, asked = tuple(redirect_uris), frozenset(scopes)
    if not chosen:
        raise ClientInvalid(field="grants")
    code = GrantType.AUTHORIZATION_CODE in chosen
    if code != bool(uris) or len(uris) > _MOST_URIS or len(set(uris)) != len(uris) or not all(map(_redirects, uris)):
        raise ClientInvalid(field="redirect_uris")
    if code != bool(asked) or not asked <= PERSON_SCOPES:
        raise ClientInvalid(field="scopes")
    return OAuthClient(client_id, chosen, uris, asked, certificate_bound)


def _redirects(uri: str) -> bool:
    """An absolute https address without fragment or credentials; http on the loopback alone (RFC 8252 §7.3)."""
    if not uri.isascii() or not uri.isprintable() or " " in uri or "\\" in uri or len(uri) > _LONGEST_URI:
        return False
    try:
        parts = urlsplit(uri)
        host = parts.netloc.rpartition(":")[0] if parts.port is not None else parts.netloc
    except ValueError:
        return False
    if not parts.hostname or "#" in uri or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
