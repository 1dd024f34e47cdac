"""Every rule of the later acts has a ceremony that breaks it, and is named when it does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.clock import SetClock
from foundation.x509.csr import build_csr
from foundation.x509.names import subject_name
from root_ca.ceremonies import root_crl_act
from root_ca.ceremony_file import load_ceremony
from root_ca.checks import examine
from root_ca.errors import CeremonyInvalid, CeremonyRefused
from root_ca.later_acts import TWIN_SUBJECT
from root_ca.service import perform
from tests.root.conftest import Done
from tests.root.life_world import LATER_ACTS, live, moment, write
from tests.root.root_world import BEGIN, MemoryKeyStore, perform_all, perform_file, prepare, say

ROOT_CN = "SPECIMEN CamTrust Root CA 1"
Change = Callable[[Path], None]


def _edit(file: str, old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")

    return change


def _stranger(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    (folder / "other.csr").write_bytes(build_csr(subject_name(TWIN_SUBJECT), key))


def _not_self_signed(folder: Path) -> None:
    (folder / "other.pem").write_bytes((folder / "twin-by-new.pem").read_bytes())


def _drop_first_entry(folder: Path) -> None:
    text = (folder / "11-end.toml").read_text(encoding="utf-8")
    head, entry, *rest = text.split("\n[[crl.revoked]]\n")
    assert "cessationOfOperation" in rest[-1] or entry
    kept = [one for one in (entry, *rest) if "cACompromise" in one or one is rest[-1]]
    (folder / "11-end.toml").write_text("\n[[crl.revoked]]\n".join([head, *kept]), encoding="utf-8")


# Rule, act, change. The act's file and everything before it are there.
LATER_BROKEN: list[tuple[str, str, Change]] = [
    ("ROOT-TWIN", "6-twin.toml", _edit("6-twin.toml", '"SPECIMEN CamTrust Root PQ 1"', f'"{ROOT_CN}"')),
    ("ROOT-TWIN", "6-twin.toml", _edit("6-twin.toml", '"ml-dsa-87"', '"rsa-4096"')),
    ("ROOT-TWIN", "6-twin.toml", _edit("6-twin.toml", "SPECIMEN CamTrust Twin Roots", ROOT_CN)),
    ("ROOT-PROFILE", "6-twin.toml", _edit("6-twin.toml", '"twin-statement"', '"issuing-ca"')),
    ("ROOT-PROFILE", "9-rollover.toml", _edit("9-rollover.toml", "CP/CPS 7.1.10.4", "CP/CPS 9.9.9")),
    ("ROOT-CROSS", "7-cross.toml", _stranger),
    ("ROOT-CROSS", "7-cross.toml", _not_self_signed),
    ("ROOT-INPUT", "8-licensed.toml", lambda folder: (folder / "audit-report.pdf").write_bytes(b"x") and None),
    ("ROOT-LICENCE", "8-licensed.toml", _edit("8-licensed.toml", "valid_until = 2028", "valid_until = 2025")),
    ("ROOT-LICENCE", "8-licensed.toml", _edit("8-licensed.toml", "since = 2026", "since = 2025")),
    (
        "ROOT-LICENCE",
        "8-licensed.toml",
        _edit("8-licensed.toml", 'o = ["SPECIMEN Other Organisation"]', 'o = ["SPECIMEN Third"]'),
    ),
    ("ROOT-ROLLOVER", "9-rollover.toml", _edit("9-rollover.toml", "Root CA 1", "Root CA 2")),
    ("ROOT-ROLLOVER", "9-rollover.toml", _edit("9-rollover.toml", "not_after = 2046-11-01", "not_after = 2040-11-01")),
    ("ROOT-LINK", "9-rollover.toml", _edit("9-rollover.toml", "not_after = 2046-10-31T", "not_after = 2046-11-01T")),
    ("ROOT-INCIDENT", "10-emergency.toml", _edit("10-emergency.toml", "cACompromise", "superseded")),
    ("ROOT-INCIDENT", "10-emergency.toml", _edit("10-emergency.toml", "detected_at = 2026", "detected_at = 2027")),
    ("ROOT-END", "11-end.toml", _drop_first_entry),
    ("ROOT-END", "11-end.toml", _edit("11-end.toml", "expired_since = 2026-11-01", "expired_since = 2026-11-02")),
    ("ROOT-END", "11-end.toml", _edit("11-end.toml", "effective = 2026", "effective = 2027")),
    ("ROOT-CRL-NUMBER", "11-end.toml", _edit("11-end.toml", "number = 3", "number = 2")),
    (
        "ROOT-DESTROY",
        "12-destroy.toml",
        _edit("12-destroy.toml", "11-end.transcript.json", "10-emergency.transcript.json"),
    ),
    ("ROOT-PROFILE", "12-destroy.toml", _edit("12-destroy.toml", "CP/CPS 6.2.10", "CP/CPS 6.2.1")),
    ("ROOT-ISSUER", "12-destroy.toml", _edit("12-destroy.toml", '"root-ca-1"', '"root-ca-2"')),
    ("ROOT-ISSUER", "12-destroy.toml", _edit("12-destroy.toml", '"root.pem"', '"root-2.pem"')),
]  # fmt: skip


@pytest.fixture
def before(lived: Done) -> Callable[[str], Path]:
    """The folder as it was when an act's file had been written and nothing of it made."""

    def at(file: str) -> Path:
        files = list(LATER_ACTS)
        for later in files[files.index(file) :]:
            ceremony = load_ceremony(lived.folder / later)
            for name in (*ceremony.outputs, ceremony.act.outputs.transcript):
                (lived.folder / name).unlink()
        return lived.folder / file

    return at


