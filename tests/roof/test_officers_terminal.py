"""Ceremonies at a terminal, as officers hold them: through a pseudo-terminal, on a real token, without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from camtrust.cli.hsm_cards import read_card
from camtrust.officers_terminal import NotAnswered, answer
from foundation.clock import SystemClock
from root_ca.ceremonies import Place, specimen_acts
from root_ca.ceremony_file import load_ceremony
from root_ca.checks import examine
from root_ca.service import verify
from tests import programs
from tests.root.people_world import PASSWORD, name_them, people

COMMAND = (sys.executable, "-c", "from camtrust.cli.main import main; main()", "root")
HSM = (*COMMAND[:-1], "hsm")
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


def _cards(home: Path, folder: Path) -> list[str]:
    """Make a root token that two of three cards open; give the words of each card."""
    made = subprocess.run(
        [*HSM, "init", "--token", "root", "--cards", "2of3", "--cards-to", folder, "--home", home],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return [read_card(folder / f"card-{number}.txt") for number in (1, 2, 3)]


def test_custodians_open_the_token_with_their_cards_one_after_the_other(file: Path, tmp_path: Path) -> None:
    """Too few, wrong or mixed cards are refused clearly, before any word is asked for; two of three then perform it.

    No word of a card stands on the screen, or in any file of the home.
    """
    home = tmp_path / "home"
    mine, others = _cards(home, tmp_path / "cards"), _cards(tmp_path / "other", tmp_path / "others")
    asked = ("Card 1 of the 2 that are needed: ", "Card 2 of the 2 that are needed: ")
    command = [*COMMAND, "perform", file, "--home", home]
    misspelt = " ".join([*mine[0].split()[:-1], "zzzz"])
    for first, second, code in (
        (mine[0], "", "cards_too_few"),
        (mine[0], mine[0], "cards_repeated"),
        (mine[0], others[1], "cards_mixed"),
        (others[0], others[1], "cards_foreign"),
        (misspelt, mine[1], "cards_unreadable"),
    ):
        refused = answer(command, [(asked[0], first), (asked[1], second)])
        assert refused.status == 4, refused.text
        assert code in refused.text
        assert WORDS not in refused.text
        assert mine[0][:30] not in refused.text
    words = " ".join(examine(load_ceremony(file)).words)
    done = answer(command, [(asked[0], mine[2]), (asked[1], mine[0]), (WORDS, words)])
    assert done.status == 0, done.text
    assert (file.parent / "root.pem").exists()
    for card in mine:
        part = " ".join(card.split()[4:8])  # words after those that a set of cards shares
        assert part not in done.text
        kept = [one for one in home.rglob("*") if one.is_file() and part.encode() in one.read_bytes()]
        assert kept == []


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
