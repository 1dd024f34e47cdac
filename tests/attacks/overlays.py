"""Attacks by incremental update on what lies over a page: annotations and form fields (evil annotation, sneaky signature, rectangle
expansion, duplicate field, field tricks)."""

from __future__ import annotations

from typing import Any

from pikepdf import Array, Dictionary, Name, Pdf, String

from tests.attacks.increments import Change
from tests.attacks.specimens import appearance

_RECT = [60, 600, 540, 780]  # over the text


def _page(pdf: Pdf) -> Any:
    return pdf.pages[0].obj


def _font(pdf: Pdf) -> Any:
    return _page(pdf).Resources.Font.F1


def _form_xobject(pdf: Pdf) -> Any:
    stream = pdf.make_stream(b"1 g 0 0 600 300 re f")
    stream.Type, stream.Subtype, stream.BBox = Name.XObject, Name.Form, Array([0, 0, 600, 300])
    return stream


def _script(_pdf: Pdf) -> Any:
    return Dictionary(S=Name.JavaScript, JS=String("this.pageNum = 1"))


# --- annotations


def _annotation(subtype: str, **entries: Any) -> Change:
    def change(pdf: Pdf) -> list[Any]:
        made = Dictionary(Type=Name.Annot, Subtype=Name(f"/{subtype}"), Rect=Array(_RECT), F=4, **entries)
        drawn = _form_xobject(pdf)
        made.AP = Dictionary(N=drawn)
        note = pdf.make_indirect(made)
        page = _page(pdf)
        page.Annots = Array([*page.get("/Annots", []), note])
        return [page, note, drawn]

    return change


def annotation_hidden_as_widget(pdf: Pdf) -> list[Any]:
    """A widget that belongs to no field."""
    return list(_annotation("Widget")(pdf))


def annotation_replaces_widget(pdf: Pdf) -> list[Any]:
    """The signature's own widget is made a picture over the page."""
    field = pdf.Root.AcroForm.Fields[-1]
    drawn = _form_xobject(pdf)
    field.Rect, field.AP = Array(_RECT), Dictionary(N=drawn)
    return [field, drawn]


def annotations_emptied(pdf: Pdf) -> list[Any]:
    _page(pdf).Annots = Array()
    return [_page(pdf)]


# --- form


def _text_field(pdf: Pdf, name: str) -> Any:
    drawn = appearance(pdf, (60, 600, 540, 780), b"forged", _font(pdf))
    return pdf.make_indirect(
        Dictionary(
            Type=Name.Annot, Subtype=Name.Widget, FT=Name.Tx, T=String(name), V=String("forged"), F=4,
            Rect=Array(_RECT), P=_page(pdf), AP=Dictionary(N=drawn),
        )
    )  # fmt: skip


def text_field_added(pdf: Pdf) -> list[Any]:
    field, form, page = _text_field(pdf, "forged"), pdf.Root.AcroForm, _page(pdf)
    form.Fields = Array([*form.Fields, field])
    page.Annots = Array([*page.get("/Annots", []), field])
    return [form if form.is_indirect else pdf.Root, page, field, field.AP.N]


def _form(key: str, value: Any) -> Change:
    def change(pdf: Pdf) -> list[Any]:
        form = pdf.Root.AcroForm
        form[Name(f"/{key}")] = value
        return [form if form.is_indirect else pdf.Root]

    return change


def field_renamed(pdf: Pdf) -> list[Any]:
    field = pdf.Root.AcroForm.Fields[-1]
    field.T = String("Renamed")
    return [field]


def field_of_the_same_name(pdf: Pdf) -> list[Any]:
    first, form = pdf.Root.AcroForm.Fields[-1], pdf.Root.AcroForm
    twin = pdf.make_indirect(
        Dictionary(Type=Name.Annot, Subtype=Name.Widget, FT=Name.Sig, T=first.T, F=132, Rect=Array(_RECT), P=_page(pdf))
    )
    form.Fields = Array([*form.Fields, twin])
    return [form if form.is_indirect else pdf.Root, twin]


def text_field_of_the_same_name(pdf: Pdf) -> list[Any]:
    form = pdf.Root.AcroForm
    twin = _text_field(pdf, str(form.Fields[-1].T))
    form.Fields = Array([*form.Fields, twin])
    return [form if form.is_indirect else pdf.Root, twin, twin.AP.N]


def field_with_action(pdf: Pdf) -> list[Any]:
    field = pdf.Root.AcroForm.Fields[-1]
    field.AA = Dictionary(K=_script(pdf))
    return [field]


def new_field_with_action(pdf: Pdf) -> list[Any]:
    form, page = pdf.Root.AcroForm, _page(pdf)
    field = pdf.make_indirect(
        Dictionary(
            Type=Name.Annot, Subtype=Name.Widget, FT=Name.Sig, T=String("New"), F=132, Rect=Array([0, 0, 0, 0]),
            P=page, AA=Dictionary(Fo=_script(pdf)),
        )
    )  # fmt: skip
    form.Fields = Array([*form.Fields, field])
    page.Annots = Array([*page.get("/Annots", []), field])
    return [form if form.is_indirect else pdf.Root, page, field]


