"""What was done with a person's key, as one byte string, and the check that the issuance log has it. Pure.

A record is canonical JSON (RFC 8785) with a salt of 32 random octets; its SHA-256 is what an entry of the log commits
to (`foundation.log_proof`, kind ``key-use``). It stands under a label of its own, made from the certificate's subject,
so that who knows a certificate cannot count how often its key was used. The record is the person's; the log has the
commitment alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from foundation.canonical import canonical_json
from foundation.clock import parse_rfc3339, rfc3339
from foundation.errors import CamTrustError, Kind
from foundation.log_proof import EntryKind, InclusionProof, LogProofInvalid, check_entry, subject_of
from foundation.signed_note import NoteKey
from foundation.x509.finding import Finding

RECORD_FORM = "camtrust.use/v1"
SALT_SIZE = 32
_SUBJECT = "key-use:"
_DIGEST_SIZES = (32, 48, 64)

# What check_use checks, besides the rules of `foundation.log_proof`.
RULES = {
    "LOG-USE-FORM": "docs/decisions/0023",
    "LOG-USE-CERTIFICATE": "docs/decisions/0023",
}


class UseRecordInvalid(CamTrustError):
    """Octets that are not a record of ours."""

    code = "foundation.use_record_invalid"
    kind = Kind.INVALID


class Act(StrEnum):
    """What was done."""

    AUTHORISATION = "authorisation"  # the token permitted these digests, to be signed later
    SIGNATURE = "signature"  # the token was asked to sign these digests; written before it is asked
    REFUSAL = "refusal"  # somebody tried without the factors; nothing was permitted
    SUSPENSION = "suspension"  # the person had certificate and key stopped
    REPORT = "report"  # the person said that a request was not theirs


@dataclass(frozen=True)
class UsedFor:
    """A document that a digest stands for, where the service knows it."""

    digest: bytes
    document_id: str
    name: str


@dataclass(frozen=True)
class UseRecord:
    """``certificate``: SHA-256 of the DER; ``door``: where it came in; ``client``: the id of the program that asked,
    None for the person's own session; ``code``: of a refusal; ``salt``: SALT_SIZE random octets."""

    record_id: str
    act: Act
    at: datetime
    credential_id: str
    certificate: bytes
    door: str
    client: str | None
    digests: tuple[bytes, ...]
    documents: tuple[UsedFor, ...]
    code: str | None
    salt: bytes

    def __post_init__(self) -> None:
        if len(self.certificate) != 32 or len(self.salt) != SALT_SIZE:
            raise UseRecordInvalid
        if any(len(one) not in _DIGEST_SIZES for one in self.digests):
            raise UseRecordInvalid

    def __bytes__(self) -> bytes:
        return canonical_json(
            {
                "form": RECORD_FORM,
                "id": self.record_id,
                "act": self.act.value,
                "at": rfc3339(self.at),
                "credential": self.credential_id,
                "certificate": self.certificate.hex(),
                "door": self.door,
                "client": self.client,
                "digests": [one.hex() for one in self.digests],
                "documents": [
                    {"digest": one.digest.hex(), "id": one.document_id, "name": one.name} for one in self.documents
                ],
                "code": self.code,
                "salt": self.salt.hex(),
            }
        )

    @property
    def digest(self) -> bytes:
        """What the log's entry commits to."""
        return hashlib.sha256(bytes(self)).digest()

    @classmethod
    def parse(cls, data: bytes) -> UseRecord:
        """The inverse of ``bytes``. Raises UseRecordInvalid for anything that is not written in exactly that way."""
        try:
            record = cls._read(json.loads(data))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise UseRecordInvalid from None
        if bytes(record) != data:
            raise UseRecordInvalid
        return record

    @classmethod
    def _read(cls, value: dict[str, Any]) -> UseRecord:
        texts = [value["id"], value["credential"], value["door"], value["client"] or "", value["code"] or ""]
        documents = tuple(UsedFor(bytes.fromhex(one["digest"]), one["id"], one["name"]) for one in value["documents"])
        if not all(
            isinstance(one, str) for one in (*texts, *(part for d in documents for part in (d.document_id, d.name)))
        ):
            raise TypeError
        return cls(
            record_id=value["id"],
            act=Act(value["act"]),
            at=parse_rfc3339(value["at"]),
            credential_id=value["credential"],
            certificate=bytes.fromhex(value["certificate"]),
            door=value["door"],
            client=value["client"],
            digests=tuple(bytes.fromhex(one) for one in value["digests"]),
            documents=documents,
            code=value["code"],
            salt=bytes.fromhex(value["salt"]),
        )


def use_subject(certificate: x509.Certificate) -> str:
    """Whose label the uses of a certificate's key stand under in the log."""
    return _SUBJECT + subject_of(certificate)


def check_use(
    record: bytes,
    proof: bytes,
    log: NoteKey,
    certificate: x509.Certificate,
    witnesses: Sequence[NoteKey] = (),
    quorum: int = 0,
) -> tuple[Finding, ...]:
    """What speaks against an entry of a person's history, rule by rule; nothing where the log has exactly this record.

    ``record`` and ``proof`` as the service gave them; ``certificate``: the one whose key was used; ``log``,
    ``witnesses`` and ``quorum`` as for `foundation.log_proof.check_inclusion`. Needs no network.
    """
    try:
        read = UseRecord.parse(record)
    except UseRecordInvalid:
        return (_finding("LOG-USE-FORM", "the record is not written as the service writes records"),)
    try:
        included = InclusionProof.parse(proof)
    except LogProofInvalid:
        return (_finding("LOG-USE-FORM", "the proof is not a tlog-proof"),)
    findings = []
    if read.certificate != certificate.fingerprint(hashes.SHA256()):
        findings.append(_finding("LOG-USE-CERTIFICATE", "the record is about the key of another certificate"))
    subject = use_subject(certificate)
    findings += check_entry(included, log, EntryKind.KEY_USE, read.digest, subject, witnesses, quorum)
    return tuple(findings)


def _finding(rule: str, message: str) -> Finding:
    return Finding(rule, RULES[rule], message)
