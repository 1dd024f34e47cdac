"""Reports: XML that the schema of ETSI TS 119 102-2 accepts, and a package from which the verdict can be had again."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from foundation.terminal import Terminal
from signing.verify.batch import Request
from signing.verify.cli import run_verify
from signing.verify.errors import (
    DocumentChanged,
    NothingToReport,
    ReportKindUnknown,
    ReportNeedsFolder,
    ReportNotWritten,
)
from signing.verify.model import FileVerdict, SignatureKind, SignatureVerdict, SubIndication, failed
from signing.verify.policy import STRICT
from signing.verify.report import VR, ReportSource, has_report, validation_report
from signing.verify.report_files import Judged, evidence_package
from signing.verify.trust import Trust
from signing.verify.verdict import verify_file
from tests import programs
from tests.schemas import problems
from tests.verify.verify_world import NOW, World

SCHEMA = "TS119102-2-v141.xsd"
NS = {"r": VR}


def source(data: bytes, trust: Trust, name: str = "signed.pdf") -> ReportSource:
    verdict = verify_file(data, name, trust, NOW)
    return ReportSource(verdict, hashlib.sha256(data).hexdigest(), NOW, STRICT.name)


def said(xml: bytes, path: str) -> list[str]:
    return [one.text or "" for one in etree.fromstring(xml).findall(path, NS)]


def test_a_pass_a_failure_and_a_doubt(world: World, signed: bytes, trust: Trust) -> None:
    """The schema accepts each; the main indication and sub-indication are those of the verdict, in ETSI's words."""
    changed = signed.replace(b"SPECIMEN agreement", b"SPECIMEN AGREEMENT", 1)
    for data, main, sub in ((signed, "total-passed", []), (changed, "total-failed", ["HASH_FAILURE"])):
        xml = validation_report(source(data, trust))
        assert problems(xml, SCHEMA) == []
        status = "r:SignatureValidationReport/r:SignatureValidationStatus"
        assert said(xml, f"{status}/r:MainIndication") == [f"urn:etsi:019102:mainindication:{main}"]
        assert said(xml, f"{status}/r:SubIndication") == [f"urn:etsi:019102:subindication:{one}" for one in sub]
    stale = world.bundle(issued=NOW - timedelta(days=60), expires=NOW - timedelta(days=50))
    doubted = Request(NOW, stale, frozenset({world.pin})).trust()
    xml = validation_report(source(signed, doubted))
    assert problems(xml, SCHEMA) == []
    assert b"BUNDLE_STALE" not in xml  # ours; ETSI's word for it is TRY_LATER
    assert b"subindication:TRY_LATER" in xml


def test_everything_relied_on_is_an_object_of_the_report(signed: bytes, trust: Trust) -> None:
    """Certificates, status and timestamps stand with their digests, and every reference leads to one of them."""
    one = source(signed, trust)
    xml = validation_report(one)
    root = etree.fromstring(xml)
    identifiers = {entry.get("id") for entry in root.iter(f"{{{VR}}}ValidationObject")}
    references = {entry.get("VOReference") for entry in root.iter() if entry.get("VOReference")}
    assert references <= identifiers
    kinds = {text.rsplit(":", 1)[-1] for text in said(xml, ".//r:ValidationObject/r:ObjectType")}
    assert {"signedData", "certificate", "timestamp"} <= kinds
    assert kinds & {"OCSPResponse", "CRL"}
    relied = {item.sha256 for signature in one.verdict.signatures for item in signature.relied_on}
    digests = {
        base64.b64decode(entry.text or "").hex()
        for entry in root.iter("{http://www.w3.org/2000/09/xmldsig#}DigestValue")
    }
    assert relied | {one.sha256} <= digests


def test_no_signature_is_no_report(plain: bytes, trust: Trust) -> None:
    """NO_SIGNATURE is a word of ours and stays out of the XML."""
    one = source(plain, trust)
    assert not has_report(one.verdict)
    with pytest.raises(ValueError, match="no signature"):
        validation_report(one)


