"""The vault: personal data, sealed by person and purpose.

Every sealed value carries its own data key, wrapped under a random key of that person that lives in the token alone.
Destroying the person's key makes every sealed value of theirs, in the database and in every backup, unreadable.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from foundation.errors import CamTrustError
from foundation.keys.port import PersonKeys
from foundation.randomness import Randomness, SystemRandomness

_FORMAT = b"CTV1"
_NONCE = 12


class SealBroken(CamTrustError):
    """A sealed value that was changed, cut, or belongs to another person or purpose."""

    code = "foundation.seal_broken"


class Vault:
    """Seal, open and destroy personal data.

    AES-256-GCM; the associated data binds format, person, purpose and wrapped key.
    """

    def __init__(self, keys: PersonKeys, randomness: Randomness | None = None) -> None:
        self._keys = keys
        self._randomness = randomness or SystemRandomness()

    def seal(self, person: str, purpose: str, data: bytes) -> bytes:
        """Seal ``data`` for ``person`` (an opaque id) and ``purpose``; gives bytes to store anywhere."""
        key, wrapped = self._keys.new_data_key(person, purpose)
        nonce = self._randomness.bytes(_NONCE)
        head = _FORMAT + len(wrapped).to_bytes(2, "big") + wrapped
        return head + nonce + AESGCM(key).encrypt(nonce, data, _bind(head, person, purpose))

    def open(self, person: str, purpose: str, sealed: bytes) -> bytes:
        """Open what :meth:`seal` gave. Raises SealBroken, OwnerDestroyed or WrappedKeyInvalid."""
        if sealed[:4] != _FORMAT or len(sealed) < 6:
            raise SealBroken
        end = 6 + int.from_bytes(sealed[4:6], "big")
        if len(sealed) < end + _NONCE + 16:
            raise SealBroken
        head, nonce, body = sealed[:end], sealed[end : end + _NONCE], sealed[end + _NONCE :]
        key = self._keys.open_data_key(person, purpose, sealed[6:end])
        try:
            return AESGCM(key).decrypt(nonce, body, _bind(head, person, purpose))
        except InvalidTag:
            raise SealBroken from None

    def destroy(self, person: str) -> bytes:
        """Destroy the person's key: what was sealed for them can never be opened again. Gives the token's certificate
        of destruction (`foundation.keys.attestation`).
        """
        return self._keys.destroy_owner(person)


def _bind(head: bytes, person: str, purpose: str) -> bytes:
    return b"\x00".join((head, person.encode(), purpose.encode()))
