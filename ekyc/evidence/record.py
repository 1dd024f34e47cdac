"""The evidence ledger of an enrolment: what was shown, by which control, with what outcome. Pure.

A record's content is sealed elsewhere; here stand its digest (over a salted content, so that it tells nothing about
a person), and facts without personal data. Each record's hash covers it and the hash before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ekyc.errors import EvidenceChainBroken
from foundation.canonical import digest
from foundation.clock import rfc3339


class EvidenceKind(StrEnum):
    """What a record is about."""

    CONSENT = "consent"
    AGREEMENT = "agreement"
    CONTACT = "contact"
    IMAGE = "image"  # outcomes and facts of this and the next four: `ekyc.findings`
    CHIP = "chip"
    CROSS_CHECK = "cross-check"
    LIVENESS = "liveness"
    FACE = "face"
    DOCUMENT = "document"
    REGISTRY = "registry"
    DEDUPE = "dedupe"
    GUARDIAN = "guardian"
    DECLARATION = "declaration"  # what somebody without a document says of themselves
    VOUCH = "vouch"
    REVIEW = "review"
    DECISION = "decision"
    REINSTATEMENT = "reinstatement"
    FACTOR = "factor"
    PACKET = "packet"  # collected by an officer's station without a network
    KEY = "key"
    CERTIFICATE = "certificate"
    CREDENTIAL = "credential"
    CORRECTION = "correction"  # of name or birth, after the certificate
    APPEAL = "appeal"  # against a refusal


@dataclass(frozen=True)
class Control:
    """The check that produced a record: an ID that stands in code, tests and documents, and its version."""

    id: str
    version: int


CONTROLS: Mapping[EvidenceKind, Control] = {
    EvidenceKind.CONSENT: Control("EKYC-CONSENT", 1),
    EvidenceKind.AGREEMENT: Control("EKYC-AGREEMENT", 1),
    EvidenceKind.CONTACT: Control("EKYC-CONTACT-OTP", 1),
    EvidenceKind.IMAGE: Control("EKYC-IMAGE", 1),
    EvidenceKind.CHIP: Control("EKYC-CHIP", 1),
    EvidenceKind.CROSS_CHECK: Control("EKYC-CROSS-CHECK", 1),
    EvidenceKind.LIVENESS: Control("EKYC-LIVENESS", 1),
    EvidenceKind.FACE: Control("EKYC-FACE", 1),
    EvidenceKind.DOCUMENT: Control("EKYC-DOCUMENT-MRZ", 1),
    EvidenceKind.REGISTRY: Control("EKYC-REGISTRY", 1),
    EvidenceKind.DEDUPE: Control("EKYC-DEDUPE", 1),
    EvidenceKind.GUARDIAN: Control("EKYC-GUARDIAN", 1),
    EvidenceKind.DECLARATION: Control("EKYC-DECLARATION", 1),
    EvidenceKind.VOUCH: Control("EKYC-VOUCH", 1),
    EvidenceKind.REVIEW: Control("EKYC-REVIEW", 1),
    EvidenceKind.DECISION: Control("EKYC-DECISION", 1),
    EvidenceKind.REINSTATEMENT: Control("EKYC-REINSTATEMENT", 1),
    EvidenceKind.PACKET: Control("EKYC-PACKET", 1),
    EvidenceKind.FACTOR: Control("EKYC-FACTOR", 1),
    EvidenceKind.KEY: Control("EKYC-KEY", 1),
    EvidenceKind.CERTIFICATE: Control("EKYC-CERTIFICATE", 1),
    EvidenceKind.CREDENTIAL: Control("EKYC-CREDENTIAL", 1),
    EvidenceKind.CORRECTION: Control("EKYC-CORRECTION", 1),
    EvidenceKind.APPEAL: Control("EKYC-APPEAL", 1),
}


@dataclass(frozen=True)
class Evidence:
    """One record of the ledger. ``content`` is the digest of the sealed content."""

    enrolment_id: str
    sequence: int
    kind: EvidenceKind
    control: str
    control_version: int
    outcome: str
    facts: Mapping[str, str]
    content: bytes
    actor: str
    at: datetime
    hash: bytes


GENESIS = bytes(32)
RECALLED = "recalled"  # the outcome of a record that calls those of its kind back (`ekyc.recall.desk`)


def chained(
    previous: bytes,
    *,
    enrolment_id: str,
    sequence: int,
    kind: EvidenceKind,
    outcome: str,
    facts: Mapping[str, str],
    content: bytes,
    actor: str,
    at: datetime,
) -> Evidence:
    """The next record after the one whose hash is ``previous``."""
    control = CONTROLS[kind]
    record = Evidence(
        enrolment_id, sequence, kind, control.id, control.version, outcome, dict(facts), content, actor, at, b""
    )
    return Evidence(**{**vars(record), "hash": _hash(previous, record)})


def verify_chain(ledger: Sequence[Evidence]) -> bytes:
    """The hash of the last record (GENESIS for none); raises EvidenceChainBroken."""
    previous = GENESIS
    for sequence, record in enumerate(ledger, start=1):
        if record.sequence != sequence or record.hash != _hash(previous, record):
            raise EvidenceChainBroken(sequence=sequence)
        previous = record.hash
    return previous


def latest(ledger: Sequence[Evidence], kind: EvidenceKind) -> Evidence | None:
    """The last record of a kind: what counts."""
    return next((record for record in reversed(ledger) if record.kind is kind), None)


def latest_shown(ledger: Sequence[Evidence], kind: EvidenceKind) -> Evidence | None:
    """The last record of a kind that says what was shown: one that calls it back has no content."""
    return latest([record for record in ledger if record.outcome != RECALLED], kind)


def lacks_guardian(ledger: Sequence[Evidence]) -> bool:
    """Whether the document is a minor's, and no guardian's word about it counts."""
    document, word = latest_shown(ledger, EvidenceKind.DOCUMENT), latest(ledger, EvidenceKind.GUARDIAN)
    if document is None or document.facts.get("minor") != "true":
        return False
    return word is None or word.outcome not in ("bound", "review") or word.sequence < document.sequence


def _hash(previous: bytes, record: Evidence) -> bytes:
    return digest(
        [
            previous.hex(),
            record.enrolment_id,
            record.sequence,
            record.kind.value,
            record.control,
            record.control_version,
            record.outcome,
            dict(record.facts),
            record.content.hex(),
            record.actor,
            rfc3339(record.at),
        ]
    )
