"""Lines read from pictures: found, repaired to one text only, confirmed by the person, compared with what is typed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ekyc import mrz
from ekyc.documents.images import Side
from ekyc.documents.lost import LostDocument
from ekyc.errors import DocumentReportedLost
from ekyc.evidence.errors import ImageUnknown, LetterReaderMissing
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.imaging import ImageLimits, ImageReader
from ekyc.imaging.letters import LetterReader
from ekyc.model import State
from ekyc.registry_simulation.persons import series, specimens
from foundation.http.actor import Actor
from tests import programs
from tests.ekyc import images, pictures
from tests.ekyc.chip_parties import NOW
from tests.ekyc.story import KEEPERS, World
from tests.ekyc.test_ekyc_mrz import PUBLISHED, TODAY

CARD = specimens()["adult"].card()


def taken(world: World, actor: Actor, name: str, picture: bytes, side: Side = Side.BACK) -> str:
    assert programs.path("tesseract")
    return world.service.images.take(actor, name, side, picture).id


def test_lines_of_a_card_are_read_and_kept_for_comparison(world: World) -> None:
    """Every check digit holds: the lines are shown to the person; number and dates are recorded, names are not."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    found = world.service.image_reading.read(actor, name, taken(world, actor, name, pictures.card(CARD)))
    assert found.lines == CARD
    assert found.exact
    record = latest(world.service.files.ledger(found.enrolment), EvidenceKind.IMAGE)
    assert record is not None
    assert (record.outcome, record.facts["layout"]) == ("read", "TD1")
    with world.database.read() as connection:
        says = world.service.files.open_record(connection, found.enrolment, record)["says"]
    assert set(says) == {"document_type", "document_number", "date_of_birth", "date_of_expiry"}
    assert found.enrolment.state is State.CONTACT_VERIFIED
    moved = world.submit(actor, name, specimens()["adult"])
    checked = latest(world.service.files.ledger(moved), EvidenceKind.CROSS_CHECK)
    assert checked is not None
    assert (checked.outcome, checked.facts["sources"]) == ("consistent", "document image")


def test_the_picture_of_another_card_contradicts(world: World) -> None:
    """Typed from one card, photographed from another: told, and nobody is approved."""
    actor, name = world.until(State.REGISTRY_MATCHED)
    found = world.service.image_reading.read(actor, name, taken(world, actor, name, pictures.card(series(3).card())))
    assert found.cross_check is not None
    assert found.cross_check.outcome == "differs"
    assert "document-image:document_number" in found.cross_check.reasons
    assert world.review(name).state is State.REJECTED


@pytest.mark.parametrize(("turned", "blurred"), [(0.6, 0.8), (-0.8, 1.0)])
def test_a_photograph_that_is_not_straight(turned: float, blurred: float) -> None:
    """A little turned and out of focus: the lines are found, or none are; never others."""
    text = LetterReader(ImageReader()).read(
        ImageReader().read(pictures.card(CARD, turned=turned, blurred=blurred)).data
    )
    found = mrz.found_lines(text, NOW.date())
    assert found is None or found[0] == CARD


