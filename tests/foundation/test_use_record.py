"""Records of key uses: written in one way, and proved by the log; whatever is changed is told."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from foundation.canonical import canonical_json
from foundation.log_proof import EntryKind, InclusionProof, Opening, label
from foundation.merkle import appended, inclusion_proof, leaf_hash, root
from foundation.signed_note import Checkpoint, sign_note
from foundation.use_record import Act, UsedFor, UseRecord, UseRecordInvalid, check_use, use_subject
from tests.foundation.test_log_proofs import ORIGIN, certificate_for, note_key

AT = datetime(2026, 11, 26, 8, tzinfo=UTC)
CERTIFICATE = certificate_for("CT:KH-SPECIMEN-1")
KEY, PRIVATE = note_key(ORIGIN)


def record(certificate: x509.Certificate = CERTIFICATE, **changes: Any) -> UseRecord:
    digest = hashlib.sha256(b"SPECIMEN").digest()
    values: dict[str, Any] = {
        "record_id": "ab" * 16,
        "act": Act.SIGNATURE,
        "at": AT,
        "credential_id": "cd" * 16,
        "certificate": certificate.fingerprint(hashes.SHA256()),
        "door": "sign",
        "client": None,
        "digests": (digest,),
        "documents": (UsedFor(digest, "ef" * 16, "កិច្ចសន្យា.pdf"),),
        "code": None,
        "salt": bytes(range(32)),
    }
    return UseRecord(**{**values, **changes})


def logged(one: UseRecord, kind: EntryKind = EntryKind.KEY_USE, subject: str = use_subject(CERTIFICATE)) -> bytes:
    """A proof by a log of nine entries that has this record as the seventh."""
    opening = Opening(kind, one.digest, label(ORIGIN, subject), AT, bytes(32))
    entries = [hashlib.sha256(bytes((at,))).digest() for at in range(9)]
    entries[6] = opening.commitment
    tiles = appended(lambda *_: b"", 0, [leaf_hash(entry) for entry in entries])
    note = sign_note(Checkpoint(ORIGIN, 9, root(lambda *at: tiles[at], 9)).text, KEY, PRIVATE.sign)
    return bytes(InclusionProof(6, inclusion_proof(lambda *at: tiles[at], 6, 9), bytes(note), opening))


def rules(one: bytes, proof: bytes, certificate: x509.Certificate = CERTIFICATE) -> list[str]:
    return [finding.rule for finding in check_use(one, proof, KEY, certificate)]


def test_a_record_that_the_log_has() -> None:
    """Nothing speaks against it, and it is read back as it was written."""
    one = record()
    assert rules(bytes(one), logged(one)) == []
    assert UseRecord.parse(bytes(one)) == one


@pytest.mark.parametrize(
    "changes",
    [
        {"act": Act.AUTHORISATION},
        {"at": AT + timedelta(seconds=1)},
        {"door": "csc"},
        {"client": "somebody"},
        {"digests": (bytes(32),)},
        {"digests": ()},
        {"documents": ()},
        {"code": "foundation.pin_incorrect"},
        {"salt": bytes(32)},
    ],
)
def test_every_part_is_proved(changes: dict[str, Any]) -> None:
    """LOG-OPENS: a record that says anything else is not the one that was logged."""
    assert rules(bytes(record(**changes)), logged(record())) == ["LOG-OPENS"]


def test_another_certificate_and_another_kind_of_entry() -> None:
    """LOG-USE-CERTIFICATE, LOG-LABEL and LOG-OPENS: a use of somebody else's key, a label of somebody else's, an entry
    of another kind."""
    other = certificate_for("CT:KH-SPECIMEN-2")
    foreign = record(other)
    assert rules(bytes(foreign), logged(foreign)) == ["LOG-USE-CERTIFICATE"]
    assert rules(bytes(record()), logged(record(), subject=use_subject(other))) == ["LOG-LABEL"]
    assert rules(bytes(record()), logged(record(), EntryKind.CERTIFICATE)) == ["LOG-OPENS"]


def test_what_is_not_written_in_our_way() -> None:
    """LOG-USE-FORM: other octets for the same values, other types, no proof at all."""
    one = bytes(record())
    for wrong in (b"", b"[]", b"{}", one + b" ", one.replace(b'"door":"sign"', b'"door":7'), b"[" * 100_000):
        with pytest.raises(UseRecordInvalid):
            UseRecord.parse(wrong)
        assert rules(wrong, logged(record())) == ["LOG-USE-FORM"]
    assert rules(one, b"c2sp.org/tlog-proof@v1\n") == ["LOG-USE-FORM"]


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_octet_of_the_proof_is_told(at: int, by: int) -> None:
    """Whatever octet of a proof is another, something speaks against it."""
    one, proof = record(), bytearray(logged(record()))
    proof[at % len(proof)] ^= by
    assert rules(bytes(one), bytes(proof))


@given(st.text(max_size=40), st.lists(st.binary(min_size=32, max_size=32), max_size=5))
def test_any_record_is_read_back(name: str, digests: list[bytes]) -> None:
    """Whatever a document is called and however many digests there are."""
    try:
        name.encode()
    except UnicodeEncodeError:  # a lone surrogate is no text
        return
    one = record(digests=tuple(digests), documents=(UsedFor(bytes(32), "x", name),))
    assert UseRecord.parse(bytes(one)) == one


def test_it_is_canonical_json() -> None:
    """Anybody can write it again with RFC 8785 alone."""
    assert canonical_json(json.loads(bytes(record()))) == bytes(record())
