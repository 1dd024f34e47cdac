"""Evidence records (RFC 4998) judged: did this document exist then, whatever it is?

    E1  the record is of one chain, in DER, within the limits: anything else is not taken for one
    E2  the digest of the document is in the first list, and the lists lead to what was timestamped   ERS-HASH
    E3  each later timestamp is over the token before it                                            ERS-RENEWAL
    E4  each token is good, judged at the time of the next one                                      TST-…, PATH-…, REV-…

It proves that the document existed, and says nothing about who wrote it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from hashlib import new as new_hash

from signing.evidence_record import ArchiveTimestamp, EvidenceRecord
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
    worst,
)
from signing.verify.policy import Policy
from signing.verify.signature import case_of, shown, specimen_note, with_certificates
from signing.verify.standing import Case, identity, judge_unit
from signing.verify.timestamps import TimestampProblem, check_token
from signing.verify.trust import Trust


def judge_record(
    data: bytes, name: str, trust: Trust, at: datetime, policy: Policy, detached: bytes | None
) -> FileVerdict | None:
    """The verdict on an evidence record about ``detached``; None for a file that is none."""
    try:
        record = EvidenceRecord.parse(data)
    except ValueError:
        return None
    if detached is None:
        sub = SubIndication.SIGNED_DATA_NOT_FOUND
        reason = indeterminate("ERS-DETACHED", "EN 319 102-1 §5.2.7", "verify_detached", sub)
        return FileVerdict(name, "ERS", (SignatureVerdict(SignatureKind.DOCUMENT_TIMESTAMP, "-", (reason,)),))
    case = case_of(at, policy, trust, ())
    verdicts: list[SignatureVerdict] = []
    known_at = at
    for number in range(len(record.chain) - 1, -1, -1):  # E4: the newest first
        one = record.chain[number]
        leaf = _leaf(record, number, detached)
        verdict = _judged(case, one, number, leaf, known_at)
        if verdict.indication is Indication.TOTAL_PASSED and verdict.proved_at is not None:
            known_at = min(known_at, verdict.proved_at)
        verdicts.append(verdict)
    return FileVerdict(name, "ERS", tuple(reversed(verdicts)))


def _leaf(record: EvidenceRecord, number: int, document: bytes) -> bytes:
    """The digest of what a timestamp is about: the document, or the token before it."""
    about = document if number == 0 else record.chain[number - 1].token
    return new_hash(record.chain[number].hash_name, about).digest()


def _judged(case: Case, one: ArchiveTimestamp, number: int, leaf: bytes, known_at: datetime) -> SignatureVerdict:
    base = SignatureVerdict(SignatureKind.DOCUMENT_TIMESTAMP, str(number + 1), ())
    root = one.root(leaf)
    if one.hash_name not in case.policy.digests:
        return base.with_reasons((_weak(),))
    digest_of = {one.hash_name: root}  # a token by another hash than the tree's is over something else
    token = check_token(one.token, lambda name: digest_of.get(name) or b"", case.policy) if root is not None else None
    if token is None or (isinstance(token, TimestampProblem) and _about_another(token)):
        rule = "ERS-RENEWAL" if number else "ERS-HASH"  # E2, E3
        clause = "RFC 4998 §5.3" if number else "RFC 4998 §4.3"
        return base.with_reasons((failed(rule, clause, "verify_hash_failure", SubIndication.HASH_FAILURE),))
    if isinstance(token, TimestampProblem):
        signer = identity(token.unit) if token.unit else None
        return replace(base, signer=signer, claimed_at=token.time).with_reasons(token.reasons)
    judgement = judge_unit(with_certificates(case, token.certificates), token.unit, token.time, known_at)
    verdict = replace(
        base,
        signer=identity(token.unit),
        claimed_at=token.time,
        relied_on=judgement.relied_on,
        specimen=judgement.specimen,
    ).with_reasons(judgement.reasons)
    if worst(verdict.reasons)[0] is not Indication.TOTAL_PASSED:
        return verdict
    proof = noted("TST-PROOF", "RFC 4998 §4.3", "verify_document_timestamp", when=shown(token.time))
    return replace(verdict, proved_at=token.time).with_reasons((proof, *specimen_note(verdict.specimen)))


def _about_another(problem: TimestampProblem) -> bool:
    return any(one.rule == "TST-IMPRINT" and one.indication is Indication.TOTAL_FAILED for one in problem.reasons)


def _weak() -> Reason:
    sub = SubIndication.CRYPTO_CONSTRAINTS_FAILURE
    return indeterminate("ERS-HASH", "EN 319 102-1 §5.2.8", "verify_algorithm", sub)
