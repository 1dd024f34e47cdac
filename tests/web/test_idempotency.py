"""Asking twice makes one thing, on both databases."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel
from sqlalchemy import select
from starlette.testclient import TestClient

from foundation.db.engine import StaleWrite
from foundation.http.actor import Actor, ActorKind
from foundation.http.errors import (
    IdempotencyAnswerLost,
    IdempotencyInFlight,
    IdempotencyKeyReused,
)
from foundation.http.guard import public
from foundation.http.idempotency_store import Answer, Claim, IdempotencyStore, requests
from foundation.keys.errors import OwnerDestroyed, PinIncorrect, TokenUnavailable
from foundation.vault import Vault
from tests.web.world import World

KEY = "6f1b6e0a-0c3b-4f6e-9a53-0d6a0d1c2b3a"
PLACE, REQUEST = bytes(32), bytes(31) + b"\x01"
ANSWER = Answer(201, (("content-type", "application/json"),), b'{"id": 1}')


class Thing(BaseModel):
    name: str
    pin: str = "0000"


class Shop:
    """An endpoint that makes things, for a person and for the public, and counts them."""

    def __init__(self, world: World) -> None:
        self.made = 0
        self.refuse: Exception | None = None
        self.before: Callable[[], None] = lambda: None
        self.router = APIRouter()
        person = world.guard.person()

        def make(thing: Thing, response: Response, actor: Annotated[Actor, Depends(person)]) -> dict[str, Any]:
            return self._make(thing, response)

        def make_in_public(thing: Thing, response: Response) -> dict[str, Any]:
            return self._make(thing, response)

        self.router.add_api_route("/things", make, methods=["POST"], status_code=201)
        self.router.add_api_route(
            "/open-things", make_in_public, methods=["POST"], status_code=201, dependencies=[Depends(public)]
        )

    def _make(self, thing: Thing, response: Response) -> dict[str, Any]:
        self.before()
        if self.refuse is not None:
            raise self.refuse
        self.made += 1
        response.headers["Location"] = f"/things/{self.made}"
        return {"number": self.made, "name": thing.name}


@pytest.fixture
def shop(both_worlds: World) -> Shop:
    return Shop(both_worlds)


@pytest.fixture
def client(both_worlds: World, shop: Shop) -> TestClient:
    return both_worlds.client([shop.router])


def registration() -> bytes:
    """The body that registers a client with a fresh key."""
    public_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return json.dumps({"kind": "client", "label": "SPECIMEN agency", "roles": [], "public_key": pem}).encode()


def bearer(world: World, person: str = "person-1") -> dict[str, str]:
    return {"Authorization": f"Bearer {world.identity.open(person)}", "Idempotency-Key": KEY}


def test_the_same_request_is_done_once(both_worlds: World, shop: Shop, client: TestClient) -> None:
    """The second request with the same key and body gets the first answer again, marked as such."""
    headers = bearer(both_worlds)
    first = client.post("/things", json={"name": "a"}, headers=headers)
    again = client.post("/things", json={"name": "a"}, headers=headers)
    assert shop.made == 1
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert again.headers["location"] == first.headers["location"] == "/things/1"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["cache-control"] == "no-store"


def test_the_key_may_be_quoted(both_worlds: World, shop: Shop, client: TestClient) -> None:
    """The draft writes the key as a structured field string, with quotes; both forms are one key."""
    headers = bearer(both_worlds)
    client.post("/things", json={"name": "a"}, headers=headers)
    client.post("/things", json={"name": "a"}, headers=headers | {"Idempotency-Key": f'"{KEY}"'})
    assert shop.made == 1


@pytest.mark.parametrize("key", ["short", "x" * 129, "has a space in the middle", '"unbalanced-quote-mark'])
def test_a_key_that_is_none_is_refused(both_worlds: World, shop: Shop, client: TestClient, key: str) -> None:
    """A key is 16 to 128 visible characters; nothing is done with any other."""
    answer = client.post("/things", json={"name": "a"}, headers=bearer(both_worlds) | {"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (422, "foundation.idempotency_key_invalid")
    assert shop.made == 0


def test_another_request_with_the_same_key_is_refused(both_worlds: World, shop: Shop, client: TestClient) -> None:
    """The key with another body, or another query, is a mistake of the caller and makes nothing."""
    headers = bearer(both_worlds)
    client.post("/things", json={"name": "a"}, headers=headers)
    for path, body in (("/things", {"name": "b"}), ("/things?q=1", {"name": "a"})):
        answer = client.post(path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "foundation.idempotency_key_reused")
    assert shop.made == 1


def test_keys_of_different_actors_and_paths_are_different(both_worlds: World, shop: Shop, client: TestClient) -> None:
    """Somebody else's key gives nobody an answer that is not theirs."""
    for person in ("person-1", "person-2"):
        assert client.post("/things", json={"name": "a"}, headers=bearer(both_worlds, person)).status_code == 201
    client.post("/open-things", json={"name": "a"}, headers={"Idempotency-Key": KEY})
    assert shop.made == 3


