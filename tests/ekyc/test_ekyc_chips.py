"""Chips in an enrolment: authentic, capped, replayed, cloned, of a rogue issuer, of another person."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ekyc import challenges
from ekyc.chip import ChipOutcome, Rule, active
from ekyc.documents import chips
from ekyc.documents.images import Side
from ekyc.errors import WrongState
from ekyc.evidence.errors import (
    ChallengeUnknown,
    ChipFilesInvalid,
    ImageFormatUnknown,
)
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.imaging import ImageLimits, ImageReader
from ekyc.model import State
from ekyc.policy import default_policy, evaluate
from ekyc.registry_simulation.persons import specimens
from foundation.clock import SetClock
from foundation.http.actor import Actor
from foundation.x509 import der
from tests.ekyc import images
from tests.ekyc.chip_parties import (
    NOW,
    Party,
    authority,
    crl,
    document_signer,
    ec_key,
    explicit_info,
    point_of,
)
from tests.ekyc.chip_specimen import Chip, answer, com, dg14, dg15, sod
from tests.ekyc.story import KEEPERS, World

KEY = ec_key(ec.SECP256R1, "possession")
ISSUER = authority()


@pytest.fixture
def clock() -> SetClock:
    """The day for which the specimen chips are made."""
    return SetClock(NOW)


def anchored(world: World, issuer: Party = ISSUER, *revoked: int) -> World:
    """A world in which officers trust an authority and have its CRL."""
    trust = world.service.chip_trust
    brought = trust.bring(KEEPERS[0], issuer.certificate)
    trust.decide(KEEPERS[1], brought.id, brought.digest, approve=True)
    trust.bring_crl(KEEPERS[0], crl(issuer, revoked))
    return world


def chip_of(
    person: str = "adult", *, portrait: bytes = b"", issuer: Party = ISSUER, signer: Party | None = None
) -> Chip:
    """The chip of a specimen person's card: its lines as typed, a portrait, and a key that answers challenges."""
    lines = "".join(specimens()[person].card()).encode()
    groups = {
        1: der.tlv(0x61, b"\x5f\x1f" + der.length(len(lines)) + lines),
        2: der.tlv(0x75, b"SPECIMEN header of the portrait" + (portrait or images.photograph(size=(240, 320)))),
        14: dg14(),
        15: dg15(KEY),
    }
    files = {f"DG{number}": data for number, data in groups.items()}
    files["EF.COM"] = com(sorted(groups))
    files["EF.SOD"] = sod(groups, signer or document_signer(issuer), issuer.name)
    return Chip(files, [], [])


def submit(world: World, actor: Actor, name: str, one: Chip | Mapping[str, bytes], key: Any = KEY) -> chips.Judged:
    """Send the files with the chip's answer to a new challenge (``key`` None: without)."""
    files = one.files if isinstance(one, Chip) else one
    if key is None:
        return world.service.chips.submit(actor, name, files)
    asked = world.service.chips.challenge(actor, name)
    return world.service.chips.submit(actor, name, files, asked.id, answer(key, asked.nonce))


def recorded(world: World, name: str, kind: EvidenceKind = EvidenceKind.CHIP) -> Any:
    return latest(world.service.files.ledger(world.state(name)), kind)


def test_a_chip_that_is_there_is_authentic(both_worlds: World) -> None:
    """Files that a trusted state signed and an answer to our challenge: authentic, not capped, consistent with the
    typed card; its portrait is kept for the officer; and an officer can approve."""
    world = anchored(both_worlds)
    actor, name = world.until(State.REGISTRY_MATCHED)
    judged = submit(world, actor, name, chip_of())
    assert judged.verdict.outcome is ChipOutcome.AUTHENTIC, judged.verdict.reasons
    assert not judged.verdict.capped
    record = recorded(world, name)
    assert (record.outcome, record.control) == ("authentic", "EKYC-CHIP")
    assert record.facts["possession_proved"] == "true"
    assert record.facts["anchor"] == hashlib.sha256(ISSUER.certificate).hexdigest()
    person = specimens()["adult"]
    assert not any(word in str(record.facts) for word in (person.document_number, person.given_names))
    assert recorded(world, name, EvidenceKind.CROSS_CHECK).outcome == "consistent"
    assert judged.portrait is not None
    assert world.service.images.own(actor, name, judged.portrait).startswith(b"\xff\xd8\xff")
    assert world.service.images.latest(judged.enrolment, Side.CHIP) == judged.portrait
    assert world.review(name).state is State.APPROVED


