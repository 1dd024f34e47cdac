"""The demo from outside: the command that `make demo` runs, its artifacts, a second run, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs import path as program
from tests.programs import run as run_program

COMMAND = [sys.executable, "-P", "-c", "from camtrust.cli.main import main; main()"]
ALONE = ["--map-root-user", "--net"]


def camtrust(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person would; gives status and output."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"LC_ALL": "C.UTF-8"} | environment,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A home in which the story was told once, on documents that it made itself."""
    home = tmp_path_factory.mktemp("demo") / "home"
    done = camtrust("demo", "--home", home, "--json")
    assert done.returncode == 0, done.stderr
    yield home, json.loads(done.stdout)
    shutil.rmtree(home)


def test_the_contract_s_artifacts_are_left(told: tuple[Path, dict[str, Any]]) -> None:
    """Every artifact that the contract names is there, and every station is in summary.json with its duration."""
    home, summary = told
    for name in (
        "root/root.pem",
        "root/transcript.json",
        "root/root.crl",
        "ca/issuing.pem",
        "ca/issuing.crl",
        "trust/camtrust.bundle",
        "trust/bundle-signer.txt",
        "citizen/certificate.pem",
        "summary.json",
    ):
        assert (home / name).stat().st_size > 0, name
    documents = sorted((home / "documents").glob("*.signed.pdf"))
    assert len(documents) == 3
    for document in documents:
        name = document.name.removesuffix(".signed.pdf")
        verdict = json.loads((home / f"documents/{name}.verdict.json").read_text(encoding="utf-8"))
        assert verdict["files"][0]["indication"] == "TOTAL-PASSED"
        assert (home / f"documents/{name}.pdf").exists()
    assert json.loads((home / "summary.json").read_text(encoding="utf-8")) == summary
    assert len(summary["stations"]) == 8
    assert all(station["seconds"] >= 0 for station in summary["stations"])
    assert summary["documents"]["verdicts"] == {"TOTAL-PASSED": 3, "changed byte": 1}


def test_everything_says_specimen(told: tuple[Path, dict[str, Any]]) -> None:
    """Every certificate's subject says SPECIMEN, and so does each verdict."""
    home, _ = told
    for file in (*home.glob("root/*.pem"), *home.glob("ca/*.pem"), home / "citizen/certificate.pem"):
        subject = run_program("openssl", "x509", "-in", file, "-noout", "-subject", "-nameopt", "utf8").stdout
        assert "SPECIMEN" in subject, file
    for file in home.glob("documents/*.verdict.json"):
        verdict = json.loads(file.read_text(encoding="utf-8"))
        assert verdict["bundle"]["specimen"] is True


def test_a_second_run_keeps_the_root_and_enrols_anew(told: tuple[Path, dict[str, Any]]) -> None:
    """Told again: the same root and CA, another person's certificate, a bundle with the next number."""
    home, _ = told
    before = {
        name: (home / name).read_bytes() for name in ("root/root.pem", "ca/issuing.pem", "citizen/certificate.pem")
    }
    done = camtrust("demo", "--home", home, "--json")
    assert done.returncode == 0, done.stderr
    assert (home / "root/root.pem").read_bytes() == before["root/root.pem"]
    assert (home / "ca/issuing.pem").read_bytes() == before["ca/issuing.pem"]
    assert (home / "citizen/certificate.pem").read_bytes() != before["citizen/certificate.pem"]
    stations = {one["name"]: one for one in json.loads(done.stdout)["stations"]}
    assert stations["bundle"]["sequence"] >= 2


def test_it_runs_where_only_loopback_is_up(tmp_path: Path) -> None:
    """The whole story in a network namespace in which nothing but the loopback interface is up."""
    script = 'ip link set lo up && exec "$@"'
    done = run_program(
        "unshare", *ALONE, "sh", "-c", script, "sh", *COMMAND, "demo", "--home", str(tmp_path / "home"), "--json",
        timeout=240,
    )  # fmt: skip
    assert json.loads(done.stdout)["documents"]["verdicts"]["TOTAL-PASSED"] == 3
    assert program("ip")


def test_a_home_that_it_did_not_make_is_refused(tmp_path: Path) -> None:
    """A folder with somebody's files in it is left as it is; exit code 4 and the code on standard error."""
    (tmp_path / "letter.txt").write_text("mine", encoding="utf-8")
    done = camtrust("demo", "--home", tmp_path)
    assert done.returncode == 4
    assert "camtrust.home_refused" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["letter.txt"]


def test_a_folder_without_documents_is_told(told: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """DEMO_PDFS that names an empty folder is a clear failure, not a demo of nothing."""
    home, _ = told
    done = camtrust("demo", "--home", home, DEMO_PDFS=str(tmp_path))
    assert done.returncode == 4
    assert "camtrust.documents_missing" in done.stderr


def test_real_documents_are_signed_or_refused_with_the_cause(test_data: Path, tmp_path: Path) -> None:
    """14 real PDFs: 13 signed, valid offline, accepted by qpdf and pdfsig; the protected one names its cause."""
    home = tmp_path / "home"
    done = camtrust("demo", "--home", home, "--json", DEMO_PDFS=str(test_data / "pdfs"))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["documents"]["signed"] == 13
    assert summary["documents"]["verdicts"]["TOTAL-PASSED"] == 13
    refused = json.loads((home / "documents/libreoffice-writer-password.verdict.json").read_text(encoding="utf-8"))
    assert refused["refused"]["code"] == "signing.document_password_required"
    for document in sorted((home / "documents").glob("*.signed.pdf")):
        run_program("qpdf", "--check", document)
        assert "Signature is Valid" in run_program("pdfsig", "-nocert", document).stdout


def test_the_protected_document_is_signed_once_its_password_is_given(
    told: tuple[Path, dict[str, Any]], test_data: Path, tmp_path: Path
) -> None:
    """`camtrust sign --password-file` signs inside the encrypted PDF; `camtrust verify --password-file` passes it.

    The PIN and the code here are wrong on purpose first: the document is then not signed and nothing is written.
    """
    home, _ = told
    credential = json.loads(camtrust("ekyc", "list", "--json", "--home", home).stdout)["enrolments"][0]["credential_id"]
    password = tmp_path / "password.txt"
    password.write_text("openpassword\n", encoding="ascii")
    document = tmp_path / "protected.pdf"
    shutil.copyfile(test_data / "pdfs/libreoffice-writer-password.pdf", document)
    done = camtrust(
        "sign", document, "--credential", credential, "--password-file", password, "--home", home,
        CAMTRUST_SIGN_PIN="314159", CAMTRUST_SIGN_CODE="000000",
    )  # fmt: skip
    assert done.returncode == 4
    assert "foundation.pin_incorrect" in done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["password.txt", "protected.pdf"]
