"""Proofs of inclusion in an issuance log: each rule refuses what it is there for, and nothing else does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from foundation.canonical import canonical_json
from foundation.log_proof import (
    RULES,
    EntryKind,
    InclusionProof,
    LogProofInvalid,
    Opening,
    check_inclusion,
    label,
    name_digest,
    subject_of,
)
from foundation.merkle import appended, inclusion_proof, leaf_hash, root
from foundation.signed_note import Checkpoint, Note, NoteKey, NoteSignature, SignatureType, sign_note

ORIGIN = "log.specimen.example/log"
AT = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
COUNT, PLACE = 11, 6


def note_key(name: str, kind: SignatureType = SignatureType.ED25519) -> tuple[NoteKey, Ed25519PrivateKey]:
    private = Ed25519PrivateKey.generate()
    return NoteKey(name, kind, private.public_key().public_bytes_raw()), private


def certificate_for(number: str | None) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, "SPECIMEN SOK")]
    if number is not None:
        attributes.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, number))
    name = x509.Name(attributes)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(AT).not_valid_after(AT + timedelta(days=1))
    return builder.sign(key, hashes.SHA256())


@dataclass(frozen=True)
class Log:
    """A log of eleven entries, of which one is about a certificate."""

    key: NoteKey
    private: Ed25519PrivateKey
    certificate: x509.Certificate
    entries: tuple[bytes, ...]
    opening: Opening

    def proof(self, origin: str = ORIGIN) -> InclusionProof:
        leaves = [leaf_hash(entry) for entry in self.entries]
        tiles = appended(lambda *_: b"", 0, leaves)
        text = Checkpoint(origin, COUNT, root(lambda *at: tiles[at], COUNT)).text
        note = sign_note(text, self.key, self.private.sign)
        hashes_ = inclusion_proof(lambda *at: tiles[at], PLACE, COUNT)
        return InclusionProof(PLACE, hashes_, bytes(note), self.opening)

    def rules(self, proof: InclusionProof, **more: object) -> list[str]:
        given = {"log": self.key, "logged": self.certificate, **more}
        return [one.rule for one in check_inclusion(proof, **given)]  # type: ignore[arg-type]


def make_log(number: str | None = "CT:KH-SPECIMEN-1", subject: str | None = None) -> Log:
    certificate = certificate_for(number)
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    under = label(ORIGIN, subject or subject_of(certificate))
    opening = Opening(EntryKind.CERTIFICATE, digest, under, AT, bytes(range(32)))
    entries = [hashlib.sha256(bytes((at,))).digest() for at in range(COUNT)]
    entries[PLACE] = opening.commitment
    return Log(*note_key(ORIGIN), certificate, tuple(entries), opening)


@pytest.fixture(scope="module")
def log() -> Log:
    return make_log()


def test_a_commitment_is_what_the_decision_says(log: Log) -> None:
    """Anybody can make the entry again: SHA-256 over canonical JSON of form, kind, digest, label, time, blinding."""
    one = log.opening
    values = ["camtrust.log.entry/v1", "certificate", one.digest.hex(), one.label.hex(), "2026-01-05T08:30:00Z"]
    again = hashlib.sha256(canonical_json([*values, one.blinding.hex()])).digest()
    assert again == one.commitment
    salted = ["camtrust.log.label/v1", ORIGIN, "CT:KH-SPECIMEN-1"]
    assert hashlib.sha256(canonical_json(salted)).digest() == one.label


@pytest.mark.parametrize("change", ["kind", "digest", "label", "at", "blinding"])
def test_every_part_is_committed_to(log: Log, change: str) -> None:
    """Another kind, digest, label, time or blinding is another entry."""
    values = {
        "kind": EntryKind.CRL,
        "digest": bytes(32),
        "label": bytes(32),
        "at": AT + timedelta(seconds=1),
        "blinding": bytes(32),
    }
    other = replace(log.opening, **{change: values[change]})  # type: ignore[arg-type]
    assert other.commitment != log.opening.commitment
    assert "LOG-INCLUDED" in log.rules(replace(log.proof(), opening=other))


def test_a_good_proof(log: Log) -> None:
    """It travels as a C2SP tlog-proof, and nothing speaks against it."""
    data = bytes(log.proof())
    assert data.startswith(b"c2sp.org/tlog-proof@v1\nextra ")
    assert b"\nindex 6\n" in data
    assert InclusionProof.parse(data) == log.proof()
    assert log.rules(InclusionProof.parse(data)) == []


def test_another_certificate(log: Log) -> None:
    """LOG-OPENS: a proof shows one certificate and no other, though it names the same person."""
    assert log.rules(log.proof(), logged=certificate_for("CT:KH-SPECIMEN-1")) == ["LOG-OPENS"]


def test_another_label() -> None:
    """LOG-LABEL: a certificate that is logged under somebody else's label does not pass."""
    log = make_log(subject="CT:KH-SPECIMEN-2")
    assert log.rules(log.proof()) == ["LOG-LABEL"]


