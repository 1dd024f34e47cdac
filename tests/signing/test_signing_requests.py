"""Signing requests: what a client may ask, what the person sees and decides, and what comes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind
from foundation.keys.activation import digests_root
from foundation.keys.errors import PasskeyInvalid
from signing.errors import (
    ApprovalNotFound,
    DocumentBusy,
    DocumentNotFound,
    DocumentNotSigned,
    DocumentOfRequest,
    TooManyDocuments,
)
from signing.model import Level
from signing.requests import store
from signing.requests.errors import (
    RequestClosed,
    RequesterStopped,
    RequestNeedsPasskey,
    RequestNotFound,
)
from signing.requests.model import RequestLimits, RequestState
from tests.signing.conftest import PIN, Desk
from tests.signing.requesting import PURPOSE, Office
from tests.signing.sample_pdf import sample


@pytest.fixture
def office(desk: Desk) -> Office:
    return Office(desk)


@pytest.fixture
def both_offices(both_desks: Desk) -> Office:
    return Office(both_desks)


def test_asked_seen_signed_with_a_passkey_fetched(both_offices: Office) -> None:
    """Two documents: the person sees who asks and what for, the device approves exactly both, the client fetches."""
    office = both_offices
    client, holder = office.client(), office.holder()
    asked = office.ask(client, holder.owner, 2, reference="stall 12")
    request_id = asked.request.request_id
    (seen,) = office.requests.page(holder.actor).requests
    assert seen == office.requests.show(client, request_id)
    assert (seen.requester.label, seen.details.purpose) == ("SPECIMEN Ministry of Markets", PURPOSE)
    assert [one.sha256 for one in seen.details.documents] == [hashlib.sha256(sample()).digest()] * 2
    question = office.question(holder, asked)
    assert digests_root(list(question.digests.values())).hex() in question.data.decode()
    with pytest.raises(DocumentNotSigned):
        office.requests.signed(client, request_id, next(iter(question.digests)))
    assert office.answered(holder, asked, question).request.state is RequestState.SIGNED
    for document_id in question.digests:
        named, data = office.requests.signed(client, request_id, document_id)
        assert data.startswith(sample()[:8])
        assert named.document.level is Level.B_LT
        assert len(PdfFileReader(BytesIO(data)).embedded_signatures) == 1
    with pytest.raises(DocumentNotFound):
        office.requests.signed(client, request_id, "0" * 32)
    assert office.requests.show(client, request_id).details.reference == "stall 12"
    assert [one for one in office.desk.actions() if one.startswith("signing.request")] == [
        "signing.requested",
        "signing.request_signed",
    ]


def test_pin_and_code_where_the_policy_takes_them(office: Office) -> None:
    """PIN and code sign a request; not one whose client wants a passkey, and none where the policy does not."""
    client, person = office.client(), office.desk.person()
    first, second = office.ask(client, person.owner), office.ask(client, person.owner, passkey_only=True)

    code = person.code()

    def approve(desk: Any, request: Any) -> Any:
        return desk.approve(
            person.actor,
            request.request.request_id,
            person.credential.credential_id,
            pin=PIN,
            totp=code,
        )

    with pytest.raises(RequestNeedsPasskey):
        approve(office.requests, second)
    strict = Office(office.desk, RequestLimits(pin_and_code=False))
    strict.clients.labels.update(office.clients.labels)
    with pytest.raises(RequestNeedsPasskey):
        approve(strict.requests, first)
    shown, outcomes = approve(office.requests, first)
    assert shown.request.state is RequestState.SIGNED
    assert [one.error for one in outcomes] == [None]


def test_a_request_cannot_be_signed_past_itself(office: Office) -> None:
    """What a request holds is not signed, nor deleted, as if it were the person's own: the client's conditions hold."""
    client, person = office.client(), office.desk.person()
    asked = office.ask(client, person.owner, passkey_only=True)
    (document,) = (one.document_id for one in asked.details.documents)
    (outcome,) = office.desk.service.authorise(
        person.actor, person.credential.credential_id, [document], pin=PIN, totp=person.code()
    )
    assert isinstance(outcome.error, DocumentOfRequest)
    with pytest.raises(DocumentOfRequest):
        office.desk.service.delete(person.actor, document)
    holder = office.holder()
    theirs = office.ask(client, holder.owner)
    with pytest.raises(DocumentOfRequest):
        holder.ask(*[one.document_id for one in theirs.details.documents])


def test_a_tampered_approval_is_refused_by_the_token(office: Office) -> None:
    """The device's answer to another challenge, another origin or without the person: nothing is signed."""
    client, holder = office.client(), office.holder()
    asked = office.ask(client, holder.owner)
    question = office.question(holder, asked)
    for wrong in ({"challenge": bytes(32)}, {"origin": "https://evil.example"}, {"verified": False}):
        with pytest.raises(PasskeyInvalid):
            office.answered(holder, asked, question, **wrong)
    assert office.requests.show(client, asked.request.request_id).request.state is RequestState.WAITING
    assert office.answered(holder, asked, question).request.state is RequestState.SIGNED


