"""What the registry tells: a death revokes every certificate of the person, a lost card suspends them; once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from foundation.clock import rfc3339
from foundation.errors import CamTrustError
from foundation.http import problems
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard
from issuing_ca.errors import EventContradicted, RequestRefused
from issuing_ca.model import CertificateState, Reason
from issuing_ca.registry_events import EventKind, RegistryEvent, RegistryEvents
from issuing_ca.registry_events_api import ROLE, create_router
from tests.ca.ca_world import OPERATOR, World
from tests.ca.named_actors import NamedActors, as_actor

ADAPTER = Actor(ActorKind.CLIENT, "registry", frozenset({ROLE}))
BORN = date(1990, 1, 2)


@dataclass
class Cards:
    """Whose a document is."""

    known: dict[str, str] = field(default_factory=dict)
    followed: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)

    def find(self, document_number: str, date_of_birth: date) -> tuple[bytes, tuple[str, ...]]:
        person = self.known.get(document_number) if date_of_birth == BORN else None
        return document_number.encode(), () if person is None else (person,)

    def follow(self, actor: Actor, event_id: str, kind: str, document_number: str, persons: tuple[str, ...]) -> None:  # noqa: ARG002
        self.followed.append((event_id, kind, persons))


@dataclass
class Told:
    world: World
    events: RegistryEvents
    cards: Cards


@pytest.fixture
def told(world: World) -> Told:
    cards = Cards()
    return Told(world, RegistryEvents(world.ca, world.database, world.clock, world.audit, cards), cards)


def event(told: Told, kind: EventKind, card: str = "123456789", number: str = "EVENT-0001") -> RegistryEvent:
    return RegistryEvent(number, kind, card, BORN, told.world.clock.now() - timedelta(days=1))


def enrolled(told: Told, count: int = 2) -> list[str]:
    """A person with certificates."""
    world, person = told.world, told.world.person()
    told.cards.known["123456789"] = person.person_id
    return [world.ca.issue_citizen(world.approved(person)).serial for _ in range(count)]


def test_a_death_revokes_everything_once(told: Told) -> None:
    """Good and suspended ones, with the day as invalidity date; keys are disabled; others' stay; again: the same."""
    world, (first, second) = told.world, enrolled(told)
    other = world.citizen().serial
    world.ca.revoke(second, Reason.CERTIFICATE_HOLD, OPERATOR)
    death = event(told, EventKind.DEATH)
    done = told.events.take(ADAPTER, death)
    assert (done.persons, set(done.serials), done.state) == (1, {first, second}, CertificateState.REVOKED)
    followed = [("EVENT-0001", "death", (told.cards.known["123456789"],))]
    assert told.cards.followed == followed
    for serial in (first, second):
        record = world.ca.certificate(serial)
        assert (record.state, record.reason) == (CertificateState.REVOKED, Reason.CESSATION_OF_OPERATION)
        assert record.invalidity_at == death.occurred_at.replace(microsecond=0)
        assert not world.keys.get(record.key_id or "").enabled
    assert world.ca.certificate(other).state is CertificateState.ISSUED
    rows = world.audit.verify(world.database)
    assert told.events.take(ADAPTER, death) == done
    assert told.cards.followed == followed  # what was done is not followed again
    assert world.audit.verify(world.database) == rows


def test_a_lost_card_suspends_and_an_officer_releases(told: Told) -> None:
    """What was revoked stays so; a released one is suspended again by a new event, not by the old one sent again."""
    world, (first, second) = told.world, enrolled(told)
    world.ca.revoke(second, Reason.SUPERSEDED, OPERATOR)
    lost = event(told, EventKind.CARD_LOST)
    assert told.events.take(ADAPTER, lost).serials == (first,)
    assert world.ca.certificate(first).state is CertificateState.HELD
    assert world.ca.certificate(second).reason is Reason.SUPERSEDED
    world.ca.revoke(first, Reason.REMOVE_FROM_CRL, OPERATOR)
    told.events.take(ADAPTER, lost)
    assert world.ca.certificate(first).state is CertificateState.ISSUED
    told.events.take(ADAPTER, replace(lost, id="EVENT-0002"))
    assert world.ca.certificate(first).state is CertificateState.HELD


