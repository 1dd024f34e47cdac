"""What an entry of the issuance log is, and the proof that a certificate is in it. Pure; checked with no network.

An entry is a commitment of 32 octets: SHA-256 over the canonical JSON (RFC 8785) of what happened and of 32 random
octets, the blinding. Whoever has the entry alone learns nothing; whoever has the opening can check that the entry is
about this certificate and this subject, and about nothing else. A proof travels as a C2SP tlog-proof, with the opening
as its extra data.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from foundation import arc
from foundation.canonical import canonical_json, digest
from foundation.clock import parse_rfc3339, rfc3339
from foundation.errors import CamTrustError, Kind
from foundation.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from foundation.signed_note import Checkpoint, Note, NoteInvalid, NoteKey, read_note
from foundation.x509.finding import Finding
from foundation.x509.names import SubjectName

# The unsigned CMS attribute in which a proof travels (an OCTET STRING with a C2SP tlog-proof); those it is read from.
PROOF_ATTRIBUTE = arc.LOG_PROOF
PROOF_ATTRIBUTES = (arc.LOG_PROOF, arc.LOG_PROOF_BEFORE)

ENTRY_FORM = "camtrust.log.entry/v1"
LABEL_FORM = "camtrust.log.label/v1"
BLINDING_SIZE = 32
MAX_PROOF = 128 * 1024  # octets
_FIRST_LINE = "c2sp.org/tlog-proof@v1"

# What check_inclusion checks. The IDs stand in tests and reports.
RULES = {
    "LOG-FORM": "c2sp.org/tlog-proof",
    "LOG-SIGNED": "c2sp.org/tlog-checkpoint",
    "LOG-ORIGIN": "c2sp.org/tlog-checkpoint",
    "LOG-WITNESSED": "c2sp.org/tlog-cosignature",
    "LOG-INCLUDED": "RFC 9162 §2.1.3.2",
    "LOG-OPENS": "docs/decisions/0007",
    "LOG-LABEL": "docs/decisions/0007",
}


class LogProofInvalid(CamTrustError):
    """Octets that are not a proof of ours."""

    code = "foundation.log_proof_invalid"
    kind = Kind.INVALID


class EntryKind(StrEnum):
    """What is logged."""

    CERTIFICATE = "certificate"
    CRL = "crl"
    TIMESTAMPS = "timestamps"  # a statement about one hour's tokens
    REVOCATIONS = "revocations"  # a statement about the tree of an authority's status changes
    CEREMONY = "ceremony"  # the transcript of a root ceremony, as a file
    RECEIPT = "receipt"  # a receipt of proofing (`ekyc.receipts.receipt`): a JWS, as it is
    AUDIT = "audit"  # a statement about the services' audit trail: how many events, and the hash of the last
    KEY_USE = "key-use"  # a record of what was done with a person's key (`foundation.use_record`)


@dataclass(frozen=True)
class Opening:
    """What a commitment commits to. ``digest``: SHA-256 of the DER; ``label``: see :func:`label`; ``at``: in UTC."""

    kind: EntryKind
    digest: bytes
    label: bytes
    at: datetime
    blinding: bytes

    def __post_init__(self) -> None:
        if {len(self.digest), len(self.label), len(self.blinding)} != {HASH_SIZE}:
            raise LogProofInvalid

    @property
    def commitment(self) -> bytes:
        """The entry of the log."""
        return digest([ENTRY_FORM, *self._values()])

    def __bytes__(self) -> bytes:
        return canonical_json(self._values())

    @classmethod
    def parse(cls, data: bytes) -> Opening:
        """The inverse of ``bytes``. Raises LogProofInvalid."""
        try:
            kind, what, label, at, blinding = json.loads(data)
            opening = cls(
                EntryKind(kind),
                bytes.fromhex(what),
                bytes.fromhex(label),
                parse_rfc3339(at),
                bytes.fromhex(blinding),
            )
        except (ValueError, TypeError, RecursionError):
            raise LogProofInvalid from None
        if bytes(opening) != data:
            raise LogProofInvalid
        return opening

    def _values(self) -> list[str]:
        return [self.kind.value, self.digest.hex(), self.label.hex(), rfc3339(self.at), self.blinding.hex()]


def label(origin: str, subject: str) -> bytes:
    """The label under which a subject's entries stand in one log: SHA-256, salted with the log's origin.

    It can be computed by whoever knows the subject, and it never leaves a commitment but by its opening.
    """
    return digest([LABEL_FORM, origin, subject])


def subject_of(certificate: x509.Certificate) -> str:
    """Whom a certificate names: the subject's serialNumber, which is a person's in every certificate of theirs; for a
    subject without one, the digest of its whole name.
    """
    return subject_of_name(certificate.subject)


def subject_of_name(name: x509.Name) -> str:
    """The same by the subject's name."""
    numbers = name.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    return str(numbers[0].value) if len(numbers) == 1 else name_digest(name)


