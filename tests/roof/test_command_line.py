"""The command line's manners: exit codes, global options anywhere, JSON alone on standard output, language."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-P", "-c", "from camtrust.cli.main import main; main()"]
COMMANDS = (
    "demo",
    "serve",
    "doctor",
    "hsm",
    "root",
    "ca",
    "ekyc",
    "actors",
    "sign",
    "extend",
    "verify",
    "bundle",
    "db",
)


def camtrust(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it as a person would."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"LC_ALL": "C.UTF-8"} | environment,
        stdin=subprocess.DEVNULL,
    )


def test_help_names_every_command() -> None:
    """`camtrust --help` lists every command and the exit codes, and ends with 0."""
    done = camtrust("--help")
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert "Exit codes" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    """`camtrust NAME --help` explains itself."""
    done = camtrust(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: camtrust" in done.stdout


@pytest.mark.parametrize(
    "arguments", [(), ("nonsense",), ("--lang", "fr"), ("--home",), ("hsm", "nonsense"), ("verify", "--nonsense", "x")]
)
def test_wrong_usage_is_2(arguments: tuple[str, ...]) -> None:
    """Wrong usage ends with 2 and says what to try."""
    assert camtrust(*arguments).returncode == 2


@pytest.mark.parametrize("arguments", [("--help",), ("demo", "--help")])
def test_nobody_listening_is_no_success(arguments: tuple[str, ...]) -> None:
    """Where the reader of the output has gone, the code is 4, never 0, which would say "valid"; and no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [*COMMAND, *arguments]
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (4, "")


def test_a_failure_is_4_with_its_code(tmp_path: Path) -> None:
    """A failure ends with 4; its code and a hint are on standard error; with --json also as JSON."""
    done = camtrust("doctor", "--json", "--home", tmp_path / "nowhere")
    assert done.returncode == 4
    assert "camtrust.home_missing" in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "camtrust.home_missing"


def test_global_options_stand_before_or_after(tmp_path: Path) -> None:
    """--home and --json are understood on either side of the command."""
    before = camtrust("--json", "--home", tmp_path / "a", "hsm", "init")
    after = camtrust("hsm", "init", f"--home={tmp_path / 'b'}", "--json")
    assert json.loads(before.stdout)["made"] is True
    assert json.loads(after.stdout)["made"] is True


def test_the_language_is_chosen_or_taken_from_the_locale(tmp_path: Path) -> None:
    """--lang km and a Khmer locale speak Khmer; any other locale English."""
    khmer = camtrust("doctor", "--lang", "km", "--home", tmp_path / "x").stderr
    locale = camtrust("doctor", "--home", tmp_path / "x", LC_ALL="km_KH.UTF-8").stderr
    assert "គ្មានថត" in khmer
    assert "គ្មានថត" in locale
    assert "There is no CamTrust home" in camtrust("doctor", "--home", tmp_path / "x").stderr


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    """A key that does not exist in camtrust.toml is named, not ignored."""
    home = tmp_path / "home"
    assert camtrust("hsm", "init", "--home", home).returncode == 0
    (home / "camtrust.toml").write_text('[database]\nurk = "x"\n', encoding="utf-8")
    done = camtrust("doctor", "--home", home)
    assert done.returncode == 4
    assert "camtrust.settings_invalid" in done.stderr
    assert "database.urk" in done.stderr


@pytest.mark.parametrize(
    ("toml", "code"),
    [
        ('[keys]\nuri = "kms://vault"\n', "camtrust.keys_unsupported"),
        ('[keys]\nuri = "pkcs11:token=x?module-path=/x.so"\n', "camtrust.module_pin_missing"),
        ('[notify]\nsmtp = "smtp://user@localhost?password_file=/none"\n', "camtrust.settings_invalid"),
        ('[blobs]\nurl = "s3://bucket"\n', "camtrust.settings_unsupported"),
        ('[policies]\narc = "2.16.116"\n', "camtrust.settings_invalid"),
        ('[policies]\narc = "2.16.116.99999"\n', "camtrust.specimen_arc_refused"),
    ],
)
def test_what_is_not_built_is_refused_at_start(tmp_path: Path, toml: str, code: str) -> None:
    """Settings for parts that are absent, arcs that are nobody's, and a specimen below a real arc start nothing."""
    home = tmp_path / "home"
    assert camtrust("hsm", "init", "--home", home).returncode == 0
    (home / "camtrust.toml").write_text(toml, encoding="utf-8")
    done = camtrust("doctor", "--home", home)
    assert done.returncode == 4
    assert code in done.stderr


