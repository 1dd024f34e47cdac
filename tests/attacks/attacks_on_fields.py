"""Attacks on form fields after signing: what a field shows is not what it says, fields that grow, prepared fields, later signatures that
cover something, and changes that a certification or a lock forbids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from pikepdf import Array, Dictionary, Name, Pdf, String
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import FieldMDPAction, FieldMDPSpec, SigFieldSpec, append_signature_field

from tests.attacks.benign import fill_by_hand, tick
from tests.attacks.increments import changed
from tests.attacks.specimens import Attack, Specimens, appearance, form_document
from tests.verify.verify_world import document

NO = ("TOTAL-FAILED", "FORMAT_FAILURE")
OPEN = ("INDETERMINATE", "SIG_CONSTRAINTS_FAILURE")
_RECT = (72, 560, 400, 580)


def _field(pdf: Pdf, index: int) -> Any:
    return pdf.Root.AcroForm.Fields[index]


def _drawn(pdf: Pdf, body: bytes, **more: Any) -> Any:
    stream = appearance(pdf, _RECT, b"", pdf.Root.AcroForm.DR.Font.Helv, body)
    for key, value in more.items():
        stream[Name(f"/{key}")] = value
    return stream


def _filled(value: str, body: bytes, index: int = 1, **more: Any) -> Callable[[Pdf], list[Any]]:
    """The empty field says ``value`` and shows what ``body`` draws."""

    def change(pdf: Pdf) -> list[Any]:
        field = _field(pdf, index)
        field.V = String(value)
        field.AP = Dictionary(N=_drawn(pdf, body, **more))
        return [field, field.AP.N]

    return change


def _text(text: bytes, before: bytes = b"", after: bytes = b"", size: int = 12, at: bytes = b"2 5") -> bytes:
    return b"q " + before + b" BT /Helv %d Tf 0 g " % size + at + b" Td (" + text + b") Tj ET " + after + b" Q"


def _set(index: int, **entries: Any) -> Callable[[Pdf], list[Any]]:
    def change(pdf: Pdf) -> list[Any]:
        field = _field(pdf, index)
        for key, value in entries.items():
            field[Name(f"/{key}")] = value
        return [field]

    return change


def _shown_alone(pdf: Pdf) -> list[Any]:
    field = _field(pdf, 0)
    field.AP = Dictionary(N=_drawn(pdf, _text(b"900")))
    return [field, field.AP.N]


def _shown_in_place(pdf: Pdf) -> list[Any]:
    drawn = _field(pdf, 0).AP.N
    drawn.write(_text(b"900"))
    return [drawn]


def _both_in_place(pdf: Pdf) -> list[Any]:
    field, drawn = _field(pdf, 0), _field(pdf, 0).AP.N
    field.V = String("900")
    drawn.write(_text(b"900"))
    return [field, drawn]


def _states_swapped(pdf: Pdf) -> list[Any]:
    states = _field(pdf, 2).AP.N
    states.Yes, states.Off = states.Off, states.Yes
    return [_field(pdf, 2)]


def _state_drawn(pdf: Pdf) -> list[Any]:
    drawn = _field(pdf, 2).AP.N.Off
    drawn.write(b"0 0 m 18 18 l S")
    return [drawn]


def _ticked_elsewhere(pdf: Pdf) -> list[Any]:
    field = _field(pdf, 2)
    field.AP.N.Other = _drawn(pdf, _text(b"x"))
    field.V = field.AS = Name.Other
    return [field, field.AP.N.Other]


def _font_of_its_own(pdf: Pdf) -> list[Any]:
    program = pdf.make_stream(b"SPECIMEN")
    font = Dictionary(
        Type=Name.Font, Subtype=Name.TrueType, BaseFont=Name.Arial, FontDescriptor=Dictionary(FontFile2=program)
    )
    field = _field(pdf, 1)
    field.V, field.AP = String("one"), Dictionary(N=_drawn(pdf, _text(b"one")))
    field.AP.N.Resources = Dictionary(Font=Dictionary(Helv=pdf.make_indirect(font)))
    return [field, field.AP.N, field.AP.N.Resources.Font.Helv, program]


def _encoding_of_its_own(pdf: Pdf) -> list[Any]:
    font = Dictionary(
        Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica,
        Encoding=Dictionary(Differences=Array([49, Name("/nine")])),
    )  # fmt: skip
    field = _field(pdf, 1)
    field.V, field.AP = String("100"), Dictionary(N=_drawn(pdf, _text(b"100")))
    field.AP.N.Resources = Dictionary(Font=Dictionary(Helv=pdf.make_indirect(font)))
    return [field, field.AP.N, field.AP.N.Resources.Font.Helv]


def _layer_in_appearance(pdf: Pdf) -> list[Any]:
    field = _field(pdf, 1)
    group = pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String("SPECIMEN")))
    field.V, field.AP = String("one"), Dictionary(N=_drawn(pdf, _text(b"one"), OC=group))
    return [field, field.AP.N, group]


def _removed(pdf: Pdf) -> list[Any]:
    form = pdf.Root.AcroForm
    form.Fields = Array(list(form.Fields)[1:])
    return [form]


def _other_default_font(pdf: Pdf) -> list[Any]:
    form = pdf.Root.AcroForm
    form.DR.Font.Helv = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Symbol))
    return [form, form.DR.Font.Helv]


def _default_font_in_place(pdf: Pdf) -> list[Any]:
    font = pdf.Root.AcroForm.DR.Font.Helv
    font.BaseFont = Name.Symbol
    return [font]


def _widget_added(pdf: Pdf) -> list[Any]:
    field = _field(pdf, 0)
    widget = pdf.make_indirect(
        Dictionary(Type=Name.Annot, Subtype=Name.Widget, Rect=Array([60, 600, 540, 780]), Parent=field)
    )
    field.Kids = Array([widget])
    return [field, widget]


def _prepared(pdf: Pdf) -> list[Any]:
    field = _field(pdf, 3)
    field.AP = Dictionary(N=_drawn(pdf, _text(b"SPECIMEN forged")))
    return [field, field.AP.N]


Row = tuple[str, Callable[[Pdf], list[Any]], tuple[str, str], str]
_ROWS: dict[str, Row] = {
    "appearance-alone": ("a field shows another amount and says the old one", _shown_alone, NO, "PDF-APPEARANCE"),
    "appearance-in-place": ("the appearance stream is written anew", _shown_in_place, NO, "PDF-APPEARANCE"),
    "both-in-place": ("value and appearance stream are written anew", _both_in_place, NO, "PDF-APPEARANCE"),
    "value-alone": ("a field says another amount and shows the old one", _set(0, V=String("900")), NO, "PDF-APPEARANCE"),
    "other-value": ("a filled-in field says and shows another amount", _filled("900", _text(b"900"), 0), OPEN, "PDF-FORM"),
    "shows-other": ("an empty field shows another text than it says", _filled("100", _text(b"900")), NO, "PDF-APPEARANCE"),
    "shows-more": ("an empty field shows more than it says", _filled("100", _text(b"100 000")), NO, "PDF-APPEARANCE"),
    "shows-nothing": ("an empty field shows nothing of what it says", _filled("100", b"q Q"), NO, "PDF-APPEARANCE"),
    "says-without-showing": ("an empty field says something unseen", _set(1, V=String("900")), OPEN, "PDF-FORM"),
    "white": ("the text is white", _filled("100", b"BT /Helv 12 Tf 1 g 2 5 Td (100) Tj ET"), OPEN, "PDF-FORM"),
    "invisible": ("the text is drawn invisibly", _filled("100", b"BT /Helv 12 Tf 3 Tr 2 5 Td (100) Tj ET"), OPEN, "PDF-FORM"),
    "tiny": ("the text is too small to be read", _filled("100", b"BT /Helv 0.1 Tf 0 g 2 5 Td (100) Tj ET"), OPEN, "PDF-FORM"),
    "outside": ("the text is outside its box", _filled("100", _text(b"100", at=b"2 900")), OPEN, "PDF-FORM"),
    "cut-off": ("the text is longer than its box", _filled("1" + "0" * 200, _text(b"1" + b"0" * 200)), OPEN, "PDF-FORM"),
    "turned": ("the text is mirrored", _filled("100", b"BT /Helv 12 Tf 0 g -1 0 0 1 90 5 Tm (100) Tj ET"), OPEN, "PDF-FORM"),
    "background": ("a white sheet over the field", _filled("100", _text(b"100", before=b"1 g 0 0 900 900 re f")), OPEN, "PDF-FORM"),
    "picture": ("a picture beside the text", _filled("100", _text(b"100", after=b"/X Do")), OPEN, "PDF-FORM"),
    "inline-picture": ("a picture in line", _filled("100", _text(b"100", after=b"BI /W 1 /H 1 /BPC 8 /CS /G ID x EI")), OPEN, "PDF-FORM"),
    "shading": ("a shading", _filled("100", _text(b"100", after=b"/S sh")), OPEN, "PDF-FORM"),
    "line": ("a line through the text", _filled("100", _text(b"100", after=b"0 5 m 300 5 l S")), OPEN, "PDF-FORM"),
    "matrix": ("the appearance is turned", _filled("100", _text(b"100"), Matrix=Array([-1, 0, 0, -1, 0, 0])), OPEN, "PDF-FORM"),
    "own-font": ("the font is a program of its own", _font_of_its_own, OPEN, "PDF-FORM"),
    "own-encoding": ("the font shows a nine for a one", _encoding_of_its_own, OPEN, "PDF-FORM"),
    "layer": ("the appearance is a layer", _layer_in_appearance, NO, "PDF-LAYER"),
    "states-swapped": ("ticked and not ticked are swapped", _states_swapped, NO, "PDF-APPEARANCE"),
    "state-drawn": ("not ticked looks ticked", _state_drawn, NO, "PDF-SHADOW"),
    "state-alone": ("it looks ticked and says that it is not", _set(2, AS=Name.Yes), NO, "PDF-APPEARANCE"),
    "tick-alone": ("it says ticked and looks as if not", _set(2, V=Name.Yes), NO, "PDF-APPEARANCE"),
    "new-state": ("a state that was not there", _ticked_elsewhere, NO, "PDF-APPEARANCE"),
    "moved": ("a field is moved over the text", _set(0, Rect=Array([60, 700, 300, 760])), NO, "PDF-FIELD"),
    "hidden": ("a field is hidden", _set(0, F=2), NO, "PDF-FIELD"),
    "flags": ("a field is made read-only", _set(1, Ff=1), NO, "PDF-FIELD"),
    "length": ("a field is cut to one letter", _set(0, MaxLen=1), NO, "PDF-FIELD"),
    "default-appearance": ("a field gets another font", _set(0, DA=String("/Symb 12 Tf")), NO, "PDF-FIELD"),
    "rich-text": ("a field gets rich text", _set(0, RV=String("<body>900</body>")), NO, "PDF-FIELD"),
    "background-colour": ("a field gets a background", _set(0, MK=Dictionary(BG=Array([1, 1, 1]))), NO, "PDF-FIELD"),
    "action": ("a field runs a script", _set(0, AA=Dictionary(K=Dictionary(S=Name.JavaScript, JS=String("1")))), NO, "PDF-SCRIPT"),
    "link": ("a field is a link", _set(0, A=Dictionary(S=Name.URI, URI=String("http://example.org"))), NO, "PDF-SCRIPT"),
    "renamed": ("a field is renamed", _set(0, T=String("price")), NO, "PDF-FIELD"),
    "kind": ("a field becomes another kind", _set(0, FT=Name.Ch), NO, "PDF-FIELD"),
    "removed": ("a field is taken away", _removed, NO, "PDF-FIELD"),
    "form-font": ("the form's font is another one", _other_default_font, NO, "PDF-FIELD"),
    "form-font-in-place": ("the form's font is written anew", _default_font_in_place, NO, "PDF-FONT"),
    "second-widget": ("a field shows in a second place", _widget_added, NO, "PDF-FIELD"),
    "prepared-field-grows": ("the empty signature field grows", _set(3, Rect=Array([0, 0, 595, 842])), NO, "PDF-FIELD"),
    "prepared-field-shows": ("the empty signature field shows something", _prepared, NO, "PDF-FIELD"),
}  # fmt: skip


def _made(base: str, change: Callable[[Pdf], list[Any]]) -> Callable[[Specimens], bytes]:
    return lambda specimens: changed(specimens[base], change)


def _locked(specimens: Specimens) -> bytes:
    """A signature that locks every field."""
    world = specimens.world
    spec = SigFieldSpec("Lock", field_mdp_spec=FieldMDPSpec(FieldMDPAction.ALL))
    writer, output = IncrementalPdfFileWriter(BytesIO(form_document())), BytesIO()
    append_signature_field(writer, spec)
    writer.write(output)
    return world.sign(output.getvalue(), field="Lock")


def _later() -> Iterator[Attack]:
    """Really signed again, by somebody who may sign, where the first signer forbids it or where it covers something."""
    over, beside = (60, 690, 500, 760), (20, 20, 120, 60)
    rows: tuple[tuple[str, str, Callable[[Specimens], bytes], tuple[str, str], str], ...] = (
        ("over-the-text", "a second signature over the text", lambda s: s.world.sign(s["signed"], field="Two", box=over), OPEN, "PDF-COVERING"),
        ("over-a-part", "a second signature over one letter", lambda s: s.world.sign(s["signed"], field="Two", box=(70, 715, 80, 745)), OPEN, "PDF-COVERING"),
        ("over-the-page", "a second signature over the whole page", lambda s: s.world.sign(s["signed"], field="Two", box=(0, 0, 595, 842)), OPEN, "PDF-COVERING"),
        ("over-archive", "a second signature over the text of an archived document", lambda s: s.world.sign(s["archive"], field="Two", box=over), OPEN, "PDF-COVERING"),
        ("prepared-field", "a prepared field over the text is signed and shows itself", lambda s: s.world.sign(s["form"], field="Later"), OPEN, "PDF-COVERING"),
        ("over-a-signature", "a third signature over the second", lambda s: s.world.sign(s.world.sign(s["signed"], field="Two", box=beside), field="Three", box=beside), OPEN, "PDF-COVERING"),
        ("over-a-field", "a second signature over a form field", lambda s: s.world.sign(s["form"], field="Two", box=(70, 590, 210, 630)), OPEN, "PDF-COVERING"),
        ("certified-2-over-the-text", "a visible signature over certified text", lambda s: s.world.sign(s["certified-2"], field="Two", box=over), OPEN, "PDF-COVERING"),
        ("certified-3-over-the-text", "a visible signature over certified text", lambda s: s.world.sign(s["certified-3"], field="Two", box=over), OPEN, "PDF-COVERING"),
        ("certified-1-filled", "a field filled in on what was closed", lambda s: fill_by_hand(s["certified-1"]), NO, "PDF-DOCMDP"),
        ("certified-1-ticked", "a box ticked on what was closed", lambda s: tick(s["certified-1"]), NO, "PDF-DOCMDP"),
        ("locked-filled", "a locked field is filled in", lambda s: fill_by_hand(_locked(s)), NO, "PDF-LOCK"),
        ("locked-ticked", "a locked box is ticked", lambda s: tick(_locked(s)), NO, "PDF-LOCK"),
        ("unticked", "a box is ticked and unticked again with another look", lambda s: changed(tick(s["form"]), _set(2, V=Name.Off)), NO, "PDF-APPEARANCE"),
        ("there-and-back", "the page is changed and changed back", _there_and_back, NO, "PDF-SHADOW"),
        ("covered-later", "something is laid over before the second person signs", lambda s: s.world.sign(changed(s["form"], _shown_alone), field="Two"), NO, "PDF-APPEARANCE"),
    )  # fmt: skip
    for name, what, make, expected, rule in rows:
        yield Attack(f"later/{name}", "sneaky-signature", what, make, *expected, rule)


def _there_and_back(specimens: Specimens) -> bytes:
    def write(body: bytes) -> Callable[[Pdf], list[Any]]:
        def change(pdf: Pdf) -> list[Any]:
            content = pdf.pages[0].obj.Contents
            content.write(body)
            return [content]

        return change

    original = b"BT /F1 24 Tf 72 720 Td (SPECIMEN agreement) Tj ET"
    assert original in document()
    return changed(changed(specimens["signed"], write(b"BT ET")), write(original))


def attacks() -> Iterator[Attack]:
    for name, (what, change, expected, rule) in _ROWS.items():
        for base in ("form", "certified-2"):
            yield Attack(f"field/{name}/{base}", "field", what, _made(base, change), *expected, rule)
    yield from _later()
