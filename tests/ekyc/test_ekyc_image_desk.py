"""Images as evidence: sealed for the person, seen by whoever may, gone with the person."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from ekyc.documents.images import Side, blob_key
from ekyc.errors import NotAssigned, SelfReview, TooMuchEvidence, WrongState
from ekyc.evidence.errors import (
    ImageBroken,
    ImageUnknown,
)
from ekyc.evidence.record import EvidenceKind
from ekyc.imaging import ImageReader
from ekyc.model import State
from foundation.db.engine import StaleWrite
from foundation.http.actor import Actor
from foundation.keys.errors import OwnerDestroyed, WrappedKeyInvalid
from foundation.vault import SealBroken
from tests.ekyc import images
from tests.ekyc.story import KEEPERS, OFFICER, World


def kept(world: World, actor: Actor, name: str, side: Side = Side.FRONT) -> str:
    return world.service.images.take(actor, name, side, images.photograph()).id


def test_an_image_is_kept_sealed_and_seen_by_person_and_officer(both_worlds: World) -> None:
    """The ledger names it, the blob tells nothing, the person and the officer of the case see the same octets."""
    world = both_worlds
    actor, name = world.until(State.REGISTRY_MATCHED)
    image = kept(world, actor, name)
    record = world.service.files.ledger(world.state(name))[-1]
    assert (record.kind, record.outcome, record.control) == (EvidenceKind.IMAGE, "stored", "EKYC-IMAGE")
    assert record.facts == {"image": image, "side": "front", "came_as": "JPEG", "reasons": ""}
    assert b"JFIF" not in world.blobs.kept[blob_key(image)]
    own = world.service.images.own(actor, name, image)
    assert own.startswith(b"\xff\xd8\xff")
    assert world.service.images.of_case(OFFICER, name, image) == own
    assert world.review(name).state is State.APPROVED


def test_a_polyglot_file_is_kept_as_pixels(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens what was kept finds no archive in it; were images kept as they come, they would."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    desk, sent = world.service.images, images.archive()

    def what_comes_back() -> bytes:
        return desk.own(actor, name, desk.take(actor, name, Side.FRONT, sent).id)

    assert not zipfile.is_zipfile(io.BytesIO(what_comes_back()))
    read = ImageReader.read
    monkeypatch.setattr(ImageReader, "read", lambda reader, data: replace(read(reader, data), data=data))
    assert zipfile.is_zipfile(io.BytesIO(what_comes_back()))  # the control is off


def test_looking_is_written_down_before_anything_is_shown(world: World) -> None:
    """Where the audit trail cannot be written, no image is shown."""
    actor, name = world.until(State.REGISTRY_MATCHED)
    image = kept(world, actor, name)
    world.service.review.queue(OFFICER, None, 10)
    written: list[str] = []
    append = world.audit.append

    def refusing(connection, who, what, *rest):  # type: ignore[no-untyped-def]
        written.append(f"{who} {what}")
        raise RuntimeError("the audit trail is down")

    world.audit.append = refusing  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        world.service.images.of_case(OFFICER, name, image)
    assert written == [f"{OFFICER} ekyc.image_viewed"]
    world.audit.append = append  # type: ignore[method-assign]


def test_nobody_else_sees_it(world: World) -> None:
    """Another person, an officer whose turn it is not, one with their own case, an image of another enrolment."""
    actor, name = world.until(State.REGISTRY_MATCHED)
    image = kept(world, actor, name)
    other, theirs = world.until(State.CONTACT_VERIFIED, phone="012 111 222")
    with pytest.raises(NotAssigned):
        world.service.images.of_case(KEEPERS[0], name, image)
    with pytest.raises(ImageUnknown):
        world.service.images.own(other, theirs, image)
    world.staff.persons[OFFICER.id] = actor.id
    with pytest.raises(SelfReview):
        world.service.images.of_case(OFFICER, name, image)
    with pytest.raises(WrongState):
        world.service.images.of_case(OFFICER, theirs, image)


def test_a_refused_image_leaves_nothing(world: World) -> None:
    """Neither a record nor a blob; nor does one that lost a race."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    before = world.state(name)
    with pytest.raises(ImageBroken):
        world.service.images.take(actor, name, Side.FRONT, images.photograph()[:2000])
    with pytest.raises(StaleWrite):
        world.service.images.take(actor, name, Side.FRONT, images.photograph(), if_version=1)
    files = world.service.files
    add, files.add = files.add, _loses  # type: ignore[method-assign, assignment]
    with pytest.raises(StaleWrite):
        kept(world, actor, name)
    files.add = add  # type: ignore[method-assign]
    assert world.state(name) == before
    assert world.blobs.kept == {}


