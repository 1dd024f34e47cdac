"""Unsigned documents by several producers, for the benign set: what stands before the first signature."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any

import pikepdf
from pikepdf import Dictionary, Name
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from tests.attacks.specimens import form_document, saved
from tests.verify.verify_world import document


def _pikepdf(**options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        with pikepdf.open(BytesIO(document())) as pdf:
            return saved(pdf, **options)

    return make


def _pikepdf_with(change: Callable[[pikepdf.Pdf], None]) -> Callable[[], bytes]:
    def make() -> bytes:
        with pikepdf.open(BytesIO(document())) as pdf:
            change(pdf)
            return saved(pdf)

    return make


def _attachment(pdf: pikepdf.Pdf) -> None:
    pdf.attachments["note.txt"] = b"SPECIMEN note"


def _outline(pdf: pikepdf.Pdf) -> None:
    with pdf.open_outline() as outline:
        outline.root.append(pikepdf.OutlineItem("SPECIMEN", 0))


def _link(pdf: pikepdf.Pdf) -> None:
    page = pdf.pages[0].obj
    note = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=[72, 700, 300, 740], Border=[0, 0, 0])
    page.Annots = pdf.make_indirect(pikepdf.Array([pdf.make_indirect(note)]))


def _pages(pdf: pikepdf.Pdf) -> None:
    for _ in range(11):
        pdf.add_blank_page(page_size=(595, 842))


def _title(pdf: pikepdf.Pdf) -> None:
    pdf.docinfo["/Title"] = "SPECIMEN agreement"
    with pdf.open_metadata() as metadata:
        metadata["dc:title"] = "SPECIMEN agreement"


def _pypdf() -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer, output = PdfWriter(clone_from=PdfReader(BytesIO(document()))), BytesIO()
    writer.write(output)
    return output.getvalue()


def _pypdf_incremental() -> bytes:
    """An update that a producer made before anybody signed."""
    from pypdf import PdfWriter

    writer, output = PdfWriter(BytesIO(document()), incremental=True), BytesIO()
    writer.add_metadata({"/Title": "SPECIMEN agreement"})
    writer.add_blank_page(300, 300)
    writer.write(output)
    return output.getvalue()


def _fpdf() -> bytes:
    from fpdf import FPDF

    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=14)
    pdf.cell(text="SPECIMEN agreement")
    return bytes(pdf.output())


def _without_identity() -> bytes:
    """A trailer without /ID, as browsers write it: each update gives the document another one."""
    return re.sub(rb"/ID \[[^\]]*\]", lambda found: b" " * len(found[0]), document())


def _pyhanko_incremental() -> bytes:
    """An update that adds a note before anybody signed."""
    writer = IncrementalPdfFileWriter(BytesIO(document()))
    page = writer.root["/Pages"]["/Kids"][0]
    page["/Annots"] = generic.ArrayObject()
    writer.update_container(page)
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


_SOURCES: dict[str, Callable[[], bytes]] = {
    "pikepdf": document,
    "pikepdf-object-streams": _pikepdf(object_stream_mode=pikepdf.ObjectStreamMode.generate, compress_streams=True),
    "qpdf-linearised": _pikepdf(linearize=True),
    "qpdf-linearised-object-streams": _pikepdf(
        linearize=True, object_stream_mode=pikepdf.ObjectStreamMode.generate, compress_streams=True
    ),
    "qpdf-qdf": _pikepdf(qdf=True),
    "attachment": _pikepdf_with(_attachment),
    "outline": _pikepdf_with(_outline),
    "link": _pikepdf_with(_link),
    "twelve-pages": _pikepdf_with(_pages),
    "title": _pikepdf_with(_title),
    "pypdf": _pypdf,
    "pypdf-incremental": _pypdf_incremental,
    "fpdf2": _fpdf,
    "without-identity": _without_identity,
    "pyhanko-incremental": _pyhanko_incremental,
    "form": form_document,
}
SOURCES = {name: cache(make) for name, make in _SOURCES.items()}
