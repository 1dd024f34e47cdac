"""How the store is encrypted at rest: Argon2id from PINs, AES-256-GCM under keys that only the daemon has.

    operator's PIN --Argon2id--> key-encryption key --AES-GCM--> master key   (once for USER, once for SO)
    master key     --AES-GCM--> service keys, and one random person key for each owner
    person key     --AES-GCM--> that owner's keys, factors, activations and data keys

Associated data names what is sealed and for whom: a row that was edited or put in another's place does not open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from foundation.canonical import canonical_json
from foundation.keys.errors import WrappedKeyInvalid
from foundation.randomness import Randomness

FORMAT = "camtrust-hsm-2"
KEY_LENGTH = 32
SALT_LENGTH = 16
_NONCE = 12


@dataclass(frozen=True)
class Cost:
    """What one Argon2id derivation costs (RFC 9106 §3.1): memory in KiB, passes, lanes."""

    memory_kib: int
    iterations: int
    lanes: int = 1

    def __post_init__(self) -> None:
        if self.memory_kib < 1024 or self.iterations < 1 or self.lanes < 1:
            raise ValueError("an Argon2id cost under 1 MiB, one pass and one lane is none")


@dataclass(frozen=True)
class Costs:
    """Chosen when a token is initialised, kept with it. ``person`` is paid at each check of a person's PIN, whose
    verifier is itself sealed under a key that only the token has; ``operator`` at each login.
    """

    operator: Cost = Cost(65536, 3)
    person: Cost = Cost(19456, 2)


def derive(pin: str, salt: bytes, cost: Cost, secret: bytes | None = None) -> bytes:
    """32 octets from a PIN by Argon2id; ``secret`` (RFC 9106 §3.1: K) is a key without which no PIN can be searched."""
    kdf = Argon2id(
        salt=salt,
        length=KEY_LENGTH,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
        secret=secret,
    )
    return kdf.derive(pin.encode())


def seal(key: bytes, data: bytes, bound_to: dict[str, Any], randomness: Randomness) -> bytes:
    """Nonce and AES-256-GCM ciphertext of ``data``, bound to the canonical JSON of ``bound_to`` and our format."""
    nonce = randomness.bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, data, _associated(bound_to))


def unseal(key: bytes, sealed: bytes, bound_to: dict[str, Any]) -> bytes:
    """The inverse of :func:`seal`; WrappedKeyInvalid for anything but exactly what was sealed, for the same place."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], _associated(bound_to))
    except (InvalidTag, ValueError):
        raise WrappedKeyInvalid from None


def _associated(bound_to: dict[str, Any]) -> bytes:
    return canonical_json({"format": FORMAT, **bound_to})