def subject_of_pairs(name: SubjectName) -> str:
    """The same of a name as it was put together."""
    numbers = [value for attribute, value in name.pairs if attribute == "serialNumber"]
    return numbers[0] if len(numbers) == 1 else _digest_of(name.encoded)


def name_digest(name: x509.Name) -> str:
    """A name without a number of its own (an authority, an organisation): ``name:`` and SHA-256 of its DER."""
    return _digest_of(name.public_bytes())


def _digest_of(encoded: bytes) -> str:
    return "name:" + hashlib.sha256(encoded).hexdigest()


@dataclass(frozen=True)
class InclusionProof:
    """That an entry stands at ``index`` in the tree of ``checkpoint`` (a signed note, as the log published it)."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    opening: Opening

    def __bytes__(self) -> bytes:
        """As C2SP tlog-proof, the opening as its extra data."""
        lines = [_FIRST_LINE, f"extra {_encoded(bytes(self.opening))}", f"index {self.index}"]
        return "\n".join([*lines, *map(_encoded, self.hashes), "", ""]).encode() + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> InclusionProof:
        """The inverse of ``bytes``. Raises LogProofInvalid."""
        head, separator, checkpoint = data.partition(b"\n\n")
        try:
            first, extra, index, *hashes = head.decode().split("\n")
            number = int(index.removeprefix("index "))
            opening = Opening.parse(base64.b64decode(extra.removeprefix("extra "), validate=True))
            proof = cls(number, tuple(base64.b64decode(one, validate=True) for one in hashes), checkpoint, opening)
        except (ValueError, binascii.Error):
            raise LogProofInvalid from None
        if len(data) > MAX_PROOF or not separator or first != _FIRST_LINE or bytes(proof) != data:
            raise LogProofInvalid
        return proof


def check_inclusion(
    proof: InclusionProof,
    log: NoteKey,
    logged: x509.Certificate | x509.CertificateRevocationList,
    witnesses: Sequence[NoteKey] = (),
    quorum: int = 0,
) -> tuple[Finding, ...]:
    """What speaks against the proof, rule by rule; nothing where ``logged`` is in the log under its own label.

    ``log``: the log's key, whose name is its origin. ``quorum``: how many of ``witnesses`` must have cosigned.
    """
    if isinstance(logged, x509.Certificate):
        kind, subject = EntryKind.CERTIFICATE, subject_of(logged)
    else:
        kind, subject = EntryKind.CRL, name_digest(logged.issuer)
    what = hashlib.sha256(logged.public_bytes(Encoding.DER)).digest()
    return check_entry(proof, log, kind, what, subject, witnesses, quorum)


def check_entry(
    proof: InclusionProof,
    log: NoteKey,
    kind: EntryKind,
    what: bytes,
    subject: str,
    witnesses: Sequence[NoteKey] = (),
    quorum: int = 0,
) -> tuple[Finding, ...]:
    """The same for anything that is logged: ``what`` is its SHA-256, ``subject`` whose label it stands under."""
    try:
        note = read_note(proof.checkpoint)
        checkpoint = Checkpoint.parse(note.text)
    except NoteInvalid:
        return (_finding("LOG-FORM", "the checkpoint is not a signed note with a tree head"),)
    findings = []
    if not _signers(note, [log]):
        findings.append(_finding("LOG-SIGNED", "the checkpoint is not signed by the log's key"))
    if checkpoint.origin != log.name:
        findings.append(_finding("LOG-ORIGIN", "the checkpoint is of another log"))
    if len({key.public_key for key in _signers(note, witnesses)}) < quorum:
        findings.append(_finding("LOG-WITNESSED", "too few witnesses have cosigned the checkpoint"))
    leaf = leaf_hash(proof.opening.commitment)
    if not verify_inclusion(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root):
        findings.append(_finding("LOG-INCLUDED", "the entry is not in the tree of the checkpoint"))
    if (proof.opening.kind, proof.opening.digest) != (kind, what):
        findings.append(_finding("LOG-OPENS", "the entry opens to something else"))
    if proof.opening.label != label(log.name, subject):
        findings.append(_finding("LOG-LABEL", "the entry is logged under the label of another subject"))
    return tuple(findings)


def _signers(note: Note, keys: Sequence[NoteKey]) -> tuple[NoteKey, ...]:
    try:
        return note.opened_by(keys)
    except NoteInvalid:
        return ()


def _finding(rule: str, message: str) -> Finding:
    return Finding(rule, RULES[rule], message)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
