"""What may come after a signature: forms, appearances and annotations (ISO 32000-2 §12.8.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Pdf, String
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from signing.verify.policy import EUROPEAN
from signing.verify.trust import Trust
from signing.verify.verdict import verify_file
from tests.verify.outcomes import outcome, rules
from tests.verify.verify_world import NOW, World, document

_NAME = generic.NameObject


def form() -> bytes:
    """A page with one text field that shows what it says."""
    with pikepdf.open(BytesIO(document())) as pdf:
        appearance = _appearance(pdf, b"100")
        widget = pdf.make_indirect(
            Dictionary(
                Type=Name.Annot,
                Subtype=Name.Widget,
                FT=Name.Tx,
                T=String("amount"),
                V=String("100"),
                Rect=Array([72, 600, 200, 620]),
                F=4,
                P=pdf.pages[0].obj,
                AP=Dictionary(N=appearance),
            )
        )
        pdf.pages[0].Annots = Array([widget])
        pdf.Root.AcroForm = Dictionary(Fields=Array([widget]), DA=String("/Helv 0 Tf 0 g"))
        output = BytesIO()
        pdf.save(output, object_stream_mode=pikepdf.ObjectStreamMode.disable, compress_streams=False)
    return output.getvalue()


def _appearance(pdf: Pdf, text: bytes) -> Any:
    stream = pdf.make_stream(b"BT /F1 12 Tf (" + text + b") Tj ET")
    stream.Type, stream.Subtype, stream.BBox = Name.XObject, Name.Form, Array([0, 0, 128, 20])
    return stream


def update(data: bytes, change: Callable[[IncrementalPdfFileWriter, Any], None]) -> bytes:
    """An incremental update that changes the text field."""
    writer = IncrementalPdfFileWriter(BytesIO(data))
    field = next(one for one in writer.root["/AcroForm"]["/Fields"] if one.get_object().get("/FT") == "/Tx")
    change(writer, field.get_object())
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


def _new_appearance(writer: IncrementalPdfFileWriter, field: Any, text: bytes) -> None:
    stream = generic.StreamObject(
        {
            _NAME("/Type"): _NAME("/XObject"),
            _NAME("/Subtype"): _NAME("/Form"),
            _NAME("/BBox"): generic.ArrayObject([generic.NumberObject(one) for one in (0, 0, 128, 20)]),
        },
        stream_data=b"BT /F1 12 Tf (" + text + b") Tj ET",
    )
    field["/AP"] = generic.DictionaryObject({_NAME("/N"): writer.add_object(stream)})
    writer.update_container(field)


def fill_in(writer: IncrementalPdfFileWriter, field: Any) -> None:
    field["/V"] = generic.TextStringObject("999")
    _new_appearance(writer, field, b"999")


def swap_appearance(writer: IncrementalPdfFileWriter, field: Any) -> None:
    _new_appearance(writer, field, b"999")


def rewrite_appearance_in_place(writer: IncrementalPdfFileWriter, field: Any) -> None:
    stream = field["/AP"]["/N"]
    stream._data = b"BT /F1 12 Tf (999) Tj ET"
    stream._encoded_data = None
    writer.update_container(stream)


def add_annotation(writer: IncrementalPdfFileWriter, _field: Any) -> None:
    page = writer.root["/Pages"]["/Kids"][0]
    note = generic.DictionaryObject(
        {
            _NAME("/Type"): _NAME("/Annot"),
            _NAME("/Subtype"): _NAME("/FreeText"),
            _NAME("/Rect"): generic.ArrayObject([generic.NumberObject(one) for one in (0, 0, 500, 800)]),
            _NAME("/Contents"): generic.TextStringObject("SPECIMEN cover"),
        }
    )
    page["/Annots"].append(writer.add_object(note))
    writer.update_container(page["/Annots"])


def free_nothing(writer: IncrementalPdfFileWriter, _field: Any) -> None:
    writer.force_write_when_empty = True


def test_a_signed_form_passes(world: World, trust: Trust) -> None:
    """A form that was filled in before it was signed passes, and so it does with evidence behind it."""
    signed = world.sign(form())
    assert outcome(verify_file(signed, "a.pdf", trust, NOW)) == ("TOTAL-PASSED", None)
    assert outcome(verify_file(world.add_evidence(signed), "a.pdf", trust, NOW)) == ("TOTAL-PASSED", None)
    empty = update(signed, free_nothing)
    assert outcome(verify_file(empty, "a.pdf", trust, NOW)) == ("TOTAL-PASSED", None)


@pytest.mark.parametrize(
    ("change", "expected", "rule"),
    [
        (fill_in, ("INDETERMINATE", "SIG_CONSTRAINTS_FAILURE"), "PDF-FORM"),
        (swap_appearance, ("TOTAL-FAILED", "FORMAT_FAILURE"), "PDF-APPEARANCE"),
        (rewrite_appearance_in_place, ("TOTAL-FAILED", "FORMAT_FAILURE"), None),
        (add_annotation, ("TOTAL-FAILED", "FORMAT_FAILURE"), "PDF-ANNOTATION"),
    ],
)
def test_changes_behind_a_signature(
    world: World, trust: Trust, change: Callable[..., None], expected: tuple[str, str], rule: str | None
) -> None:
    """Filled in later: not decided. Shown otherwise, or covered: failed. The file says which rule."""
    changed = update(world.sign(form()), change)
    verdict = verify_file(changed, "a.pdf", trust, NOW)
    assert outcome(verdict) == expected
    assert rule is None or rule in rules(verdict)


def test_another_policy_allows_filling_in(world: World, trust: Trust) -> None:
    """What the strict policy leaves open, a policy may allow; it never allows an appearance without its value."""
    signed = world.sign(form())
    assert outcome(verify_file(update(signed, fill_in), "a.pdf", trust, NOW, EUROPEAN)) == ("TOTAL-PASSED", None)
    swapped = verify_file(update(signed, swap_appearance), "a.pdf", trust, NOW, EUROPEAN)
    assert outcome(swapped)[0] == "TOTAL-FAILED"