def test_what_was_cut_off_goes_on(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure in the middle leaves the event open; sent again, the rest follows."""
    world, serials = told.world, enrolled(told, 3)
    real, calls = world.ca.revoke, []

    def fails_once(serial: str, *rest: object) -> object:
        calls.append(serial)
        if len(calls) == 2:
            raise CamTrustError
        return real(serial, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(world.ca, "revoke", fails_once)
    with pytest.raises(CamTrustError):
        told.events.take(ADAPTER, event(told, EventKind.DEATH))
    assert set(told.events.take(ADAPTER, event(told, EventKind.DEATH)).serials) == set(serials)
    assert {world.ca.certificate(serial).state for serial in serials} == {CertificateState.REVOKED}


def test_contradictions_and_the_future_are_refused(told: Told) -> None:
    """Another event under the same id, about another card, day or thing; one that has not happened yet; and nobody."""
    serials = enrolled(told)
    one = event(told, EventKind.CARD_LOST)
    told.events.take(ADAPTER, one)
    for change in (
        {"kind": EventKind.DEATH},
        {"document_number": "987654321"},
        {"occurred_at": one.occurred_at - timedelta(days=1)},
    ):
        with pytest.raises(EventContradicted):
            told.events.take(ADAPTER, replace(one, **change))  # type: ignore[arg-type]
    with pytest.raises(RequestRefused):
        told.events.take(ADAPTER, replace(one, id="EVENT-9", occurred_at=told.world.clock.now() + timedelta(hours=1)))
    nobody = told.events.take(ADAPTER, event(told, EventKind.DEATH, "000000000", "EVENT-10"))
    assert (nobody.persons, nobody.serials) == (0, ())
    assert {told.world.ca.certificate(serial).state for serial in serials} == {CertificateState.HELD}


@pytest.fixture
def client(told: Told) -> Iterator[TestClient]:
    app = FastAPI()
    problems.install(app)
    app.include_router(create_router(told.events, Guard(NamedActors(), "http://testserver")))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_the_registry_alone_tells(told: Told, client: TestClient) -> None:
    """A client with the role; no other client, no officer, no person."""
    (serial,) = enrolled(told, 1)
    body = {
        "id": "EVENT-0001",
        "kind": "death",
        "document_number": "123456789",
        "date_of_birth": BORN.isoformat(),
        "occurred_at": rfc3339(told.world.clock.now()),
    }
    for words in (("client", "ca-revoke"), ("officer", ROLE), ("operator", ROLE), ("person",)):
        assert client.post("/ca/v1/registry-events", json=body, headers=as_actor(*words)).status_code == 403
    assert told.world.ca.certificate(serial).state is CertificateState.ISSUED
    answer = client.post("/ca/v1/registry-events", json=body, headers=as_actor("client", ROLE))
    assert answer.json() == {"persons": 1, "certificates": 1, "state": "revoked"}
    for change in ({"kind": "birth"}, {"id": "x"}, {"document_number": "../x"}, {"name": "SPECIMEN"}):
        wrong = client.post("/ca/v1/registry-events", json=body | change, headers=as_actor("client", ROLE))
        assert wrong.status_code == 422


def test_who_put_a_certificate_on_hold_is_known(told: Told) -> None:
    """The actor of the last change of status, so that a release undoes one's own hold alone."""
    world, (first, second) = told.world, enrolled(told)
    assert world.ca.revocation.changed_by(first) == ""
    world.ca.revoke(first, Reason.CERTIFICATE_HOLD, "ekyc:RCL-1")
    world.ca.revoke(second, Reason.CERTIFICATE_HOLD, OPERATOR)
    world.ca.revoke(second, Reason.CERTIFICATE_HOLD, "ekyc:RCL-1")  # on hold already: nothing changes
    assert [world.ca.revocation.changed_by(one) for one in (first, second)] == ["ekyc:RCL-1", OPERATOR]
