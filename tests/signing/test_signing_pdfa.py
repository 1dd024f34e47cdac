"""PDF/A and tagged PDFs stay what they were: the claims and what they rest on, before and after signing at each level.

No PDF/A validator is at hand (veraPDF is no Debian or PyPI package). What is compared is what signing could break:
identification in the metadata, output intent, file identifier, no encryption, the structure tree, fonts; and what is
added follows the rules for signatures (ISO 19005-2 §6.4.3): the range covers the whole file, in /Contents is one CMS.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Dictionary, Name, Pdf

from foundation.x509 import der
from signing.forms import PADES
from signing.model import Level
from signing.verify.pdf import read_pdf
from signing.verify.policy import STRICT
from tests.programs import run
from tests.signing.conftest import Desk
from tests.signing.formats import judged, outcome, sealed
from tests.signing.sample_pdf import sample


def tagged() -> bytes:
    """A tagged PDF of one paragraph, in Khmer by its language."""
    pdf = Pdf.open(BytesIO(sample()))
    root = pdf.make_indirect(Dictionary(Type=Name.StructTreeRoot))
    paragraph = pdf.make_indirect(
        Dictionary(Type=Name.StructElem, S=Name.P, P=root, Pg=pdf.pages[0].obj, K=0, Alt="SPECIMEN paragraph")
    )
    root.K = pikepdf.Array([paragraph])
    root.ParentTree = pdf.make_indirect(Dictionary(Nums=pikepdf.Array([0, pikepdf.Array([paragraph])])))
    pdf.pages[0].StructParents = 0
    pdf.Root.StructTreeRoot = root
    pdf.Root.MarkInfo = Dictionary(Marked=True)
    pdf.Root.Lang = "km-KH"
    out = BytesIO()
    pdf.save(out)
    return out.getvalue()


def claims(data: bytes) -> dict[str, Any]:
    """What a PDF says of itself, and what that rests on."""
    with pikepdf.open(BytesIO(data)) as pdf:
        metadata = pdf.open_metadata()
        intents = [bytes(one.DestOutputProfile.read_bytes()) for one in pdf.Root.get("/OutputIntents", [])]
        tree = pdf.Root.get("/StructTreeRoot")
        return {
            "identification": {key: metadata[key] for key in ("pdfaid:part", "pdfaid:conformance") if key in metadata},
            "metadata": bytes(pdf.Root.Metadata.read_bytes()) if "/Metadata" in pdf.Root else b"",
            "intents": intents,
            "identified": bytes(pdf.trailer.ID[0]),
            "encrypted": pdf.is_encrypted,
            "marked": bool(pdf.Root.get("/MarkInfo", {}).get("/Marked", False)),
            "language": str(pdf.Root.get("/Lang", "")),
            "tree": None if tree is None else tree.unparse(resolved=True),
            "parts": [] if tree is None else [str(one.S) for one in tree.get("/K", [])],
            "fonts": sorted(str(one.get("/BaseFont")) for one in pdf.objects if _is_font(one)),
        }


def _is_font(one: Any) -> bool:
    return isinstance(one, Dictionary) and one.get("/Type") == Name.Font


@pytest.mark.parametrize("level", list(Level))
def test_a_tagged_document_stays_tagged(desk: Desk, level: Level, tmp_path: Path) -> None:
    """Structure, language and marks are octet for octet what they were; qpdf finds nothing wrong."""
    document = tagged()
    made = sealed(desk, document, PADES, level)
    before, after = claims(document), claims(made)
    assert before["marked"]
    assert before["parts"] == ["/P"]
    assert before == after
    (tmp_path / "signed.pdf").write_bytes(made)
    assert "No syntax or stream encoding errors" in run("qpdf", "--check", tmp_path / "signed.pdf").stdout


@pytest.mark.parametrize("level", list(Level))
def test_pdfa_stays_pdfa(desk: Desk, test_data: Path, level: Level, tmp_path: Path) -> None:
    """A PDF/A document by another producer still says what it said, with everything that it rests on; no font came that
    is not embedded, for an unseen signature brings none; the signature follows ISO 19005-2 §6.4.3."""
    document = (test_data / "pdfs/crazyones-pdfa.pdf").read_bytes()
    before = claims(document)
    assert before["identification"]["pdfaid:part"]
    assert before["intents"]
    made = sealed(desk, document, PADES, level)
    assert claims(made) == before
    assert made.startswith(document)
    (tmp_path / "signed.pdf").write_bytes(made)
    assert "No syntax or stream encoding errors" in run("qpdf", "--check", tmp_path / "signed.pdf").stdout
    signatures = read_pdf(made, STRICT).signatures
    last = signatures[-1]
    if not level.includes(Level.B_LT):
        assert last.end == len(made)
    for one in signatures:
        start, end = one.byte_range[1], one.byte_range[2]
        assert made[start : start + 1] + made[end - 1 : end] == b"<>"
        assert not one.contents[der.read(one.contents)[2] :].strip(b"\x00")
    if level.includes(Level.B_LT):
        assert outcome(judged(desk, made)) == ("TOTAL-PASSED", None)