def test_another_signer(log: Log) -> None:
    """LOG-SIGNED: a checkpoint of a key that merely has the log's name does not pass."""
    assert log.rules(log.proof(), log=note_key(ORIGIN)[0]) == ["LOG-SIGNED"]


def test_another_origin(log: Log) -> None:
    """LOG-ORIGIN: the log's own signature under a checkpoint of another tree does not pass."""
    assert log.rules(log.proof("other.example/log")) == ["LOG-ORIGIN"]


def test_another_tree(log: Log) -> None:
    """LOG-INCLUDED: another index, another hash, or one hash less does not pass."""
    proof = log.proof()
    for wrong in (
        replace(proof, index=5),
        replace(proof, index=COUNT),
        replace(proof, hashes=proof.hashes[:-1]),
        replace(proof, hashes=(bytes(32), *proof.hashes[1:])),
    ):
        assert log.rules(wrong) == ["LOG-INCLUDED"]


def test_no_checkpoint(log: Log) -> None:
    """LOG-FORM: what is no checkpoint is told as such."""
    assert log.rules(replace(log.proof(), checkpoint=b"nothing")) == ["LOG-FORM"]
    note = sign_note("no checkpoint\n", log.key, log.private.sign)
    assert log.rules(replace(log.proof(), checkpoint=bytes(note))) == ["LOG-FORM"]


def test_witnesses(log: Log) -> None:
    """LOG-WITNESSED: as many different witnesses as are asked for, each over this very checkpoint."""
    proof = log.proof()
    text = proof.checkpoint.decode().partition("\n\n")[0] + "\n"
    base = sign_note(text, log.key, log.private.sign)
    lines, witnesses = [], []
    for number in range(2):
        key, private = note_key(f"witness{number}.example", SignatureType.COSIGNATURE_V1)
        message = f"cosignature/v1\ntime {1_700_000_000 + number}\n{text}".encode()
        stamp = (1_700_000_000 + number).to_bytes(8, "big")
        lines.append(NoteSignature(key.name, key.key_id, stamp + private.sign(message)))
        witnesses.append(key)
    both = replace(proof, checkpoint=bytes(base.with_signatures(lines)))
    assert log.rules(both, witnesses=witnesses, quorum=2) == []
    assert log.rules(both, witnesses=[*witnesses, *witnesses], quorum=3) == ["LOG-WITNESSED"]
    one = replace(proof, checkpoint=bytes(base.with_signatures(lines[:1])))
    assert log.rules(one, witnesses=witnesses, quorum=1) == []
    assert log.rules(one, witnesses=witnesses, quorum=2) == ["LOG-WITNESSED"]
    assert log.rules(proof, witnesses=witnesses, quorum=1) == ["LOG-WITNESSED"]
    later = replace(lines[0], signature=(1_700_000_009).to_bytes(8, "big") + lines[0].signature[8:])
    false = replace(proof, checkpoint=bytes(Note(text, (*base.signatures, later))))
    assert log.rules(false, witnesses=witnesses, quorum=1) == ["LOG-WITNESSED"]


def test_every_rule_has_its_test() -> None:
    """The rules are those that the tests above name."""
    tested = {"LOG-FORM", "LOG-SIGNED", "LOG-ORIGIN", "LOG-WITNESSED", "LOG-INCLUDED", "LOG-OPENS", "LOG-LABEL"}
    assert set(RULES) == tested


def test_subjects_without_a_number() -> None:
    """An officer or an authority is told by its whole name."""
    certificate = certificate_for(None)
    assert subject_of(certificate) == name_digest(certificate.subject)
    assert subject_of(certificate).startswith("name:")
    log = make_log(None)
    assert log.rules(log.proof()) == []


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_changed_proof_passes(at: int, bit: int) -> None:
    """Flip any bit of a proof: it is not read, or a rule speaks against it."""
    data = bytearray(bytes(CHANGED.proof()))
    data[at % len(data)] ^= 1 << bit
    try:
        proof = InclusionProof.parse(bytes(data))
    except LogProofInvalid:
        return
    assert CHANGED.rules(proof)


CHANGED = make_log()


@given(data=st.binary(max_size=300))
def test_no_octets_break_the_reader(data: bytes) -> None:
    """Whatever comes: LogProofInvalid and nothing else."""
    for octets in (data, b"c2sp.org/tlog-proof@v1\nextra " + data, bytes(CHANGED.proof())[: len(data)]):
        with pytest.raises(LogProofInvalid):
            InclusionProof.parse(octets)
    with pytest.raises(LogProofInvalid):
        Opening.parse(data)
