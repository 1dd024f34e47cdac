"""Appended sections are read by others: tables and streams, encrypted and not, one after another."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.reader import PdfFileReader

from signing.sign.field import add_field, signature_fields
from signing.sign.intake import reopen
from signing.sign.pdf_objects import dictionary, stream, text
from signing.sign.update import Update
from tests import programs
from tests.signing.sample_pdf import encrypted, sample, with_signature_fields

_MODE = pikepdf.ObjectStreamMode
DOCUMENTS = {
    "table": (lambda: sample(object_stream_mode=_MODE.disable), None),
    "streams": (lambda: sample(object_stream_mode=_MODE.generate), None),
    "form": (lambda: with_signature_fields("buyer"), None),
    "aes": (lambda: encrypted("reader", "owner"), "reader"),
    "rc4": (lambda: encrypted("reader", "owner", revision=3), "owner"),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_sections_are_read_by_others(kind: str, tmp_path: Path) -> None:
    """Three sections, each with new and changed objects: qpdf finds nothing to complain about, pikepdf and pyHanko see
    what was put in, and the document is still its beginning."""
    make, password = DOCUMENTS[kind]
    original = make()
    update = Update(reopen(original, password), len(original))
    data = original
    for number in range(3):
        held = update.add(
            dictionary({"/Said": text(f"ជូន {number}"), "/Body": update.add(stream(b"octets %d" % number))})
        )
        update.put(update.root, f"/Specimen{number}", held)
        add_field(update, f"made-{number}", update.add(dictionary()))
        data += update.section()
        assert data.startswith(original)
        path = tmp_path / f"{number}.pdf"
        path.write_bytes(data)
        checked = programs.run("qpdf", "--check", *([f"--password={password}"] if password else []), path)
        assert "No syntax or stream encoding errors" in checked.stdout
        with pikepdf.open(BytesIO(data), password=password or "") as pdf:
            assert str(pdf.Root[f"/Specimen{number}"].Said) == f"ជូន {number}"
            assert pdf.Root[f"/Specimen{number}"].Body.read_bytes() == b"octets %d" % number
        names = [one.name for one in signature_fields(reopen(data, password))]
        assert names[-number - 1 :] == [f"made-{one}" for one in range(number + 1)]
    reader: Any = PdfFileReader(BytesIO(data), strict=True)
    assert reader.total_revisions == PdfFileReader(BytesIO(original)).total_revisions + 3
    assert reader.has_xref_stream == (b"/XRef" in original)


@settings(max_examples=40, deadline=None)
@given(numbers=st.lists(st.integers(1, 40), min_size=1, max_size=8), added=st.integers(0, 5), streams=st.booleans())
def test_any_numbers_stand_in_the_section(numbers: list[int], added: int, streams: bool) -> None:
    """Whichever objects are changed, in runs or scattered: each is found with what was put in, the rest as it was."""

    def many(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Many = pikepdf.Array([pdf.make_indirect(pikepdf.Dictionary(N=one)) for one in range(41)])

    original = sample(many, object_stream_mode=_MODE.generate if streams else _MODE.disable)
    update = Update(reopen(original, None), len(original))
    held = update.root["/Many"]
    for one in numbers:
        update.put(held[one], "/Changed", text(str(one)))
    for one in range(added):
        held.append(update.add(dictionary({"/Added": text(str(one))})))
    update.touch(held)
    with pikepdf.open(BytesIO(original + update.section())) as pdf:
        for one in range(41):
            assert one == pdf.Root.Many[one].N
            assert ("/Changed" in pdf.Root.Many[one]) == (one in numbers)
        assert [str(one.Added) for one in list(pdf.Root.Many)[41:]] == [str(one) for one in range(added)]
        assert pdf.get_warnings() == []


def test_the_identifier_says_what_changed() -> None:
    """Its first half stays for ever; its second is another for each section (ISO 32000-2 §14.4)."""
    original = sample()
    update = Update(reopen(original, None), len(original))
    first = PdfFileReader(BytesIO(original)).trailer["/ID"]
    seen = {first[1].original_bytes}
    data = original
    for number in range(3):
        update.put(update.root, "/Specimen", text(str(number)))
        data += update.section()
        found = PdfFileReader(BytesIO(data)).trailer["/ID"]
        assert found[0].original_bytes == first[0].original_bytes
        seen.add(found[1].original_bytes)
    assert len(seen) == 4
