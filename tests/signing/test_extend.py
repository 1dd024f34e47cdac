"""Extending: every level from every level below, renewal past a unit's end, and what must not be extended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from asn1crypto import cms

from signing.cms_parts import ARCHIVE_TIMESTAMP_V3, CmsParts
from signing.errors import (
    CertificateRevoked,
    ExtensionRefused,
    LevelNotAllowed,
    NothingToExtend,
    StatusUnavailable,
)
from signing.forms import PADES, Form
from signing.model import Level
from signing.verify.cms import read_message
from tests.signing.conftest import Desk
from tests.signing.formats import TEXT, judged, outcome, sealed
from tests.signing.sample_pdf import sample
from tests.signing.test_hybrid_seals import sealed as hybrid

DETACHED, ATTACHED = Form.named("cades", "detached"), Form.named("cades", "attached")
ARCHIVED = [Form.named("xades", "enveloping"), Form.named("jades"), Form.named("asic-s"), Form.named("asic-e", "xades")]
OTHERS = [*ARCHIVED, Form.named("asic-e", "cades")]
STEPS = [
    (below, level)
    for level in (Level.B_T, Level.B_LT, Level.B_LTA)
    for below in (Level.B_B, Level.B_T, Level.B_LT)
    if level.includes(below) and level is not below
]


@pytest.mark.parametrize(("below", "level"), STEPS, ids=str)
@pytest.mark.parametrize("form", [PADES, ATTACHED, DETACHED, *OTHERS], ids=str)
def test_every_step(desk: Desk, form: Form, below: Level, level: Level) -> None:
    """From any level to any higher one; a PDF keeps every octet that it had; from B-LT on the root alone is enough."""
    data = sample() if form == PADES else TEXT
    outside = TEXT if form == DETACHED else None
    made = sealed(desk, data, form, below)
    if not form.highest.includes(level):
        with pytest.raises(LevelNotAllowed):
            desk.service.extend("test", made, level=level)
        return
    extended = desk.service.extend("test", made, level=level, detached=outside)
    verdict = judged(desk, extended, detached=outside)
    if form == PADES:
        assert extended.startswith(made)
    if level.includes(Level.B_LT):
        assert outcome(verdict) == ("TOTAL-PASSED", None)
        # a PDF without a signature timestamp gets a document timestamp, which counts as archiving
        assert Level(verdict.signatures[0].level or "B-B").includes(level)
    else:
        assert verdict.indication.value == "INDETERMINATE"
        stamped = b"/DocTimeStamp" in extended if form == PADES else len(extended) > len(made)
        assert stamped
    assert "signing.extended" in desk.actions()


@pytest.mark.parametrize("form", [PADES, ATTACHED, *ARCHIVED], ids=str)
def test_the_archive_timestamp_is_renewed(desk: Desk, form: Form) -> None:
    """At B-LTA each extension adds one."""
    made = sealed(desk, sample() if form == PADES else TEXT, form, Level.B_LTA)
    again = desk.service.extend("test", desk.service.extend("test", made))
    verdict = judged(desk, again)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert verdict.signatures[0].level == "B-LTA"
    if form == PADES:
        assert sum(one.kind.value == "document-timestamp" for one in verdict.signatures) == 3
        return
    if form in ARCHIVED:
        assert len(again) > len(made)
        return
    signer = cms.ContentInfo.load(again)["content"]["signer_infos"][0]
    kinds = [one["type"].dotted for one in signer["unsigned_attrs"]]
    assert kinds.count("0.4.0.1733.2.4") == 3


@pytest.mark.parametrize("form", [PADES, ATTACHED, *ARCHIVED], ids=str)
def test_renewal_carries_past_the_end_of_units(desk: Desk, form: Form) -> None:
    """Two units end, one after the other. Renewed in time, the signature passes when both are over; not renewed, it
    does not."""
    short = desk.pki.timestamps.unit
    desk.pki.timestamps.certify(days=2)
    assert desk.pki.timestamps.unit != short
    made = sealed(desk, sample() if form == PADES else TEXT, form, Level.B_LTA)
    desk.pki.timestamps.certify(days=300)
    renewed = desk.service.extend("test", made)
    later = desk.clock.now() + timedelta(days=20)
    assert outcome(judged(desk, renewed, at=later)) == ("TOTAL-PASSED", None)
    assert judged(desk, renewed, at=later).signatures[0].level == "B-LTA"
    assert outcome(judged(desk, made, at=later))[0] == "INDETERMINATE"


@pytest.mark.parametrize("form", [ATTACHED, Form.named("jades"), Form.named("asic-s")], ids=str)
def test_hybrid_seals_are_extended(desk: Desk, form: Form) -> None:
    """Both signatures of a hybrid seal are raised, and each gets its archive timestamp."""
    extended = desk.service.extend("test", hybrid(desk, form, Level.B_T))
    verdict = judged(desk, extended)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert [one.level for one in verdict.signatures] == ["B-LTA", "B-LTA"]
    again = judged(desk, desk.service.extend("test", extended))
    assert [one.level for one in again.signatures] == ["B-LTA", "B-LTA"]


def test_a_later_archive_timestamp_that_leaves_one_out_does_not_carry_it(desk: Desk) -> None:
    """An archive timestamp proves only what its hash index names: the old unit's token, put in afterwards, is over."""
    desk.pki.timestamps.certify(days=2)
    old = CmsParts.parse(sealed(desk, TEXT, ATTACHED, Level.B_LTA))
    (token,) = old.of_kind(ARCHIVE_TIMESTAMP_V3)
    without = replace(old, unsigned=tuple(one for one in old.unsigned if one.kind != ARCHIVE_TIMESTAMP_V3))
    desk.pki.timestamps.certify(days=300)
    renewed = CmsParts.parse(desk.service.extend("test", without.encode()))
    later = desk.clock.now() + timedelta(days=20)
    assert outcome(judged(desk, renewed.encode(), at=later)) == ("TOTAL-PASSED", None)
    added = renewed.with_unsigned(ARCHIVE_TIMESTAMP_V3, token)
    assert outcome(judged(desk, added.encode(), at=later))[0] == "INDETERMINATE"


