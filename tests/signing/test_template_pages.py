"""What is drawn by a template: Khmer and Latin that read back, the seal image, its place; PDF/A stays what it was."""

from __future__ import annotations

import secrets
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from PIL import Image

from foundation.keys.port import KeyAlgorithm, KeyUse
from signing.errors import NoPlaceForSignature, TemplateUnknown
from signing.model import Level, Signatory
from signing.pdf_options import PdfOptions, Visible
from signing.templates.appearance import Appearance
from signing.verify.model import Indication
from tests import programs
from tests.signing.conftest import Desk
from tests.signing.sample_pdf import sample, with_signature_fields
from tests.signing.seal_images import RED, InThisProcess, specimen
from tests.signing.test_signing_locks import judged
from tests.signing.test_signing_pdfa import claims, tagged

ASKED: dict[str, Any] = {
    "lines": [
        {"text": "ព្រះរាជាណាចក្រ\u200bកម្ពុជា", "bold": True},
        {"text": "បោះត្រាដោយ {organisation}"},
        {"text": "Sealed by {name}"},
        {"text": "{time}", "share": 80},
    ],
    "size": [280, 100],
    "ink": "#7a1010",
    "border": "#b41414",
}


@pytest.fixture
def seal(desk: Desk) -> Signatory:
    """Of an organisation."""
    label = f"seal-{secrets.token_hex(8)}"
    return desk.pki.signatory(desk.keys.generate(label, KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL))


def look(**more: Any) -> Appearance:
    return Appearance.read(ASKED | more, InThisProcess().clean(specimen()))


def sealed(
    desk: Desk,
    seal: Signatory,
    data: bytes,
    words: str,
    level: Level = Level.B_B,
    field: str | None = None,
    **more: Any,
) -> bytes:
    options = PdfOptions(field=field, visible=Visible.parse(words))
    prepared = desk.pades.prepare(data, signatory=seal, level=level, options=options, appearance=look(**more))
    return desk.pades.sign(prepared)


def picture(folder: Path, data: bytes) -> Image.Image:
    (folder / "seen.pdf").write_bytes(data)
    programs.run("pdftoppm", "-r", "72", "-png", "-singlefile", folder / "seen.pdf", folder / "seen")
    return Image.open(folder / "seen.png").convert("RGB")


def reds(image: Image.Image) -> int:
    """Pixels of the seal's own red."""
    return sum(all(abs(a - b) < 40 for a, b in zip(pixel, RED, strict=True)) for pixel in image.get_flattened_data())


@pytest.mark.parametrize(("at", "qr"), [("left", False), ("right", True), ("above", False)])
def test_texts_read_back_and_the_image_is_seen(desk: Desk, seal: Signatory, tmp_path: Path, at: str, qr: bool) -> None:
    """pdftotext gives both scripts, the seal is red in the picture of the page, its code is read; the signature holds
    for us and for pdfsig, fonts are embedded, and qpdf finds nothing wrong."""
    more = {"picture_at": at, "qr": qr, "size": [480, 120], "place": "at=60,300"}
    signed = sealed(desk, seal, sample(), "template=official", Level.B_LT, **more)
    path = tmp_path / "a.pdf"
    path.write_bytes(signed)
    text = programs.run("pdftotext", "-layout", path, "-").stdout.replace("\u200b", "")
    for said in ("ព្រះរាជាណាចក្រកម្ពុជា", "បោះត្រាដោយ", "Sealed by", "+07:00"):
        assert said in text
    page = picture(tmp_path, signed)
    assert min(page.getpixel((70, 842 - 302))) >= 250  # its paper is white, not nearly so
    assert reds(page.crop((60, 842 - 420, 540, 842 - 300))) > 500
    assert reds(page) == reds(page.crop((60, 842 - 420, 540, 842 - 300)))
    for line in programs.run("pdffonts", path).stdout.splitlines()[2:]:
        if "Noto" in line:
            assert line.split()[-5:-2] == ["yes", "yes", "yes"]
    assert judged(desk, signed) == [Indication.TOTAL_PASSED]
    assert "Signature is Valid" in programs.run("pdfsig", "-nocert", path).stdout
    assert "No syntax or stream encoding errors" in programs.run("qpdf", "--check", path).stdout
    if qr:
        programs.run("pdftoppm", "-r", "200", "-png", "-singlefile", path, tmp_path / "code")
        read = programs.run("zbarimg", "-q", "--raw", tmp_path / "code.png").stdout
        assert read.strip() == "https://trust.specimen.invalid/verify"


