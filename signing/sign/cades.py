"""CAdES signatures (EN 319 122-1 §6): the signed attributes, and the message that grows by level.

B-B   contentType, messageDigest, signingTime, signing-certificate-v2
B-T   signature-time-stamp over the signature value                                       §5.3
B-LT  certificates and status in SignedData.certificates and .crls                        §5.4.1, RFC 5940
B-LTA archive-time-stamp-v3 over the document, the signature and, by its hash index, all of that  §5.5
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.log_proof import PROOF_ATTRIBUTE
from foundation.x509 import der
from signing.cms_parts import (
    ARCHIVE_TIMESTAMP_V3,
    DATA,
    SIGNATURE_TIMESTAMP,
    CmsParts,
    build,
    join,
    shared,
    with_hash_index,
)
from signing.parallel_signatures import Attributes, Partner, announcing
from signing.sign.envelope import HASH, Job
from signing.sign.evidence import ValidationData

_CONTENT_TYPE = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = der.oid("1.2.840.113549.1.9.4")
_SIGNING_TIME = der.oid("1.2.840.113549.1.9.5")
_SIGNING_CERTIFICATE_V2 = der.oid("1.2.840.113549.1.9.16.2.47")
LOG_PROOF = der.oid(PROOF_ATTRIBUTE)
_DIRECTORY_NAME = 4


def issuer_serial(certificate: x509.Certificate) -> bytes:
    """DER of IssuerSerial, as signing-certificate-v2 and SigningCertificateV2 name a certificate (RFC 5035 §5)."""
    issuer, serial = _issuer_and_serial(certificate)
    return der.sequence((der.sequence((der.explicit(_DIRECTORY_NAME, issuer),)), serial))


def signed_attributes(
    content_digest: bytes,
    certificate: x509.Certificate,
    at: datetime,
    more: Attributes = (),
    *,
    content_type: bool = True,
) -> bytes:
    """DER of the signed attributes, a SET OF as it is hashed (RFC 5652 §5.4). ``at``: the signer's word for the time;
    ``content_type`` False: a counter signature's.

    The certificate is named by its SHA-256, the default that DER leaves out (RFC 5035 §4).
    """
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    certificate_id = der.sequence((der.octet_string(digest), issuer_serial(certificate)))
    attributes = (
        *(((_CONTENT_TYPE, DATA),) if content_type else ()),
        (_MESSAGE_DIGEST, der.octet_string(content_digest)),
        (_SIGNING_TIME, der.time(at)),
        (_SIGNING_CERTIFICATE_V2, der.sequence((der.sequence((certificate_id,)),))),
        *more,
    )
    return der.set_of(der.sequence((kind, der.set_of((value,)))) for kind, value in attributes)


@dataclass(frozen=True)
class Cades:
    """A CAdES signature as it grows. ``content`` is what was signed, inside or beside; ``others``: signatures over the
    same in the same message, which stay as they are but for archiving."""

    parts: CmsParts
    content: bytes
    others: tuple[CmsParts, ...] = ()

    def timestamped(self) -> bytes:
        """What a signature timestamp is over: the signature value."""
        return self.parts.signature

    def with_timestamp(self, token: bytes) -> Cades:
        return replace(self, parts=self.parts.with_unsigned(SIGNATURE_TIMESTAMP, token))

    def with_log_proof(self, proof: bytes) -> Cades:
        return replace(self, parts=self.parts.with_unsigned(LOG_PROOF, der.octet_string(proof)))

    def with_evidence(self, data: ValidationData) -> Cades:
        certificates = (one.public_bytes(Encoding.DER) for one in data.certificates)
        return replace(self, parts=self.parts.with_evidence(certificates, data.ocsps, data.crls))

    def archived(self, stamp: Callable[[bytes], bytes]) -> Cades:
        """With one more archive timestamp on each signature, over all that is here. ``stamp`` gives the token over a
        SHA-256 digest."""
        content = hashlib.new(HASH, self.content).digest()
        every = shared((self.parts, *self.others))
        first, *others = (_archived(one, content, stamp) for one in every)
        return replace(self, parts=first, others=tuple(others))

    def joined(self, other: Cades) -> Cades:
        return replace(self, others=(*self.others, other.parts, *other.others))

    def encode(self) -> bytes:
        return join((self.parts, *self.others))


def _archived(parts: CmsParts, content_digest: bytes, stamp: Callable[[bytes], bytes]) -> CmsParts:
    index = parts.hash_index(HASH)
    token = with_hash_index(stamp(parts.archive_imprint(HASH, content_digest, index)), index)
    return parts.with_unsigned(ARCHIVE_TIMESTAMP_V3, token)


@dataclass(frozen=True)
class CadesDraft:
    """A document on its way to a CAdES signature; ``attached``: it goes inside."""

    job: Job
    attached: bool

    def to_be_signed(self) -> bytes:
        job = self.job
        if job.beside is None:
            return self._attributes(job.partner)(())
        return announcing(self._attributes(job.partner), job.partner, self._attributes(job.beside), job.beside)

    def _attributes(self, signer: Partner) -> Callable[[Attributes], bytes]:
        digest = hashlib.new(signer.hash_name, self.job.data).digest()
        return lambda more: signed_attributes(digest, signer.certificate, self.job.at, more)

    def signed(self, signature: bytes) -> Cades:
        certificate = self.job.signatory.certificate
        carried = (certificate, *(one for one in self.job.signatory.chain if one.subject != one.issuer))
        parts = build(
            self.to_be_signed(),
            signature,
            self.job.hash_name,
            self.job.algorithm,
            issuer_and_serial(certificate),
            self.job.data if self.attached else None,
            [one.public_bytes(Encoding.DER) for one in carried],
        )
        return Cades(parts, self.job.data)


def issuer_and_serial(certificate: x509.Certificate) -> bytes:
    """IssuerAndSerialNumber (RFC 5652 §10.2.4), as both stand in the certificate."""
    return der.sequence(_issuer_and_serial(certificate))


def _issuer_and_serial(certificate: x509.Certificate) -> Sequence[bytes]:
    """As they stand in the certificate (RFC 5280 §4.1): version, serial number, signature, issuer, ..."""
    parts = der.children(certificate.tbs_certificate_bytes)
    return parts[3], parts[1]