def test_what_is_prepared_is_what_is_approved(office: Office) -> None:
    """The prepared document is exchanged between question and answer: its digest is not approved, nothing is signed."""
    client, holder = office.client(), office.holder()
    one, other = office.ask(client, holder.owner), office.ask(client, holder.owner)
    first, second = office.question(holder, one), office.question(holder, other)
    keys = [next(iter(asked.digests)) for asked in (first, second)]
    custody = office.desk.custody
    named = [office.requests.show(holder.actor, asked.request.request_id).documents[0] for asked in (one, other)]
    assert [document.document.document_id for document in named] == keys
    custody.put_prepared(named[0].document, custody.prepared(named[1].document))  # sealed for its place anew
    shown = office.answered(holder, one, first)
    assert shown.request.state is RequestState.WAITING
    assert "signing.document_not_signed" in office.desk.actions()


def test_a_question_about_something_else_answers_no_request(office: Office) -> None:
    """An approval of the person's own document, or of another request, is not taken at this request's address."""
    client, holder = office.client(), office.holder()
    asked, other = office.ask(client, holder.owner), office.ask(client, holder.owner)
    own = holder.ask(holder.upload())
    for question in (own, office.question(holder, other)):
        with pytest.raises(ApprovalNotFound):
            office.answered(holder, asked, question)


def test_nobody_else_s(office: Office) -> None:
    """Another person's and another client's requests are as absent as those that never were."""
    client, rival, holder, other = office.client(), office.client("SPECIMEN Rival"), office.holder(), office.holder()
    request_id = office.ask(client, holder.owner).request.request_id
    for stranger in (rival, other.actor, Actor(ActorKind.PERSON, client.id), Actor(ActorKind.CLIENT, holder.owner)):
        assert office.requests.page(stranger).requests == ()
        with pytest.raises(RequestNotFound):
            office.requests.show(stranger, request_id)
    with pytest.raises(RequestNotFound):
        office.requests.withdraw(rival, request_id)
    with pytest.raises(RequestNotFound):
        office.requests.refuse(other.actor, request_id)
    with pytest.raises(RequestNotFound):
        office.requests.ask_passkey(other.actor, request_id, other.credential.credential_id)


@pytest.mark.parametrize("ending", ["refused", "reported", "withdrawn", "expired"])
def test_an_ended_request_leaves_no_document(both_offices: Office, ending: str) -> None:
    """However it ends, its documents go with it, a prepared one too, and the device's answer comes too late."""
    office = both_offices
    client, holder = office.client(), office.holder()
    asked = office.ask(client, holder.owner)
    question, request_id = office.question(holder, asked), asked.request.request_id
    if ending == "withdrawn":
        office.requests.withdraw(client, request_id)
    elif ending == "expired":
        office.pass_time(timedelta(days=8))
    else:
        office.requests.refuse(holder.actor, request_id, unexpected=ending == "reported")
    shown = office.requests.show(client, request_id)
    assert (shown.request.state, shown.documents) == (RequestState(ending), ())
    assert [one.name for one in shown.details.documents] == ["lease-0.pdf"]
    assert office.desk.blobs() == []
    with pytest.raises(RequestClosed):
        office.answered(holder, asked, question)
    (outcome,) = holder.answer(question)
    assert isinstance(outcome.error, DocumentBusy)
    for late in (office.requests.withdraw, office.requests.refuse):
        with pytest.raises(RequestClosed):
            late(client if late == office.requests.withdraw else holder.actor, request_id)
    assert f"signing.request_{ending}" in office.desk.actions()


def test_a_signed_request_stays_signed(office: Office) -> None:
    """Refusing or taking back what is signed changes nothing."""
    client, holder = office.client(), office.holder()
    asked = office.ask(client, holder.owner)
    holder_question = office.question(holder, asked)
    holder.answer(holder_question)  # over the other address: the same approval, the same documents
    with pytest.raises(RequestClosed):
        office.requests.refuse(holder.actor, asked.request.request_id)
    office.pass_time(timedelta(days=8))
    with pytest.raises(RequestClosed):
        office.requests.withdraw(client, asked.request.request_id)
    assert office.requests.show(client, asked.request.request_id).request.state is RequestState.SIGNED


