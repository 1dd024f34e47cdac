"""Who may ask a person to sign, how often, and what stops a client."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from foundation.http.actor import Actor, ActorKind
from signing.errors import DocumentDamaged, LevelNotAllowed, TooManyDocuments
from signing.model import Level
from signing.requests.delivery import SentDocument
from signing.requests.errors import (
    RequesterStopped,
    RequestInvalid,
    RequestNotDeliverable,
    RequestNotFound,
    RequestsTooMany,
)
from signing.requests.model import RequestLimits, RequestState
from signing.requests.store import counts
from tests.signing.conftest import Desk
from tests.signing.requesting import Office
from tests.signing.sample_pdf import sample


@pytest.fixture
def office(desk: Desk) -> Office:
    return Office(desk)


@pytest.fixture
def both_offices(both_desks: Desk) -> Office:
    return Office(both_desks)


def test_what_cannot_be_asked(office: Office) -> None:
    """A purpose of two lines or none, no time, no documents, below B-T, a broken file: refused, and nothing is kept."""
    client, holder = office.client(), office.holder()
    cases: list[tuple[type[Exception], dict[str, Any]]] = [
        (RequestInvalid, {"purpose": " "}),
        (RequestInvalid, {"purpose": "one\ntwo"}),
        (RequestInvalid, {"purpose": "safe \u202e gnihtemos"}),
        (RequestInvalid, {"purpose": "x" * 501}),
        (RequestInvalid, {"reference": "\x00"}),
        (RequestInvalid, {"lasts": timedelta(minutes=4)}),
        (RequestInvalid, {"lasts": timedelta(days=31)}),
        (RequestInvalid, {"sent": []}),
        (TooManyDocuments, {"documents": 21}),
        (LevelNotAllowed, {"level": Level.B_B}),
        (DocumentDamaged, {"sent": [SentDocument("a.pdf", sample()), SentDocument("b.pdf", sample()[:-100])]}),
    ]
    for error, wrong in cases:
        with pytest.raises(error):
            office.ask(client, holder.owner, **wrong)
    assert office.desk.blobs() == []
    assert office.requests.page(holder.actor).requests == ()


def test_a_client_cannot_flood_a_person(both_desks: Desk) -> None:
    """So many wait at a time, and so many come in a day, of one client and of all; refused ones leave nothing."""
    limits = RequestLimits(waiting_of_client=2, waiting_in_all=3, daily_of_client=4, daily_in_all=6)
    office = Office(both_desks, limits)
    one, two, holder = office.client(), office.client(), office.holder()

    def refused_at(client: Actor) -> int:
        with pytest.raises(RequestsTooMany) as caught:
            office.ask(client, holder.owner)
        return int(str(caught.value.params["limit"]))

    made = [office.ask(one, holder.owner), office.ask(one, holder.owner)]
    assert refused_at(one) == limits.waiting_of_client
    made.append(office.ask(two, holder.owner))
    assert refused_at(two) == limits.waiting_in_all
    assert len(office.desk.blobs()) == 3
    for request in made[:2]:
        office.requests.refuse(holder.actor, request.request.request_id)
    for _ in range(2):
        request = office.ask(one, holder.owner)
        office.requests.refuse(holder.actor, request.request.request_id)
    assert refused_at(one) == limits.daily_of_client
    office.ask(two, holder.owner)
    assert refused_at(two) == limits.daily_in_all
    office.ask(one, office.holder().owner)  # another person's are counted for them
    office.pass_time(timedelta(days=1))
    office.ask(one, holder.owner)


def test_who_asked_whom_is_not_kept(both_desks: Desk) -> None:
    """The counts of a day are forgotten two days later, and not before the next one is over everywhere."""
    office = Office(both_desks)
    client, holder = office.client(), office.holder()
    office.ask(client, holder.owner)

    def counted() -> int:
        office.requests.sweep()
        with office.desk.database.read() as connection:
            return len(connection.execute(counts.select().where(counts.c.person == holder.owner)).all())

    assert counted() == 2  # of this client, and of all
    office.pass_time(timedelta(days=1))
    assert counted() == 2
    office.pass_time(timedelta(days=1))
    assert counted() == 0


def test_a_blocked_client_is_refused_as_a_stranger_s_person_is(office: Office) -> None:
    """Blocked, unknown and unable to sign are one answer; the block ends when the person says so."""
    client, holder = office.client(), office.holder()
    with pytest.raises(RequestNotFound):
        office.requests.block(holder.actor, client.id)
    request = office.ask(client, holder.owner)
    office.requests.block(holder.actor, client.id)
    office.requests.block(holder.actor, client.id)
    assert [one.label for one in office.requests.blocked(holder.actor)] == ["SPECIMEN Ministry of Markets"]
    told = []
    for person in (holder.owner, "KH-NOBODY"):
        with pytest.raises(RequestNotDeliverable) as caught:
            office.ask(client, person)
        told.append((caught.value.message(), caught.value.params))
    assert told[0] == told[1]
    office.desk.service.withdraw_credential("test", holder.credential.credential_id)
    office.requests.unblock(holder.actor, client.id)
    with pytest.raises(RequestNotDeliverable):
        office.ask(client, holder.owner)
    with pytest.raises(RequestNotFound):
        office.requests.unblock(holder.actor, client.id)
    assert office.requests.show(client, request.request.request_id).request.state is RequestState.WAITING


def test_reports_stop_a_client(both_offices: Office) -> None:
    """Operators see what was reported; the third person's report stops the client, whose requests wait unsigned;
    reports from before its release count no more."""
    office = both_offices
    client, other = office.client(), office.client("SPECIMEN Other")
    people = [office.holder() for _ in range(4)]
    for holder in people[:3]:
        request = office.ask(client, holder.owner)
        waiting = office.ask(client, holder.owner)
        office.requests.refuse(holder.actor, request.request.request_id, unexpected=True)
    reports, following = office.oversight.reports(limit=2)
    assert ([one.client_id for one in reports], following is not None) == ([client.id] * 2, True)
    assert len(office.oversight.reports(following)[0]) == 1
    assert [(one.client_id, one.by) for one in office.oversight.stopped()] == [(client.id, "reports")]
    with pytest.raises(RequesterStopped):
        office.ask(client, people[3].owner)
    with pytest.raises(RequesterStopped):
        office.question(people[2], waiting)
    office.ask(other, people[3].owner)
    operator = Actor(ActorKind.OPERATOR, "op")
    office.pass_time(timedelta(seconds=1))
    office.oversight.release(operator, client.id)
    with pytest.raises(RequestNotFound):
        office.oversight.release(operator, client.id)
    office.pass_time(timedelta(seconds=1))
    office.requests.refuse(people[2].actor, waiting.request.request_id, unexpected=True)
    assert office.oversight.stopped() == ()
    office.ask(client, people[3].owner)
    office.oversight.stop(operator, client.id)
    assert [one.by for one in office.oversight.stopped()] == ["operator:op"]
    with pytest.raises(RequesterStopped):
        office.ask(client, people[3].owner)
