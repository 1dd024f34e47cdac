"""Lints of what is not an extension: version, serial, algorithms, validity, names, key."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from foundation.x509 import der
from foundation.x509.algorithms import SIGNATURE_OIDS, key_algorithm, signature_algorithm_identifier
from foundation.x509.certificate import says_specimen
from foundation.x509.errors import AlgorithmInvalid, NameInvalid
from foundation.x509.finding import Finding, finding
from foundation.x509.names import SHORT_NAMES, checked_value, name_pairs
from foundation.x509.profile import Profile

_UTF8_STRING, _PRINTABLE_STRING = 0x0C, 0x13
_PRINTABLE = (der.oid("2.5.4.6"), der.oid("2.5.4.5"))  # C and serialNumber (X.520)
_WRITTEN = {
    der.oid(identifier): (short, _PRINTABLE_STRING if der.oid(identifier) in _PRINTABLE else _UTF8_STRING)
    for identifier, short in SHORT_NAMES.items()
}
_PRIMORIAL = math.prod(n for n in range(3, 752) if all(n % d for d in range(2, math.isqrt(n) + 1)))


def lint_fields(
    certificate: x509.Certificate, profile: Profile, fields: Sequence[bytes], algorithm: bytes
) -> Iterator[Finding]:
    """Findings about everything but extensions. ``fields``: its TBSCertificate's; ``algorithm``: the outer one."""
    if certificate.version is not x509.Version.v3:
        yield finding("X509-VERSION", "it is not version 3")
        return  # nothing below can be located
    # [0] version, serial, signature, issuer, validity, subject, subjectPublicKeyInfo, then [1] [2] [3]
    if any(field[0] in (0x81, 0x82, 0xA1, 0xA2) for field in fields[7:]):
        yield finding("X509-UNIQUE-ID", "it has a unique identifier of issuer or subject")
    yield from _lint_serial(certificate.serial_number, fields[1])
    yield from _lint_signature(profile, fields[2], algorithm)
    yield from _lint_validity(certificate, profile, fields[4])
    yield from _lint_names(certificate, profile, fields[5], fields[3])
    yield from _lint_key(certificate, profile)


def _lint_serial(serial: int, encoded: bytes) -> Iterator[Finding]:
    if serial <= 0 or len(encoded) - 2 > 20:
        yield finding("X509-SERIAL-SIZE", "the serial number is not positive in at most 20 octets")
    elif serial.bit_length() < 64:
        yield finding("X509-SERIAL-ENTROPY", "the serial number has less than 64 bits")


def _lint_signature(profile: Profile, inner: bytes, outer: bytes) -> Iterator[Finding]:
    if inner != outer:
        yield finding("X509-SIGNATURE-CONSISTENT", "the two signature algorithm fields are not the same octets")
    allowed = (SIGNATURE_OIDS[algorithm] for algorithm in profile.signature.algorithms)
    if outer not in map(signature_algorithm_identifier, allowed):
        yield finding(
            "X509-SIGNATURE-ALGORITHM",
            "the signature algorithm, or its parameters, are not the profile's",
            profile.signature.clause,
        )


def _lint_validity(certificate: x509.Certificate, profile: Profile, encoded: bytes) -> Iterator[Finding]:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if begin >= end:
        yield finding("X509-VALIDITY-ORDER", "it ends before it begins")
    elif end >= begin + profile.validity.maximum:
        yield finding(
            "X509-VALIDITY-PERIOD",
            f"it is valid for more than {profile.validity.max_days} days",
            profile.validity.clause,
        )
    moments: tuple[datetime, datetime] = (begin, end)
    if tuple(der.time(moment) for moment in moments) != der.children(encoded):
        yield finding("X509-VALIDITY-ENCODING", "a time is not UTCTime to 2049 and GeneralizedTime from 2050, in UTC")