def test_what_does_not_hold_is_refused(desk: Desk) -> None:
    """A changed document, no signature, garbage, a detached signature alone, or with another document."""
    made = sealed(desk, sample(), PADES, Level.B_T)
    attached, detached = (sealed(desk, TEXT, one, Level.B_T) for one in (ATTACHED, DETACHED))
    broken = made.replace(b"/MediaBox", b"/MediaBax", 1)
    assert broken != made
    for data in (broken, sample(), b"0\x03\x02\x01\x01", attached.replace(TEXT, TEXT.swapcase()), detached):
        with pytest.raises(ExtensionRefused):
            desk.service.extend("test", data)
    with pytest.raises(ExtensionRefused):
        desk.service.extend("test", detached, detached=TEXT + b"!")
    with pytest.raises(LevelNotAllowed):
        desk.service.extend("test", sealed(desk, TEXT, Form.named("jades", "compact"), Level.B_B))
    with pytest.raises(LevelNotAllowed):
        desk.service.extend("test", attached, level=Level.B_B)


@pytest.mark.parametrize("form", [PADES, ATTACHED], ids=str)
def test_nothing_to_extend(desk: Desk, form: Form) -> None:
    """A level that is there already is said, not made again; B-LTA is always one more."""
    made = sealed(desk, sample() if form == PADES else TEXT, form, Level.B_LT)
    for level in (Level.B_T, Level.B_LT):
        with pytest.raises(NothingToExtend):
            desk.service.extend("test", made, level=level)


def test_revoked_and_unknown_signers(desk: Desk) -> None:
    """Whoever was revoked since cannot be raised; a signature with its evidence can still be archived."""
    young, complete = (sealed(desk, TEXT, ATTACHED, level) for level in (Level.B_T, Level.B_LT))
    for made in (young, complete):
        serial = read_message(made).candidates[0].serial_number
        desk.pki.issuing.revoked[serial] = desk.clock.now()
    with pytest.raises(CertificateRevoked):
        desk.service.extend("test", young)
    assert judged(desk, desk.service.extend("test", complete)).signatures[0].level == "B-LTA"


def test_status_that_is_not_to_be_had(desk: Desk) -> None:
    """A responder that answers with something from before the timestamp: wait, nothing is handed out."""
    made = sealed(desk, TEXT, ATTACHED, Level.B_T)
    desk.pki.status.age = timedelta(hours=2)
    with pytest.raises(StatusUnavailable):
        desk.service.extend("test", made)