def test_the_sweep_ends_what_ran_out(office: Office) -> None:
    """Nobody looks: the documents of a request that ran out are gone all the same, and others stay."""
    client, holder = office.client(), office.holder()
    office.ask(client, holder.owner, lasts=timedelta(minutes=5))
    later = office.ask(client, holder.owner, lasts=timedelta(hours=1))
    assert office.requests.sweep() == 0
    office.pass_time(timedelta(minutes=5))
    assert office.requests.sweep() == 1
    assert office.requests.sweep() == 0
    assert len(office.desk.blobs()) == 1
    (waiting,) = office.requests.page(client, RequestState.WAITING).requests
    assert waiting.request.request_id == later.request.request_id


def test_what_a_disabled_client_asked_is_not_signed(office: Office) -> None:
    """A client that was disabled after it asked: the person can refuse, and sign no more."""
    client, holder = office.client(), office.holder()
    request = office.ask(client, holder.owner)
    office.clients.disabled.add(client.id)
    with pytest.raises(RequesterStopped):
        office.question(holder, request)
    assert not office.requests.show(holder.actor, request.request.request_id).requester.active
    office.requests.refuse(holder.actor, request.request.request_id)


def test_of_an_erased_person_nothing_personal_is_left(office: Office) -> None:
    """Once the person's key in the vault is destroyed, the client sees that there was a request, and no more."""
    client, holder = office.client(), office.holder()
    request = office.ask(client, holder.owner)
    office.desk.keys.destroy_owner(holder.owner)
    (shown,) = office.requests.page(client).requests
    assert (shown.details.purpose, shown.details.documents, shown.documents) == ("", (), ())
    assert shown.request.request_id == request.request.request_id


@pytest.mark.parametrize("winner", ["refusal", "signature"])
def test_refusing_and_signing_at_once(office: Office, winner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused while the signature is being made: it is stored nowhere. Signed just before: the refusal comes late."""
    client, holder = office.client(), office.holder()
    asked = office.ask(client, holder.owner)
    question, request_id = office.question(holder, asked), asked.request.request_id
    complete = office.desk.signer.complete

    def meanwhile(*given: Any) -> bytes:
        signed = complete(*given)
        if winner == "refusal":
            office.requests.refuse(holder.actor, request_id)
        return signed

    monkeypatch.setattr(office.desk.signer, "complete", meanwhile)
    shown = office.answered(holder, asked, question)
    if winner == "refusal":
        assert shown.request.state is RequestState.REFUSED
        assert office.desk.blobs() == []
    else:
        assert shown.request.state is RequestState.SIGNED


def test_a_page_at_a_time(office: Office) -> None:
    """Lists are cursor-paged, by the person's side and the client's, and by state."""
    client, holder = office.client(), office.holder()
    made = [office.ask(client, holder.owner).request.request_id for _ in range(3)]
    first = office.requests.page(holder.actor, limit=2)
    second = office.requests.page(holder.actor, cursor=first.next, limit=2)
    found = [one.request.request_id for one in (*first.requests, *second.requests)]
    assert (found, second.next) == (made[::-1], None)
    office.requests.refuse(holder.actor, made[0])
    refused = office.requests.page(client, RequestState.REFUSED).requests
    assert [one.request.request_id for one in refused] == [made[0]]


def test_rows_hold_nothing_personal_in_the_clear(
    open_desk: Callable[..., Desk], sqlite_database: Database, token: Any
) -> None:
    """Purpose, reference and names stand sealed in the tables."""
    office = Office(open_desk(sqlite_database, token))
    client, holder = office.client(), office.holder()
    office.ask(client, holder.owner, purpose="SPECIMEN-481516 purpose", reference="SPECIMEN-2342 reference")
    with sqlite_database.read() as connection:
        rows = [str(tuple(row)) for table in store.metadata.sorted_tables for row in connection.execute(table.select())]
    text = " ".join(rows)
    assert "SPECIMEN-481516" not in text  # digits alone may stand in a random id
    assert "SPECIMEN-2342" not in text
    assert "lease-0" not in text


def test_the_person_is_told(office: Office) -> None:
    """Of each request once, with the registered label and nothing of the documents; one that was refused tells nobody,
    and who cannot be told has the request all the same."""
    client, holder, other = office.client(), office.holder(), office.holder()
    office.ask(client, holder.owner)
    with pytest.raises(TooManyDocuments):
        office.ask(client, holder.owner, 21)
    office.notices.unreachable.add(other.owner)
    office.ask(client, other.owner)
    assert office.notices.told == [(holder.owner, "SPECIMEN Ministry of Markets")]
    assert len(office.requests.page(other.actor).requests) == 1
