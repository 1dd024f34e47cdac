"""The documentation keeps its promises: what it points to is there, what it names exists, what it shows runs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from camtrust.cli.main import COMMANDS
from camtrust.settings import reference
from tests import programs
from tests.ports import free_port
from tests.project.tree import PACKAGES, ROOT, modules, name, syntax

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
STATES = {"works", "shallow", "missing", "state", "---", ""}
# Families of rules and checks; an ID is a family and one or more words or numbers.
FAMILIES = (
    "AS",
    "AT",
    "AUTH",
    "BND",
    "CMS",
    "EKYC",
    "FMT",
    "KEY",
    "LOG",
    "PAPER",
    "MRZ",
    "OA",
    "OB",
    "OC",
    "OR",
    "PATH",
    "PDF",
    "REV",
    "ROOT",
    "SE",
    "SGN",
)
RULE = re.compile(
    rf"\b(?:{'|'.join((*FAMILIES, 'SIGN-OUT', 'TRUST', 'TST', 'X509', 'XR'))})-[A-Z0-9]+(?:-[A-Z0-9]+)*\b"
)
JUDGES = (
    "signing/verify/",
    "foundation/x509/path.py",
    "foundation/x509/revocation.py",
    "foundation/x509/crl_check.py",
    "foundation/log_proof.py",
)
VERDICT = ("BND", "CMS", "FMT", "LOG", "PAPER", "PATH", "PDF", "REV", "SGN", "TRUST", "TSL", "TST")
COMMAND = re.compile(r"\bcamtrust ((?:--home \S+ )?)([a-z]+)")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page names a file or folder of the repository."""
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_tests_and_files_exist(page: Path) -> None:
    """Each test, test file, package file and example that a page names in code style is there."""
    text = page.read_text(encoding="utf-8")
    files = set(re.findall(r"`((?:tests|docs|deploy|" + "|".join(PACKAGES) + r")/[\w/.-]+)`", text))
    assert not [file for file in files if not (ROOT / file).exists()]
    assert not set(re.findall(r"`(test_\w+)`", text)) - _test_names()
    assert not [file for file in re.findall(r"`(test_\w+\.py)`", text) if not any((ROOT / "tests").rglob(file))]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_rules_exist(page: Path) -> None:
    """Each rule that a page names stands in the code."""
    assert not set(RULE.findall(page.read_text(encoding="utf-8"))) - _rules_in_code()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_commands_exist(page: Path) -> None:
    """Each `camtrust …` that a page shows is a command."""
    text = page.read_text(encoding="utf-8")
    shown = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    shown += re.findall(r"`([^`\n]+)`", text)
    assert not {found[2] for line in shown for found in COMMAND.finditer(line)} - set(COMMANDS)


def test_verification_rules_are_documented() -> None:
    """docs/verification.md names every rule that can speak in a verdict, and no other of these families."""
    sources = [path for path in modules("signing", "foundation") if name(path).startswith(JUDGES)]
    spoken = {one for path in sources for one in _strings(path) if RULE.fullmatch(one) and _family(one) in VERDICT}
    text = (ROOT / "docs/verification.md").read_text(encoding="utf-8")
    assert len(spoken) > 60
    assert {one for one in RULE.findall(text) if _family(one) in VERDICT} == spoken


def test_settings_are_documented() -> None:
    """docs/operations.md holds the table of all settings as the code declares them: key, default, meaning."""
    assert reference() in (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def test_status_speaks_plainly() -> None:
    """Each capability works, is shallow or is missing; what works names the tests that show it."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs/status.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    assert len(rows) > 40
    assert all(len(row) == 4 and row[1] in STATES for row in rows)
    assert not [row[0] for row in rows if row[1] == "works" and "](../tests/" not in row[2]]


def test_make_help_knows_every_target() -> None:
    """`make help` names each target that is for people."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert targets
    unnamed = [one for one in targets[1].split() if one not in {"help", "packages"} and f"make {one} " not in text]
    assert not unnamed


def test_units_name_commands_that_exist() -> None:
    """What the systemd units start is a command of ours, under a user of its own that can gain nothing."""
    units = sorted((ROOT / "deploy").glob("*.service"))
    assert units
    for unit in units:
        text = unit.read_text(encoding="utf-8")
        started = re.search(r"^ExecStart=\S+/camtrust ([a-z]+)", text, re.MULTILINE)
        assert started
        assert started[1] in COMMANDS
        assert "\nUser=camtrust\n" in text
        assert "\nNoNewPrivileges=yes\n" in text
        assert "\nProtectSystem=strict\n" in text


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The demo, told once and then serving: its home and its origin."""
    home = tmp_path_factory.mktemp("tour") / "home"
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-P", "-c", "from camtrust.cli.main import main; main()"]
    log = (home.parent / "demo.log").open("wb")
    process = subprocess.Popen(
        [*command, "demo", "--home", str(home), "--serve", "--port", str(port)],
        stdout=log,
        stderr=log,
        env={**os.environ, "CAMTRUST_PUBLIC_URL": origin},
    )
    try:
        waiting = ("--retry", "180", "--retry-connrefused", "--retry-delay", "1", "--retry-max-time", "200")
        programs.run("curl", "--silent", "--fail", *waiting, f"{origin}/readyz", timeout=240)
        yield home, origin
    finally:
        process.terminate()
        process.wait(120)
        log.close()


def test_the_tour_with_curl_works(served: tuple[Path, str], tmp_path: Path) -> None:
    """docs/examples/tour.sh, as docs/api.md shows it: somebody enrols, signs, and the verdict is TOTAL-PASSED."""
    home, origin = served
    programs.path("curl")
    tour, signed = ROOT / "docs/examples/tour.sh", tmp_path / "letter.signed.pdf"
    done = subprocess.run(
        ["bash", str(tour), str(home), str(home / "documents/specimen-letter-km.pdf"), str(signed), origin],
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable, "CAMTRUST_PUBLIC_URL": origin, "SPECIMEN_NUMBER": "77"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["True", "TOTAL-PASSED"]
    assert signed.read_bytes().startswith(b"%PDF-")


def _strings(path: Path) -> Iterator[str]:
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _family(rule: str) -> str:
    return rule.partition("-")[0]


def _rules_in_code() -> set[str]:
    """Every ID that is a value in the code; one that stands in a docstring alone does not count."""
    return {one for path in modules() for one in _strings(path) if RULE.fullmatch(one)}


def _test_names() -> set[str]:
    return {
        node.name
        for path in modules("tests")
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
