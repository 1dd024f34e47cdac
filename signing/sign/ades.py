"""Signatures in every format but PDF from end to end: prepare, have the digest signed, complete.

prepare   refuse what the form cannot take, and say what is to be signed  →  the digest to be authorised (DTBS/R)
sign      the key store signs that digest, and nothing else; the signature is verified
complete  the envelope of the format, signature timestamp, THEN status, archive timestamp; then our own verifier's
          word on it (`formats_acceptance`)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from foundation.clock import Clock
from foundation.errors import CamTrustError
from signing.errors import (
    CredentialNotUsable,
    DocumentEmpty,
    DocumentTooLarge,
    FormUnknown,
    LogProofUnavailable,
    SignatureNotAccepted,
)
from signing.forms import CADES_DIGEST, PADES_DIGEST, Form, Format, Packaging
from signing.model import Level, Signatory
from signing.ports import LogProofs, SignsDigests, StatusSource, TimestampAuthority
from signing.sign.asic import check_documents, extended_cades, extended_xades, simple_cades
from signing.sign.cades import CadesDraft
from signing.sign.cades_more import CounterDraft, ParallelDraft, check_attached, check_one_signer
from signing.sign.digest_forms import DigestDraft, accept_digest, check_digest
from signing.sign.envelope import Draft, Envelope, Job
from signing.sign.evidence import Evidence
from signing.sign.formats_acceptance import accept
from signing.sign.intake import MIB
from signing.sign.jades import JadesDraft, check_document
from signing.sign.stamping import Stamping
from signing.sign.token_signer import SigningAlgorithm, signing_algorithm
from signing.sign.xades import XadesDraft, check_countersigned, check_enveloped, check_enveloping


@dataclass(frozen=True)
class PreparedForm:
    """A document that waits for its signature. ``digest`` is what the signer authorises: the DTBS/R, the hash of what
    the format has signed, in which the document's own digest stands, or its mu (ML-DSA). ``parallel``: the same for the
    signature beside it."""

    form: Form
    job: Job
    draft: Draft
    algorithm: SigningAlgorithm
    level: Level
    digest: bytes
    log_proof: bytes | None
    parallel: PreparedForm | None = None

    @property
    def signatory(self) -> Signatory:
        return self.job.signatory


class AdesSigner:
    """Makes CAdES, XAdES, JAdES and ASiC. One for the process; it keeps nothing between calls."""

    def __init__(
        self,
        keys: SignsDigests,
        timestamps: TimestampAuthority,
        status: StatusSource,
        clock: Clock,
        limit: int = 50 * MIB,
        logs: LogProofs | None = None,
    ) -> None:
        """``limit``: of a document, in octets; ``logs``: where the proofs come from that travel with signatures; None:
        they carry none."""
        self._keys = keys
        self._stamping = Stamping(timestamps, clock)
        self._evidence = Evidence(status, clock)
        self._clock = clock
        self._limit = limit
        self._logs = logs

    def inspect(self, data: bytes, name: str, form: Form) -> None:
        """Refuse what this form cannot take: raises a DocumentRefused."""
        if not data:
            raise DocumentEmpty
        if len(data) > self._limit:
            raise DocumentTooLarge(limit=self._limit // MIB)
        draft_of(form).check(data, name)

    def prepare(
        self,
        data: bytes,
        name: str,
        form: Form,
        *,
        signatory: Signatory,
        level: Level,
        at: datetime | None = None,
        parallel: Signatory | None = None,
        pss: bool = False,
    ) -> PreparedForm:
        """Everything up to the digest that is to be authorised. ``at``: when it was prepared before, to do it again;
        ``parallel``: who signs beside, in the same file; ``pss``: RSA signs with PSS.

        Raises DocumentRefused, CredentialNotUsable, KeyUnsupported, LogProofUnavailable, key store errors; FormUnknown
        for a form that has no place for two signatures.
        """
        self.inspect(data, name, form)
        at = at or self._clock.now().replace(microsecond=0)
        own = self._job(data, name, signatory, at, pss)
        if parallel is None:
            return self._prepared(form, *own, level)
        if not form.parallel:
            raise FormUnknown
        (job, algorithm), (other, other_algorithm) = own, self._job(data, name, parallel, at, pss)
        beside = self._prepared(form, replace(other, beside=job.partner), other_algorithm, level)
        first = self._prepared(form, replace(job, beside=other.partner), algorithm, level)
        return replace(first, parallel=beside)

    def _job(
        self, data: bytes, name: str, signatory: Signatory, at: datetime, pss: bool
    ) -> tuple[Job, SigningAlgorithm]:
        certificate = signatory.certificate
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            raise CredentialNotUsable
        algorithm = signing_algorithm(self._keys.get(signatory.key_id), certificate, pss=pss)
        identifier = algorithm.identifier(certificate)
        return Job(data, name, signatory, algorithm.hash_name, at, identifier, algorithm.pss), algorithm

    def _prepared(self, form: Form, job: Job, algorithm: SigningAlgorithm, level: Level) -> PreparedForm:
        draft = draft_of(form).draft(job)
        digest = algorithm.representative(job.signatory.certificate, draft.to_be_signed())
        return PreparedForm(form, job, draft, algorithm, level, digest, self._log_proof(job.signatory))

    def complete(self, prepared: PreparedForm, signature: bytes, parallel: bytes | None = None) -> bytes:
        """The signed file. TimestampUnavailable, StatusUnavailable, CertificateRevoked, SignatureNotAccepted."""
        signers = [prepared]
        if prepared.parallel is None:
            envelope = self._envelope(prepared, signature, prepared.level)
        elif parallel is None:
            raise SignatureNotAccepted(check="SIGN-OUT-PARALLEL")
        else:
            below = Level.B_LT if prepared.level is Level.B_LTA else prepared.level
            other = self._envelope(prepared.parallel, parallel, below)
            envelope = self._envelope(prepared, signature, below).joined(other)
            if prepared.level is Level.B_LTA:
                envelope = self._archived(envelope)
            signers.append(prepared.parallel)
        signed = envelope.encode()
        if prepared.form.packaging is Packaging.DIGEST:
            accept_digest(signed, prepared.job, prepared.form, prepared.level)
            return signed
        jobs = [one.job for one in signers]
        accept(signed, jobs, prepared.form, prepared.level, self._stamping.above(), self._clock.now())
        return signed

    def _envelope(self, prepared: PreparedForm, signature: bytes, level: Level) -> Envelope:
        envelope: Envelope = prepared.draft.signed(signature)
        if prepared.log_proof is not None:
            envelope = envelope.with_log_proof(prepared.log_proof)
        return self.raised(envelope, prepared.signatory, level)

    def _archived(self, envelope: Envelope) -> Envelope:
        return envelope.archived(lambda imprint: self._stamping.imprint(imprint).der)

    def raised(self, envelope: Envelope, signatory: Signatory, level: Level) -> Envelope:
        """A fresh envelope at a level: what makes it provable later (EN 319 122-1 §6, EN 319 132-1 §6)."""
        if not level.includes(Level.B_T):
            return envelope
        token = self._stamping.over(envelope.timestamped())
        envelope = envelope.with_timestamp(token.der)
        if level.includes(Level.B_LT):
            data = self._evidence.gather(signatory, token, self._stamping.above())
            envelope = envelope.with_evidence(data)
        else:
            self._evidence.check_not_revoked(signatory, token)
        if level.includes(Level.B_LTA):
            envelope = self._archived(envelope)
        return envelope

    def _log_proof(self, signatory: Signatory) -> bytes | None:
        if self._logs is None:
            return None
        try:
            return self._logs.proof(signatory.certificate)
        except CamTrustError as error:
            raise LogProofUnavailable from error


@dataclass(frozen=True)
class _Making:
    """How a form is made. ``check`` raises a DocumentRefused for a document that it cannot take."""

    draft: Callable[[Job], Draft]
    check: Callable[[bytes, str], None] = lambda data, name: None  # noqa: ARG005


def draft_of(form: Form) -> _Making:
    """How a form is made; FormUnknown for PAdES, which is made elsewhere."""
    if form not in _MAKINGS:
        raise FormUnknown
    return _MAKINGS[form]


_MAKINGS = {
    Form(Format.CADES, Packaging.DETACHED): _Making(lambda job: CadesDraft(job, attached=False)),
    Form(Format.CADES, Packaging.ATTACHED): _Making(lambda job: CadesDraft(job, attached=True)),
    Form(Format.CADES, Packaging.PARALLEL): _Making(ParallelDraft, check_attached),
    Form(Format.CADES, Packaging.COUNTER): _Making(CounterDraft, check_one_signer),
    Form(Format.XADES, Packaging.ENVELOPING): _Making(
        lambda job: XadesDraft(job, Packaging.ENVELOPING), check_enveloping
    ),
    Form(Format.XADES, Packaging.ENVELOPED): _Making(lambda job: XadesDraft(job, Packaging.ENVELOPED), check_enveloped),
    Form(Format.XADES, Packaging.DETACHED): _Making(lambda job: XadesDraft(job, Packaging.DETACHED)),
    Form(Format.XADES, Packaging.COUNTER): _Making(lambda job: XadesDraft(job, Packaging.COUNTER), check_countersigned),
    Form(Format.JADES, Packaging.JSON): _Making(lambda job: JadesDraft(job, compact=False), check_document),
    Form(Format.JADES, Packaging.COMPACT): _Making(lambda job: JadesDraft(job, compact=True), check_document),
    Form(Format.ASIC_E, Packaging.CADES): _Making(extended_cades, check_documents),
    Form(Format.ASIC_E, Packaging.XADES): _Making(extended_xades, check_documents),
    Form(Format.ASIC_S, Packaging.CADES): _Making(simple_cades),
    CADES_DIGEST: _Making(lambda job: DigestDraft(job, pdf=False), check_digest),
    PADES_DIGEST: _Making(lambda job: DigestDraft(job, pdf=True), check_digest),
}
