"""``camtrust hsm probe``, as its users run it: on SoftHSM2 and on the emulated HSM, beside OpenSC's own test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from camtrust.cli.main import run
from camtrust.cli.probe import lines
from camtrust.probe.run import Report, _Worker
from camtrust.probe.targets import Target
from foundation.keys.probe.report import Finding, Verdict
from tests import programs
from tests.keys.softhsm import PIN, SoftHsm

BRIEF = ["--sample", "8", "--seconds", "0.1", "--cold-starts", "4"]


@pytest.fixture(scope="module")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    """Two tokens; one of them may be spoilt."""
    made = SoftHsm.new(tmp_path_factory.mktemp("softhsm"))
    for label in ("SPECIMEN may be spoilt", "SPECIMEN kept"):
        made.token(label)
    return made


def address(softhsm: SoftHsm, label: str, pin_file: Path | None = None) -> str:
    plain = softhsm.address(label.replace(" ", "%20"))
    return plain if pin_file is None else f"{plain}&pin-source=file:{pin_file}"


@pytest.fixture
def pin_file(tmp_path: Path) -> Path:
    file = tmp_path / "pin"
    file.write_text(f"{PIN}\n")
    return file


def probe(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the one JSON document, and standard error."""
    code = run(["--json", "hsm", "probe", *arguments])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    return {one["check"]: one["verdict"] for one in report["findings"]}


