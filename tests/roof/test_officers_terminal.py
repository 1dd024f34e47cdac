"""Ceremonies at a terminal, as officers hold them: through a pseudo-terminal, on a real token, without a network."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from camtrust.officers_terminal import NotAnswered, answer
from foundation.clock import SystemClock
from root_ca.ceremonies import Place, specimen_acts
from root_ca.ceremony_file import load_ceremony
from root_ca.checks import examine
from root_ca.service import verify
from tests import programs
from tests.root.people_world import PASSWORD, name_them, people

COMMAND = (sys.executable, "-c", "from camtrust.cli.main import main; main()", "root")
WORDS = "Type the words of this ceremony: "
PLACE = Place("http://t.example/o", "http://t.example/i", "http://t.example/c")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The first act, in a folder of its own."""
    folder = tmp_path / "stick"
    folder.mkdir()
    act = specimen_acts(SystemClock().now(), PLACE)[0]
    (folder / act.file).write_text(act.text, encoding="utf-8")
    return folder / act.file


def test_the_exact_words_are_wanted(file: Path, tmp_path: Path) -> None:
    """One wrong word, and nothing is made; the file's digest stands on the screen, the words of the ceremony do not."""
    home = ("--home", tmp_path / "home")
    examined = examine(load_ceremony(file))
    wrong = [*examined.words[:-1], "wrong"]
    refused = answer([*COMMAND, "perform", file, *home], [(WORDS, " ".join(wrong))])
    assert refused.status == 4
    assert "The words typed are not the words of this ceremony" in refused.text
    assert examined.ceremony.sha256 in refused.text
    before = refused.text.partition(WORDS)[0]
    assert "SPECIMEN CamTrust Root CA 1" in before
    assert " ".join(examined.words) not in before
    assert " ".join(examined.words_km) not in before
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_khmer_words_are_as_good_and_people_sign_unseen(file: Path, tmp_path: Path) -> None:
    """Performed with Khmer words; a custodian's password is typed and never shown; verification names who signed."""
    persons = people(tmp_path / "people")
    name_them(file, persons)
    words = " ".join(examine(load_ceremony(file)).words_km)
    home = ("--home", tmp_path / "home")
    done = answer([*COMMAND, "perform", file, *home], [(WORDS, words)])
    assert done.status == 0, done.text
    record = file.parent / "1-root.transcript.json"
    for person in persons:
        typed = [("Password of the key", PASSWORD)] if person.encrypted else []
        signed = answer([*COMMAND, "cosign", record, "--key", person.key], typed)
        assert signed.status == 0, signed.text
        assert PASSWORD not in signed.text
        assert f"Signed as {person.role} {person.name}" in signed.text
    shown = answer([*COMMAND, "verify", record], [])
    assert shown.status == 0
    assert all(f"signed    by {person.role} {person.name}" in shown.text for person in persons)
    token = json.loads(record.read_bytes())["steps"][2]["inputs"]
    assert token["token_emulated"] == "yes"
    assert len(token["token_sha256"]) == 64
    outside = [step for step in json.loads(record.read_bytes())["steps"] if step["rule"] == "ROOT-LINT-OUTSIDE"]
    assert [step["inputs"]["program"].partition(" ")[0] for step in outside] == ["pkilint"]
    assert [step["outputs"]["after"] for step in outside] == ["none"]
    # Under the throwaway key a root is not self-signed, and pkilint misses the identifier that it would then need.
    assert outside[0]["outputs"]["before"] == "ERROR pkix.authority_key_identifier_extension_absent"
    assert verify(record).valid


def test_a_command_that_asks_nothing_is_not_waited_for_forever() -> None:
    """The driver of these tests says what stood on the screen when a prompt does not come."""
    with pytest.raises(NotAnswered, match="something else"):
        answer([sys.executable, "-c", "print('something else')"], [("a prompt", "x")], seconds=20)


def test_a_rehearsal_of_the_whole_ceremony_needs_no_network(tmp_path: Path) -> None:
    """What `make rehearsal` runs, in a network namespace without an interface: six acts at a terminal, all replayed."""
    become_root = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    tree = Path(__file__).parents[2]
    done = programs.run(
        "unshare", *become_root, "--net", sys.executable, "-m", "camtrust.rehearsal",
        env={"PYTHONPATH": os.fspath(tree), "TMPDIR": os.fspath(tmp_path)}, cwd=tmp_path, timeout=280,
    )  # fmt: skip
    assert "Network interfaces: none" in done.stdout
    assert done.stdout.count("rehearsed on a throwaway token") == 6
    assert done.stdout.count("   Signed as ") == 6
    assert done.stdout.splitlines()[-1] == "Replayed 6 acts from 6-twin.transcript.json: all held"
    assert list(tmp_path.iterdir()) == []
