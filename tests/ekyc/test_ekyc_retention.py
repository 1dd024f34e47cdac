"""What is kept no longer, what a backup still says of an erased person, and what a person can ask about their data."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

import ekyc.store
from ekyc.errors import EnrolmentUnknown, RetentionInvalid
from ekyc.evidence.record import EvidenceKind
from ekyc.model import State
from ekyc.personal_data import LOOKS
from ekyc.ports import Cause
from ekyc.registry_simulation.persons import series
from ekyc.retention import default_rules, parse_rules
from ekyc.review.desk import Method, Verdict
from foundation.db.engine import open_database
from foundation.keys.errors import OwnerDestroyed
from tests.ekyc.story import OFFICER, OPERATOR, PHONE_E164, World


def due(world: World) -> dict[str, int]:
    return {one.rule: one.count for one in world.service.retention.look() if one.count}


def rejected(world: World, number: int) -> tuple[str, str]:
    actor, name = world.until(State.REGISTRY_MATCHED, series(number))
    world.review(name, Verdict.REJECT, Method.IN_PERSON, "person-is-not-holder")
    return actor.id, name


def test_each_rule_ends_its_own_when_its_time_comes(both_worlds: World) -> None:
    """Nothing before its day; then messages and challenges go, a rejected person is erased, an enrolled one stays."""
    world = both_worlds
    person, refused = rejected(world, 800)
    keeper, enrolled = world.until(State.ACTIVATED, series(801))
    assert due(world) == {}
    world.clock.advance(timedelta(days=31))
    assert due(world) == {"EKYC-RETAIN-MESSAGES": 3, "EKYC-RETAIN-CHALLENGES": 2}
    assert world.state(refused).erased_at is None  # looking changes nothing
    world.service.retention.apply()
    for table in (ekyc.store.outbox, ekyc.store.challenges):
        with world.database.read() as connection:
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0
    assert due(world) == {}
    world.clock.advance(timedelta(days=150))
    assert due(world) == {"EKYC-RETAIN-REJECTED": 1}
    world.service.retention.apply()
    assert world.state(refused).erased_at is not None
    with pytest.raises(OwnerDestroyed):
        world.vault.seal(person, "x", b"")
    assert world.vault.seal(keeper.id, "x", b"")
    assert due(world) == {}
    world.clock.advance(timedelta(days=4600))
    assert due(world) == {"EKYC-RETAIN-ENROLLED": 1}
    world.service.retention.apply()
    assert world.ca.revoked == {world.state(enrolled).certificate_serial: Cause.SUPERSEDED}
    with pytest.raises(OwnerDestroyed):
        world.token.wrapped_keys(keeper.id)
    world.audit.verify(world.database)


def test_whoever_was_forgotten_can_enrol_again(world: World) -> None:
    """The claim of a person ends with their data."""
    world.until(State.ACTIVATED, series(802))
    rule = {
        "id": "EKYC-RETAIN-X",
        "what": "person",
        "days": 10,
        "ground": "SPECIMEN of a rule",
        "states": ["ACTIVATED"],
    }
    world.service.retention.rules = parse_rules({"version": "SPECIMEN", "rules": [rule]})
    world.clock.advance(timedelta(days=11))
    world.service.retention.apply()
    assert world.until(State.APPROVED, series(802))


def test_an_interrupted_erasure_is_done_the_next_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the destruction and its record, it is due again, and done."""
    _, name = rejected(world, 803)
    world.clock.advance(timedelta(days=200))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ekyc.store, "forget_messages", killed)
    with pytest.raises(KeyboardInterrupt):
        world.service.retention.apply()
    monkeypatch.undo()
    assert world.state(name).erased_at is None
    world.restarted().retention.apply()
    assert world.state(name).erased_at is not None


def test_rules_are_parsed_strictly() -> None:
    """A rule about persons names states, no other does; unknown keys and things are refused."""
    good = default_rules().model_dump(mode="json")
    assert parse_rules(good) == default_rules()
    rule = {"id": "EKYC-RETAIN-X", "what": "messages", "days": 1, "ground": "no ground at all"}
    for bad in (
        {**good, "extra": 1},
        {**good, "rules": []},
        {**good, "rules": [{**rule, "what": "person"}]},
        {**good, "rules": [{**rule, "states": ["REJECTED"]}]},
        {**good, "rules": [{**rule, "days": 0}]},
    ):
        with pytest.raises(RetentionInvalid):
            parse_rules(bad)