def new_field_with_layer(pdf: Pdf) -> list[Any]:
    form, page, drawn = pdf.Root.AcroForm, _page(pdf), _form_xobject(pdf)
    drawn.OC = pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String("SPECIMEN")))
    field = pdf.make_indirect(
        Dictionary(
            Type=Name.Annot, Subtype=Name.Widget, FT=Name.Sig, T=String("New"), F=132, Rect=Array([60, 60, 100, 90]),
            P=page, AP=Dictionary(N=drawn),
        )
    )  # fmt: skip
    form.Fields = Array([*form.Fields, field])
    page.Annots = Array([*page.get("/Annots", []), field])
    return [form if form.is_indirect else pdf.Root, page, field, drawn, drawn.OC]


def signature_field_that_is_a_stamp(pdf: Pdf) -> list[Any]:
    form, page, drawn = pdf.Root.AcroForm, _page(pdf), _form_xobject(pdf)
    field = pdf.make_indirect(
        Dictionary(
            Type=Name.Annot, Subtype=Name.Stamp, FT=Name.Sig, T=String("New"), F=132, Rect=Array(_RECT),
            P=page, AP=Dictionary(N=drawn),
        )
    )  # fmt: skip
    form.Fields = Array([*form.Fields, field])
    page.Annots = Array([*page.get("/Annots", []), field])
    return [form if form.is_indirect else pdf.Root, page, field, drawn]


def unsigned_field_over_the_text(pdf: Pdf) -> list[Any]:
    form, page, drawn = pdf.Root.AcroForm, _page(pdf), _form_xobject(pdf)
    field = pdf.make_indirect(
        Dictionary(
            Type=Name.Annot, Subtype=Name.Widget, FT=Name.Sig, T=String("New"), F=132, Rect=Array(_RECT),
            P=page, AP=Dictionary(N=drawn),
        )
    )  # fmt: skip
    form.Fields = Array([*form.Fields, field])
    page.Annots = Array([*page.get("/Annots", []), field])
    return [form if form.is_indirect else pdf.Root, page, field, drawn]


def signature_taken_away(pdf: Pdf) -> list[Any]:
    form = pdf.Root.AcroForm
    form.Fields = Array()
    return [form if form.is_indirect else pdf.Root]


def signature_value_taken_away(pdf: Pdf) -> list[Any]:
    field = pdf.Root.AcroForm.Fields[-1]
    del field.V
    return [field]


def signature_of_another_kind(pdf: Pdf) -> list[Any]:
    field = pdf.Root.AcroForm.Fields[-1]
    field.FT = Name.Tx
    return [field]


_ANNOTATIONS = (
    "FreeText", "Stamp", "Square", "Circle", "Line", "Polygon", "Highlight", "Redact", "Link", "Text", "Ink", "Caret",
    "FileAttachment", "Popup", "Screen", "Watermark", "3D", "PrinterMark",
)  # fmt: skip

CHANGES: list[tuple[str, str, str, Change, str]] = [
    ("evil-annotation", "widget-of-no-field", "a widget that belongs to no field", annotation_hidden_as_widget, "PDF-ANNOTATION"),
    ("rectangle-expansion", "own-widget", "the signature's widget grows over the page", annotation_replaces_widget, "PDF-FIELD"),
    ("evil-annotation", "emptied", "the signature's widget is taken off the page", annotations_emptied, "PDF-PAGE"),
    ("field", "text-field", "a text field is laid over the text", text_field_added, "PDF-FIELD"),
    ("field", "renamed", "the signature field is renamed", field_renamed, "PDF-FIELD"),
    ("duplicate-field", "signature", "a second signature field of the same name", field_of_the_same_name, "PDF-FIELD"),
    ("duplicate-field", "text", "a text field of the signature's name", text_field_of_the_same_name, "PDF-FIELD"),
    ("script", "field-action", "the signature field runs a script", field_with_action, "PDF-SCRIPT"),
    ("script", "new-field-action", "a new signature field runs a script", new_field_with_action, "PDF-SCRIPT"),
    ("optional-content", "new-field", "a new field whose appearance is a layer", new_field_with_layer, "PDF-LAYER"),
    ("sneaky-signature", "stamp", "a signature field that is a stamp", signature_field_that_is_a_stamp, "PDF-FIELD"),
    ("field", "taken-away", "no field leads to the signature any more", signature_taken_away, "PDF-CLAIM"),
    ("field", "value-taken-away", "the signature field has no value any more", signature_value_taken_away, "PDF-CLAIM"),
    ("field", "other-kind", "the signature field becomes a text field", signature_of_another_kind, "PDF-CLAIM"),
    ("form", "xfa", "the form gets an XFA part", _form("XFA", String("<xdp/>")), "PDF-FIELD"),
    ("form", "need-appearances", "viewers are asked to draw fields anew", _form("NeedAppearances", True), "PDF-FIELD"),
    ("script", "calculation-order", "the form gets a calculation order", _form("CO", Array()), "PDF-FIELD"),
    *[("evil-annotation", kind, f"a {kind} annotation over the text", _annotation(kind), "PDF-ANNOTATION") for kind in _ANNOTATIONS],
]  # fmt: skip