NAMES = [f"{rule}-{number}" for number, (rule, _, _) in enumerate(LATER_BROKEN)]


@pytest.mark.parametrize(("rule", "file", "change"), LATER_BROKEN, ids=NAMES)
def test_a_broken_rule_is_named_and_nothing_is_signed(
    rule: str, file: str, change: Change, before: Callable[[str], Path]
) -> None:
    """`check` passes as it was, fails on the rule that was broken first of all, and `perform` refuses."""
    path, store = before(file), MemoryKeyStore()
    assert [one for one in examine(load_ceremony(path)).results if not one.passed] == []
    change(path.parent)
    results = examine(load_ceremony(path)).results
    assert next(one.rule for one in results if one.passed is False) == rule
    with pytest.raises(CeremonyRefused) as refusal:
        perform(load_ceremony(path), store, SetClock(moment(file)), say)
    assert rule in refusal.value.message()
    assert store.signed == []


def test_a_root_that_has_ended_signs_no_more(lived: Done) -> None:
    """ROOT-ENDED: after the last CRL there is no other one."""
    at = BEGIN + timedelta(days=30)
    text = root_crl_act(at, 9, "11-end.transcript.json", "again.crl", "again.json")
    (lived.folder / "again.toml").write_text(text, encoding="utf-8")
    results = examine(load_ceremony(lived.folder / "again.toml")).results
    assert next(one.rule for one in results if one.passed is False) == "ROOT-ENDED"


def test_two_people_with_one_key_are_refused(before: Callable[[str], Path]) -> None:
    """Whoever signs a transcript signs once: names and keys are different."""
    path = before("12-destroy.toml")
    person = '\n[[people]]\nname = "SPECIMEN Witness {}"\nrole = "witness"\nkey_sha256 = "{}"\n'
    text = path.read_text(encoding="utf-8") + person.format(1, "0" * 64) + person.format(2, "0" * 64)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CeremonyInvalid, match="the same key_sha256"):
        load_ceremony(path)


def test_a_token_that_keeps_a_destroyed_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ROOT-DESTROYED: the token must no longer find the key; when it does, the act stays unfinished."""
    folder, store = tmp_path / "root", MemoryKeyStore()
    folder.mkdir()
    perform_all(folder, store, prepare(folder))
    *earlier, last = LATER_ACTS
    live(folder, store, earlier)
    path = write(folder, last, store)
    monkeypatch.setattr(store, "destroy", lambda _: None)
    with pytest.raises(CeremonyRefused, match="ROOT-DESTROYED"):
        perform_file(path, store, moment(last))
    assert (folder / "12-destroy.transcript.json.unfinished").exists()
    assert not (folder / "destroyed.json").exists()