def _lint_names(certificate: x509.Certificate, profile: Profile, subject: bytes, issuer: bytes) -> Iterator[Finding]:
    pairs, encoded_well = _pairs_as_written(subject), True
    if pairs is None:
        pairs, encoded_well = name_pairs(certificate.subject), False
    names = [attribute for attribute, _ in pairs]
    clause = profile.subject.clause
    if names != [attribute for attribute in profile.subject.order if attribute in names]:
        yield finding(
            "X509-NAME-ATTRIBUTES", "the subject has attributes that the profile does not, or another order", clause
        )
    missing = set(profile.subject.order) - set(profile.subject.optional) - set(names)
    if missing:
        yield finding("X509-NAME-ATTRIBUTES", f"the subject has no {', '.join(sorted(missing))}", clause)
    for attribute, value in pairs:
        if profile.subject.fixed.get(attribute, value) != value:
            yield finding("X509-NAME-ATTRIBUTES", f"{attribute} is not the profile's", clause)
        yield from _lint_value(attribute, value)
    if profile.specimen and not says_specimen(pairs):
        yield finding("X509-NAME-SPECIMEN", "neither O nor CN says SPECIMEN")
    if not encoded_well:
        for rdn in der.children(subject):
            yield from _lint_encoding(rdn)
    if not der.children(issuer):
        yield finding("X509-NAME-ISSUER", "the issuer name is empty")


def _pairs_as_written(subject: bytes) -> tuple[tuple[str, str], ...] | None:
    """The attributes of a Name, where each RDN has one, of a kind that we know, in the encoding that it must have, and
    all lengths are short and right; None for any other, which is read by the general parser.
    """
    pairs = []
    _, at, end = der.read(subject)
    try:
        while at < end:
            size = subject[at + 1]
            stop = at + 2 + size
            kind = subject[at + 4 : at + 6 + subject[at + 5]]
            text = at + 4 + len(kind)
            attribute, tag = _WRITTEN[kind]
            written = bytes((0x31, size, 0x30, size - 2)) + kind + bytes((tag, stop - text - 2))
            if size > 0x7F or stop > end or not subject.startswith(written, at):
                return None
            pairs.append((attribute, subject[text + 2 : stop].decode()))
            at = stop
    except (LookupError, ValueError):
        return None
    return tuple(pairs)


def _lint_value(attribute: str, value: str) -> Iterator[Finding]:
    if attribute not in SHORT_NAMES.values():
        return  # told by X509-NAME-ATTRIBUTES
    try:
        if checked_value(attribute, value) != value:
            yield finding("X509-NAME-TEXT", f"{attribute} is not in Normalization Form C")
    except NameInvalid as error:
        yield finding("X509-NAME-TEXT", f"{attribute}: {error.params['reason']}")


def _lint_encoding(rdn: bytes) -> Iterator[Finding]:
    members = der.children(rdn)
    if len(members) != 1:
        yield finding("X509-NAME-ENCODING", "an RDN has more than one attribute")
        return
    kind, value = der.children(members[0])
    if value[0] != (_PRINTABLE_STRING if kind in _PRINTABLE else _UTF8_STRING):
        yield finding("X509-NAME-ENCODING", "an attribute is not UTF8String (C and serialNumber: PrintableString)")


def _lint_key(certificate: x509.Certificate, profile: Profile) -> Iterator[Finding]:
    try:
        public_key = certificate.public_key()
        algorithm = key_algorithm(public_key)
    except (AlgorithmInvalid, UnsupportedAlgorithm, ValueError, TypeError):
        yield finding("X509-KEY-ALGORITHM", "the key is of a kind that CamTrust does not certify", profile.key.clause)
        return
    if algorithm not in profile.key.algorithms:
        yield finding("X509-KEY-ALGORITHM", f"the profile has no {algorithm} keys", profile.key.clause)
    if isinstance(public_key, rsa.RSAPublicKey):
        numbers = public_key.public_numbers()
        if numbers.e < 65537 or numbers.e % 2 == 0 or numbers.e >= 1 << 256:
            yield finding("X509-KEY-RSA", "the exponent is not odd and from 65537 to 2^256 - 1")
        if numbers.n % 2 == 0 or math.gcd(numbers.n, _PRIMORIAL) != 1:
            yield finding("X509-KEY-RSA", "the modulus has a factor below 752")
        if _is_close(numbers.n):
            yield finding("X509-KEY-RSA", "the two primes are so close that the modulus can be factored (Fermat)")


def _is_close(modulus: int) -> bool:
    """Whether a hundred rounds of Fermat's method factor the modulus (BR §6.1.1.3 (5))."""
    root = math.isqrt(modulus) + 1
    return any(math.isqrt(square := a * a - modulus) ** 2 == square for a in range(root, root + 100))
