"""What the token vouches for, checked before its key is certified. Every check has its rule.

KEY-ATTEST-KEY     the statement is about the key that is to be certified: its id, its public key, its use
KEY-ATTEST-OWNER   a key that needs its owner's activation is of the person whom the certificate names
KEY-ATTEST-ORIGIN  made in the token, and cannot leave it readable
KEY-ATTEST-SILENT  a token that signs no statements is taken at its attributes, and for services' keys alone
KEY-ATTEST-KIND    an emulated token's key is certified by profiles that allow it (``emulated_keys``) and by no other
"""

from __future__ import annotations

import hashlib

from foundation.keys.attestation import KeyAttestation, verify
from foundation.keys.errors import AttestationUnsupported
from foundation.keys.port import KeyInfo
from foundation.x509.profile import Profile
from issuing_ca.errors import EmulatedKeyRefused, KeyNotAttested
from issuing_ca.ports import AttestedKeys


class Attestations:
    """Asks the token for its word, and holds it to that."""

    def __init__(self, keys: AttestedKeys) -> None:
        self._keys = keys
        self._token_key: bytes | None = None

    def check(self, profile: Profile, info: KeyInfo, owner: str | None) -> None:
        """A key of our token. Raises KeyNotAttested, EmulatedKeyRefused, AttestationInvalid, key store errors."""
        if self._token_key is None:
            self._token_key = self._keys.token_key()
        try:
            statement = self._keys.attest(info.key_id)
        except AttestationUnsupported as silent:
            check_unattested(profile, info, emulated=bool(silent.params["emulated"]))
            return
        check_attestation(verify(statement, self._token_key, KeyAttestation), profile, info, owner)


def check_attestation(said: KeyAttestation, profile: Profile, info: KeyInfo, owner: str | None) -> None:
    """Whether what is said agrees with the request; pure. Raises KeyNotAttested, EmulatedKeyRefused."""
    public_key = hashlib.sha256(info.public_key).hexdigest()
    if (said.key_id, said.public_key, said.use) != (info.key_id, public_key, info.use.value):
        raise KeyNotAttested(field="KEY-ATTEST-KEY")
    if said.owner != owner and (info.use.needs_activation or said.owner is not None):
        raise KeyNotAttested(field="KEY-ATTEST-OWNER")
    if said.exportable or said.origin != "generated":
        raise KeyNotAttested(field="KEY-ATTEST-ORIGIN")
    if said.emulated and profile.emulated_keys != "allow":
        raise EmulatedKeyRefused(profile=profile.name)


def check_unattested(profile: Profile, info: KeyInfo, *, emulated: bool) -> None:
    """A key of a token that signs no statements; its key store has read from the token itself that the key was made
    there and cannot leave it. Raises KeyNotAttested, EmulatedKeyRefused.
    """
    if info.use.needs_activation:
        raise KeyNotAttested(field="KEY-ATTEST-SILENT")
    if emulated and profile.emulated_keys != "allow":
        raise EmulatedKeyRefused(profile=profile.name)


def check_outside(profile: Profile) -> None:
    """A key that is in no token of ours: nothing vouches for it. Raises EmulatedKeyRefused."""
    if profile.emulated_keys != "allow":
        raise EmulatedKeyRefused(profile=profile.name)