def test_it_stands_in_a_field_and_after_another(desk: Desk, seal: Signatory, tmp_path: Path) -> None:
    """A field that was named is filled, whatever the template says of its place; a second one finds free space of its
    own size beside the first, and both hold."""
    pdf = pikepdf.open(BytesIO(with_signature_fields("buyer")))
    pdf.Root.AcroForm.Fields[0].Rect = pikepdf.Array([200, 300, 500, 420])
    output = BytesIO()
    pdf.save(output)
    first = sealed(desk, seal, output.getvalue(), "template=official", Level.B_LT, "buyer", place="at=1,1")
    assert reds(picture(tmp_path, first).crop((200, 842 - 420, 500, 842 - 300))) > 300
    second = sealed(desk, seal, first, "template=official", Level.B_LT, place="auto")
    with pikepdf.open(BytesIO(second)) as signed:
        left, bottom, right, top = (float(one) for one in signed.pages[0].Annots[-1].Rect)
    assert (right - left, top - bottom) == (280, 100)
    assert judged(desk, second) == [Indication.TOTAL_PASSED, Indication.TOTAL_PASSED]


def test_what_does_not_fit_is_refused(desk: Desk, seal: Signatory) -> None:
    """In a field that is too small for what was approved, nothing is left out: there is no seal. Nor without the
    appearance that its words name."""
    pdf = pikepdf.open(BytesIO(with_signature_fields("buyer")))
    pdf.Root.AcroForm.Fields[0].Rect = pikepdf.Array([300, 300, 345, 325])
    output = BytesIO()
    pdf.save(output)
    with pytest.raises(NoPlaceForSignature):
        sealed(desk, seal, output.getvalue(), "template=official", field="buyer")
    options = PdfOptions(visible=Visible.parse("template=official"))
    with pytest.raises(TemplateUnknown):
        desk.pades.prepare(sample(), signatory=seal, options=options)


@pytest.mark.parametrize("level", list(Level))
def test_pdfa_and_tags_stay(desk: Desk, seal: Signatory, test_data: Path, level: Level) -> None:
    """A coloured seal on a PDF/A and on a tagged document: what they say of themselves, and what that rests on, is what
    it was. What came is what ISO 19005-2 lets come: embedded fonts with their maps, colours by measured spaces, no
    transparency, no interpolation, and an appearance that can be printed."""
    for document in ((test_data / "pdfs/crazyones-pdfa.pdf").read_bytes(), tagged()):
        made = sealed(desk, seal, document, "template=official", level)
        before, after = claims(document), claims(made)
        assert {key: one for key, one in after.items() if key != "fonts"} == {
            key: one for key, one in before.items() if key != "fonts"
        }
        assert made.startswith(document)
        with pikepdf.open(BytesIO(made)) as pdf:
            [seen] = [one for page in pdf.pages for one in page.get("/Annots", []) if "/AP" in one]
            assert int(seen.F) & 0b100110 == 0b100
            form = seen.AP.N
            spaces = form.Resources.ColorSpace
            assert (spaces.DefaultRGB[0], spaces.DefaultGray[0]) == ("/CalRGB", "/CalGray")
            assert "/Group" not in form
            for state in form.Resources.get("/ExtGState", {}).values():
                assert not {"/SMask", "/BM"} & set(state.keys())
                assert all(float(state.get(key, 1)) == 1 for key in ("/CA", "/ca"))
            [image] = form.Resources.XObject.values()
            assert not {"/SMask", "/Mask", "/Alternates", "/OPI"} & set(image.keys())
            assert not image.get("/Interpolate", False)
            for font in form.Resources.Font.values():
                assert "/ToUnicode" in font
                assert "/FontFile2" in font.DescendantFonts[0].FontDescriptor
