"""What a key store declares that it can do, as a value: who builds on one asks here and not by trying.

What is declared works, and what is not declared is refused with a CKR-named error; one contract suite holds every key
store to both (`tests/keys/contract.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from foundation.keys.port import KeyAlgorithm, Mechanism


class Feature(StrEnum):
    """What goes beyond keys that sign."""

    ACTIVATIONS = "activations"
    """Persons' factors live in the token, and it checks an owner's approval of each signature (`Factors`)."""
    PERSON_KEYS = "person-keys"
    """It keeps data keys of persons, and forgets them for good (`PersonKeys`)."""
    WRAPPED_KEYS = "wrapped-keys"
    """Persons' keys by the million, kept outside and sealed (`WrappedKeys`)."""
    ATTESTATION = "attestation"
    """It signs what it says of its keys (`Attesting`)."""
    POLICY_INSIDE = "policy-inside"
    """Use, owner and enabled are enforced by the token, also against who is logged in to it by another program."""


@dataclass(frozen=True)
class Capabilities:
    """What a key store can do and what it cannot.

    ``hashed_outside``: mechanisms that name a hash and that the token lacks; the digest is made outside and sent.
    ``emulated``: there is no hardware.
    """

    algorithms: frozenset[KeyAlgorithm]
    mechanisms: frozenset[Mechanism]
    hashed_outside: frozenset[Mechanism] = frozenset()
    features: frozenset[Feature] = frozenset()
    emulated: bool = False

    @property
    def sees_message(self) -> bool:
        """Whether the token sees the whole message wherever the mechanism takes one."""
        return not self.hashed_outside
