"""The verdict on a code that was printed with a document (`signing.paper_code`), without the document and the network.

    P1  it is written in the one way there is, and small                                     PAPER-FORM
    P2  the bundle has the certificate of the seal that it names                             PAPER-SEAL
    P3  its signature verifies under that certificate                                        PAPER-SIGNATURE
    P4  it was not sealed in the future, nor outside the certificate's time                  PAPER-TIME
    P5  the certificate's path and its status as of now                                      `standing`
    P6  where the file is there too (``--detached``), it is the document; or it begins with  PAPER-DOCUMENT
        the document, and passes as a whole under the same seal

A code proves what it says of itself, never that the paper around it says the same: the reader compares the fields
(PAPER-FIELDS) with what is printed. A code without fields, and without the file, proves nothing about a paper.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from foundation.clock import rfc3339
from signing import paper_code
from signing.paper_code import Code, CodeInvalid
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
from signing.verify.policy import Policy
from signing.verify.signature import case_of, specimen_note
from signing.verify.standing import identity, judge_certificate
from signing.verify.trust import Trust

_CLAUSE = "RFC 9052 §4.4"
_DOCUMENT = "EN 319 102-1 §5.2.7"

JudgeFile = Callable[[bytes], FileVerdict]


def judge_code(
    data: bytes, name: str, trust: Trust, at: datetime, policy: Policy, detached: bytes | None, judge: JudgeFile
) -> FileVerdict | None:
    """The verdict on the text of a code; None for anything else. ``detached``: the document, sealed or before;
    ``judge``: the verdict on a file, by the same trust and policy."""
    if not paper_code.looks_like(data):
        return None
    base = SignatureVerdict(SignatureKind.PAPER, "-", ())
    try:
        code = paper_code.read(data.decode("ascii"))
    except (CodeInvalid, UnicodeDecodeError):
        reason = failed("PAPER-FORM", _CLAUSE, "verify_paper_form", SubIndication.FORMAT_FAILURE)
        return FileVerdict(name, "paper", (base.with_reasons((reason,)),))
    return FileVerdict(name, "paper", (_judged(code, base, trust, at, policy, detached, judge),))


def _judged(
    code: Code,
    base: SignatureVerdict,
    trust: Trust,
    at: datetime,
    policy: Policy,
    detached: bytes | None,
    judge: JudgeFile,
) -> SignatureVerdict:
    base = replace(base, claimed_at=code.claim.at)
    known = trust.bundle.contents.seals if trust.bundle is not None else ()
    certificate = next((one for one in known if code.names(one)), None)
    if certificate is None:
        missing = SubIndication.NO_SIGNING_CERTIFICATE_FOUND
        reasons = (indeterminate("PAPER-SEAL", "EN 319 102-1 §5.2.3", "verify_paper_seal", missing),)
        return base.with_reasons((*reasons, *trust.reasons))
    base = replace(base, signer=identity(certificate))
    if not code.verifies(certificate):
        wrong = failed("PAPER-SIGNATURE", _CLAUSE, "verify_paper_signature", SubIndication.SIG_CRYPTO_FAILURE)
        return base.with_reasons((wrong,))
    judgement = judge_certificate(case_of(at, policy, trust, (certificate,)), certificate)
    base = replace(base, relied_on=judgement.relied_on, specimen=judgement.specimen)
    verdict = base.with_reasons((*_time(code, at, policy, certificate.not_valid_before_utc), *judgement.reasons))
    about = _document(code, detached, identity(certificate).sha256, judge)
    return verdict.with_reasons((*about, *_fields(code), *specimen_note(judgement.specimen)))


def _time(code: Code, at: datetime, policy: Policy, since: datetime) -> tuple[Reason, ...]:
    if code.claim.at > at + policy.clock_skew or code.claim.at < since:
        order = SubIndication.TIMESTAMP_ORDER_FAILURE
        return (indeterminate("PAPER-TIME", "EN 319 102-1 §5.2.6", "verify_paper_time", order),)
    return ()


def _document(code: Code, detached: bytes | None, seal: str, judge: JudgeFile) -> tuple[Reason, ...]:
    if detached is None:
        if code.claim.fields:
            return ()
        alone = SubIndication.SIGNED_DATA_NOT_FOUND
        return (indeterminate("PAPER-DOCUMENT", _DOCUMENT, "verify_paper_alone", alone),)
    if hashlib.sha256(detached[: code.claim.size]).digest() != code.claim.sha256:
        return (failed("PAPER-DOCUMENT", _DOCUMENT, "verify_paper_document", SubIndication.HASH_FAILURE),)
    if len(detached) > code.claim.size and not _sealed(judge(detached), seal):
        # Whatever stands behind the document can show another one, so it must be what this seal covers.
        return (indeterminate("PAPER-DOCUMENT", _DOCUMENT, "verify_paper_grown", SubIndication.SIGNED_DATA_NOT_FOUND),)
    return (noted("PAPER-DOCUMENT", _DOCUMENT, "verify_paper_same"),)


def _sealed(file: FileVerdict, seal: str) -> bool:
    """Whether a file passes, and the seal with this SHA-256 of its certificate is on it."""
    signers = {one.signer.sha256 for one in file.signatures if one.signer is not None}
    return file.indication is Indication.TOTAL_PASSED and seal in signers


def _fields(code: Code) -> tuple[Reason, ...]:
    sealed = rfc3339(code.claim.at)
    shown = "; ".join(f"{name}: {value}" for name, value in code.claim.fields) or "-"
    return (noted("PAPER-FIELDS", "camtrust paper", "verify_paper_fields", fields=shown, when=sealed),)
