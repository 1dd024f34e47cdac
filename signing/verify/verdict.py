"""The verdict: a pure function of octets, trust, time and policy (ETSI EN 319 102-1 §5.3, §5.5, §5.6).

It never raises for a bad document, opens nothing, and asks nobody. The steps, as numbered in the code:

    1  Format        what the file is, told by its content; the size is bounded                 FMT-…
    2  Structure     every octet is accounted for, later changes are allowed (`pdf`, `cms`)     PDF-…, CMS-…
    3  Integrity     digest and signature verify; the signer's certificate is identified (`cms`, `timestamps`)
    4  Time          signatures are taken from the last to the first. Each token is judged at the time at which it is
                     known to have existed: now, or the time of a later document timestamp that counts. What passes
                     proves that everything it covers existed by then                            TST-…
    5  Certificate   path, purpose and status of the signer at the proven time (`standing`)      PATH-…, SGN-…, REV-…
    6  Trust         what rests on a bundle is weighed down by what is wrong with it (`trust`)   BND-…
    7  Level         B-B, B-T with a proven time, B-LT when the document itself carries all certificates and status,
                     B-LTA when a document timestamp covers those too
    8  Indication    the worst reason decides; a file is as good as its worst signature
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from hashlib import new as new_hash

from cryptography import x509

from foundation.clock import rfc3339
from foundation.x509.status_evidence import Evidence, EvidenceKind, read_evidence
from signing.verify import pdf_bytes
from signing.verify.bundle import SOURCE
from signing.verify.cms import DATA, CmsMalformed, SignedMessage, check_message, read_message
from signing.verify.logged import LogRequirement, judge_logged
from signing.verify.model import (
    FileVerdict,
    Indication,
    Reason,
    ReliedOn,
    SignatureKind,
    SignatureVerdict,
    SubIndication,
    failed,
    indeterminate,
    noted,
    worst,
)
from signing.verify.pdf import PdfContent, PdfSignature, read_pdf, unreadable
from signing.verify.policy import STRICT, Policy
from signing.verify.standing import DOCUMENT, Case, identity, judge_signer, judge_unit
from signing.verify.timestamps import Timestamp, TimestampProblem, check_token
from signing.verify.trust import Trust

_log = logging.getLogger(__name__)
DigestOf = Callable[[str], bytes]


def verify_file(
    data: bytes,
    name: str,
    trust: Trust,
    at: datetime,
    policy: Policy = STRICT,
    *,
    password: bytes | None = None,
    detached: bytes | None = None,
) -> FileVerdict:
    """The verdict on one file at the time ``at``. ``detached``: the content of a signature file that has none inside.

    ``name`` only labels the answer. Raises nothing, whatever ``data`` holds.
    """
    try:
        return _verify(data, name, trust, at, policy, password, detached)
    except Exception:  # whatever a hostile document provokes is its failure, never a pass
        _log.exception("a document provoked an exception in the verifier")
        return FileVerdict(name, None, (), (unreadable(),))


def _verify(
    data: bytes,
    name: str,
    trust: Trust,
    at: datetime,
    policy: Policy,
    password: bytes | None,
    detached: bytes | None,
) -> FileVerdict:
    if len(data) > policy.max_file_size:  # step 1
        reason = indeterminate("FMT-LIMIT", "EN 319 102-1 §5.2.2", "verify_too_complex", SubIndication.GENERIC)
        return FileVerdict(name, None, (), (reason,))
    if pdf_bytes.is_pdf(data):
        content = read_pdf(data, policy, password)  # step 2
        if not content.signatures:
            return FileVerdict(name, "PDF", (), content.objections or (_unsigned("verify_no_signature"),))
        return FileVerdict(name, "PDF", _pdf_signatures(data, content, trust, at, policy), content.objections)
    if data[:1] == b"\x30":
        with suppress(CmsMalformed):
            return FileVerdict(name, "CMS", (_cms_signature(read_message(data), trust, at, policy, detached),))
    if pdf_bytes.claims_any(data):
        return FileVerdict(name, None, (), (unreadable(),))
    return FileVerdict(name, None, (), (_unsigned("verify_unknown_format"),))


def _unsigned(key: str) -> Reason:
    return indeterminate("FMT-UNSIGNED", "camtrust contract", key, SubIndication.NO_SIGNATURE)


def _pdf_signatures(
    data: bytes, content: PdfContent, trust: Trust, at: datetime, policy: Policy
) -> tuple[SignatureVerdict, ...]:
    messages = [_message(one) for one in content.signatures]
    case = Case(
        at,
        policy,
        trust,
        _certificates(content.certificates, (one for one in messages if one is not None), policy),
        _evidence(content),
    )
    verdicts: list[SignatureVerdict] = []
    known_at, archived = at, False  # step 4: when everything so far is known to have existed
    for signature, message in reversed(list(zip(content.signatures, messages, strict=True))):
        digest_of = partial(pdf_bytes.range_digest, data, signature.byte_range)
        if signature.is_timestamp:
            verdict = _document_timestamp(case, signature, digest_of, known_at)
            if verdict.indication is Indication.TOTAL_PASSED and verdict.proved_at is not None:
                known_at, archived = min(known_at, verdict.proved_at), True
        else:
            verdict = _signature(case, signature, message, digest_of, known_at, archived)
        verdicts.append(verdict)
    return tuple(reversed(verdicts))


def _message(signature: PdfSignature) -> SignedMessage | CmsMalformed | None:
    if signature.is_timestamp:
        return None
    try:
        return read_message(signature.contents, padded=True)
    except CmsMalformed as error:
        return error


def _document_timestamp(
    case: Case, signature: PdfSignature, digest_of: DigestOf, known_at: datetime
) -> SignatureVerdict:
    """Steps 3 to 6 for a document timestamp (EN 319 142-1 §5.4.3)."""
    base = SignatureVerdict(
        SignatureKind.DOCUMENT_TIMESTAMP, signature.field, signature.objections, coverage=signature.coverage.value
    )
    token = check_token(signature.contents, digest_of, case.policy, padded=True)  # step 3
    if isinstance(token, TimestampProblem):
        signer = identity(token.unit) if token.unit else None
        return replace(base, signer=signer, claimed_at=token.time).with_reasons(token.reasons)
    judgement = judge_unit(_with(case, token.certificates), token.unit, token.time, known_at)  # steps 4 to 6
    verdict = replace(
        base,
        signer=identity(token.unit),
        claimed_at=token.time,
        relied_on=judgement.relied_on,
        specimen=judgement.specimen,
    ).with_reasons(judgement.reasons)
    if verdict.indication is not Indication.TOTAL_PASSED:
        return verdict
    proof = noted("TST-PROOF", "EN 319 102-1 §5.4", "verify_document_timestamp", when=_shown(token.time))
    return replace(verdict, proved_at=token.time).with_reasons((proof, *_specimen(verdict.specimen)))


def _signature(
    case: Case,
    signature: PdfSignature,
    message: SignedMessage | CmsMalformed | None,
    digest_of: DigestOf,
    known_at: datetime,
    archived: bool,
) -> SignatureVerdict:
    base = SignatureVerdict(
        SignatureKind.SIGNATURE,
        signature.field,
        signature.objections,
        claimed_at=signature.claimed_at,
        coverage=signature.coverage.value,
    )
    if not isinstance(message, SignedMessage):
        rule = message.rule if message is not None else "CMS-FORM"
        return base.with_reasons((_malformed(rule),))
    return _judge(case, base, message, digest_of, known_at, archived)


def _cms_signature(
    message: SignedMessage, trust: Trust, at: datetime, policy: Policy, detached: bytes | None
) -> SignatureVerdict:
    base = SignatureVerdict(SignatureKind.SIGNATURE, "-", ())
    content = message.content if message.content is not None else detached
    if content is None:
        return base.with_reasons(
            (
                indeterminate(
                    "CMS-DETACHED", "EN 319 102-1 §5.2.7", "verify_detached", SubIndication.SIGNED_DATA_NOT_FOUND
                ),
            )
        )
    octets = content
    case = Case(at, policy, trust, _certificates((), (message,), policy), ())
    return _judge(case, base, message, lambda name: new_hash(name, octets).digest(), at, False)


def _malformed(rule: str) -> Reason:
    return failed(rule, "RFC 5652 §5", "verify_format_failure", SubIndication.FORMAT_FAILURE)


def _judge(
    case: Case,
    base: SignatureVerdict,
    message: SignedMessage,
    digest_of: DigestOf,
    known_at: datetime,
    archived: bool,
) -> SignatureVerdict:
    """Steps 3 to 7 for one signature of a person or organisation."""
    check = check_message(message, digest_of, DATA, case.policy)  # step 3
    verdict = replace(base, claimed_at=message.signing_time or base.claimed_at)
    if check.signer is None:
        return verdict.with_reasons(check.reasons)
    verdict = replace(verdict, signer=identity(check.signer)).with_reasons(check.reasons)
    if worst(check.reasons)[0] is Indication.TOTAL_FAILED:
        return verdict  # nothing else matters for octets that the signer did not sign
    time = _time(case, message, known_at, archived)  # step 4
    verdict = verdict.with_reasons(time.reasons)
    used_at = time.proved_at or case.at
    signer = judge_signer(case, check.signer, used_at, time.proved_at is not None)  # steps 5, 6
    logs = case.trust.logs if signer.anchor == SOURCE else LogRequirement()
    logged, proofs = judge_logged(check.signer, message.log_proofs, logs, identity(check.signer).subject)
    verdict = replace(
        verdict,
        proved_at=time.proved_at,
        relied_on=(*signer.relied_on, *proofs, *time.relied_on),
        specimen=signer.specimen,
    ).with_reasons((*signer.reasons, *logged))
    return replace(
        verdict,
        level=_level(time, signer.embedded, archived),  # step 7
    ).with_reasons(_specimen(signer.specimen))


def _specimen(specimen: bool) -> tuple[Reason, ...]:
    return (noted("SPECIMEN", "ITU-T X.660 2.999", "verify_specimen"),) if specimen else ()


@dataclass(frozen=True)
class _Time:
    """What is proved about when a signature was made. ``tokens`` counts those that hold."""

    reasons: tuple[Reason, ...]
    proved_at: datetime | None
    relied_on: tuple[ReliedOn, ...]
    tokens: int
    embedded: bool


def _time(case: Case, message: SignedMessage, known_at: datetime, archived: bool) -> _Time:
    """Step 4: the signature timestamps (EN 319 122-1 §5.3), and what a later document timestamp proves."""
    reasons: list[Reason] = []
    relied: list[ReliedOn] = []
    times: list[datetime] = []
    embedded = True
    for octets in message.timestamp_tokens:
        token = check_token(octets, lambda name: new_hash(name, message.signature).digest(), case.policy)
        found: tuple[Reason, ...]
        if isinstance(token, Timestamp):
            # the certificates inside the token help to build its path
            judged = judge_unit(_with(case, token.certificates), token.unit, token.time, known_at)
            found = judged.reasons
            if worst(found)[0] is Indication.TOTAL_PASSED:
                times.append(token.time)
                relied.extend(judged.relied_on)
                relied.append(
                    ReliedOn("timestamp", "time", identity(token.unit).subject, DOCUMENT, token.sha256, token.time)
                )
                embedded = embedded and judged.embedded
                continue
        else:
            found = token.reasons
        reasons.extend(_softened(one, case.policy) for one in found)
    if archived:
        times.append(known_at)
    proved_at = min(times, default=None)
    if proved_at is None and message.timestamp_tokens:
        reasons.append(noted("TST-UNUSED", "EN 319 102-1 §5.5", "verify_timestamp_unused"))
    elif proved_at is None:
        reasons.append(noted("TST-NONE", "EN 319 102-1 §5.3", "verify_no_timestamp"))
    else:
        reasons.append(noted("TST-PROOF", "EN 319 102-1 §5.5", "verify_timestamp", when=_shown(proved_at)))
    return _Time(tuple(reasons), proved_at, tuple(relied), len(times), embedded)


def _softened(reason: Reason, policy: Policy) -> Reason:
    """A timestamp that does not hold leaves the time unproven; it does not make the signature a false one."""
    if policy.failed_timestamp_allowed:
        return replace(reason, indication=Indication.TOTAL_PASSED, sub_indication=None)
    if reason.indication is Indication.TOTAL_FAILED:
        return replace(
            reason,
            key="signing.verify_timestamp_failed",
            about=None,
            indication=Indication.INDETERMINATE,
            sub_indication=SubIndication.NO_POE,
        )
    return reason


def _level(time: _Time, embedded: bool, archived: bool) -> str:
    """Step 7 (EN 319 142-1 §6)."""
    if time.proved_at is None:
        return "B-B"
    if not (embedded and time.embedded):
        return "B-T"
    return "B-LTA" if archived else "B-LT"


def _with(case: Case, certificates: Iterable[x509.Certificate]) -> Case:
    return replace(case, certificates=tuple(dict.fromkeys((*case.certificates, *certificates))))


def _certificates(
    store: Iterable[bytes], messages: Iterable[SignedMessage | CmsMalformed], policy: Policy
) -> tuple[x509.Certificate, ...]:
    found: dict[x509.Certificate, None] = {}
    for octets in store:
        try:
            found[x509.load_der_x509_certificate(octets)] = None
        except Exception:  # noqa: S112  (one that cannot be read does not spoil the others)
            continue
    for message in messages:
        if isinstance(message, SignedMessage):
            found.update(dict.fromkeys(message.certificates))
    return tuple(found)[: policy.max_certificates]


def _evidence(content: PdfContent) -> tuple[Evidence, ...]:
    kinds = ((EvidenceKind.OCSP, content.ocsps), (EvidenceKind.CRL, content.crls))
    read = (read_evidence(kind, octets, DOCUMENT) for kind, every in kinds for octets in every)
    return tuple(one for one in read if one is not None)


def _shown(at: datetime) -> str:
    return rfc3339(at.replace(microsecond=0))
