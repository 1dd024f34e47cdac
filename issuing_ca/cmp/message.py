"""PKIMessages: reading, putting together, answering (RFC 9810 §5.1, RFC 9483 §3).

Protection is a MAC under the secret of an enrolment credential (`issuing_ca.cmp.password_mac`), or a signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from asn1crypto import core, x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from foundation.x509 import der
from issuing_ca.cmp import asn1

MAX_MESSAGE = 64 * 1024
_SIGNATURES: dict[str, hashes.HashAlgorithm] = {
    "1.2.840.10045.4.3.2": hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
    "1.2.840.113549.1.1.11": hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
}
_UTF8_STRING = 0x0C


class Failure(IntEnum):
    """Bits of PKIFailureInfo (RFC 9810 §5.2.3)."""

    BAD_ALG = 0
    BAD_MESSAGE_CHECK = 1
    BAD_REQUEST = 2
    BAD_CERT_ID = 4
    BAD_DATA_FORMAT = 5
    BAD_POP = 9
    WRONG_INTEGRITY = 12
    BAD_RECIPIENT_NONCE = 13
    BAD_SENDER_NONCE = 18
    BAD_CERT_TEMPLATE = 19
    SIGNER_NOT_TRUSTED = 20
    TRANSACTION_ID_IN_USE = 21
    UNSUPPORTED_VERSION = 22
    NOT_AUTHORIZED = 23
    SYSTEM_UNAVAILABLE = 24
    SYSTEM_FAILURE = 25


class CmpRefused(Exception):
    """A refusal in the protocol's words; ``code`` is the stable code of what refused it, if anything else did."""

    def __init__(self, failure: Failure, code: str = "") -> None:
        self.failure = failure
        self.code = code
        super().__init__(failure.name)


@dataclass(frozen=True)
class Message:
    """A message that was read; nothing in it is believed before its protection is checked."""

    header: Any
    kind: int
    body: bytes  # DER of the alternative, without its tag
    protected: bytes  # DER of ProtectedPart
    protection: bytes | None
    certificates: tuple[bytes, ...]

    def content(self) -> Any:
        """The body, parsed to its last element. Raises CmpRefused."""
        try:
            value = asn1.BODIES[self.kind].load(self.body, strict=True)
            value.native  # noqa: B018 - asn1crypto reads lazily; whatever is wrong is told here
        except KeyError:
            raise CmpRefused(Failure.BAD_REQUEST) from None
        except Exception:
            raise CmpRefused(Failure.BAD_DATA_FORMAT) from None
        return value


def read(data: bytes) -> Message:
    """A PKIMessage. Raises CmpRefused for anything that is not one."""
    if len(data) > MAX_MESSAGE:
        raise CmpRefused(Failure.BAD_DATA_FORMAT)
    try:
        tag, _, end = der.read(data)
        if tag != der.SEQUENCE or end != len(data):
            raise CmpRefused(Failure.BAD_DATA_FORMAT)
        parts = der.children(data)
        header = asn1.Header.load(parts[0], strict=True)
        header.native  # noqa: B018 - see Message.content
        body_tag, body_start, body_end = der.read(parts[1])
        if not 0xA0 <= body_tag < 0xBF or len(parts) > 4:
            raise CmpRefused(Failure.BAD_DATA_FORMAT)
        protection, certificates = None, tuple[bytes, ...]()
        for part in parts[2:]:
            if part[0] == 0xA0 and protection is None:
                protection = bytes(core.OctetBitString.load(der.children(part)[0], strict=True).native)
            elif part[0] == 0xA1 and not certificates:
                certificates = tuple(der.children(der.children(part)[0]))
            else:
                raise CmpRefused(Failure.BAD_DATA_FORMAT)
    except CmpRefused:
        raise
    except Exception:
        raise CmpRefused(Failure.BAD_DATA_FORMAT) from None
    return Message(
        header=header,
        kind=body_tag - 0xA0,
        body=parts[1][body_start:body_end],
        protected=der.sequence(parts[:2]),
        protection=protection,
        certificates=certificates,
    )


def verify(public_key: object, algorithm: str, signature: bytes, data: bytes) -> bool:
    """Whether a signature is one, under an algorithm that goes with the key."""
    digest = _SIGNATURES.get(algorithm)
    try:
        if isinstance(public_key, ec.EllipticCurvePublicKey) and digest and algorithm.startswith("1.2.840.10045"):
            public_key.verify(signature, data, ec.ECDSA(digest))
        elif isinstance(public_key, rsa.RSAPublicKey) and digest and algorithm.startswith("1.2.840.113549"):
            public_key.verify(signature, data, padding.PKCS1v15(), digest)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def answer_header(
    request: Any | None,
    sender: x509.Name,
    algorithm: bytes,
    kid: bytes,
    nonce: bytes,
    information: Sequence[Mapping[str, Any]] = (),
) -> bytes:
    """The header of an answer; ``request``: the header that it answers, if that could be read; ``information``: its
    generalInfo."""
    values: dict[str, Any] = {
        "pvno": 2 if request is None else request["pvno"].native,
        "sender": x509.GeneralName("directory_name", sender),
        "recipient": x509.GeneralName("directory_name", x509.Name.build({})) if request is None else request["sender"],
        "protection_alg": asn1.Algorithm.load(algorithm),
        "sender_kid": kid,
        "sender_nonce": nonce,
    }
    if request is not None:
        if request["transaction_id"].native is not None:
            values["transaction_id"] = request["transaction_id"].native
        if request["sender_nonce"].native is not None:
            values["recip_nonce"] = request["sender_nonce"].native
    if information:
        values["general_info"] = list(information)
    return bytes(asn1.Header(values).dump())


def assembled(header: bytes, kind: int, content: bytes, protection: bytes, certificates: tuple[bytes, ...]) -> bytes:
    """A whole PKIMessage."""
    parts = [header, der.explicit(kind, content), der.explicit(0, der.bit_string(protection))]
    if certificates:
        parts.append(der.explicit(1, der.sequence(certificates)))
    return der.sequence(parts)


def status(value: int, failure: Failure | None = None, text: str = "") -> asn1.StatusInfo:
    """A PKIStatusInfo. The failure is a named bit: as few octets as it needs (X.690 §11.2.2)."""
    parts = [der.integer(value)]
    if text:
        parts.append(der.sequence([der.tlv(_UTF8_STRING, text.encode())]))
    if failure is not None:
        octets = bytes(failure // 8) + bytes((0x80 >> failure % 8,))
        parts.append(der.tlv(der.BIT_STRING, bytes((7 - failure % 8,)) + octets))
    info: asn1.StatusInfo = asn1.StatusInfo.load(der.sequence(parts))
    return info
