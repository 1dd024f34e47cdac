"""What is seen of a signature: Khmer and Latin, where it was asked for, readable by machines."""

from __future__ import annotations

import dataclasses
import secrets
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foundation.keys.port import KeyAlgorithm, KeyUse
from signing.errors import NoPlaceForSignature, OptionInvalid
from signing.model import FieldAction, FieldLock, Level, Signatory
from signing.pdf_options import PdfOptions, Visible, Where
from signing.verify.model import Indication
from tests import programs
from tests.signing.conftest import Desk
from tests.signing.sample_pdf import encrypted, sample, with_signature_fields
from tests.signing.test_signing_locks import CLOSED, judged, signed_by

NAME = "សុខ\u200bសុភា SPECIMEN"


@pytest.fixture
def ministry(desk: Desk) -> Signatory:
    """A seal of an organisation whose name is Khmer."""
    info = desk.keys.generate(f"seal-{secrets.token_hex(8)}", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    plain = desk.pki.signatory(info)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "KH"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ក្រសួង\u200bប្រៃសណីយ៍\u200bនិង\u200bទូរគមនាគមន៍"),
            x509.NameAttribute(NameOID.COMMON_NAME, NAME),
        ]
    )
    issued = desk.pki.issuing.certify(
        plain.certificate.public_key(),
        subject,
        desk.clock.now(),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        *((one.value, one.critical) for one in plain.certificate.extensions if isinstance(one.value, x509.KeyUsage)),
    )
    return dataclasses.replace(plain, certificate=issued)


def stamped(desk: Desk, signatory: Signatory, data: bytes, words: str, level: Level = Level.B_B, **more: Any) -> bytes:
    password = more.pop("password", None)
    options = PdfOptions(visible=Visible.parse(words), **more)
    return desk.pades.sign(
        desk.pades.prepare(data, signatory=signatory, level=level, password=password, options=options)
    )


def picture(folder: Path, data: bytes, page: int = 1, *more: str) -> Image.Image:
    (folder / "seen.pdf").write_bytes(data)
    programs.run(
        "pdftoppm", "-r", "72", "-png", "-f", str(page), "-l", str(page), *more, folder / "seen.pdf", folder / "seen"
    )
    return Image.open(next(folder.glob("seen-*.png"))).convert("L")


def box_of(data: bytes, page: int = 0) -> list[float]:
    with pikepdf.open(BytesIO(data)) as pdf:
        return [float(one) for one in pdf.pages[page].Annots[-1].Rect]


def test_its_text_reads_back(desk: Desk, ministry: Signatory, tmp_path: Path) -> None:
    """pdftotext gives Khmer and Latin in their order, without the break that is not drawn; fonts are subsets inside."""
    signed = stamped(desk, ministry, sample(), "auto qr", Level.B_LT)
    path = tmp_path / "a.pdf"
    path.write_bytes(signed)
    text = programs.run("pdftotext", "-layout", path, "-").stdout.replace("\u200b", "")
    for said in ("បានចុះហត្ថលេខាឌីជីថល", "Signed digitally", "សុខសុភា SPECIMEN", "ក្រសួងប្រៃសណីយ៍និងទូរគមនាគមន៍", "+07:00"):
        assert said in text
    fonts = programs.run("pdffonts", path).stdout
    assert "NotoSansKhmer" in fonts
    for line in fonts.splitlines()[2:]:
        if "Noto" in line:
            assert line.split()[-5:-2] == ["yes", "yes", "yes"]  # embedded, subset, with a map to Unicode
    assert judged(desk, signed) == [Indication.TOTAL_PASSED]
    assert "No syntax or stream encoding errors" in programs.run("qpdf", "--check", path).stdout
    assert "Signature is Valid" in programs.run("pdfsig", "-nocert", path).stdout


