"""Documents, requests and held seals on a full disk: the token is elsewhere, database and blobs are on it.

How much is left decides which write fails: at none it is the first, at more it is one in the middle.
"""

from __future__ import annotations

from typing import Any

import pikepdf
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from foundation.db.audit import AuditTrail
from foundation.http.guard import Guard
from foundation.http.problems import FailureBoundary, audit_refusals, install
from foundation.storage import StorageFull
from signing.api import create_router
from signing.errors import DocumentNotSigned
from signing.held.errors import HeldSealNotMade
from signing.held.model import HeldState
from signing.model import DocumentState
from tests.full_disk.conftest import SmallDisk
from tests.signing.conftest import PIN, Desk, Person, desk, open_desk  # noqa: F401 - fixtures
from tests.signing.requesting import Office
from tests.signing.sample_pdf import sample
from tests.signing.test_held_seals import RELEASING, Agency
from tests.signing.test_signing_api import ByName, as_person

LEFT = (0, 8, 64, 200, 330)


def letter() -> bytes:
    """A PDF of half a mebibyte: 128 pages of the disk."""

    def enlarge(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Enclosed = pdf.make_stream(bytes(range(256)) * 2048)

    return sample(enlarge, compress_streams=False)


LETTER = letter()


def authorised(desk: Desk, person: Person, *ids: str) -> list[str | None]:  # noqa: F811
    """Sign these documents: the code of each one's failure, or of the failure of all."""
    try:
        outcomes = desk.service.authorise(
            person.actor, person.credential.credential_id, ids, pin=PIN, totp=person.code()
        )
    except StorageFull as error:
        return [error.code] * len(ids)
    return [one.error.code if one.error else None for one in outcomes]


@pytest.mark.parametrize("left", LEFT)
def test_a_document_is_taken_and_signed_whole_or_not_at_all(desk: Desk, disk: SmallDisk, left: int) -> None:  # noqa: F811
    """Uploaded on the full disk: refused, and nothing of it is kept. Authorised on it: signed, or as it was, and then
    it can be signed when there is room; one signed file is left, and the chain holds."""
    person, before = desk.person(), desk.blobs()
    with disk.full(min(left, 140)):
        try:
            uploaded = desk.service.upload(person.actor, "letter.pdf", LETTER).document.document_id
        except StorageFull:
            uploaded = None
            assert desk.blobs() == before
            assert desk.service.documents(person.actor).documents == ()
    first = uploaded or desk.service.upload(person.actor, "letter.pdf", LETTER).document.document_id
    second = desk.service.upload(person.actor, "letter.pdf", LETTER).document.document_id
    with disk.full(left):
        told = authorised(desk, person, first, second)
        assert set(told) <= {None, StorageFull.code}
        for one, code in zip((first, second), told, strict=True):
            if code is not None:
                with pytest.raises(DocumentNotSigned):
                    desk.service.signed(person.actor, one)
    missing = [one for one, code in zip((first, second), told, strict=True) if code is not None]
    if missing:
        assert authorised(desk, person, *missing) == [None] * len(missing)
    for one in (first, second):
        assert desk.service.document(person.actor, one).document.state is DocumentState.SIGNED
        assert desk.service.signed(person.actor, one)[1].startswith(LETTER)
        assert len([name for name in desk.blobs() if one in name and "signed" in name]) == 1
    assert not [name for name in desk.blobs() if "prepared" in name]
    assert desk.trail.verify(desk.database) > 0


@pytest.mark.parametrize("left", LEFT)
def test_a_held_seal_waits_for_room(desk: Desk, disk: SmallDisk, left: int) -> None:  # noqa: F811
    """Asked for or released on the full disk: it is not there, or is not made, and afterwards it is made by releasing
    it once more."""
    agency = Agency(desk)
    before = desk.blobs()
    with disk.full(min(left, 140)):
        try:
            held_id = agency.ask(LETTER)
        except StorageFull:
            held_id = ""
            assert desk.blobs() == before
            assert agency.held.list(RELEASING) == ()
    held_id = held_id or agency.ask(LETTER)
    with disk.full(left):
        try:
            made = agency.release(held_id) is HeldState.SEALED
        except StorageFull:
            made = False
            with pytest.raises(HeldSealNotMade):
                agency.held.sealed(RELEASING, held_id)
    assert made or agency.release(held_id) is HeldState.SEALED
    assert agency.held.sealed(RELEASING, held_id)[2].startswith(LETTER)
    assert desk.trail.verify(desk.database) > 0


@pytest.mark.parametrize("left", LEFT)
def test_a_request_is_asked_whole_or_not_at_all(desk: Desk, disk: SmallDisk, left: int) -> None:  # noqa: F811
    """Two documents in one request: both are there with it, or nothing of it; nobody is told of what is not there."""
    office, person = Office(desk), desk.person()
    client, before = office.client(), desk.blobs()
    with disk.full(left):
        try:
            asked = office.ask(client, person.owner, documents=2)
        except StorageFull:
            asked = None
            assert desk.blobs() == before
    if asked is None:
        asked = office.ask(client, person.owner, documents=2)
    assert len(asked.details.documents) == 2
    assert len([name for name in desk.blobs() if name not in before]) == 2
    with disk.full(left):
        try:
            shown, outcomes = _approved(office, person, asked)
            done = [one.error for one in outcomes] == [None, None]
        except StorageFull:
            done = False
    if not done:
        shown, outcomes = _approved(office, person, asked)
        assert [one.error for one in outcomes if one.error] == []
    assert shown.request.state.value == "signed"
    assert desk.trail.verify(desk.database) > 0


def _approved(office: Office, person: Person, asked: Any) -> Any:
    credential = person.credential.credential_id
    return office.requests.approve(person.actor, asked.request.request_id, credential, pin=PIN, totp=person.code())


def test_the_answer_says_so(desk: Desk, disk: SmallDisk) -> None:  # noqa: F811
    """503 with code, sentence and hint in both languages, although the refusal cannot be written into the trail."""
    person, app = desk.person(), FastAPI()
    problems = install(app, audit_refusals(desk.database, AuditTrail(desk.clock)))
    app.include_router(create_router(desk.service, Guard(ByName(), "http://testserver")))
    app.add_middleware(FailureBoundary, problems=problems)
    http = TestClient(app, raise_server_exceptions=False)
    with disk.full():
        for language, words in (("en", "no room left"), ("km", "គ្មានកន្លែងទំនេរ")):
            answer = http.post(
                "/sign/v1/documents",
                files={"file": ("letter.pdf", LETTER, "application/pdf")},
                headers=as_person(person) | {"Accept-Language": language},
            )
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (503, "foundation.storage_full"), answer.text
            assert words in problem["detail"]
            assert problem["hint"]
