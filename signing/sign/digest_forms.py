"""Signatures over documents that are known here by their digest alone: the document stays with whoever asks.

cades   what CAdES has for a document beside it (`signing.sign.cades`)
pades   the SignedData of a PDF signature (EN 319 142-1 §6.3): no signing-time, which /M says in the file. At B-LT the
        status goes beside it, for the security store that whoever has the file appends (§5.4.2)

What comes out is an `Answer`: the message, and the validation data that was gathered for it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509 import der
from signing.cms_parts import CmsParts, build
from signing.digests.errors import DigestsInvalid
from signing.errors import FormUnknown, SignatureNotAccepted
from signing.forms import Form, Format
from signing.model import Level
from signing.sign import cades, cms
from signing.sign.envelope import HASH, Job
from signing.sign.evidence import ValidationData
from signing.sign.signed_message import DATA, SIGNATURE_TIMESTAMP, check, read

_SIZES = frozenset((32, 48, 64))


@dataclass(frozen=True)
class Answer:
    """``signature``: DER of the SignedData; the others DER too, empty below B-LT."""

    signature: bytes
    certificates: tuple[bytes, ...]
    ocsps: tuple[bytes, ...]
    crls: tuple[bytes, ...]

    def encode(self) -> bytes:
        """JSON, to be kept."""
        told = {name: [base64.b64encode(one).decode() for one in values] for name, values in self._parts().items()}
        return json.dumps(told).encode()

    @classmethod
    def parse(cls, octets: bytes) -> Answer:
        """The inverse of :meth:`encode`."""
        told = {name: tuple(base64.b64decode(one) for one in values) for name, values in json.loads(octets).items()}
        return cls(told["signature"][0], told["certificates"], told["ocsps"], told["crls"])

    def _parts(self) -> dict[str, tuple[bytes, ...]]:
        return {
            "signature": (self.signature,),
            "certificates": self.certificates,
            "ocsps": self.ocsps,
            "crls": self.crls,
        }


@dataclass(frozen=True)
class DigestSignature:
    """A signature over a digest as it grows. ``pdf``: it goes into a PDF, and its status beside it."""

    inner: cades.Cades
    pdf: bool
    data: ValidationData | None = None

    def timestamped(self) -> bytes:
        return self.inner.timestamped()

    def with_timestamp(self, token: bytes) -> DigestSignature:
        return replace(self, inner=self.inner.with_timestamp(token))

    def with_log_proof(self, proof: bytes) -> DigestSignature:
        return replace(self, inner=self.inner.with_log_proof(proof))

    def with_evidence(self, data: ValidationData) -> DigestSignature:
        return replace(self, inner=self.inner if self.pdf else self.inner.with_evidence(data), data=data)

    def archived(self, stamp: Callable[[bytes], bytes]) -> DigestSignature:
        """FormUnknown: an archive timestamp is over the document."""
        del stamp
        raise FormUnknown

    def joined(self, other: DigestSignature) -> DigestSignature:
        """FormUnknown."""
        del other
        raise FormUnknown

    def encode(self) -> bytes:
        data = self.data or ValidationData((), (), ())
        certificates = tuple(one.public_bytes(Encoding.DER) for one in data.certificates)
        return Answer(self.inner.encode(), certificates, data.ocsps, data.crls).encode()


@dataclass(frozen=True)
class DigestDraft:
    """A digest on its way to a signature; ``job.data`` is the digest."""

    job: Job
    pdf: bool

    def to_be_signed(self) -> bytes:
        """DigestsInvalid for a digest by another hash than the one that goes with the key (RFC 5652 §5.4)."""
        job = self.job
        if len(job.data) != hashlib.new(job.hash_name).digest_size:
            raise DigestsInvalid
        certificate = job.signatory.certificate
        if self.pdf:
            return cms.signed_attributes(job.data, certificate)
        return cades.signed_attributes(job.data, certificate, job.at)

    def signed(self, signature: bytes) -> DigestSignature:
        certificate = self.job.signatory.certificate
        carried = (certificate, *(one for one in self.job.signatory.chain if one.subject != one.issuer))
        parts = build(
            self.to_be_signed(),
            signature,
            self.job.hash_name,
            self.job.algorithm,
            cades.issuer_and_serial(certificate),
            None,
            [one.public_bytes(Encoding.DER) for one in carried],
        )
        return DigestSignature(cades.Cades(parts, b""), self.pdf)


def check_digest(data: bytes, name: str) -> None:
    """DigestsInvalid for what is no digest by SHA-256, SHA-384 or SHA-512."""
    del name
    if len(data) not in _SIZES:
        raise DigestsInvalid


def accept_digest(made: bytes, job: Job, form: Form, level: Level) -> None:
    """Our own check before anybody gets it: the signature is the signatory's, over exactly this digest, and what its
    level asks for is there. SignatureNotAccepted."""
    answer = Answer.parse(made)
    try:
        parts = CmsParts.parse(answer.signature)
        message = read(replace(parts, version=der.integer(1), revocations=()).encode())  # the status signs nothing
        check(message, job.data, DATA)
    except (ValueError, TypeError, KeyError, StopIteration) as error:
        raise SignatureNotAccepted(check="SIGN-OUT-SIGNATURE") from error
    if message.signer != job.signatory.certificate:
        raise SignatureNotAccepted(check="SIGN-OUT-FIELD")
    _check_level(answer, parts, form, level)


def _check_level(answer: Answer, parts: CmsParts, form: Form, level: Level) -> None:
    stamps = parts.of_kind(SIGNATURE_TIMESTAMP)
    if level.includes(Level.B_T):
        if len(stamps) != 1:
            raise SignatureNotAccepted(check="SIGN-OUT-LEVEL")
        imprint = hashlib.new(HASH, parts.signature).digest()
        if imprint not in stamps[0]:  # the token itself was checked when it came (`signing.sign.stamping`)
            raise SignatureNotAccepted(check="SIGN-OUT-LEVEL")
    if level.includes(Level.B_LT):
        inside = (parts.ocsps, set(parts.crls)) if form.format is Format.CADES else (answer.ocsps, set(answer.crls))
        if not answer.ocsps or inside != (answer.ocsps, set(answer.crls)):
            raise SignatureNotAccepted(check="SIGN-OUT-LEVEL")
