"""`camtrust ekyc`: what an operator of the machine sees and does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from joserfc import jwe
from joserfc.jwk import OctKey
from sqlalchemy import select

import ekyc.store
from camtrust.cli import ekyc as commands
from camtrust.cli.context import Context
from ekyc.authenticators.without_phone import DeviceFileInvalid
from ekyc.errors import DecisionNotReproduced, EnrolmentUnknown
from ekyc.model import State
from ekyc.policy import default_policy
from ekyc.registry_simulation.persons import series
from ekyc.review.desk import Method, Verdict
from foundation.terminal import Terminal
from tests.ekyc.story import OFFICER, World

Command = Callable[..., dict[str, Any]]


@pytest.fixture
def command(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs one command of the group over the services of the world; gives its JSON."""

    @contextmanager
    def services_of(_: Context) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(database=world.database, ekyc=world.service)

    monkeypatch.setattr(commands, "services_of", services_of)
    group = typer.main.get_command(commands.create(Context(terminal=Terminal(json=True), home_path=None)))

    def run(*arguments: str) -> dict[str, Any]:
        group(list(arguments), standalone_mode=False)
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return run


def test_list_and_show_without_personal_data(world: World, command: Command) -> None:
    """Enrolments by id and state; one with its ledger; nothing of the person in it."""
    person = series(600)
    _, name = world.until(State.APPROVED, person)
    other = world.start()[1].id
    assert {one["id"] for one in command("list")["enrolments"]} == {name, other}
    assert [one["id"] for one in command("list", "--state", "APPROVED")["enrolments"]] == [name]
    shown = command("show", name)
    assert [one["kind"] for one in shown["evidence"]][-1] == "decision"
    text = json.dumps(shown, ensure_ascii=False)
    assert not any(value in text for value in (person.document_number, person.surname, person.given_names_km))
    with pytest.raises(EnrolmentUnknown):
        command("show", "ENR-AAAAAAAAAAAAAAAA")


def test_replay_gives_the_decision_or_says_that_it_does_not_follow(world: World, command: Command) -> None:
    """`show --replay` judges again, byte for byte; over changed evidence it fails."""
    _, name = world.until(State.APPROVED, series(601))
    [decision] = command("show", name, "--replay")["decisions"]
    kept = json.loads(world.service.decider.last(name) or b"")
    assert (decision, decision["outcome"], decision["policy_version"]) == (kept, "approved", default_policy().version)
    assert command("show", world.start()[1].id, "--replay")["decisions"] == []
    table = ekyc.store.decisions
    with world.database.unit_of_work() as connection:
        document = connection.execute(select(table.c.document)).scalar_one()
        connection.execute(table.update().values(document=document.replace('"score":0', '"score":1')))
    with pytest.raises(DecisionNotReproduced):
        command("show", name, "--replay")


def test_a_sealed_test_case_and_how_officers_did(world: World, command: Command, tmp_path: Path) -> None:
    """`review-test --case` seeds one; without it, each officer's score is told."""
    file = tmp_path / "case.json"
    person = series(602)
    document = {"document_number": person.document_number, "surname": person.surname, "given_names": "SERIES OTHER"}
    file.write_text(json.dumps({"document": document, "fields": {"given_names": "mismatch"}, "registry": "review"}))
    assert command("review-test")["officers"] == []
    seeded = command("review-test", "--case", str(file), "--right", "reject")
    assert seeded["state"] == "REFERRED_IN_PERSON"
    world.review(seeded["id"], Verdict.REJECT, Method.IN_PERSON, "registry-differs")
    assert command("review-test")["officers"] == [{"officer": OFFICER.id, "answered": 1, "right": 1}]


def test_the_dry_run_of_a_recall(world: World, command: Command) -> None:
    """`recall --control` shows who would be suspended, and changes nothing."""
    _, name = world.until(State.APPROVED, series(603))
    found = command("recall", "--control", "EKYC-REGISTRY")
    assert [one["enrolment_id"] for one in found["affected"]] == [name]
    assert world.state(name).state is State.APPROVED
    assert command("recall", "--control", "EKYC-REGISTRY", "--version", "2")["affected"] == []
    with pytest.raises(typer.BadParameter):
        command("recall", "--control", "EKYC-REGISTRY", "--officer", "act_x")


def test_retention_looks_and_applies(world: World, command: Command) -> None:
    """`retention` is a dry run; with --apply it is done."""
    _, name = world.until(State.REGISTRY_MATCHED, series(604))
    world.review(name, Verdict.REJECT, Method.IN_PERSON, "person-is-not-holder")
    world.clock.advance(timedelta(days=181))
    due = {one["rule"]: one["count"] for one in command("retention")["rules"]}
    assert due["EKYC-RETAIN-REJECTED"] == 1
    assert world.state(name).erased_at is None
    assert command("retention", "--apply")["applied"]
    assert world.state(name).erased_at is not None
    assert not any(one["count"] for one in command("retention")["rules"])


def test_devices_come_in_from_their_sealed_file(command: Command, tmp_path: Path) -> None:
    """Once; a file that its key does not open, and a key that is none, bring nothing in."""
    file, key = tmp_path / "devices.jwe", tmp_path / "transport.key"
    devices = [{"serial": f"SN-000{n}", "seed": bytes([n] * 20).hex()} for n in (1, 2)]
    sealed = jwe.encrypt_compact(
        {"alg": "dir", "enc": "A256GCM"},
        json.dumps({"devices": devices}).encode(),
        OctKey.import_key(bytes(32)),
        ["dir", "A256GCM"],
    )
    file.write_text(sealed, encoding="ascii")
    for wrong in ("11" * 32, "no key"):
        key.write_text(wrong, encoding="ascii")
        with pytest.raises(DeviceFileInvalid):
            command("import-devices", str(file), "--key-file", str(key))
    key.write_text("00" * 32 + "\n", encoding="ascii")
    assert command("import-devices", str(file), "--key-file", str(key)) == {"devices": 2, "new": 2}
    assert command("import-devices", str(file), "--key-file", str(key)) == {"devices": 2, "new": 0}