@pytest.mark.parametrize("destroyed", [True, False], ids=["on", "off"])
def test_a_restored_backup_cannot_read_whoever_was_erased(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, destroyed: bool
) -> None:
    """The database as it was before the erasure, put back beside the same token: nothing of the person opens. Without
    the destruction of the key, all of it would."""
    actor, name = world.until(State.REGISTRY_MATCHED, series(804))
    restored = tmp_path / "restored.sqlite"
    with sqlite3.connect(str(world.database.engine.url.database)) as source, sqlite3.connect(restored) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    if not destroyed:
        monkeypatch.setattr(world.vault, "destroy", lambda _: b"SPECIMEN certificate")
    world.service.enrolment.withdraw(actor, name)
    monkeypatch.undo()
    database = open_database(f"sqlite:///{restored}")
    try:
        again = world.restarted(database=database)
        assert again.enrolment.show(actor).state is State.REGISTRY_MATCHED
        if destroyed:
            with pytest.raises(OwnerDestroyed):
                again.own_data.export(actor, name)
            with pytest.raises(OwnerDestroyed):
                again.review.show(OFFICER, name)
        else:
            assert series(804).document_number in json.dumps(again.own_data.export(actor, name))
    finally:
        database.close()


def test_a_person_takes_all_their_data_away(both_worlds: World) -> None:
    """Everything that is kept about them, opened; another person gets nothing of it, and asking is written down."""
    world, person = both_worlds, series(805)
    actor, name = world.until(State.ACTIVATED, person)
    other, _ = world.until(State.CONSENTED)
    data = world.service.own_data.export(actor, name)
    text = json.dumps(data, ensure_ascii=False)
    for mine in (person.document_number, person.given_names_km, person.date_of_birth, PHONE_E164):
        assert mine in text
    ledger = world.service.files.ledger(world.state(name))
    assert [one["kind"] for one in data["evidence"]] == [one.kind.value for one in ledger]
    assert {one.kind for one in ledger} >= {EvidenceKind.DOCUMENT, EvidenceKind.CONTACT, EvidenceKind.CERTIFICATE}
    assert len(data["decisions"]) == 1
    with pytest.raises(EnrolmentUnknown):
        world.service.own_data.export(other, name)
    assert "ekyc.data_exported" in [one.what for one in world.service.own_data.accesses(actor, name)]


def test_a_person_sees_who_looked(world: World) -> None:
    """Each look of an officer or operator, by opaque id and time; nobody else's."""
    actor, name = world.until(State.REGISTRY_MATCHED, series(806))
    other, elsewhere = world.until(State.REGISTRY_MATCHED, series(807))
    world.service.review.show(OFFICER, name)
    world.outbox.read(OPERATOR, actor.id)
    looks = [(one.who, one.what) for one in world.service.own_data.accesses(actor, name)]
    assert looks[:2] == [(str(OPERATOR), "ekyc.outbox_read"), (str(OFFICER), "ekyc.evidence_viewed")]
    assert ("ekyc.evidence_viewed") not in [one.what for one in world.service.own_data.accesses(other, elsewhere)]
    assert {what for _, what in looks} <= set(LOOKS)
    with pytest.raises(EnrolmentUnknown):
        world.service.own_data.accesses(other, name)


def test_own_data_over_http(world: World) -> None:
    """A file to take away, not to be kept by caches; and the list of accesses."""
    client = world.client()
    started: dict[str, Any] = client.post("/ekyc/v1/enrolments", json={"level": "IAL2", "language": "en"}).json()
    base, session = f"/ekyc/v1/enrolments/{started['enrolment']['id']}", started["session_token"]
    headers = {"Authorization": f"Bearer {session}"}
    answer = client.get(f"{base}/data", headers=headers)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.json()["enrolment"]["state"] == "DRAFT"
    [seen] = client.get(f"{base}/accesses", headers=headers).json()
    assert seen["what"] == "ekyc.data_exported"
    assert client.get(f"{base}/data").status_code == 401
