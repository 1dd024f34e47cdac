"""More signatures in a CAdES message that has one: beside it over the same document, or over the signature itself.

parallel   a further SignerInfo over the content that is inside                                  RFC 5652 §5.1
counter    a SignerInfo over the value of the one signature there, as its unsigned attribute     RFC 5652 §11.4

What stands there is not touched, octet for octet, but for its place: certificates and status of a message are one set,
so an archive timestamp from before no longer covers all of them, and is to be renewed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509 import der
from signing.cms_parts import COUNTER_SIGNATURE, DIGESTS, SIGNATURE_TIMESTAMP, CmsParts
from signing.errors import DocumentDamaged, FormUnknown
from signing.sign.cades import LOG_PROOF, Cades, CadesDraft, issuer_and_serial, signed_attributes
from signing.sign.envelope import Job
from signing.sign.evidence import ValidationData


@dataclass(frozen=True)
class ParallelDraft:
    """A message on its way to a further signer."""

    job: Job

    def to_be_signed(self) -> bytes:
        return self._inner().to_be_signed()

    def signed(self, signature: bytes) -> Cades:
        own = self._inner().signed(signature)
        return replace(own, others=_message(self.job.data))

    def _inner(self) -> CadesDraft:
        content = _message(self.job.data)[0].content
        if content is None:
            raise DocumentDamaged
        return CadesDraft(replace(self.job, data=content), attached=True)


@dataclass(frozen=True)
class Countersigned:
    """A counter signature as it grows, in the signature that it signs."""

    parts: CmsParts
    counter: CmsParts

    def timestamped(self) -> bytes:
        return self.counter.signature

    def with_timestamp(self, token: bytes) -> Countersigned:
        return replace(self, counter=self.counter.with_unsigned(SIGNATURE_TIMESTAMP, token))

    def with_log_proof(self, proof: bytes) -> Countersigned:
        return replace(self, counter=self.counter.with_unsigned(LOG_PROOF, der.octet_string(proof)))

    def with_evidence(self, data: ValidationData) -> Countersigned:
        certificates = (one.public_bytes(Encoding.DER) for one in data.certificates)
        return replace(self, parts=self.parts.with_evidence(certificates, data.ocsps, data.crls))

    def archived(self, stamp: Callable[[bytes], bytes]) -> Countersigned:  # noqa: ARG002
        """What archives it is an archive timestamp of the signature that it is in: extending makes it."""
        raise FormUnknown

    def joined(self, other: Countersigned) -> Countersigned:  # noqa: ARG002
        """One at a time."""
        raise FormUnknown

    def encode(self) -> bytes:
        return self.parts.with_unsigned(COUNTER_SIGNATURE, self.counter.signer_info).encode()


@dataclass(frozen=True)
class CounterDraft:
    """A message on its way to a counter signature."""

    job: Job

    def to_be_signed(self) -> bytes:
        """Without a content type, which a counter signature must not have (RFC 5652 §11.4)."""
        digest = hashlib.new(self.job.hash_name, self._parts().signature).digest()
        return signed_attributes(digest, self.job.signatory.certificate, self.job.at, content_type=False)

    def signed(self, signature: bytes) -> Countersigned:
        certificate = self.job.signatory.certificate
        carried = (certificate, *(one for one in self.job.signatory.chain if one.subject != one.issuer))
        parts = self._parts().with_evidence((one.public_bytes(Encoding.DER) for one in carried), (), ())
        signer = (
            der.integer(1),
            issuer_and_serial(certificate),
            DIGESTS[self.job.hash_name],
            der.implicit(0, self.to_be_signed()),
            self.job.algorithm,
            der.octet_string(signature),
        )
        return Countersigned(parts, replace(parts, signer=signer, unsigned=()))

    def _parts(self) -> CmsParts:
        found = _message(self.job.data)
        if len(found) != 1:
            raise DocumentDamaged
        return found[0]


def check_attached(data: bytes, name: str) -> None:  # noqa: ARG001
    """DocumentDamaged for what is no CMS message in DER with its content inside."""
    if _message(data)[0].content is None:
        raise DocumentDamaged


def check_one_signer(data: bytes, name: str) -> None:  # noqa: ARG001
    """DocumentDamaged for what is no CMS message in DER with exactly one signer."""
    if len(_message(data)) != 1:
        raise DocumentDamaged


def _message(data: bytes) -> tuple[CmsParts, ...]:
    try:
        return CmsParts.split(data)
    except ValueError:
        raise DocumentDamaged from None