def test_what_is_wrong_with_the_file_counts_for_each_signature(signed: bytes, trust: Trust) -> None:
    """A report never says passed of a signature in a file that fails."""
    one = source(signed, trust)
    reason = failed("PDF-BYTES", "test", "verify_format_failure", SubIndication.FORMAT_FAILURE)
    verdict = FileVerdict("signed.pdf", "PDF", one.verdict.signatures, (reason,))
    xml = validation_report(ReportSource(verdict, one.sha256, NOW, STRICT.name))
    main = "r:SignatureValidationReport/r:SignatureValidationStatus/r:MainIndication"
    assert said(xml, main) == ["urn:etsi:019102:mainindication:total-failed"]


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_a_document_calls_itself(field: str, name: str) -> None:
    """Names with controls, markup and lone surrogates: the XML stays valid."""
    reason = failed("CMS-FORM", "test", "verify_format_failure", SubIndication.FORMAT_FAILURE)
    signature = SignatureVerdict(SignatureKind.SIGNATURE, field, (reason,))
    verdict = FileVerdict(name, "PDF", (signature,))
    xml = validation_report(ReportSource(verdict, "00" * 32, NOW, STRICT.name))
    assert problems(xml, SCHEMA) == []


def _request(world: World) -> Request:
    return Request(NOW, world.bundle(), frozenset({world.pin}))


def test_the_package_of_evidence(world: World, signed: bytes, tmp_path: Path) -> None:
    """Everything is in it, by its digest; from what is in it the same verdict comes out again."""
    document = tmp_path / "signed.pdf"
    document.write_bytes(signed)
    package = tmp_path / "evidence.zip"
    assert run_verify(Terminal(json=True), [document], _request(world), report=package) == 0
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "out")
    out = tmp_path / "out"
    done = subprocess.run(
        [programs.path("sha256sum"), "-c", "--quiet", "SHA256SUMS"],
        cwd=out,
        timeout=60,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert (out / "document/signed.pdf").read_bytes() == signed
    assert problems((out / "report/report.xml").read_bytes(), SCHEMA) == []
    pin = (out / "trust/bundle-signer.txt").read_text().strip()
    again = Request(NOW, (out / "trust/camtrust.bundle").read_bytes(), frozenset({pin}))
    assert run_verify(Terminal(json=True), [out / "document/signed.pdf"], again) == 0
    assert "SHA256SUMS" in (out / "README.en.txt").read_text()
    assert "SHA256SUMS" in (out / "README.km.txt").read_text()


def test_a_document_that_changes_meanwhile_gets_no_package(signed: bytes, trust: Trust) -> None:
    """The package would show a document that nobody judged."""
    judged = Judged(source(signed, trust), trust, None, frozenset(), lambda: signed + b" ")
    with pytest.raises(DocumentChanged):
        evidence_package(judged, None)


def test_where_reports_go(world: World, signed: bytes, plain: bytes, tmp_path: Path) -> None:
    """One document, one file; several, a folder; nothing is left half-written."""
    one, two = tmp_path / "a.pdf", tmp_path / "b.pdf"
    one.write_bytes(signed)
    two.write_bytes(plain)
    request, terminal = _request(world), Terminal(json=True)
    with pytest.raises(ReportNeedsFolder):
        run_verify(terminal, [one, two], request, report=tmp_path / "out.xml")
    with pytest.raises(ReportKindUnknown):
        run_verify(terminal, [one], request, report=tmp_path / "out.doc")
    with pytest.raises(ReportKindUnknown):
        run_verify(terminal, [one], request, report=tmp_path / "out.pdf")  # nobody here prints
    with pytest.raises(NothingToReport):
        run_verify(terminal, [two], request, report=tmp_path / "out.xml")
    with pytest.raises(ReportNotWritten):
        run_verify(terminal, [one], request, report=tmp_path / "no" / "out.xml")
    folder = tmp_path / "reports"
    folder.mkdir()
    run_verify(terminal, [one, two], request, jobs=2, report=folder)
    assert [path.name for path in folder.iterdir()] == ["a.pdf.report.xml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "b.pdf", "reports"]