def test_a_stored_answer_still_needs_the_credential(both_worlds: World, client: TestClient) -> None:
    """Knowing the key is not enough: without a valid credential the stored answer stays where it is."""
    headers = bearer(both_worlds)
    client.post("/things", json={"name": "a"}, headers=headers)
    both_worlds.identity.close_all("person-1")
    answer = client.post("/things", json={"name": "a"}, headers=headers)
    assert answer.status_code == 401


def test_a_refusal_keeps_nothing(both_worlds: World, shop: Shop, client: TestClient) -> None:
    """A refused request made nothing: with the cause gone, the same key works, even with a corrected body."""
    headers = bearer(both_worlds)
    shop.refuse = PinIncorrect()
    assert client.post("/things", json={"name": "a", "pin": "1"}, headers=headers).status_code == 403
    shop.refuse = ValueError()
    assert client.post("/things", json={"name": "a", "pin": "1"}, headers=headers).status_code == 500
    assert client.post("/things", json={"nome": "a"}, headers=headers).status_code == 422
    shop.refuse = None
    assert client.post("/things", json={"name": "a", "pin": "2"}, headers=headers).status_code == 201
    assert shop.made == 1


def test_a_request_still_running_is_not_done_again(both_worlds: World, shop: Shop, client: TestClient) -> None:
    """While the first is being answered, the second waits outside: 409 with Retry-After, and one thing is made."""
    entered, leave = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert leave.wait(30)

    shop.before = wait
    headers, answers = bearer(both_worlds), []
    first = threading.Thread(target=lambda: answers.append(client.post("/things", json={"name": "a"}, headers=headers)))
    first.start()
    try:
        assert entered.wait(30)
        second = both_worlds.client([shop.router]).post("/things", json={"name": "a"}, headers=headers)
    finally:
        leave.set()
        first.join(30)
    assert (second.status_code, second.json()["code"]) == (409, "foundation.idempotency_in_flight")
    assert int(second.headers["retry-after"]) >= 1
    assert [answer.status_code for answer in answers] == [201]
    assert shop.made == 1


def test_after_a_day_the_key_is_forgotten(both_worlds: World, shop: Shop, client: TestClient) -> None:
    """24 hours later the same key is a new one, and the old row is gone."""
    client.post("/open-things", json={"name": "a"}, headers={"Idempotency-Key": KEY})
    both_worlds.clock.advance(timedelta(hours=24, seconds=1))
    assert both_worlds.store.prune() == 1
    assert client.post("/open-things", json={"name": "b"}, headers={"Idempotency-Key": KEY}).status_code == 201
    assert shop.made == 2


