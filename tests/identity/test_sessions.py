"""Sessions of persons: made here, kept as digests, ended in time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from foundation.http.actor import Actor, ActorKind, Unauthenticated
from foundation.keys.errors import PinLocked
from identity.errors import LoginRefused
from identity.store import sessions
from tests.web.world import World

PERSON, PIN, CODE = "person-1", "481516", "123456"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_session_is_its_person(both_worlds: World) -> None:
    """The token of an open session gives the person, without any role."""
    token = both_worlds.identity.open(PERSON)
    assert both_worlds.identity.sessions.authenticate(token) == Actor(ActorKind.PERSON, PERSON)


def test_the_token_is_not_in_the_database(both_worlds: World) -> None:
    """256 random bits, of which a digest alone is stored: a copy of the database opens no session."""
    token = both_worlds.identity.open(PERSON)
    with both_worlds.database.read() as connection:
        row = connection.execute(select(sessions)).one()
    assert len(token) == len("cts_") + 43
    assert token not in str(row)
    assert token.encode() not in bytes(row.token_digest)


def test_a_session_ends_when_idle(both_worlds: World) -> None:
    """Thirty minutes without a request end it; a request in between keeps it."""
    token = both_worlds.identity.open(PERSON)
    for _ in range(3):
        both_worlds.clock.advance(timedelta(minutes=29))
        both_worlds.identity.sessions.authenticate(token)
    both_worlds.clock.advance(timedelta(minutes=30))
    with pytest.raises(Unauthenticated):
        both_worlds.identity.sessions.authenticate(token)


def test_a_session_ends_after_its_lifetime(both_worlds: World) -> None:
    """Twelve hours after it was opened it ends, however busy it is."""
    token = both_worlds.identity.open(PERSON)
    for _ in range(35):
        both_worlds.clock.advance(timedelta(minutes=20))
        both_worlds.identity.sessions.authenticate(token)
    both_worlds.clock.advance(timedelta(minutes=20))
    with pytest.raises(Unauthenticated):
        both_worlds.identity.sessions.authenticate(token)


def test_rotation_ends_the_old_token(both_worlds: World) -> None:
    """After a rotation the old token opens nothing, cannot be rotated again, and the end of the session stays."""
    old = both_worlds.identity.sessions.open(PERSON)
    both_worlds.clock.advance(timedelta(minutes=10))
    new = both_worlds.identity.sessions.rotate(old.token)
    assert new.token != old.token
    assert new.expires_at == old.expires_at
    assert both_worlds.identity.sessions.authenticate(new.token).id == PERSON
    with pytest.raises(Unauthenticated):
        both_worlds.identity.sessions.authenticate(old.token)
    with pytest.raises(Unauthenticated):
        both_worlds.identity.sessions.rotate(old.token)


def test_closing_all_ends_every_session_of_that_person(both_worlds: World) -> None:
    """A lost phone ends all of a person's sessions and nobody else's."""
    tokens = [both_worlds.identity.open(PERSON) for _ in range(3)]
    other = both_worlds.identity.open("person-2")
    assert both_worlds.identity.sessions.close_all(PERSON) == 3
    for token in tokens:
        with pytest.raises(Unauthenticated):
            both_worlds.identity.sessions.authenticate(token)
    assert both_worlds.identity.sessions.authenticate(other).id == "person-2"


def test_a_session_cannot_be_planted(world: World) -> None:
    """Fixation: a login that shows a token, in a header, a cookie or the body, still gets a token of its own, and the
    shown one, be it somebody's open session or made up, does not become the person's."""
    world.factors.add(PERSON, PIN)
    attacker = world.identity.open("person-attacker")
    client = world.client()
    for number, planted in enumerate((attacker, "cts_" + "A" * 43)):
        answer = client.post(
            "/identity/v1/sessions",
            json={"person_id": PERSON, "pin": PIN, "totp": f"{number:06}"},
            headers=bearer(planted) | {"Cookie": f"session={planted}"},
        )
        assert answer.status_code == 201
        assert answer.json()["token"] != planted
        assert "set-cookie" not in answer.headers
    assert world.identity.sessions.authenticate(attacker).id == "person-attacker"
    with pytest.raises(Unauthenticated):
        world.identity.sessions.authenticate("cts_" + "A" * 43)
    body = {"person_id": PERSON, "pin": PIN, "totp": "999999", "token": attacker}
    assert client.post("/identity/v1/sessions", json=body).status_code == 422


def test_login_and_logout(both_worlds: World) -> None:
    """PIN and code open a session; logging out ends it, at once and once."""
    both_worlds.factors.add(PERSON, PIN)
    client = both_worlds.client()
    opened = client.post("/identity/v1/sessions", json={"person_id": PERSON, "pin": PIN, "totp": CODE})
    assert opened.status_code == 201
    assert opened.json()["token_type"] == "Bearer"
    assert opened.headers["cache-control"] == "no-store"
    shown = bearer(opened.json()["token"])
    assert client.delete("/identity/v1/sessions/current", headers=shown).status_code == 204
    assert client.delete("/identity/v1/sessions/current", headers=shown).status_code == 401


def test_logging_out_everywhere(world: World) -> None:
    """One request ends all sessions of the person who asks."""
    first, second = world.identity.open(PERSON), world.identity.open(PERSON)
    client = world.client()
    assert client.delete("/identity/v1/sessions", headers=bearer(first)).status_code == 204
    assert client.delete("/identity/v1/sessions/current", headers=bearer(second)).status_code == 401


def test_a_refused_login_does_not_say_why(world: World) -> None:
    """A wrong PIN, a used code and a person who does not exist get the same answer; the audit trail has the cause.
    After five wrong PINs the token locks, and says until when."""
    world.factors.add(PERSON, PIN)
    client = world.client()

    def log_in(person: str, pin: str, code: str) -> tuple[int, str]:
        answer = client.post("/identity/v1/sessions", json={"person_id": person, "pin": pin, "totp": code})
        return answer.status_code, answer.json().get("code", "")

    assert log_in(PERSON, PIN, CODE) == (201, "")
    refused = [log_in("nobody", PIN, CODE), log_in(PERSON, PIN, CODE), log_in(PERSON, "000000", "654321")]
    assert set(refused) == {(401, "identity.login_refused")}
    for _ in range(4):
        log_in(PERSON, "000000", "654321")
    assert log_in(PERSON, PIN, "111111") == (429, "foundation.pin_locked")
    assert [event.get("rule") for event in world.refusals()[:3]] == [
        "foundation.factors_not_enrolled",
        "foundation.code_used",
        "foundation.pin_incorrect",
    ]
    assert world.refusals()[-1]["code"] == "foundation.pin_locked"


def test_a_lockout_is_not_hidden_in_service(world: World) -> None:
    """The service passes the token's lock-out on, with the time to wait."""
    world.factors.add(PERSON, PIN)
    for _ in range(5):
        with pytest.raises(LoginRefused):
            world.identity.log_in(PERSON, "000000", CODE)
    with pytest.raises(PinLocked) as locked:
        world.identity.log_in(PERSON, PIN, CODE)
    assert locked.value.retry_after == 300


def test_expired_sessions_are_removed(world: World) -> None:
    """Opening a session removes those that are past their end."""
    world.identity.open(PERSON)
    world.clock.advance(timedelta(hours=13))
    world.identity.open(PERSON)
    with world.database.read() as connection:
        assert len(connection.execute(select(sessions)).all()) == 1