def test_files_alone_are_capped(world: World) -> None:
    """A copy of the files is as good as the chip: told as capped."""
    anchored(world)
    actor, name = world.until(State.REGISTRY_MATCHED)
    judged = submit(world, actor, name, chip_of(), key=None)
    assert judged.verdict.outcome is ChipOutcome.AUTHENTIC
    assert judged.verdict.capped
    assert recorded(world, name).facts["possession_proved"] == "false"
    assert recorded(world, name).facts["capped"] == "true"


def test_a_cloned_document_fails_and_rejects(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a chip with the answer of another key: failed, and no officer can approve. Were answers not
    verified, the copy would count as the chip, and its holder be approved."""
    anchored(world)
    actor, name = world.until(State.REGISTRY_MATCHED)
    judged = submit(world, actor, name, chip_of(), key=ec_key(ec.SECP256R1, "clone"))
    assert judged.verdict.outcome is ChipOutcome.FAILED
    assert recorded(world, name).outcome == "failed"
    assert world.review(name).state is State.REJECTED
    other, theirs = world.until(State.REGISTRY_MATCHED, "leading-zero")
    monkeypatch.setattr(active, "verify", lambda *_: True)  # the control is off
    passed = submit(world, other, theirs, chip_of("leading-zero"), key=ec_key(ec.SECP256R1, "clone"))
    assert (passed.verdict.outcome, passed.verdict.capped) == (ChipOutcome.AUTHENTIC, False)
    assert world.review(theirs).state is State.APPROVED


def test_replayed_answers_are_worth_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that was given once, to an older challenge, or in another enrolment is refused unjudged."""
    anchored(world)
    actor, name = world.until(State.REGISTRY_MATCHED)
    other, theirs = world.until(State.CONTACT_VERIFIED, phone="012 111 222")
    service, files = world.service.chips, chip_of().files
    asked = service.challenge(actor, name)
    response = answer(KEY, asked.nonce)
    with pytest.raises(ChallengeUnknown):
        service.submit(other, theirs, files, asked.id, response)
    assert not service.submit(actor, name, files, asked.id, response).verdict.capped
    with pytest.raises(ChallengeUnknown):
        service.submit(actor, name, files, asked.id, response)
    newer = service.challenge(actor, name)
    assert service.submit(actor, name, files, newer.id, response).verdict.outcome is ChipOutcome.FAILED
    older, _ = service.challenge(actor, name), service.challenge(actor, name)
    with pytest.raises(ChallengeUnknown):
        service.submit(actor, name, files, older.id, answer(KEY, older.nonce))
    late = service.challenge(actor, name)
    world.clock.advance(timedelta(seconds=301))
    with pytest.raises(ChallengeUnknown):
        service.submit(actor, name, files, late.id, answer(KEY, late.nonce))

    def never_used(desk: Any, enrolment: Any, purpose: Any, challenge_id: str) -> Any:
        return challenges.Challenge(asked.id, asked.nonce, world.clock.now() + timedelta(hours=1))

    monkeypatch.setattr(challenges.Challenges, "redeem", never_used)  # the control is off: the replay passes
    assert not service.submit(actor, name, files, asked.id, response).verdict.capped


def test_challenges_are_random_and_nobody_else_s(world: World) -> None:
    """Two challenges differ; a person of another enrolment, or one who is not so far, gets none."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    one, two = world.service.chips.challenge(actor, name), world.service.chips.challenge(actor, name)
    assert one.nonce != two.nonce
    assert len(one.nonce) == 8
    early, first = world.start()
    with pytest.raises(WrongState):
        world.service.chips.challenge(early, first.id)


def test_signed_but_not_anchored_is_no_pass(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rogue authority of the same name with a key of its own, and an honest one that nobody imported: an outcome of
    its own, and its data are compared with nothing."""
    rogue = authority(ec_key(ec.SECP384R1, "rogue"))
    actor, name = world.until(State.REGISTRY_MATCHED)
    assert submit(world, actor, name, chip_of()).verdict.outcome is ChipOutcome.SIGNED_NOT_ANCHORED
    anchored(world)
    judged = submit(world, actor, name, chip_of(issuer=rogue))
    assert judged.verdict.outcome is ChipOutcome.SIGNED_NOT_ANCHORED
    assert judged.cross_check is None
    assert judged.portrait is None
    with world.database.read() as connection:
        content = world.service.files.open_record(connection, judged.enrolment, recorded(world, name))
    assert "says" not in content
    monkeypatch.setattr(type(world.service.chip_trust), "anchors", lambda *_: (rogue.certificate,))
    trusted = submit(world, actor, name, chip_of(issuer=rogue))  # the control is off: whoever signs is trusted
    assert trusted.verdict.outcome in (ChipOutcome.AUTHENTIC, ChipOutcome.WEAK)


def test_trust_that_was_taken_away_is_gone_for_the_next_chip(world: World) -> None:
    """A withdrawn authority anchors nothing; a revoked document signer fails."""
    anchored(world)
    actor, name = world.until(State.REGISTRY_MATCHED)
    world.service.chip_trust.bring_crl(KEEPERS[0], crl(ISSUER, [77]))
    judged = submit(world, actor, name, chip_of())
    assert judged.verdict.outcome is ChipOutcome.FAILED
    assert Rule.DSC_STATUS in {step.rule for step in judged.verdict.reasons}
    world.service.chip_trust.withdraw(KEEPERS[0], hashlib.sha256(ISSUER.certificate).hexdigest())
    assert submit(world, actor, name, chip_of()).verdict.outcome is ChipOutcome.SIGNED_NOT_ANCHORED


def test_the_chip_of_another_person_contradicts_and_rejects(world: World) -> None:
    """Authentic, but not of whoever typed the card: fields are named, values are not, nobody is approved."""
    anchored(world)
    actor, name = world.until(State.REGISTRY_MATCHED)
    judged = submit(world, actor, name, chip_of("leading-zero"))
    assert judged.verdict.outcome is ChipOutcome.AUTHENTIC
    record = recorded(world, name, EvidenceKind.CROSS_CHECK)
    assert record.outcome == "differs"
    assert "chip-document:given_names" in record.facts["reasons"]
    assert specimens()["leading-zero"].given_names not in str(record.facts)
    assert world.review(name).state is State.REJECTED
    policy = default_policy()
    off = policy.model_copy(update={"refusals": ()})
    ledger = world.service.files.ledger(world.state(name))
    assert "EKYC-REFUSE-CROSS-CHECK" not in {one.rule for one in evaluate(off, "IAL2", ledger).against}


def test_a_chip_that_came_first_is_compared_with_the_document(world: World) -> None:
    """In either order: the card that is typed after the chip is compared with it."""
    anchored(world)
    actor, name = world.until(State.CONTACT_VERIFIED)
    assert submit(world, actor, name, chip_of("leading-zero")).cross_check is None
    world.submit(actor, name, specimens()["adult"])
    assert recorded(world, name, EvidenceKind.CROSS_CHECK).outcome == "differs"


def _extra_group(one: Chip) -> Mapping[str, bytes]:
    return {**one.files, "DG11": der.tlv(0x6B, b"SPECIMEN")}


def _changed_portrait(one: Chip) -> Mapping[str, bytes]:
    return {**one.files, "DG2": one.files["DG2"][:-1] + bytes([one.files["DG2"][-1] ^ 1])}


def _depth_bomb(one: Chip) -> Mapping[str, bytes]:
    nested = b"\x05\x00"
    for _ in range(3000):
        nested = der.sequence([nested])
    return {**one.files, "EF.SOD": der.tlv(0x77, nested)}


def _forged_curve(one: Chip) -> Mapping[str, bytes]:
    from ekyc.chip.curves import CURVES

    key = ec_key(ec.SECP256R1, "dsc")
    curve = next(each for each in CURVES if each.name == "secp256r1")
    signer = document_signer(ISSUER, key, info=explicit_info(curve, point_of(key), generator=point_of(key)))
    return chip_of(signer=signer).files


@pytest.mark.parametrize("attack", [_extra_group, _changed_portrait, _depth_bomb, _forged_curve])
def test_files_that_nobody_signed_fail(world: World, attack: Any) -> None:
    """A group that is not listed, a changed portrait, a nesting bomb, a curve with another generator: failed, and no
    picture is kept."""
    anchored(world)
    actor, name = world.until(State.CONTACT_VERIFIED)
    judged = submit(world, actor, name, attack(chip_of()))
    assert judged.verdict.outcome is ChipOutcome.FAILED
    assert judged.portrait is None
    assert world.blobs.kept == {}


@pytest.mark.parametrize(
    "portrait",
    [b"\xff\xd8\xff" + bytes(500), images.photograph("JPEG2000", size=(240, 320)), b"no picture at all"],
    ids=["broken", "jpeg-2000", "none"],
)
def test_portraits_of_chips(world: World, portrait: bytes) -> None:
    """JPEG 2000 is read, as chips have it; one that cannot be decoded decides nothing."""
    anchored(world)
    actor, name = world.until(State.CONTACT_VERIFIED)
    judged = submit(world, actor, name, chip_of(portrait=portrait))
    assert judged.verdict.outcome is ChipOutcome.AUTHENTIC
    assert (judged.portrait is not None) == (b"jP" in portrait[:8])


@pytest.mark.parametrize(
    ("file", "size"), [("loes2006/ef0102.bin", (449, 598)), ("bsi2008/Datagroup2.bin", (413, 531))]
)
def test_portraits_of_published_specimens_are_decoded(test_data: Path, file: str, size: tuple[int, int]) -> None:
    """The JPEG 2000 in DG2 of two real specimens is found, and read behind the walls."""
    picture = chips._picture((test_data / "emrtd" / file).read_bytes())
    assert picture is not None
    clean = ImageReader(ImageLimits(jpeg_2000=True, smallest_side=50)).read(picture)
    assert (clean.came_as, clean.width, clean.height) == ("JPEG2000", *size)
    with pytest.raises(ImageFormatUnknown):  # persons send no such images
        ImageReader().read(picture)


def test_what_is_no_chip_is_refused(world: World) -> None:
    """Too many files, too large, an answer without a challenge: nothing is recorded."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    service, files = world.service.chips, dict(chip_of().files)
    for sent, challenge, response in (
        ({f"F{n}": b"" for n in range(21)}, None, None),
        ({**files, "DG3": bytes(3 << 20)}, None, None),
        (files, None, b"answer"),
        (files, "CHL-" + "A" * 16, None),
    ):
        with pytest.raises(ChipFilesInvalid):
            service.submit(actor, name, sent, challenge, response)
    assert recorded(world, name) is None


def test_over_http(world: World) -> None:
    """Challenge, files and answer; every reason in Khmer and English; nothing personal in an answer."""
    anchored(world)
    actor, name = world.until(State.REGISTRY_MATCHED)
    client, person = world.client(), {"Authorization": f"Bearer {world.sessions.open(actor.id)}"}
    base = f"/ekyc/v1/enrolments/{name}/chip"
    asked = client.post(f"{base}/challenge", headers=person).json()
    files = {file: base64.b64encode(data).decode() for file, data in chip_of().files.items()}
    response = base64.b64encode(answer(KEY, bytes.fromhex(asked["nonce"]))).decode()
    body = {"files": files, "challenge": asked["challenge"], "response": response}
    told = client.post(base, json=body, headers=person)
    assert told.status_code == 200, told.text
    assert (told.json()["outcome"], told.json()["capped"]) == ("authentic", False)
    assert told.json()["cross_check"] == {"outcome": "consistent", "differing": []}
    assert specimens()["adult"].given_names not in told.text
    again = client.post(base, json=body, headers=person)
    assert (again.status_code, again.json()["code"]) == (409, "ekyc.challenge_unknown")
    weak = client.post(base, json={"files": {**files, "DG11": "AAAA"}}, headers=person).json()
    assert weak["outcome"] == "failed"
    assert all(one["en"] and one["km"] and one["clause"] for one in weak["reasons"])
    for wrong in ({"DG1": "***", "EF.SOD": "AAAA"}, {"DG99": "AAAA", "EF.SOD": "AAAA"}, {}):
        assert client.post(base, json={"files": wrong}, headers=person).status_code == 422