def _loses(*_: object) -> None:
    raise StaleWrite


def test_a_blob_that_was_exchanged_is_not_shown(world: World) -> None:
    """A blob put in the place of another does not open; nor does one that was changed."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    first, second = kept(world, actor, name), kept(world, actor, name, Side.BACK)
    world.blobs.kept[blob_key(first)] = world.blobs.kept[blob_key(second)]
    with pytest.raises(WrappedKeyInvalid):
        world.service.images.own(actor, name, first)
    changed = bytearray(world.blobs.kept[blob_key(second)])
    changed[-1] ^= 1
    world.blobs.kept[blob_key(second)] = bytes(changed)
    with pytest.raises(SealBroken):
        world.service.images.own(actor, name, second)


def test_images_go_with_the_person(world: World) -> None:
    """Leaving removes the blobs, and a copy of them stays unreadable."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    image = kept(world, actor, name)
    copy = dict(world.blobs.kept)
    world.service.enrolment.withdraw(actor, name)
    assert world.blobs.kept == {}
    with pytest.raises(OwnerDestroyed):
        world.vault.open(actor.id, f"image:{image}", copy[blob_key(image)])


def test_images_are_bounded_in_number(world: World) -> None:
    """What is one too many is refused, and its blob removed."""
    world.service = world.restarted(
        settings=world.service.files.settings.model_copy(update={"evidence_tries": 1}), blobs=world.blobs
    )
    actor, name = world.until(State.CONTACT_VERIFIED)
    kept(world, actor, name)
    with pytest.raises(TooMuchEvidence):
        kept(world, actor, name)
    assert len(world.blobs.kept) == 1


@pytest.fixture
def client(world: World) -> TestClient:
    return world.client()


def test_images_over_http(world: World, client: TestClient) -> None:
    """Sent as they are, told by content, answered with what is kept; shown with no way to run anything."""
    actor, name = world.until(State.REGISTRY_MATCHED)
    person = {"Authorization": f"Bearer {world.sessions.open(actor.id)}"}
    base = f"/ekyc/v1/enrolments/{name}/document/images"
    answer = client.post(f"{base}?side=back", content=images.photograph("PNG"), headers=person)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["side"], told["width"], told["height"]) == ("back", *images.SIZE)
    assert answer.headers["ETag"] == f'"{told["enrolment"]["version"]}"'
    shown = client.get(f"{base}/{told['image']}", headers=person)
    assert (shown.status_code, shown.headers["Content-Type"]) == (200, "image/jpeg")
    assert shown.headers["Cache-Control"] == "no-store"
    officer = client.get(f"/ekyc/v1/reviews/{name}/images/{told['image']}", headers={"Authorization": "Staff officer"})
    assert officer.content == shown.content
    for data, code in ((b"GIF89a", "ekyc.image_format_unknown"), (images.animated("PNG"), "ekyc.image_animated")):
        refused = client.post(base, content=data, headers=person)
        assert (refused.status_code, refused.json()["code"]) == (422, code), refused.text
        assert refused.json()["hint"]
    assert client.post(f"{base}?side=left", content=images.photograph(), headers=person).status_code == 422
    unknown = client.get(f"{base}/{'0' * 32}", headers=person)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "ekyc.image_unknown")
