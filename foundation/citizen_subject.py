"""The subject of a citizen's certificate (EN 319 412-2 §4.2.4), from what was verified about the person.

The registration authority names its digest in what it approves, and the CA builds the certificate from the same: so it
stands on the ground floor, and both get the same octets.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from foundation.x509.names import subject_name

_CN_OCTETS = 64

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CitizenNaming:
    """What is the same in every citizen's subject.

    ``scheme``: the two characters of the national scheme (EN 319 412-1 §5.1.3); ``mark`` stands before every CN, so
    that no specimen looks real.
    """

    country: str
    scheme: str
    mark: str | None

    def identifier(self, person_id: str) -> str:
        """The subject's serialNumber, ``XX:KH-…``: the same in every certificate of the person.

        Made one way from our opaque id, so that it says nothing about the person and is a key to no other register.
        """
        digest = hashlib.sha256(b"camtrust person identifier\x00" + person_id.encode()).hexdigest()
        return f"{self.scheme}:{self.country}-{digest[:32].upper()}"

    def subject(self, person_id: str, surname: str, given_name: str, khmer_name: str | None) -> Pairs:
        """Subject attributes. CN: the name in Latin, and in brackets the Khmer name where 64 octets hold both.

        Who has one name alone, as a passport can have it, has it as surname, and no givenName (EN 319 412-2 §4.2.4).
        """
        return (
            ("C", self.country),
            ("surname", surname),
            *((("givenName", given_name),) if given_name else ()),
            ("CN", self._common_name(surname, given_name, khmer_name)),
            ("serialNumber", self.identifier(person_id)),
        )

    def _common_name(self, surname: str, given_name: str, khmer_name: str | None) -> str:
        mark, latin = self.mark, f"{surname} {given_name}".strip()
        if mark and mark not in latin:
            latin = f"{mark} {latin}"
        candidates = [f"{latin} ({khmer_name})"] if khmer_name else []
        candidates += [latin, f"{mark} {surname}" if mark and mark not in surname else surname]
        return next((name for name in candidates if len(name.encode()) <= _CN_OCTETS), candidates[-1])


def subject_digest(pairs: Pairs) -> str:
    """SHA-256 of the subject's DER, in hexadecimal. Raises NameInvalid."""
    return hashlib.sha256(subject_name(pairs).public_bytes()).hexdigest()
