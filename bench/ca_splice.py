"""To-be-signed certificates of citizens, faster than issuing makes them: one specimen each, with what differs cut out.

For every level and CRL partition the CA drafts a specimen as for anybody; serial number, dates, the subject's number,
the key and its identifier are put in their places afterwards. Each specimen is proved once: spliced, a second draft
must come out octet for octet. Names go by partition, so that a specimen has one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.randomness import SystemRandomness, serial_number
from foundation.x509 import der
from foundation.x509.names import subject_name
from issuing_ca.issuance import CITIZEN_SIGN
from issuing_ca.service import CertificateAuthority

_WORDS = ("DARA", "SOKHA", "BOPHA", "VANNAK", "SREYMOM", "RITHY", "CHANTHOU", "PISETH", "KOSAL", "MALIS")
_RANDOM = SystemRandomness()


@dataclass(frozen=True)
class Spliced:
    """A to-be-signed certificate, and what its row says of it."""

    serial: int
    not_after: datetime
    tbs: bytes
    subject: bytes
    key: bytes  # SubjectPublicKeyInfo


@dataclass(frozen=True)
class _Specimen:
    tbs: Sequence[bytes]  # between the slots
    subject: Sequence[bytes]


class Splicer:
    """Makes them for one authority."""

    def __init__(self, ca: CertificateAuthority, authority: str) -> None:
        self.naming = ca.settings.naming
        self._ca = ca
        self._authority = ca.authorities.get(authority)
        self._levels = sorted(ca.settings.policies)
        self._days = ca.profiles[CITIZEN_SIGN].validity.max_days
        self._specimens: dict[tuple[str, int], _Specimen] = {}
        key = _spki(ec.generate_private_key(ec.SECP256R1()).public_key())
        self._before_point = key[:-65]

    def make(self, number: int, person_id: str, at: datetime) -> Spliced:
        """The certificate of the person with this number, issued at this time (whole seconds)."""
        serial = serial_number(_RANDOM)
        count = self._ca.settings.crl_partitions
        place = self._levels[number % len(self._levels)], serial % count if count else 0
        specimen = self._specimens.get(place)
        if specimen is None:
            specimen = self._specimens[place] = self._specimen(*place, serial)
        point = _spki(ec.generate_private_key(ec.SECP256R1()).public_key())[-65:]
        identifier = self.naming.identifier(person_id).encode()
        slots = self._slots(serial, at, identifier, point)
        return Spliced(
            serial,
            at + timedelta(days=self._days) - timedelta(seconds=1),
            _filled(specimen.tbs, slots),
            _filled(specimen.subject, [identifier]),
            self._before_point + point,
        )

    def _slots(self, serial: int, at: datetime, identifier: bytes, point: bytes) -> list[bytes]:
        until = at + timedelta(days=self._days) - timedelta(seconds=1)
        validity = der.time(at) + der.time(until)
        return [serial.to_bytes(16, "big"), validity, identifier, point, hashlib.sha256(point).digest()[:20]]

    def _specimen(self, level: str, partition: int, like: int) -> _Specimen:
        """``like``: a serial number of this partition."""
        first, slots, subject = self._draft(level, partition, like, "specimen-1")
        specimen = _Specimen(_cut(first, slots), _cut(subject, [slots[2]]))
        again, others, _ = self._draft(level, partition, like ^ 1 << 100, "specimen-2")
        if _filled(specimen.tbs, others) != again:
            raise ValueError("a spliced certificate is not the one that issuing makes")
        return specimen

    def _draft(self, level: str, partition: int, serial: int, person_id: str) -> tuple[bytes, list[bytes], bytes]:
        ca = self._ca
        names = f"SPECIMEN {_WORDS[partition // 10 % 10]}", f"SPECIMEN {_WORDS[partition % 10]}"
        profile = ca.issuance.templates.profile(ca.profiles[CITIZEN_SIGN], (ca.settings.policies[level],))
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        at = datetime.fromisoformat("2025-01-02T03:04:05+00:00") + timedelta(seconds=serial % 1000)
        slots = self._slots(serial, at, self.naming.identifier(person_id).encode(), _spki(key)[-65:])
        name = subject_name(self.naming.subject(person_id, *names, None))
        until = at + timedelta(days=self._days) - timedelta(seconds=1)
        draft, linted = ca.issuance.templates.draft(self._authority, profile, name, key, serial, at, until)
        return x509.load_der_x509_certificate(linted).tbs_certificate_bytes, slots, draft.subject_der


def _cut(whole: bytes, slots: Sequence[bytes]) -> list[bytes]:
    parts = []
    for slot in slots:
        before, found, whole = whole.partition(slot)
        if not found:
            raise ValueError("a slot of the specimen is not there")
        parts.append(before)
    return [*parts, whole]


def _filled(parts: Sequence[bytes], slots: Sequence[bytes]) -> bytes:
    filled = [parts[0]]
    for slot, part in zip(slots, parts[1:], strict=True):
        filled += (slot, part)
    return b"".join(filled)


def _spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