def test_softhsm_is_reported_on(
    softhsm: SoftHsm, pin_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every check has a verdict; what SoftHSM lacks fails (lock-out, unwrap downgrade), so the exit code is 1; and
    OpenSC sees no object that was not there before.
    """
    monkeypatch.setenv("SOFTHSM2_CONF", softhsm.environment["SOFTHSM2_CONF"])
    label = "SPECIMEN may be spoilt"
    code, report, noted = probe(capsys, address(softhsm, label, pin_file), "--spoil-pin", *BRIEF)
    found = verdicts(report)
    assert code == 1
    assert report["verdict"] == "fail"
    for check in ("module", "threads", "fork", "cold start", "mechanisms", "rates", "key protection", "left behind"):
        assert found[check] == "pass", check
    assert found["unwrap downgrade"] == "fail"
    assert found["PIN lock-out"] == "fail"
    for check in ("threads, by itself", "fork, by itself", "cold start, by itself"):
        assert found[check] in ("pass", "caution"), check
    assert found["17 million keys"] in ("pass", "fail")
    assert "probing: threads" in noted
    assert PIN not in json.dumps(report) + noted
    assert str(pin_file) not in json.dumps(report)
    assert softhsm.tool(label, "--list-objects").strip() == ""


def test_the_emulated_hsm_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """A token made for the run: every check passes, the lock-out too. (Eight keys on a busy machine say little about
    17 million: that verdict is not held to.)
    """
    code, report, _ = probe(capsys, "emulated:", *BRIEF)
    found = verdicts(report)
    assert "PIN lock-out" in found
    judged = found.pop("17 million keys")
    assert set(found.values()) == {"pass"}, report
    assert code == (0 if judged == "pass" else 1)


def test_wrong_pins_are_not_tried_on_a_token_that_is_kept(
    softhsm: SoftHsm, pin_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--spoil-pin on a token whose label does not permit it: refused before anything is tried."""
    monkeypatch.setenv("SOFTHSM2_CONF", softhsm.environment["SOFTHSM2_CONF"])
    code, said, _ = probe(capsys, address(softhsm, "SPECIMEN kept", pin_file), "--spoil-pin", *BRIEF)
    assert code == 4
    assert said["error"]["code"] == "camtrust.probe_token_not_spoilable"


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("pkcs11:token=a", "foundation.key_uri_invalid"),
        ("pkcs11:token=a?module-path=/x.so&pin-value=1234", "foundation.key_uri_invalid"),
        ("pkcs11:token=a?module-path=/x.so&pin-source=|id", "foundation.key_uri_invalid"),
        ("pkcs11:token=a?module-path=/x.so&pin-source=file:/nowhere/pin", "camtrust.probe_pin_missing"),
        ("pkcs11:token=a?module-path=/x.so", "camtrust.probe_pin_missing"),
        ("emulated:elsewhere", "foundation.key_uri_invalid"),
    ],
)
def test_an_address_that_cannot_be_probed_is_refused(uri: str, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No token, no way to the PIN, a PIN in the address, a command for it: exit code 4, and the failure's code."""
    exit_code, said, _ = probe(capsys, uri)
    assert (exit_code, said["error"]["code"]) == (4, code)


def test_a_wrong_pin_and_a_missing_module_are_told(
    softhsm: SoftHsm,
    pin_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What opening the token says is what the command says; nothing was tried."""
    monkeypatch.setenv("SOFTHSM2_CONF", softhsm.environment["SOFTHSM2_CONF"])
    pin_file.write_text("another-pin")
    uri = address(softhsm, "SPECIMEN kept", pin_file)
    for tried, code in (
        (uri, "foundation.token_pin_incorrect"),
        (uri.replace(str(softhsm.module), str(tmp_path / "no.so")), "foundation.key_module_invalid"),
    ):
        exit_code, said, _ = probe(capsys, tried)
        assert (exit_code, said["error"]["code"]) == (4, code)


@pytest.mark.parametrize(
    ("does", "verdict", "said"),
    [
        ("kill -SEGV $$", Verdict.FAIL, "SIGSEGV"),
        ("exit 3", Verdict.UNKNOWN, "exit code 3"),
        (
            'echo loaded; echo \'camtrust-probe {"finding": {"check": "c", "verdict": "pass", '
            '"summary": "s", "details": {}}}\'',
            Verdict.PASS,
            "s",
        ),
    ],
)
def test_a_check_that_takes_its_process_down_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, verdict: Verdict, said: str
) -> None:
    """A crash fails the check and names the signal; a process that only ends came to nothing; a module's own words on
    standard output are not taken for an answer.
    """
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{does}\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    told = _Worker("threads", Target("pin"), "prefix", {}).finding()
    assert told.verdict is verdict
    assert said in told.summary


def test_the_emulated_hsm_is_probed_without_python_pkcs11() -> None:
    """What a worker imports before it opens a module does not need the extra ``hardware``."""
    said = "import sys, camtrust.probe.worker, camtrust.probe.run; sys.exit('pkcs11' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", said], check=False).returncode == 0


def test_the_report_can_be_read() -> None:
    """For people: a line for each check, the failures in capitals, how the verdict on 17 million keys was derived."""
    findings = (
        Finding("threads", Verdict.PASS, "8 threads, 0 failures"),
        Finding("fork, by itself", Verdict.CAUTION, "shares " + "its state " * 20),
        Finding("PIN lock-out", Verdict.NOT_TRIED, "it spoils the token"),
        Finding("17 million keys", Verdict.FAIL, "no", {"derived": "carried on in a straight line"}),
    )
    said = lines(Report("pkcs11:token=SPECIMEN", findings, 12.3))
    assert "  pass      threads               8 threads, 0 failures" in said
    assert any(line.startswith("  CAUTION   fork, by itself") for line in said)
    assert "  not tried PIN lock-out          it spoils the token" in said
    assert "17 million keys: carried on in a straight line." in said
    assert said[-1] == "FAIL: 1 pass, 1 caution, 1 fail, 1 not tried"
    assert max(map(len, said)) <= 120


def test_opensc_tests_softhsm_too(softhsm: SoftHsm) -> None:
    """``pkcs11-tool --test`` on the same token, for comparison: content with an EC key; it does not look at threads,
    forks, cold starts, downgrades, lock-out or numbers of keys. With an RSA key it gives up half-way, at OAEP.
    """
    label = "SPECIMEN kept"
    tested = ("--module", str(softhsm.module), "--token-label", label, "--login", "--pin", PIN, "--test")
    softhsm.tool(label, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "opensc", "--id", "01")
    done = programs.run("pkcs11-tool", *tested, env=softhsm.environment)
    assert "No errors" in done.stdout
    for not_looked_at in ("thread", "fork", "downgrade", "lock"):
        assert not_looked_at not in done.stdout.lower()
    softhsm.tool(label, "--keypairgen", "--key-type", "rsa:2048", "--label", "opensc", "--id", "02")
    done = programs.run("pkcs11-tool", *tested, env=softhsm.environment, check=False)
    assert done.returncode == 1
    assert "C_DecryptInit failed" in done.stderr