def test_its_code_leads_to_verification(desk: Desk, ministry: Signatory, tmp_path: Path) -> None:
    """The QR code is read from a picture of the page."""
    picture(tmp_path, stamped(desk, ministry, sample(), "auto qr size=300x120"), 1, "-r", "200")
    read = programs.run("zbarimg", "-q", "--raw", next(tmp_path.glob("seen-*.png"))).stdout
    assert read.strip() == "https://trust.specimen.invalid/verify"


def test_it_stands_where_it_was_asked_for(desk: Desk, ministry: Signatory, tmp_path: Path) -> None:
    """By coordinates: there is ink in that rectangle and nowhere else that there was none."""
    signed = stamped(desk, ministry, sample(), "at=100,200 page=1 size=200x60")
    assert box_of(signed) == [100, 200, 300, 260]
    before, after = picture(tmp_path, sample()), picture(tmp_path, signed)
    for x in range(0, 595, 5):
        for y in range(0, 842, 5):
            inside = 99 <= x <= 301 and 841 - 261 <= y <= 843 - 200
            assert inside or before.getpixel((x, y)) == after.getpixel((x, y))
    assert sum(one < 128 for one in after.crop((100, 842 - 260, 300, 842 - 200)).get_flattened_data()) > 200


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_page_that_is_shown_rotated(desk: Desk, ministry: Signatory, tmp_path: Path, rotation: int) -> None:
    """The place is that of the page as it is shown, and the words stand upright on it, with an offset crop box too."""

    def rotate(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].Rotate = rotation
        pdf.pages[0].MediaBox = pikepdf.Array([-50, -20, 545, 822])

    seen = picture(tmp_path, stamped(desk, ministry, sample(rotate), "at=40,50 size=200x60"))
    (tmp_path / "seen-1.png").unlink()
    upright = picture(tmp_path, stamped(desk, ministry, sample(), "at=40,50 size=200x60"))
    there = seen.crop((40, seen.height - 110, 240, seen.height - 50))
    wanted = upright.crop((40, upright.height - 110, 240, upright.height - 50))
    close = sum(abs(a - b) < 100 for a, b in zip(there.get_flattened_data(), wanted.get_flattened_data(), strict=True))
    assert close > 0.9 * 200 * 60
    assert sum(one < 128 for one in there.get_flattened_data()) > 200


def test_free_space_is_found(desk: Desk, ministry: Signatory) -> None:
    """At the foot of the last page, right; a second one beside or above the first; on a full document: refused."""
    first = stamped(desk, ministry, sample(), "auto")
    left, bottom, right, top = box_of(first)
    assert (right, bottom) == (571, 24)
    second = box_of(stamped(desk, ministry, first, "auto"))
    assert second[2] <= left or second[1] >= top or second[3] <= bottom

    def fill(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].Contents = pdf.make_stream(b"0.5 g 0 0 595 842 re f")

    with pytest.raises(NoPlaceForSignature):
        stamped(desk, ministry, sample(fill), "auto")


def test_words_are_an_anchor(desk: Desk, ministry: Signatory) -> None:
    """Under the words where there is room; words that are not there are told."""
    left, _, _, top = box_of(stamped(desk, ministry, sample(), "size=150x50 anchor=SPECIMEN agreement"))
    assert left == pytest.approx(72, abs=5)
    assert 690 < top < 722
    with pytest.raises(NoPlaceForSignature):
        stamped(desk, ministry, sample(), "anchor=Borrower")
    with pytest.raises(NoPlaceForSignature):
        stamped(desk, ministry, sample(), "at=500,10")
    with pytest.raises(NoPlaceForSignature):
        stamped(desk, ministry, sample(), "at=10,10 page=2")


def test_a_named_field_is_filled(desk: Desk, ministry: Signatory, tmp_path: Path) -> None:
    """A field with an area shows who signed in it, asked for or not; one without has no place."""
    pdf = pikepdf.open(BytesIO(with_signature_fields("buyer", "seller")))
    pdf.Root.AcroForm.Fields[0].Rect = pikepdf.Array([300, 300, 500, 360])
    output = BytesIO()
    pdf.save(output)
    data = output.getvalue()
    prepared = desk.pades.prepare(data, signatory=ministry, level=Level.B_LT, options=PdfOptions("buyer"))
    signed = desk.pades.sign(prepared)
    assert judged(desk, signed) == [Indication.TOTAL_PASSED]
    assert sum(one < 128 for one in picture(tmp_path, signed).crop((300, 482, 500, 542)).get_flattened_data()) > 200
    with pytest.raises(NoPlaceForSignature):
        stamped(desk, ministry, data, "field", field="seller")
    with pytest.raises(OptionInvalid):
        stamped(desk, ministry, data, "at=1,1", field="buyer")


