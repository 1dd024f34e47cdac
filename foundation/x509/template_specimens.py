"""Specimens that a template is proved with: for one profile, inputs that between them try every slot at its edges.

Names in Latin and Khmer, with and without the optional attributes, short and as long as they may be; serial numbers of
the smallest and largest size and with the high bit of an octet set; dates on both sides of 2050, where the encoding
changes (RFC 5280 §4.1.2.5); a key of every algorithm of the profile; with and without SAN where that is optional.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from foundation.keys.port import KeyAlgorithm
from foundation.x509.algorithms import throwaway_key
from foundation.x509.certificate import alternative_names_allowed
from foundation.x509.names import MAX_LENGTHS, subject_name
from foundation.x509.profile import Profile, last_second

_OPTIONAL_LEFT_OUT, _IN_KHMER, _LONGEST = "optional left out", "in Khmer", "as long as may be"
_STYLES = (_OPTIONAL_LEFT_OUT, _IN_KHMER, _LONGEST)
_SERIALS = (1 << 63, (1 << 71) - 1, 1 << 126 | 1, 1 << 127, (1 << 159) - 1)
_LAST_UTC_TIME = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
_BEGINS = (datetime(2026, 1, 1, tzinfo=UTC), _LAST_UTC_TIME, _LAST_UTC_TIME + timedelta(seconds=1))
_MARK = "SPECIMEN "
_ROUNDS = 15  # every serial number with every begin, and with every style because 3 and 5 have no common factor


class Specimen(NamedTuple):
    """What differs between certificates of one profile and issuer."""

    subject: x509.Name
    public_key: CertificatePublicKeyTypes
    serial: int
    not_before: datetime
    not_after: datetime
    san: tuple[x509.GeneralName, ...]


def specimens(profile: Profile) -> Iterator[Specimen]:
    """The specimens of a profile, fit for it. The first one carries a SAN where the profile has any."""
    keys, days = [specimen_key(algorithm) for algorithm in profile.key.algorithms], profile.validity.max_days
    for number in range(max(_ROUNDS, len(keys))):
        begin = _BEGINS[number // len(_SERIALS) % len(_BEGINS)]
        yield Specimen(
            subject=_subject(profile, _STYLES[number % len(_STYLES)]),
            public_key=keys[number % len(keys)],
            serial=_SERIALS[number % len(_SERIALS)],
            not_before=begin,
            not_after=begin + timedelta(seconds=1) if number % 4 == 3 else last_second(begin, days),
            san=_alternative_names(profile, number),
        )


@cache
def specimen_key(algorithm: KeyAlgorithm) -> CertificatePublicKeyTypes:
    """A public key of this algorithm that nobody has a use for. RSA: a number of the right size, made at once."""
    if algorithm in (KeyAlgorithm.RSA_2048, KeyAlgorithm.RSA_3072, KeyAlgorithm.RSA_4096):
        return rsa.RSAPublicNumbers(65537, (1 << int(algorithm.value.removeprefix("rsa-"))) - 1).public_key()
    return throwaway_key(algorithm).public_key()


def _subject(profile: Profile, style: str) -> x509.Name:
    left_out = profile.subject.optional if style is _OPTIONAL_LEFT_OUT else ()
    wanted = [attribute for attribute in profile.subject.order if attribute not in left_out]
    fixed = profile.subject.fixed
    return subject_name([(attribute, fixed.get(attribute) or _value(attribute, style)) for attribute in wanted])


def _value(attribute: str, style: str) -> str:
    if attribute == "C":
        return "KH"
    room = MAX_LENGTHS[attribute]
    if attribute == "serialNumber":
        return "A" * room if style is _LONGEST else "CT:KH-0"
    if style is _LONGEST:
        letters = room - len(_MARK)
        return _MARK + "ក" * (letters // 3 if attribute == "CN" else letters)  # a CN is counted in octets
    return _MARK + ("សុខ" if style is _IN_KHMER else "Sok")


def _alternative_names(profile: Profile, number: int) -> tuple[x509.GeneralName, ...]:
    rule = profile.subject_alternative_name
    if rule is None or (rule.presence == "optional" and number % 2):
        return ()
    every = (x509.DNSName("specimen.example"), x509.RFC822Name("specimen@specimen.example"), x509.DNSName("a" * 200))
    names = tuple(name for name in every if alternative_names_allowed(profile, (name,)))
    return names[: 1 + number % len(names)]
