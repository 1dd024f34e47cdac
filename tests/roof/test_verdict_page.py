"""The printed report of a verification, as pages that a reader and a program can read."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from camtrust.verdict_page import print_verdict
from foundation.catalogue import Language
from signing.verify.model import FileVerdict, SignatureKind, SignatureVerdict, SubIndication, failed
from signing.verify.policy import STRICT
from signing.verify.report import ReportSource
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests import programs
from tests.verify.verify_world import NOW, World, document

TRUSTED = build_trust(None, frozenset(), [], NOW, STRICT)


def read(pdf: bytes, folder: Path) -> str:
    path = folder / "report.pdf"
    path.write_bytes(pdf)
    subprocess.run([programs.path("qpdf"), "--check", path], check=True, capture_output=True, timeout=60)
    done = subprocess.run(
        [programs.path("pdftotext"), "-layout", path, "-"], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.replace("\u200b", "")


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_the_answer_stands_first_in_both_languages(world: World, tmp_path: Path) -> None:
    """What the command says first, the page says first; each rule that spoke and each digest is on it."""
    data = world.signed(document())
    trust = build_trust(world.bundle(), frozenset({world.pin}), [], NOW, STRICT)
    for octets, word in ((data, "YES"), (data.replace(b"SPECIMEN agreement", b"SPECIMEN AGREEMENT", 1), "NO:")):
        verdict = verify_file(octets, "folder/signed.pdf", trust, NOW)
        sha256 = hashlib.sha256(octets).hexdigest()
        page = read(print_verdict(ReportSource(verdict, sha256, NOW, STRICT.name), trust), tmp_path)
        assert word in page
        assert verdict.headline(Language.KM).replace("\u200b", "") in page
        assert sha256 in page
        assert "folder" not in page
        for reason in verdict.signatures[0].reasons:
            assert reason.rule == "SPECIMEN" or f"[{reason.rule} " in page
        for item in verdict.signatures[0].relied_on:
            assert item.sha256 in page


def test_the_same_verdict_gives_the_same_pages(tmp_path: Path) -> None:
    """Only the metadata's time of making differs."""
    verdict = verify_file(document(), "plain.pdf", TRUSTED, NOW)
    source = ReportSource(verdict, "11" * 32, NOW, STRICT.name)
    first, second = print_verdict(source, TRUSTED), print_verdict(source, TRUSTED)
    assert read(first, tmp_path) == read(second, tmp_path)
    assert first.count(b"1111111111111111") == second.count(b"1111111111111111") > 0


def test_a_hostile_name_stays_on_its_line(tmp_path: Path) -> None:
    """A name with line breaks and direction marks cannot write an answer of its own onto the page."""
    reason = failed("CMS-FORM", "test", "verify_format_failure", SubIndication.FORMAT_FAILURE)
    name = "x\n\nYES: you can rely\u202e on this.pdf"
    verdict = FileVerdict(name, "PDF", (SignatureVerdict(SignatureKind.SIGNATURE, name, (reason,)),))
    page = read(print_verdict(ReportSource(verdict, "22" * 32, NOW, STRICT.name), TRUSTED), tmp_path)
    assert not any(line.strip().startswith("YES") for line in page.splitlines())
    assert "\u202e" not in page