def test_an_encrypted_document(desk: Desk, ministry: Signatory, tmp_path: Path) -> None:
    """The appearance is encrypted with everything else, and shown with the password."""
    signed = stamped(desk, ministry, encrypted("reader", "owner"), "auto", password="reader")
    path = tmp_path / "a.pdf"
    path.write_bytes(signed)
    assert "+07:00" in programs.run("pdftotext", "-upw", "reader", path, "-").stdout


def test_two_people_and_a_seal_are_all_seen(desk: Desk, ministry: Signatory, tmp_path: Path) -> None:
    """Three visible signatures on one page; none covers another, all are there in the picture."""
    data = sample()
    for _ in range(2):
        data = signed_by(desk, desk.person(), data, options=PdfOptions(visible=Visible.parse("auto")))
    data = stamped(desk, ministry, data, "auto", Level.B_LT, lock=CLOSED)
    with pikepdf.open(BytesIO(data)) as pdf:
        boxes = [[float(one) for one in annotation.Rect] for annotation in pdf.pages[0].Annots]
    assert len(boxes) == 3
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@pytest.mark.parametrize(
    "words",
    [
        *("", "sideways", "at=1", "at=1,2 at=3,4", "page=0", "size=10x5", "size=99999x10", "anchor=", "auto field"),
        *("at=1,2 auto", "qr anchor= ", "page=1;at=2,3", "at=nan,1", "at=1e9,1", "field at=1,2", "field auto"),
    ],
)
def test_words_that_say_nothing_are_refused(words: str) -> None:
    """Before anything is done with them."""
    with pytest.raises(OptionInvalid):
        Visible.parse(words)


@given(
    visible=st.none()
    | st.builds(
        Visible,
        st.sampled_from(Where),
        st.none() | st.integers(-5, 5),
        st.none() | st.tuples(st.floats(0, 500), st.floats(0, 500)),
        st.tuples(st.floats(60, 300), st.floats(24, 300)),
        st.none() | st.text(max_size=20),
        st.booleans(),
    ),
    lock=st.none()
    | st.builds(
        FieldLock,
        st.sampled_from(FieldAction),
        st.lists(st.text(max_size=9), max_size=3).map(tuple),
        st.none() | st.integers(1, 3),
    ),
    field=st.none() | st.text(max_size=20),
    certify=st.none() | st.integers(1, 3),
)
def test_options_are_kept_as_they_are(
    visible: Visible | None, lock: FieldLock | None, field: str | None, certify: int | None
) -> None:
    """Whatever is asked for comes back from where it is kept."""
    options = PdfOptions(field, lock, certify, visible)
    assert PdfOptions.decode(options.encode()) == options


@pytest.mark.parametrize(
    ("lock", "read"),
    [
        ("all", FieldLock(FieldAction.ALL)),
        ("all close", FieldLock(FieldAction.ALL, (), 1)),
        ("include=buyer, seller forms", FieldLock(FieldAction.INCLUDE, ("buyer", "seller"), 2)),
        ("exclude=a b notes", FieldLock(FieldAction.EXCLUDE, ("a b",), 3)),
        ("include=", None),
        ("everything", None),
        ("all=x", None),
    ],
)
def test_locks_in_words(lock: str, read: FieldLock | None) -> None:
    """What they say, or that they say nothing."""
    if read is None:
        with pytest.raises(OptionInvalid):
            PdfOptions.parse(lock=lock)
        return
    assert PdfOptions.parse(lock=lock).lock == read
