"""Face and liveness: random looks, fresh pictures, and no pass without an officer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest

from ekyc import challenges
from ekyc.documents.images import Side
from ekyc.errors import GateClosed, WrongState
from ekyc.evidence.errors import ChallengeUnknown, FaceImagesInvalid
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.faces.desk import STEPS, FaceAnswer, FaceJudgement, Look, NoFaceModel, looks_of
from ekyc.findings import FaceOutcome, LivenessOutcome
from ekyc.model import State
from ekyc.policy import Outcome, default_policy, evaluate
from foundation.http.actor import Actor
from tests.ekyc import images
from tests.ekyc.story import World

PICTURE = images.photograph(size=(240, 300))


class SpecimenModel:
    """Says what the test wants, and keeps what it was shown."""

    name = "specimen-model-1"

    def __init__(self, liveness: LivenessOutcome, face: FaceOutcome) -> None:
        self._said = FaceJudgement(liveness, face, "0.71", ("specimen",))
        self.asked: list[tuple[tuple[Look, ...], int, bool]] = []

    def judge(self, looks: Sequence[Look], pictures: Sequence[bytes], reference: bytes | None) -> FaceJudgement:
        assert all(one.startswith(b"\xff\xd8\xff") for one in pictures)
        self.asked.append((tuple(looks), len(pictures), reference is not None))
        return self._said


def with_model(world: World, model: object) -> World:
    world.service = world.restarted(face_model=model)
    return world


def portraits(world: World, actor: Actor, name: str, count: int = STEPS) -> list[str]:
    return [world.service.images.take(actor, name, Side.PORTRAIT, PICTURE).id for _ in range(count)]


def answered(world: World, actor: Actor, name: str) -> FaceAnswer:
    asked = world.service.faces.challenge(actor, name)
    return world.service.faces.submit(actor, name, asked.challenge.id, portraits(world, actor, name))


def test_without_a_model_it_is_inconclusive_and_an_officer_looks(world: World) -> None:
    """Recorded as inconclusive by no model; the policy refers, and only an officer's word approves."""
    actor, name = world.until(State.REGISTRY_MATCHED)
    world.service.images.take(actor, name, Side.FRONT, images.photograph())
    found = answered(world, actor, name)
    assert (found.liveness, found.face) == (LivenessOutcome.INCONCLUSIVE, FaceOutcome.INCONCLUSIVE)
    ledger = world.service.files.ledger(found.enrolment)
    for kind, control in ((EvidenceKind.LIVENESS, "EKYC-LIVENESS"), (EvidenceKind.FACE, "EKYC-FACE")):
        record = latest(ledger, kind)
        assert record is not None
        assert (record.control, record.outcome, record.facts["model"]) == (control, "inconclusive", "none")
        assert record.facts["reasons"] == "no-model"
    assert evaluate(default_policy(), "IAL2", ledger).outcome is not Outcome.APPROVED
    assert found.enrolment.state is State.REGISTRY_MATCHED
    assert world.review(name).state is State.APPROVED


@pytest.mark.parametrize("liveness", list(LivenessOutcome))
@pytest.mark.parametrize("face", list(FaceOutcome))
def test_no_outcome_of_a_model_approves(world: World, liveness: LivenessOutcome, face: FaceOutcome) -> None:
    """Live and the same, or anything else: recorded as it was said, and nobody is approved by it."""
    model = SpecimenModel(liveness, face)
    with_model(world, model)
    actor, name = world.until(State.REGISTRY_MATCHED)
    world.service.images.take(actor, name, Side.FRONT, images.photograph())
    found = answered(world, actor, name)
    assert (found.liveness, found.face) == (liveness, face)
    ledger = world.service.files.ledger(found.enrolment)
    record = latest(ledger, EvidenceKind.FACE)
    assert record is not None
    assert (record.facts["source"], record.facts["score"], record.facts["model"]) == ("front", "0.71", model.name)
    assert evaluate(default_policy(), "IAL2", ledger).outcome is not Outcome.APPROVED


@pytest.mark.parametrize(
    ("liveness", "face"),
    [(LivenessOutcome.NOT_LIVE, FaceOutcome.SAME), (LivenessOutcome.LIVE, FaceOutcome.OTHER)],
)
def test_what_speaks_against_the_person_asks_for_two_officers(
    world: World, liveness: LivenessOutcome, face: FaceOutcome
) -> None:
    """One officer is not enough then; without the risk rules one would be."""
    with_model(world, SpecimenModel(liveness, face))
    actor, name = world.until(State.REGISTRY_MATCHED)
    world.service.images.take(actor, name, Side.FRONT, images.photograph())
    answered(world, actor, name)
    assert world.review(name).state is not State.APPROVED
    ledger = world.service.files.ledger(world.state(name))
    policy = default_policy()
    assert "EKYC-IAL2-OFFICERS" in {one.rule for one in evaluate(policy, "IAL2", ledger).against}
    off = policy.model_copy(update={"risks": ()})
    assert "EKYC-IAL2-OFFICERS" not in {one.rule for one in evaluate(off, "IAL2", ledger).against}


