"""The verdict: a pure function of octets, trust, time and policy (ETSI EN 319 102-1 §5.3, §5.5, §5.6).

It never raises for a bad document, opens nothing, and asks nobody. The steps, as numbered in the code:

    1  Format        what the file is, told by its content (`formats`); the size is bounded     FMT-…
    2  Structure     every octet is accounted for, later changes are allowed (`pdf`, `cms`)     PDF-…, CMS-…
    3  Integrity     digest and signature verify; the signer's certificate is identified (`cms`, `timestamps`)
    4  Time          signatures are taken from the last to the first. Each token is judged at the time at which it is
                     known to have existed: now, or the time of a later document timestamp that counts. What passes
                     proves that everything it covers existed by then (`signature`)              TST-…
    5  Certificate   path, purpose and status of the signer at the proven time (`standing`)      PATH-…, SGN-…, REV-…
    6  Trust         what rests on a bundle is weighed down by what is wrong with it (`trust`)   BND-…
    7  Level         B-B, B-T with a proven time, B-LT when the document itself carries all certificates and status,
                     B-LTA when a document timestamp covers those too: one that stands before them does not
                     (EN 319 142-1 §5.4.3, §6.3)
    8  Indication    the worst reason decides; a file is as good as its worst signature
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import compress
from pathlib import PurePath

from cryptography import x509

from foundation.x509.status_evidence import Evidence, EvidenceKind, read_evidence
from signing.verify import pdf_bytes
from signing.verify.cades_document import claim_of
from signing.verify.cms import CmsMalformed, SignedMessage, read_message
from signing.verify.formats import judge_document
from signing.verify.model import (
    FileVerdict,
    Indication,
    Reason,
    SignatureKind,
    SignatureVerdict,
    SubIndication,
    failed,
    indeterminate,
    noted,
)
from signing.verify.paper import judge_code
from signing.verify.pdf import PdfContent, PdfSignature, read_pdf, unreadable
from signing.verify.pdf_parallel import judge_beside
from signing.verify.policy import STRICT, Policy
from signing.verify.signature import DigestOf, Known, judge, shown, specimen_note, with_certificates
from signing.verify.standing import DOCUMENT, Case, identity, judge_unit
from signing.verify.timestamps import TimestampProblem, check_token
from signing.verify.trust import Trust

_log = logging.getLogger(__name__)
_PLACES = 5


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
    except MemoryError:
        return too_much(name)
    except Exception as failure:  # whatever a hostile document provokes is its failure, never a pass
        _log.error("a document provoked %s in the verifier, at %s", type(failure).__qualname__, _places(failure))
        return FileVerdict(name, None, (), (unreadable(),))


def too_much(name: str) -> FileVerdict:
    """The verdict on a file that would take, or took, more than is allowed to judge it."""
    reason = indeterminate("FMT-LIMIT", "EN 319 102-1 §5.2.2", "verify_too_complex", SubIndication.GENERIC)
    return FileVerdict(name, None, (), (reason,))


def _places(failure: Exception) -> str:
    """Where it happened, outermost first, in modules and lines alone: what an exception says can be the document's."""
    frames = traceback.extract_tb(failure.__traceback__)[-_PLACES:]
    return " ".join(f"{PurePath(one.filename).stem}:{one.lineno}" for one in frames)


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
        return too_much(name)
    if pdf_bytes.is_pdf(data):
        content = read_pdf(data, policy, password)  # step 2
        if not content.signatures:
            return FileVerdict(name, "PDF", (), content.objections or (_unsigned("verify_no_signature"),))
        return FileVerdict(name, "PDF", _pdf_signatures(data, content, trust, at, policy), content.objections)
    code = judge_code(
        data, name, trust, at, policy, detached, partial(_file_of_code, name, trust, at, policy, password)
    )
    if code is not None:
        return code
    found = judge_document(data, name, trust, at, policy, detached)
    if found is not None:
        return found
    if pdf_bytes.claims_any(data):
        return FileVerdict(name, None, (), (unreadable(),))
    return FileVerdict(name, None, (), (_unsigned("verify_unknown_format"),))


def _file_of_code(
    name: str, trust: Trust, at: datetime, policy: Policy, password: bytes | None, data: bytes
) -> FileVerdict:
    """The verdict on the file that came beside a code on paper."""
    return verify_file(data, name, trust, at, policy, password=password)