PACKAGED = "registry.client, registry.service, registry.residents_service, registry.relations_service, ekyc.terms"


@pytest.mark.parametrize(
    ("toml", "keys"),
    [
        ("specimen = false\n", f"policies.arc, registry.url, {PACKAGED}"),
        ('specimen = false\n[policies]\narc = "2.999.116"\n', f"policies.arc, registry.url, {PACKAGED}"),
        (
            'specimen = false\n[policies]\narc = "2.16.116.99999"\n[registry]\nurl = "https://registry.example"\n'
            '[ca]\ntime_source = "assumed"\n',
            f"{PACKAGED}, ca.time_source",
        ),
    ],
)
def test_production_says_what_it_lacks_and_does_not_start(tmp_path: Path, toml: str, keys: str) -> None:
    """`serve` refuses it, and `doctor` has it as its finding, with every setting that is missing."""
    home = tmp_path / "home"
    assert camtrust("hsm", "init", "--home", home).returncode == 0
    (home / "camtrust.toml").write_text(toml, encoding="utf-8")
    served = camtrust("serve", "--home", home, "--port", "0")
    assert served.returncode == 4
    assert "camtrust.production_not_ready" in served.stderr
    assert f"To be set: {keys}." in served.stderr
    assert "From specimen to production" in served.stderr
    looked = camtrust("doctor", "--home", home, "--json")
    assert looked.returncode == 4
    (found,) = json.loads(looked.stdout)["checks"]
    assert (found["check"], found["ok"]) == ("production", False)
    assert f"To be set: {keys}." in found["detail"]
    assert not (home / "camtrust.sqlite").exists()  # nothing was begun


def test_profiles_are_shown_with_the_policies_of_the_home(tmp_path: Path) -> None:
    """`ca profile`: below the arc of its settings; without a home, below that of examples."""
    home = tmp_path / "home"
    assert camtrust("hsm", "init", "--home", home).returncode == 0
    (home / "camtrust.toml").write_text('[policies]\narc = "2.16.116.99999"\n', encoding="utf-8")
    shown = json.loads(camtrust("ca", "profile", "tsa", "--home", home, "--json").stdout)
    assert (shown["policies"]["oids"], shown["specimen"]) == (["2.16.116.99999.2.1"], False)
    with chdir(tmp_path):
        shown = json.loads(camtrust("ca", "profile", "tsa", "--json").stdout)
    assert (shown["policies"]["oids"], shown["specimen"]) == (["2.999.116.2.1"], True)


def test_database_copies(tmp_path: Path) -> None:
    """`db upgrade`, `db backup`, `db restore`: a copy opens and is whole, is never overwritten, and can be put back."""
    home, copy = tmp_path / "home", tmp_path / "copy.sqlite"
    assert camtrust("hsm", "init", "--home", home).returncode == 0
    assert json.loads(camtrust("db", "upgrade", "--home", home, "--json").stdout)["after"]
    assert camtrust("db", "backup", copy, "--home", home).returncode == 0
    again = camtrust("db", "backup", copy, "--home", home)
    assert again.returncode == 4
    assert "camtrust.backup_unusable" in again.stderr
    restored = camtrust("db", "restore", copy, "--home", home, "--json")
    assert restored.returncode == 0, restored.stderr
    assert Path(json.loads(restored.stdout)["kept"]).exists()
    copy.write_bytes(b"not a database at all" * 100)
    refused = camtrust("db", "restore", copy, "--home", home)
    assert refused.returncode == 4
    assert "camtrust.backup_unusable" in refused.stderr
