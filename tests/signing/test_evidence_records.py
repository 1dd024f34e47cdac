"""Evidence records (RFC 4998): one timestamp for many documents, renewed, and what does not hold."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from asn1crypto import cms, core, tsp
from asn1crypto.algos import DigestAlgorithm
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.x509.status_evidence import EvidenceKind, read_evidence
from signing.errors import ExtensionRefused, NothingToExtend
from signing.evidence_record import ArchiveTimestamp, EvidenceRecord, tree_of
from signing.model import Level
from signing.verify.model import FileVerdict
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests.signing.conftest import Desk
from tests.signing.formats import outcome

DOCUMENTS = [f"SPECIMEN document {number}".encode() for number in range(7)]


class _Lists(core.SequenceOf):
    _child_spec = type("Hashes", (core.SequenceOf,), {"_child_spec": core.OctetString})


class _Timestamp(core.Sequence):
    """RFC 4998 §4.1, written down once more from its ASN.1 module (implicit tags)."""

    _fields = [  # noqa: RUF012
        ("digest_algorithm", DigestAlgorithm, {"implicit": 0, "optional": True}),
        ("attributes", cms.CMSAttributes, {"implicit": 1, "optional": True}),
        ("reduced_hashtree", _Lists, {"implicit": 2, "optional": True}),
        ("time_stamp", cms.ContentInfo),
    ]


class _Chain(core.SequenceOf):
    _child_spec = _Timestamp


class _Sequence(core.SequenceOf):
    _child_spec = _Chain


class _Digests(core.SequenceOf):
    _child_spec = DigestAlgorithm


class _Record(core.Sequence):
    _fields = [  # noqa: RUF012
        ("version", core.Integer),
        ("digest_algorithms", _Digests),
        ("archive_time_stamp_sequence", _Sequence),
    ]


def judged(desk: Desk, record: bytes, document: bytes | None, days: int = 0) -> FileVerdict:
    """With the root, and a bundle's worth of status: the CAs' current lists."""
    at = desk.clock.now() + timedelta(days=days)
    trust = build_trust(None, frozenset(), [desk.pki.root.certificate, desk.pki.tsa_ca.certificate], at, STRICT)
    lists = [
        read_evidence(EvidenceKind.CRL, one.crl(desk.clock.now()), "hand") for one in (desk.pki.root, desk.pki.tsa_ca)
    ]

    trust = replace(trust, evidence=tuple(one for one in lists if one is not None))
    return verify_file(record, "a.ers", trust, at, STRICT, detached=document)


def test_one_timestamp_for_many(desk: Desk) -> None:
    """Seven documents, one token; each record passes for its own document and fails for every other."""
    calls = desk.pki.timestamps.calls
    records = desk.service.record("test", DOCUMENTS)
    assert desk.pki.timestamps.calls == calls + 1
    for number, record in enumerate(records):
        verdict = judged(desk, record, DOCUMENTS[number])
        assert (verdict.format, *outcome(verdict)) == ("ERS", "TOTAL-PASSED", None)
        other = judged(desk, record, DOCUMENTS[number - 1] + b"!")
        assert outcome(other) == ("TOTAL-FAILED", "HASH_FAILURE")
    assert outcome(judged(desk, records[0], None)) == ("INDETERMINATE", "SIGNED_DATA_NOT_FOUND")
    assert desk.actions()[-1] == "signing.recorded"


def test_read_by_asn1crypto_and_hashed_by_hand(desk: Desk) -> None:
    """The structure by another reader, and the way to the root by the steps of RFC 4998 §4.3."""
    for number, octets in enumerate(desk.service.record("test", DOCUMENTS)):
        record = _Record.load(octets, strict=True)
        (chain,) = record["archive_time_stamp_sequence"]
        (stamp,) = chain
        found = hashlib.sha256(DOCUMENTS[number]).digest()
        for position, hashes in enumerate(stamp["reduced_hashtree"]):
            members = [one.native for one in hashes]
            assert position or found in members
            members += [] if position == 0 else [found]
            found = hashlib.sha256(b"".join(sorted(members))).digest()
        content = stamp["time_stamp"]["content"]["encap_content_info"]["content"]
        assert tsp.TSTInfo.load(bytes(content))["message_imprint"]["hashed_message"].native == found


@given(count=st.integers(1, 60), data=st.data())
@settings(max_examples=60, deadline=None, database=None)
def test_every_leaf_leads_to_the_root(count: int, data: st.DataObject) -> None:
    """Whatever the size of the batch, every leaf leads to the one root, and no other digest does."""
    leaves = [hashlib.sha256(bytes((number,))).digest() for number in range(count)]
    root, trees = tree_of(leaves)
    number = data.draw(st.integers(0, count - 1))
    stamp = ArchiveTimestamp(trees[number], b"")
    assert stamp.root(leaves[number]) == root
    assert stamp.root(hashlib.sha256(b"other").digest()) != root


def test_renewal_carries_past_the_end_of_the_unit(desk: Desk) -> None:
    """Renewed under a longer unit, a record passes after the first unit's end; not renewed it is open."""
    desk.pki.timestamps.certify(days=2)
    (record,) = desk.service.record("test", DOCUMENTS[:1])
    desk.pki.timestamps.certify(days=300)
    renewed = desk.service.extend("test", record, detached=DOCUMENTS[0])
    assert len(EvidenceRecord.parse(renewed).chain) == 2
    assert outcome(judged(desk, renewed, DOCUMENTS[0], days=20)) == ("TOTAL-PASSED", None)
    assert outcome(judged(desk, record, DOCUMENTS[0], days=20))[0] == "INDETERMINATE"
    with pytest.raises(ExtensionRefused):
        desk.service.extend("test", record, detached=b"other")
    with pytest.raises(ExtensionRefused):
        desk.service.extend("test", record)
    with pytest.raises(NothingToExtend):
        desk.service.extend("test", record, level=Level.B_LT, detached=DOCUMENTS[0])


def test_a_renewal_of_another_record_fails(desk: Desk) -> None:
    """A later timestamp that is over another token proves nothing about this one."""
    first, second = (EvidenceRecord.parse(desk.service.record("test", [one])[0]) for one in DOCUMENTS[:2])
    other = EvidenceRecord.parse(desk.service.extend("test", second.encode(), detached=DOCUMENTS[1]))
    mixed = EvidenceRecord((first.chain[0], other.chain[1])).encode()
    assert outcome(judged(desk, mixed, DOCUMENTS[0])) == ("TOTAL-FAILED", "HASH_FAILURE")


def test_octets_that_are_no_record(desk: Desk) -> None:
    """Cut, padded or with another version: no record, and never a pass."""
    (record,) = desk.service.record("test", DOCUMENTS[:1])
    for octets in (record[:-1], record + b"\0", record.replace(b"\x02\x01\x01", b"\x02\x01\x02", 1)):
        with pytest.raises(ValueError, match="evidence record"):
            EvidenceRecord.parse(octets)
        assert outcome(judged(desk, octets, DOCUMENTS[0]))[0] != "TOTAL-PASSED"