def _unsigned(key: str) -> Reason:
    return indeterminate("FMT-UNSIGNED", "camtrust contract", key, SubIndication.NO_SIGNATURE)


def _pdf_signatures(
    data: bytes, content: PdfContent, trust: Trust, at: datetime, policy: Policy
) -> tuple[SignatureVerdict, ...]:
    messages = [_message(one) for one in content.signatures]
    case = _case(content, messages, trust, at, policy)
    digests = pdf_bytes.RangeDigests(data, (one.byte_range for one in content.signatures))
    verdicts: list[SignatureVerdict] = []
    known_at, archived = at, False  # step 4: when everything so far is known to have existed
    covered: Case | None = None  # what the last document timestamp covers that counts
    for signature, message in reversed(list(zip(content.signatures, messages, strict=True))):
        digest_of = partial(digests.digest, signature.byte_range)
        if signature.is_timestamp:
            verdict = _document_timestamp(case, signature, digest_of, known_at)
            if verdict.indication is Indication.TOTAL_PASSED and verdict.proved_at is not None:
                if covered is None:
                    covered = _covered(case, content, messages, signature.revision)
                known_at, archived = min(known_at, verdict.proved_at), True
        else:
            judged = _signatures(case, signature, message, digest_of, Known(known_at, archived, covered is case))
            if covered is not None and covered is not case and any(one.level == "B-LT" for one in judged):
                alone = _signatures(covered, signature, message, digest_of, Known(known_at, archived, True))
                judged = tuple(
                    replace(one, level=other.level) if (one.level, other.level) == ("B-LT", "B-LTA") else one
                    for one, other in zip(judged, alone, strict=True)
                )
            verdicts.extend(reversed(judged))
            continue
        verdicts.append(verdict)
    return tuple(reversed(verdicts))


def _case(
    content: PdfContent,
    messages: Iterable[SignedMessage | CmsMalformed | None],
    trust: Trust,
    at: datetime,
    policy: Policy,
) -> Case:
    certificates = _certificates(content.certificates, (one for one in messages if one is not None), policy)
    return Case(at, policy, trust, certificates, _evidence(content))


def _covered(
    case: Case, content: PdfContent, messages: Iterable[SignedMessage | CmsMalformed | None], revision: int
) -> Case:
    """The case with what a document timestamp of this revision covers; the same where that is everything."""
    inside = [one.revision <= revision for one in content.signatures]
    if all(inside) and all(since <= revision for since in content.stored_in.values()):
        return case
    return _case(content.until(revision), compress(messages, inside), case.trust, case.at, case.policy)


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
    judgement = judge_unit(
        with_certificates(case, token.certificates), token.unit, token.time, known_at
    )  # steps 4 to 6
    verdict = replace(
        base,
        signer=identity(token.unit),
        claimed_at=token.time,
        relied_on=judgement.relied_on,
        specimen=judgement.specimen,
    ).with_reasons(judgement.reasons)
    if verdict.indication is not Indication.TOTAL_PASSED:
        return verdict
    proof = noted("TST-PROOF", "EN 319 102-1 §5.4", "verify_document_timestamp", when=shown(token.time))
    return replace(verdict, proved_at=token.time).with_reasons((proof, *specimen_note(verdict.specimen)))


def _signatures(
    case: Case,
    signature: PdfSignature,
    message: SignedMessage | CmsMalformed | None,
    digest_of: DigestOf,
    known: Known,
) -> tuple[SignatureVerdict, ...]:
    """The verdict on the signature of a field, and on those beside it."""
    base = SignatureVerdict(
        SignatureKind.SIGNATURE,
        signature.field,
        signature.objections,
        claimed_at=signature.claimed_at,
        coverage=signature.coverage.value,
    )
    if not isinstance(message, SignedMessage):
        rule = message.rule if message is not None else "CMS-FORM"
        return (base.with_reasons((_malformed(rule),)),)
    verdict = judge(case, base, claim_of(message, digest_of, case.policy), known)
    return judge_beside(case, signature, message, verdict, digest_of, known)


def _malformed(rule: str) -> Reason:
    return failed(rule, "RFC 5652 §5", "verify_format_failure", SubIndication.FORMAT_FAILURE)


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