def test_a_retry_with_a_new_assertion_gets_the_first_answer(both_worlds: World) -> None:
    """The guard authenticates once a request, so a single-use assertion and a key go together; the retry brings a new
    assertion and makes nothing again."""
    admin = both_worlds.register(ActorKind.OPERATOR, "identity-admin")
    client = both_worlds.client()
    body = registration()
    answers = [
        client.post(
            "/identity/v1/actors",
            content=body,
            headers={
                "Authorization": admin.sign(both_worlds, "POST", "/identity/v1/actors", body),
                "Content-Type": "application/json",
                "Idempotency-Key": KEY,
            },
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert len(both_worlds.identity.list_actors().items) == 2


def test_nothing_is_stored_readable(both_worlds: World, client: TestClient) -> None:
    """Neither key, request nor answer can be read in the database, nor searched for by their digests."""
    import hashlib

    headers = bearer(both_worlds)
    client.post("/things", json={"name": "secret-name", "pin": "481516"}, headers=headers)
    with both_worlds.database.read() as connection:
        row = connection.execute(select(requests)).one()
    stored = b"".join(bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode() for value in row)
    for secret in (b"secret-name", b"481516", KEY.encode(), hashlib.sha256(KEY.encode()).digest()):
        assert secret not in stored


def test_erasing_a_person_destroys_their_answers(both_worlds: World, client: TestClient) -> None:
    """A person's answers are sealed under the person's own key, so that erasure reaches them."""
    headers = bearer(both_worlds)
    client.post("/things", json={"name": "a"}, headers=headers)
    both_worlds.keys.destroy_owner("person-1")
    with both_worlds.database.read() as connection:
        row = connection.execute(select(requests)).one()
    assert row.owner == "person-1"
    with pytest.raises(OwnerDestroyed):
        Vault(both_worlds.keys).open("person-1", f"idempotency-answer:{row.place.hex()}", row.answer)


def test_without_the_vault_nothing_is_begun(both_worlds: World, shop: Shop, client: TestClient) -> None:
    """A key that cannot be sealed cannot be promised: the request is refused before anything is made."""
    headers = bearer(both_worlds)
    both_worlds.keys.down = TokenUnavailable()
    answer = client.post("/things", json={"name": "a"}, headers=headers)
    assert answer.status_code == 503
    assert shop.made == 0


def test_an_answer_that_cannot_be_kept_is_still_given(both_worlds: World, shop: Shop, client: TestClient) -> None:
    """When the vault goes down in between, the caller gets the answer, and the repetition learns that it was done
    instead of doing it again."""
    headers = bearer(both_worlds)

    def token_goes_down() -> None:
        both_worlds.keys.down = TokenUnavailable()

    shop.before = token_goes_down
    first = client.post("/things", json={"name": "a"}, headers=headers)
    both_worlds.keys.down = None
    again = client.post("/things", json={"name": "a"}, headers=headers)
    assert first.status_code == 201
    assert (again.status_code, again.json()["code"]) == (409, "foundation.idempotency_answer_lost")
    assert shop.made == 1


# --- the store by itself ------------------------------------------------------------------------------------------


def test_a_dead_process_does_not_hold_a_key_for_ever(both_worlds: World) -> None:
    """A running row whose process died is taken over after its lease, by one of those who ask; the dead process, if it
    wakes, can neither keep its answer nor release the new claim."""
    store = both_worlds.store
    dead = store.claim(PLACE, "owner", REQUEST)
    assert isinstance(dead, Claim)
    with pytest.raises(IdempotencyInFlight):
        store.claim(PLACE, "owner", REQUEST)
    both_worlds.clock.advance(timedelta(minutes=2, seconds=1))
    with pytest.raises(IdempotencyKeyReused):
        store.claim(PLACE, "owner", bytes(32))
    alive = store.claim(PLACE, "owner", REQUEST)
    assert isinstance(alive, Claim)
    with pytest.raises(StaleWrite):
        store.keep(dead, ANSWER)
    store.release(dead)
    store.keep(alive, ANSWER)
    assert store.claim(PLACE, "owner", REQUEST) == ANSWER


def test_one_of_many_gets_the_claim(both_worlds: World) -> None:
    """Eight threads claim one place at once: one wins, the others are told to wait."""
    store, outcomes, together = both_worlds.store, [], threading.Barrier(8)

    def ask() -> None:
        together.wait(30)
        try:
            outcomes.append(store.claim(PLACE, "owner", REQUEST))
        except IdempotencyInFlight as waiting:
            outcomes.append(waiting)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(outcomes) == 8
    assert sum(isinstance(outcome, Claim) for outcome in outcomes) == 1


def test_an_answer_lost_is_told(both_worlds: World) -> None:
    """A vault that fails when the answer is to be kept marks the place as done, and its failure is raised."""
    store = both_worlds.store
    claim = store.claim(PLACE, "owner", REQUEST)
    assert isinstance(claim, Claim)
    both_worlds.keys.down = TokenUnavailable()
    with pytest.raises(TokenUnavailable):
        store.keep(claim, ANSWER)
    both_worlds.keys.down = None
    with pytest.raises(IdempotencyAnswerLost):
        store.claim(PLACE, "owner", REQUEST)


def test_expired_rows_go_by_themselves(both_worlds: World) -> None:
    """Claims clean up what has expired, so that no job is needed for it."""
    store = IdempotencyStore(both_worlds.database, Vault(both_worlds.keys), both_worlds.clock)
    store.claim(PLACE, "owner", REQUEST)
    both_worlds.clock.advance(timedelta(hours=25))
    store.claim(bytes(31) + b"\x02", "owner", REQUEST)
    with both_worlds.database.read() as connection:
        assert len(connection.execute(select(requests)).all()) == 1
