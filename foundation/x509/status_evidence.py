"""CRLs and OCSP responses as material: read, not yet believed, and the statements that they can make."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp

from foundation.x509 import der


class EvidenceKind(StrEnum):
    CRL = "crl"
    OCSP = "ocsp"


@dataclass(frozen=True)
class Evidence:
    """A CRL or OCSP response that can be read; nothing is known about its worth. ``source``: document, bundle."""

    kind: EvidenceKind
    source: str
    sha256: str
    crl: x509.CertificateRevocationList | None = None
    response: ocsp.OCSPResponse | None = None


@dataclass(frozen=True)
class Statement:
    """What evidence that counts says about one certificate. ``revoked_at`` None: not revoked.

    ``also``: digests of further evidence that it takes to say so (the complete CRL under a delta, lists by reason).
    """

    kind: EvidenceKind
    source: str
    sha256: str
    this_update: datetime
    next_update: datetime | None
    revoked_at: datetime | None = None
    reason: x509.ReasonFlags | None = None
    also: tuple[str, ...] = ()

    @property
    def on_hold(self) -> bool:
        return self.reason is x509.ReasonFlags.certificate_hold


@dataclass(frozen=True)
class Rejected:
    """Evidence that does not count, by the rule that it breaks."""

    rule: str
    kind: EvidenceKind
    sha256: str


def read_evidence(kind: EvidenceKind, octets: bytes, source: str) -> Evidence | None:
    """Read DER; None for what is not a CRL or a successful OCSP response. Raises nothing."""
    sha256 = hashlib.sha256(octets).hexdigest()
    try:
        if kind is EvidenceKind.CRL:
            return Evidence(kind, source, sha256, crl=x509.load_der_x509_crl(octets))
        response = ocsp.load_der_ocsp_response(octets)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return None
        return Evidence(kind, source, sha256, response=response)
    except Exception:  # anything that hostile octets do to a parser means: not evidence
        return None


def key_octets(certificate: x509.Certificate) -> bytes:
    """The content of subjectPublicKey, without tag, length and unused bits: what key hashes are made over."""
    info = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bits = der.children(info)[1]
    _, start, end = der.read(bits)
    return bits[start + 1 : end]


_E = TypeVar("_E", bound=x509.ExtensionType)


def extension_of(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
