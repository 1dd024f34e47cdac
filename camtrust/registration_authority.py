"""The registration authority's key, and the pin by which the CA knows it.

The key is made once, with a policy that lets it sign approval statements alone where the token enforces policies. Its
pin, the SHA-256 of its SubjectPublicKeyInfo, is ``ca.registration_authority`` of the settings; where that is empty, it
is a file of the home that is written when the key is made: neither is in the database.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from camtrust.home import Home
from camtrust.settings import Settings
from camtrust.trust import write_new
from foundation.approval import Approval, document
from foundation.citizen_subject import CitizenNaming
from foundation.keys.errors import LabelExists, PolicyUnsupported
from foundation.keys.policy import APPROVALS_ALONE
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse, Mechanism

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)

_LABEL = "registration-authority"
_USE = KeyUse.REGISTRATION_AUTHORITY
_PIN_FILE = "registration-authority.txt"


@dataclass(frozen=True)
class RegistrationAuthorityKey:
    """`ekyc.ports.RegistrationAuthority` over a key of the token; :attr:`pins` are for the CA."""

    naming: CitizenNaming
    issuer: str
    pins: frozenset[str]
    _keys: KeyStore
    _info: KeyInfo

    def sign(self, approval: Approval) -> bytes:
        """The signed document. Raises what the key store raises."""
        return document(
            approval,
            self._info.public_key,
            lambda message: self._keys.sign(self._info.key_id, Mechanism.ECDSA_SHA256, message),
        )

    @property
    def pinned(self) -> bool:
        """Whether the CA takes what this key signs."""
        return fingerprint(self._info) in self.pins


def registration_authority(
    home: Home, settings: Settings, keys: KeyStore, naming: CitizenNaming
) -> RegistrationAuthorityKey:
    """The key and its pins; makes both the first time. Raises what the key store raises."""
    found = keys.find(label=_LABEL, use=_USE)
    info = found[0] if found else _make(keys)
    pins = frozenset(settings.ca.registration_authority) or _pinned(home.path / _PIN_FILE, info)
    one = RegistrationAuthorityKey(naming, settings.ca.citizens, pins, keys, info)
    if not one.pinned:
        _log.error("the registration authority's key %s is not pinned: no citizen gets a certificate", info.key_id)
    return one


def fingerprint(info: KeyInfo) -> str:
    """What is pinned of a key: SHA-256 of its SubjectPublicKeyInfo, hexadecimal."""
    return sha256(info.public_key).hexdigest()


def _make(keys: KeyStore) -> KeyInfo:
    try:
        return keys.generate(_LABEL, KeyAlgorithm.EC_P256, _USE, policy=APPROVALS_ALONE)
    except PolicyUnsupported:
        return keys.generate(_LABEL, KeyAlgorithm.EC_P256, _USE)
    except LabelExists:  # another process was first
        return keys.find(label=_LABEL, use=_USE)[0]


def _pinned(file: Path, info: KeyInfo) -> frozenset[str]:
    with suppress(FileExistsError):
        write_new(file, f"{fingerprint(info)}\n".encode())
    return frozenset(file.read_text(encoding="ascii").split())
