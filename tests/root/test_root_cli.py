"""`camtrust root` as officers use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from foundation.clock import SetClock
from foundation.terminal import Terminal
from root_ca.cli import create_app
from root_ca.errors import CeremonyRefused, ConfirmationWrong
from tests.root.conftest import Done
from tests.root.root_world import NOW, MemoryKeyStore


class Desk:
    """The command line on a store in memory; ``json`` switches the form of its answers."""

    def __init__(self, as_json: bool = True) -> None:
        self.store = MemoryKeyStore()
        self.json = as_json

    def app(self) -> typer.Typer:
        return create_app(self._real, self._throwaway, lambda: Terminal(json=self.json), SetClock(NOW))

    @contextmanager
    def _real(self) -> Iterator[MemoryKeyStore]:
        yield self.store

    @contextmanager
    def _throwaway(self) -> Iterator[MemoryKeyStore]:
        yield MemoryKeyStore()

    def run(self, *arguments: str, typed: str = ""):  # type: ignore[no-untyped-def]
        return CliRunner().invoke(self.app(), arguments, input=typed, catch_exceptions=False)


def test_check_rehearse_perform_verify(fresh: Path) -> None:
    """The four commands in order; perform takes the words that check printed, typed by a person."""
    desk = Desk()
    file = str(fresh / "1-root.toml")
    checked = json.loads(desk.run("check", file).stdout)
    assert checked["passed"]
    assert json.loads(desk.run("rehearse", file).stdout)["rehearsal"] is True
    assert desk.store.find() == ()
    performed = json.loads(desk.run("perform", file, typed=" ".join(checked["words"]) + "\n").stdout)
    assert performed["output"] == str(fresh / "root.pem")
    verified = desk.run("verify", str(fresh / "1-root.transcript.json"), "--root", performed["sha256"])
    assert verified.exit_code == 0
    assert json.loads(verified.stdout)["root_sha256"] == performed["sha256"]


def test_perform_without_a_person_needs_the_words_too(fresh: Path) -> None:
    """`--yes-i-read` takes the words as an option; wrong ones are refused, and nothing is made."""
    desk = Desk()
    file = str(fresh / "1-root.toml")
    words = json.loads(desk.run("check", file).stdout)["words"]
    with pytest.raises(ConfirmationWrong):
        desk.run("perform", file, "--yes-i-read", "yes")
    assert not (fresh / "root.pem").exists()
    assert desk.run("perform", file, "--yes-i-read", " ".join(words)).exit_code == 0


def test_perform_shows_what_is_signed_before_it_asks(fresh: Path) -> None:
    """The officer sees title, subject and digests; the words are not shown, they come from the check."""
    desk = Desk(as_json=False)
    with pytest.raises(ConfirmationWrong):
        desk.run("perform", str(fresh / "1-root.toml"), typed="no\n")
    words = (
        desk.run("check", str(fresh / "1-root.toml")).stdout.splitlines()[-1].removeprefix("Words of this ceremony: ")
    )
    answer = desk.run("perform", str(fresh / "1-root.toml"), typed=f"{words}\n")
    assert "SPECIMEN CamTrust Root CA 1" in answer.stderr
    assert words not in answer.output
    assert "Read aloud" in answer.stdout


def test_check_fails_with_status_one(done: Done) -> None:
    """A failed rule gives exit status 1 and is marked for people."""
    desk = Desk(as_json=False)
    answer = desk.run("check", str(done.folder / "2-issuing.toml"))
    assert answer.exit_code == 1
    assert "FAILED        ROOT-OUTPUT-ABSENT" in answer.stdout


def test_a_second_perform_says_what_exists(done: Done) -> None:
    """Performing an act again is refused and names the files that are there."""
    with pytest.raises(CeremonyRefused) as refusal:
        Desk().run("perform", str(done.folder / "2-issuing.toml"), "--yes-i-read", "x")
    assert "issuing.pem, 2-issuing.transcript.json" in refusal.value.message()


def test_verify_names_the_changed_file_with_status_one(done: Done) -> None:
    """A changed artifact gives exit status 1 and stands in a line of its own."""
    (done.folder / "tsa.csr").write_bytes(b"changed")
    answer = Desk(as_json=False).run("verify", str(done.folder / "transcript.json"))
    assert answer.exit_code == 1
    assert "CHANGED   tsa.csr" in answer.stdout


def test_help_has_an_example_for_every_command() -> None:
    """Every command shows how it is called."""
    for command in ("check", "rehearse", "perform", "verify"):
        assert f"camtrust root {command}" in Desk().run(command, "--help").stdout
