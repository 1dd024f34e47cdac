"""Keys in a hardware security module: the key store over any PKCS#11 module (`keys.uri = "pkcs11:…"`).

uri.py       which token: RFC 7512, strictly
module.py    the module in this process: locking, cold start, fork
sessions.py  sessions that are logged in and stay open; found again after a loss
records.py   what PKCS#11 has no attribute for: use, owner, enabled
refusals.py  what such a token has no function for
signing.py   our mechanisms in the module's words
store.py     the key store

What it needs is the extra ``hardware``; nothing of it is imported before a token is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.clock import Clock
from foundation.keys.pkcs11.errors import HardwareSupportMissing
from foundation.randomness import Randomness

if TYPE_CHECKING:
    from foundation.keys.pkcs11.store import Pkcs11KeyStore

__all__ = ["open_pkcs11"]


def open_pkcs11(
    uri: str, pin: str, *, clock: Clock | None = None, randomness: Randomness | None = None
) -> Pkcs11KeyStore:
    """Log in to the token that ``uri`` names (RFC 7512) as its user, with ``pin``, and give its key store.

    The PIN stays in this process's memory: it is needed again after a session is lost and after a fork. A second
    opening of the same token shares the sessions, and its PIN is compared.
    Raises KeyUriInvalid, HardwareSupportMissing, ModuleInvalid, TokenNotFound, TokenPinIncorrect, TokenPinLocked,
    TokenInUse, TokenUnavailable.
    """
    try:
        from foundation.keys.pkcs11 import store
    except ModuleNotFoundError as error:
        if error.name != "pkcs11":
            raise
        raise HardwareSupportMissing from None
    return store.open_store(uri, pin, clock, randomness)