def test_a_picture_without_lines_and_an_unknown_one(world: World) -> None:
    """Nothing is found, nothing recorded; an id that is not there is refused."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    image = taken(world, actor, name, images.photograph())
    before = world.state(name)
    found = world.service.image_reading.read(actor, name, image)
    assert (found.lines, found.exact) == (None, False)
    assert world.state(name) == before
    with pytest.raises(ImageUnknown):
        world.service.image_reading.read(actor, name, "0" * 32)


def test_without_the_program_lines_are_typed() -> None:
    """Told as missing, with what to do instead."""
    with pytest.raises(LetterReaderMissing) as refused:
        LetterReader(ImageReader(), "no-such-program").read(images.photograph())
    assert "Type" in refused.value.hint()


def test_a_program_that_hangs_or_fails_reads_nothing(tmp_path: Path) -> None:
    """It is ended by the limits; the caller gets no text, and no failure."""
    clean = ImageReader().read(images.photograph()).data
    for script in ("exec sleep 60", "exit 1", "while :; do :; done"):
        program = tmp_path / "reader"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == os.getuid() and str(folder).startswith("/tmp/"):
                folder.chmod(0o755)
        reader = ImageReader(ImageLimits(seconds=4.0, cpu_seconds=2))
        assert LetterReader(reader, str(program)).read(clean) == ""


@pytest.mark.parametrize("name", PUBLISHED)
def test_lines_are_found_in_noise(name: str) -> None:
    """Among other text, with fillers lost or too many: as printed, whichever the layout."""
    lines = PUBLISHED[name]
    runs = [line.replace("<<<<<", "<<<", 1) for line in lines]
    for read in (lines, runs, [line + "<<" if line.endswith("<<") else line for line in lines]):
        found = mrz.found_lines("\n".join(["KINGDOM", "OF CAMBODIA 1234", *read, "<<", "noise"]), TODAY)
        assert found == (lines, True)


def test_only_a_unique_repair_is_proposed() -> None:
    """One misread digit is put right and told as a repair; what could be two texts, or is beyond repair, is nothing."""
    one = (CARD[0], CARD[1].replace("0", "O", 1), CARD[2])
    assert mrz.found_lines("\n".join(one), NOW.date()) == (CARD, False)
    broken = (CARD[0], CARD[1].translate(str.maketrans("0123456789", "9876543210")), CARD[2])
    assert mrz.found_lines("\n".join(broken), NOW.date()) is None
    assert mrz.found_lines("", NOW.date()) is None
    assert mrz.found_lines("<" * 30 + "\n" + "<" * 30 + "\n" + "<" * 30, NOW.date()) is None


def test_over_http(world: World) -> None:
    """The person reads their own image; the answer says what to confirm."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    client, person = world.client(), {"Authorization": f"Bearer {world.sessions.open(actor.id)}"}
    image = taken(world, actor, name, pictures.card(CARD))
    told = client.post(f"/ekyc/v1/enrolments/{name}/document/images/{image}/reading", headers=person)
    assert told.status_code == 200, told.text
    assert (told.json()["lines"], told.json()["exact"]) == (list(CARD), True)


def test_lost_documents(both_worlds: World) -> None:
    """A reported document is refused at the next step and asks for another; found again, it is taken."""
    world, person = both_worlds, specimens()["adult"]
    actor, name = world.until(State.CONTACT_VERIFIED)
    lost = [LostDocument("KHM", person.document_number), LostDocument("KHM", "999999999")]
    assert world.service.lost_documents.report(KEEPERS[0], lost) == 2
    assert world.service.lost_documents.report(KEEPERS[0], lost) == 0
    with pytest.raises(DocumentReportedLost):
        world.submit(actor, name, person)
    refused = world.state(name)
    assert (refused.state, refused.reason) == (State.NEEDS_INPUT, "reason_document_reported_lost")
    record = latest(world.service.files.ledger(refused), EvidenceKind.DOCUMENT)
    assert record is not None
    assert record.outcome == "reported-lost"
    assert world.service.lost_documents.found_again(KEEPERS[1], lost) == 2
    assert world.submit(actor, name, person).state is State.DOCUMENT_VALIDATED


def test_lost_documents_over_http(world: World) -> None:
    """Officers with the role alone; the list cannot be read back, and numbers stand nowhere."""
    client, keeper = world.client(), {"Authorization": "Staff keeper-1"}
    body = {"documents": [{"issuer": "KHM", "number": "010203040"}]}
    assert client.post("/ekyc/v1/lost-documents", json=body, headers=keeper).json() == {"changed": 1}
    assert client.get("/ekyc/v1/lost-documents", headers=keeper).status_code == 405
    with world.database.read() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM ekyc_lost_documents").all())
        trail = str(connection.exec_driver_sql("SELECT * FROM audit_events").all())
    assert "010203040" not in rows + trail
    assert client.post("/ekyc/v1/lost-documents/found", json=body, headers=keeper).json() == {"changed": 1}
    officer = {"Authorization": "Staff officer"}
    assert client.post("/ekyc/v1/lost-documents", json=body, headers=officer).status_code == 403
