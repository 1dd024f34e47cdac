"""Reading to-be-signed structures before they are signed: which kind they are, and the fields that policies speak of.

Two readers look at each: the parser of `cryptography`, which refuses whatever is not DER of that structure in every
part, and a walk over the offsets, which takes definite shortest lengths and one-octet tags only and finds the fields.
Both are needed: the walk alone would not look into every part, the parser alone costs more to ask than to run.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.x509 import ocsp

from foundation.keys.errors import PolicyRefused
from foundation.keys.policy import Signable
from foundation.x509 import der

Part = tuple[int, int, int, int]  # tag; where the element, its content, and what follows it begin

_A0, _A1, _A2, _A3 = 0xA0, 0xA1, 0xA2, 0xA3
_NO_SIGNATURE = b"\x03\x02\x00\x00"
_BASIC_RESPONSE = der.oid("1.3.6.1.5.5.7.48.1.1")
_SUCCESSFUL = der.enumerated(0)


def split(data: bytes, at: int, end: int) -> list[Part]:
    """The elements between two offsets, which they fill exactly. PolicyRefused (POL-FORM)."""
    parts = []
    try:
        while at < end:
            tag, count, start = data[at], data[at + 1], at + 2
            if tag & 0x1F == 0x1F:
                raise PolicyRefused(rule="POL-FORM")
            if count >= 0x80:
                octets = count & 0x7F
                count = int.from_bytes(data[start : start + octets], "big")
                if not 1 <= octets <= 4 or count < 0x80 or count >> (8 * (octets - 1)) == 0:
                    raise PolicyRefused(rule="POL-FORM")
                start += octets
            stop = start + count
            if stop > end:
                raise PolicyRefused(rule="POL-FORM")
            parts.append((tag, at, start, stop))
            at = stop
    except IndexError:
        raise PolicyRefused(rule="POL-FORM") from None
    return parts


def inside(data: bytes, part: Part, tag: int = der.SEQUENCE) -> list[Part]:
    """The elements inside one, which must have this tag."""
    if part[0] != tag:
        raise PolicyRefused(rule="POL-FORM")
    return split(data, part[2], part[3])


def whole(data: bytes, tag: int = der.SEQUENCE) -> list[Part]:
    """The elements inside the one element that ``data`` is."""
    parts = split(data, 0, len(data))
    if len(parts) != 1:
        raise PolicyRefused(rule="POL-FORM")
    return inside(data, parts[0], tag)


def kind_of(data: bytes) -> Signable:
    """Which to-be-signed structure this can be, by its first elements; there is never more than one.

    PolicyRefused (POL-KIND) when it is none.
    """
    if data[:1] == b"\x31":
        return Signable.TIMESTAMP
    if len(data) > 4 and data[0] == der.SEQUENCE:
        start = 2 if data[1] < 0x80 else 2 + (data[1] & 0x7F)
        first = data[start : start + 3]
        if first[:1] == b"\xa0":
            return Signable.CERTIFICATE  # [0] version; ResponseData leaves its default version out
        if first[:1] in (b"\xa1", b"\xa2"):
            return Signable.OCSP  # responderID
        if first == b"\x02\x01\x01":
            return Signable.CRL
        if first == b"\x02\x01\x00":
            return Signable.REQUEST
    raise PolicyRefused(rule="POL-KIND")


class Certificate(NamedTuple):
    """What policies say about a TBSCertificate. Names and key as their encodings; OIDs as content octets.

    ``seconds``: from notBefore to notAfter. ``key_usage``: nine bits, digitalSignature the highest.
    """

    issuer: bytes
    subject: bytes
    public_key: bytes
    seconds: int
    extensions: tuple[bytes, ...]
    ca: bool
    path_length: int | None
    key_usage: int | None
    extended_key_usages: tuple[bytes, ...]


_TBS_TAGS = [_A0, der.INTEGER, *[der.SEQUENCE] * 5, _A3]
_BASIC_CONSTRAINTS, _KEY_USAGE, _EXTENDED_KEY_USAGE = b"\x55\x1d\x13", b"\x55\x1d\x0f", b"\x55\x1d\x25"
_DAY = 86400


def read_certificate(data: bytes, algorithm: bytes) -> Certificate:
    """A TBSCertificate of version 3 with extensions and no unique identifiers (RFC 5280 §4.1)."""
    parts = whole(data)
    if [part[0] for part in parts] != _TBS_TAGS or data[parts[0][2] : parts[0][3]] != b"\x02\x01\x02":
        raise PolicyRefused(rule="POL-FORM")
    _, (_, _, serial, serial_end), signature, issuer, validity, subject, public_key, wrapped = parts
    if not 1 <= serial_end - serial <= 20 or data[serial] & 0x80 or not any(data[serial:serial_end]):
        raise PolicyRefused(rule="POL-SERIAL")  # RFC 5280 §4.1.2.2: positive, at most 20 octets
    if data[signature[1] : signature[3]] != algorithm:
        raise PolicyRefused(rule="POL-ALGORITHM")
    _parse(x509.load_der_x509_certificate, der.sequence((data, algorithm, _NO_SIGNATURE)))
    # from here on everything is known to be what the standard says; only the values are looked at
    begin, end = split(data, validity[2], validity[3])
    extensions: dict[bytes, bytes] = {}
    ((_, _, first, stop),) = split(data, wrapped[2], wrapped[3])
    for _, _, at, after in split(data, first, stop):
        value = at + 2 + data[at + 1]
        identifier = data[at + 2 : value]
        if identifier in extensions:
            raise PolicyRefused(rule="POL-FORM")
        if data[value] == der.BOOLEAN:
            value += 3
        ((_, _, value, _),) = split(data, value, after)
        extensions[identifier] = data[value:after]
    basic, usage, usages = (extensions.get(one) for one in (_BASIC_CONSTRAINTS, _KEY_USAGE, _EXTENDED_KEY_USAGE))
    ca, path_length = _basic_constraints(basic)
    return Certificate(
        data[issuer[1] : issuer[3]],
        data[subject[1] : subject[3]],
        data[public_key[1] : public_key[3]],
        _seconds(data[end[2] : end[3]]) - _seconds(data[begin[2] : begin[3]]),
        tuple(extensions),
        ca,
        path_length,
        _key_usage(usage),
        _usages(usages),
    )


def _basic_constraints(value: bytes | None) -> tuple[bool, int | None]:
    if value is None or value == b"\x30\x00":
        return False, None
    parts = whole(value)
    if value[parts[0][1] : parts[0][3]] != der.TRUE or len(parts) > 2:
        raise PolicyRefused(rule="POL-FORM")
    return True, _small_integer(value, parts[1]) if len(parts) == 2 else None


def _key_usage(value: bytes | None) -> int | None:
    if value is None:
        return None
    parts = split(value, 0, len(value))
    if len(parts) != 1 or parts[0][0] != der.BIT_STRING or not 2 <= parts[0][3] - parts[0][2] <= 3:
        raise PolicyRefused(rule="POL-FORM")
    return int.from_bytes(value[parts[0][2] + 1 : parts[0][3]].ljust(2, b"\0"), "big") >> 7


def _usages(value: bytes | None) -> tuple[bytes, ...]:
    return () if value is None else tuple(value[part[2] : part[3]] for part in whole(value))


def read_crl(data: bytes, algorithm: bytes) -> bytes:
    """A TBSCertList of version 2 (RFC 5280 §5.1): its issuer."""
    parts = whole(data)
    if len(parts) < 5 or data[parts[0][1] : parts[0][3]] != b"\x02\x01\x01" or parts[-1][0] != _A0:
        raise PolicyRefused(rule="POL-FORM")
    if data[parts[1][1] : parts[1][3]] != algorithm:
        raise PolicyRefused(rule="POL-ALGORITHM")
    _parse(x509.load_der_x509_crl, der.sequence((data, algorithm, _NO_SIGNATURE)))
    return data[parts[2][1] : parts[2][3]]


def read_ocsp(data: bytes, algorithm: bytes) -> bytes:
    """ResponseData (RFC 6960 §4.2.1): the encoding of its responderID, ``[1]`` a name or ``[2]`` a key hash."""
    parts = whole(data)
    if len(parts) < 3 or parts[1][0] != der.GENERALIZED_TIME or not inside(data, parts[2]):
        raise PolicyRefused(rule="POL-FORM")
    basic = der.octet_string(der.sequence((data, algorithm, _NO_SIGNATURE)))
    content = der.explicit(0, der.sequence((_BASIC_RESPONSE, basic)))
    _parse(ocsp.load_der_ocsp_response, der.sequence((_SUCCESSFUL, content)))
    return data[parts[0][1] : parts[0][3]]


def read_request(data: bytes, algorithm: bytes) -> bytes:
    """CertificationRequestInfo (RFC 2986 §4.1): the SubjectPublicKeyInfo that it asks a certificate for."""
    parts = whole(data)
    if [part[0] for part in parts] != [der.INTEGER, der.SEQUENCE, der.SEQUENCE, _A0]:
        raise PolicyRefused(rule="POL-FORM")
    _parse(x509.load_der_x509_csr, der.sequence((data, algorithm, _NO_SIGNATURE)))
    return data[parts[2][1] : parts[2][3]]


def named(responder: bytes) -> bytes:
    """The Name in ``[1] EXPLICIT``."""
    ((_, _, start, stop),) = split(responder, 0, len(responder))
    return responder[start:stop]


def attributes(name: bytes) -> frozenset[tuple[bytes, bytes]]:
    """The attributes of a Name: type as content octets of its OID, value as content octets of its string."""
    found = []
    for relative in whole(name):
        for part in inside(name, relative, der.SET):
            kind, value = inside(name, part)
            found.append((name[kind[2] : kind[3]], name[value[2] : value[3]]))
    return frozenset(found)


def _parse(load: Callable[[bytes], object], data: bytes) -> None:
    try:
        load(data)
    except ValueError:
        raise PolicyRefused(rule="POL-FORM") from None


def _small_integer(data: bytes, part: Part) -> int:
    if part[0] != der.INTEGER or part[3] - part[2] not in (1, 2) or data[part[2]] & 0x80:
        raise PolicyRefused(rule="POL-FORM")
    return int.from_bytes(data[part[2] : part[3]], "big")


@lru_cache(maxsize=4096)
def _seconds(text: bytes) -> int:
    """UTCTime or GeneralizedTime to the second, in UTC (RFC 5280 §4.1.2.5), as seconds from the year 1."""
    if len(text) == 13:
        text = (b"20" if text < b"50" else b"19") + text
    if len(text) != 15 or text[14:] != b"Z" or not text[:14].isdigit():
        raise PolicyRefused(rule="POL-FORM")
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:8])).toordinal()
    except ValueError:
        raise PolicyRefused(rule="POL-FORM") from None
    return day * _DAY + int(text[8:10]) * 3600 + int(text[10:12]) * 60 + int(text[12:14])
