"""Reading what a timestamping key is asked to sign: CMS SignedAttributes, and the TSTInfo that they are over.

RFC 3161 §2.4.2 signs the attributes; the time is in the TSTInfo, of which the attributes hold only a digest. So a
timestamping key is shown both, and signs only where they belong together.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from foundation.keys.errors import PolicyRefused
from foundation.x509 import der
from hsm_emulation.structures import Part, inside, whole

_CONTENT_TYPE = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = der.oid("1.2.840.113549.1.9.4")
_TST_INFO = der.oid("1.2.840.113549.1.9.16.1.4")
_BESIDE = frozenset(
    {
        der.oid("1.2.840.113549.1.9.16.2.12"),  # signingCertificate, RFC 2634
        der.oid("1.2.840.113549.1.9.16.2.47"),  # signingCertificateV2, RFC 5816
        der.oid("1.2.840.113549.1.9.52"),  # CMSAlgorithmProtection, RFC 6211
    }
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TimeStamp(NamedTuple):
    """What policies say of a timestamp: its time in microseconds since 1970, and whether it claims to be ordered."""

    at: int
    ordered: bool


def read_time_stamp(attributes: bytes, info: bytes, digest: bytes) -> TimeStamp:
    """A TSTInfo with the SignedAttributes over it. PolicyRefused (POL-FORM, POL-CONTENT).

    ``digest``: of ``info``, as the attribute messageDigest must have it. Beside it stand contentType, which must be
    id-ct-TSTInfo, at least one of the attributes that name the certificate (RFC 3161 §2.4.2), and nothing else.
    """
    previous = b""
    found: dict[bytes, bytes] = {}
    for part in whole(attributes, der.SET):
        encoding = attributes[part[1] : part[3]]
        kind, values = _two(attributes, part)
        identifier = attributes[kind[1] : kind[3]]
        if encoding <= previous or identifier in found or values[0] != der.SET:
            raise PolicyRefused(rule="POL-FORM")  # X.690 §11.6: in ascending order; each type once
        previous = encoding
        found[identifier] = attributes[values[2] : values[3]]
    beside = set(found) - {_CONTENT_TYPE, _MESSAGE_DIGEST}
    if found.get(_CONTENT_TYPE) != _TST_INFO or found.get(_MESSAGE_DIGEST) != der.octet_string(digest):
        raise PolicyRefused(rule="POL-CONTENT")
    if not beside or not beside <= _BESIDE:
        raise PolicyRefused(rule="POL-CONTENT")
    return _read_info(info)


def _read_info(info: bytes) -> TimeStamp:
    """TSTInfo of version 1: version, policy, messageImprint, serialNumber, genTime, then what is optional."""
    parts = whole(info)
    expected = [der.INTEGER, der.OID, der.SEQUENCE, der.INTEGER, der.GENERALIZED_TIME]
    if [part[0] for part in parts[:5]] != expected or info[parts[0][1] : parts[0][3]] != b"\x02\x01\x01":
        raise PolicyRefused(rule="POL-FORM")
    algorithm, imprint = _two(info, parts[2])
    if algorithm[0] != der.SEQUENCE or imprint[0] != der.OCTET_STRING:
        raise PolicyRefused(rule="POL-FORM")
    rest = [part[0] for part in parts[5:]]
    allowed = [der.SEQUENCE, der.BOOLEAN, der.INTEGER, 0xA0, 0xA1]  # accuracy, ordering, nonce, tsa, extensions
    if rest != [tag for tag in allowed if tag in rest]:
        raise PolicyRefused(rule="POL-FORM")
    ordered = any(info[part[1] : part[3]] == der.TRUE for part in parts[5:])
    return TimeStamp(_moment(info[parts[4][2] : parts[4][3]]), ordered)


def _moment(text: bytes) -> int:
    """GeneralizedTime in UTC, with a fraction where there is one (RFC 3161 §2.4.2), in microseconds since 1970."""
    whole_seconds, dot, fraction = text[:-1].partition(b".")
    if text[-1:] != b"Z" or len(whole_seconds) != 14 or not whole_seconds.isdigit():
        raise PolicyRefused(rule="POL-FORM")
    if dot and (not fraction.isdigit() or fraction.endswith(b"0") or len(fraction) > 6):
        raise PolicyRefused(rule="POL-FORM")
    try:
        at = datetime.strptime(whole_seconds.decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise PolicyRefused(rule="POL-FORM") from None
    since = at - _EPOCH
    return (since.days * 86400 + since.seconds) * 1_000_000 + int(fraction.ljust(6, b"0") or b"0")


def _two(data: bytes, part: Part) -> list[Part]:
    parts = inside(data, part)
    if len(parts) != 2:
        raise PolicyRefused(rule="POL-FORM")
    return parts