def test_without_a_portrait_no_face_is_the_same(world: World) -> None:
    """A model that says "same" to nothing is not believed."""
    with_model(world, SpecimenModel(LivenessOutcome.LIVE, FaceOutcome.SAME))
    actor, name = world.until(State.CONTACT_VERIFIED)
    found = answered(world, actor, name)
    assert (found.liveness, found.face) == (LivenessOutcome.LIVE, FaceOutcome.INCONCLUSIVE)
    assert "no-portrait" in found.reasons


def test_the_model_is_asked_for_the_looks_that_were_drawn(world: World) -> None:
    """In their order, with as many pictures."""
    model = SpecimenModel(LivenessOutcome.LIVE, FaceOutcome.SAME)
    with_model(world, model)
    actor, name = world.until(State.CONTACT_VERIFIED)
    asked = world.service.faces.challenge(actor, name)
    world.service.faces.submit(actor, name, asked.challenge.id, portraits(world, actor, name))
    assert model.asked == [(asked.looks, STEPS, False)]


def test_looks_are_random() -> None:
    """Every look is as likely as the others, whatever came before."""
    counts = Counter(look for octet in range(256) for look in looks_of(bytes([octet])))
    assert set(counts.values()) == {64}
    assert NoFaceModel().judge([], [], None).face is FaceOutcome.INCONCLUSIVE


def test_old_pictures_and_old_challenges_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures from before the challenge, too few, twice the same, of another side; a challenge that was used, is too
    old, or is of another enrolment."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    faces = world.service.faces
    recorded = portraits(world, actor, name)
    world.clock.advance(timedelta(seconds=5))
    asked = faces.challenge(actor, name)
    with pytest.raises(FaceImagesInvalid):
        faces.submit(actor, name, asked.challenge.id, recorded)
    with pytest.raises(ChallengeUnknown):  # it was used, though nothing was judged
        faces.submit(actor, name, asked.challenge.id, portraits(world, actor, name))
    for wrong in (lambda new: new[:3], lambda new: [*new[:3], new[0]], lambda new: [*new[:3], recorded[0]]):
        asked = faces.challenge(actor, name)
        with pytest.raises(FaceImagesInvalid):
            faces.submit(actor, name, asked.challenge.id, wrong(portraits(world, actor, name, 4)))
    assert latest(world.service.files.ledger(world.state(name)), EvidenceKind.LIVENESS) is None
    other, theirs = world.until(State.CONTACT_VERIFIED, phone="012 111 222")
    asked = faces.challenge(actor, name)
    with pytest.raises(ChallengeUnknown):
        faces.submit(other, theirs, asked.challenge.id, recorded)
    world.clock.advance(timedelta(seconds=301))
    with pytest.raises(ChallengeUnknown):
        faces.submit(actor, name, asked.challenge.id, recorded)
    monkeypatch.setattr(  # the control is off: pictures that were recorded before pass
        type(world.service.images), "taken_since", lambda *_: frozenset(recorded)
    )
    asked = faces.challenge(actor, name)
    assert faces.submit(actor, name, asked.challenge.id, recorded).liveness is LivenessOutcome.INCONCLUSIVE
    assert challenges.Purpose.LIVENESS != challenges.Purpose.CHIP


def test_a_challenge_to_a_chip_is_none_to_a_person(world: World) -> None:
    """Purposes do not mix."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    chip = world.service.chips.challenge(actor, name)
    with pytest.raises(ChallengeUnknown):
        world.service.faces.submit(actor, name, chip.id, portraits(world, actor, name))
    early, first = world.start()
    with pytest.raises((WrongState, GateClosed)):
        world.service.faces.challenge(early, first.id)


def test_over_http(world: World) -> None:
    """Looks in both languages, portraits, and the answer."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    client, person = world.client(), {"Authorization": f"Bearer {world.sessions.open(actor.id)}"}
    base = f"/ekyc/v1/enrolments/{name}"
    asked = client.post(f"{base}/face/challenge", headers=person)
    assert asked.status_code == 201, asked.text
    assert len(asked.json()["looks"]) == STEPS
    assert all(one["en"] and one["km"] for one in asked.json()["looks"])
    sent = [
        client.post(f"{base}/document/images?side=portrait", content=PICTURE, headers=person).json()["image"]
        for _ in asked.json()["looks"]
    ]
    told = client.post(f"{base}/face", json={"challenge": asked.json()["challenge"], "images": sent}, headers=person)
    assert told.status_code == 200, told.text
    assert (told.json()["liveness"], told.json()["face"]) == ("inconclusive", "inconclusive")
    again = client.post(f"{base}/face", json={"challenge": asked.json()["challenge"], "images": sent}, headers=person)
    assert (again.status_code, again.json()["code"]) == (409, "ekyc.challenge_unknown")
