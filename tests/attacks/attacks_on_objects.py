"""Attacks by incremental update: what is shown, run, attached or hidden after signing (shadow attacks, catalog swaps, scripts,
attachments, layers, fonts, and their relatives). Each is tried on several signed documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pikepdf import Array, Dictionary, Name, Pdf, String

from tests.attacks.increments import Change, changed
from tests.attacks.overlays import CHANGES as OVERLAYS
from tests.attacks.overlays import unsigned_field_over_the_text
from tests.attacks.specimens import Attack, Specimens

FAILED = ("TOTAL-FAILED", "FORMAT_FAILURE")
BASES = ("signed", "archive", "certified-3")
_RECT = [60, 600, 540, 780]  # over the text


def _page(pdf: Pdf) -> Any:
    return pdf.pages[0].obj


def _font(pdf: Pdf) -> Any:
    return _page(pdf).Resources.Font.F1


def _stream(pdf: Pdf, body: bytes = b"BT /F1 24 Tf 72 720 Td (SPECIMEN forged) Tj ET") -> Any:
    return pdf.make_stream(body)


def _form_xobject(pdf: Pdf) -> Any:
    stream = _stream(pdf, b"1 g 0 0 600 300 re f")
    stream.Type, stream.Subtype, stream.BBox = Name.XObject, Name.Form, Array([0, 0, 600, 300])
    return stream


# --- pages


def replace_content(pdf: Pdf) -> list[Any]:
    content = _page(pdf).Contents
    content.write(b"BT /F1 24 Tf 72 720 Td (SPECIMEN forged) Tj ET")
    return [content]


def other_content(pdf: Pdf) -> list[Any]:
    _page(pdf).Contents = _stream(pdf)
    return [_page(pdf), _page(pdf).Contents]


def more_content(pdf: Pdf) -> list[Any]:
    extra = _stream(pdf)
    _page(pdf).Contents = Array([_page(pdf).Contents, extra])
    return [_page(pdf), extra]


def other_resources(pdf: Pdf) -> list[Any]:
    _page(pdf).Resources = Dictionary(Font=Dictionary(F1=_font(pdf)), XObject=Dictionary(X=_form_xobject(pdf)))
    return [_page(pdf), _page(pdf).Resources.XObject.X]


def other_font(pdf: Pdf) -> list[Any]:
    font = _font(pdf)
    font.Encoding = Dictionary(Type=Name.Encoding, Differences=Array([49, Name("/nine")]))
    return [font]


def other_box(pdf: Pdf) -> list[Any]:
    _page(pdf).CropBox = Array([0, 0, 595, 400])
    return [_page(pdf)]


def turned(pdf: Pdf) -> list[Any]:
    _page(pdf).Rotate = 180
    return [_page(pdf)]


def page_action(pdf: Pdf) -> list[Any]:
    _page(pdf).AA = Dictionary(O=Dictionary(S=Name.JavaScript, JS=String("app.alert(1)")))
    return [_page(pdf)]


def user_unit(pdf: Pdf) -> list[Any]:
    _page(pdf).UserUnit = 4
    return [_page(pdf)]


def _new_page(pdf: Pdf) -> Any:
    return pdf.make_indirect(
        Dictionary(
            Type=Name.Page,
            Parent=pdf.Root.Pages,
            MediaBox=Array([0, 0, 595, 842]),
            Contents=_stream(pdf),
            Resources=_page(pdf).Resources,
        )
    )


def page_added(pdf: Pdf) -> list[Any]:
    page, pages = _new_page(pdf), pdf.Root.Pages
    pages.Kids = Array([*pages.Kids, page])
    pages.Count = 2
    return [pages, page, page.Contents]


def page_replaced(pdf: Pdf) -> list[Any]:
    page, pages = _new_page(pdf), pdf.Root.Pages
    pages.Kids = Array([page])
    return [pages, page, page.Contents]


def page_tree_swapped(pdf: Pdf) -> list[Any]:
    page = _new_page(pdf)
    tree = pdf.make_indirect(Dictionary(Type=Name.Pages, Kids=Array([page]), Count=1))
    page.Parent = tree
    pdf.Root.Pages = tree
    return [pdf.Root, tree, page, page.Contents]


def page_rewritten_in_place(pdf: Pdf) -> list[Any]:
    content, page = _stream(pdf), _page(pdf)
    page.Contents = content
    return [page, content]


# --- catalog


def _catalog(key: str, value: Callable[[Pdf], Any]) -> Change:
    def change(pdf: Pdf) -> list[Any]:
        made = value(pdf)
        pdf.Root[Name(f"/{key}")] = made
        return [pdf.Root, *([made] if made.is_indirect else [])]

    return change


def _script(_pdf: Pdf) -> Any:
    return Dictionary(S=Name.JavaScript, JS=String("this.pageNum = 1"))


def _file(pdf: Pdf) -> Any:
    inner = _stream(pdf, b"SPECIMEN")
    inner.Type = Name.EmbeddedFile
    return pdf.make_indirect(Dictionary(Type=Name.Filespec, F=String("a.txt"), EF=Dictionary(F=inner)))


def attachment_by_name(pdf: Pdf) -> list[Any]:
    file = _file(pdf)
    pdf.Root.Names = Dictionary(EmbeddedFiles=Dictionary(Names=Array([String("a.txt"), file])))
    return [pdf.Root, file, file.EF.F]


def associated_file(pdf: Pdf) -> list[Any]:
    file = _file(pdf)
    pdf.Root.AF = Array([file])
    return [pdf.Root, file, file.EF.F]


def layers(pdf: Pdf) -> list[Any]:
    group = pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String("SPECIMEN")))
    pdf.Root.OCProperties = Dictionary(OCGs=Array([group]), D=Dictionary(OFF=Array([group])))
    return [pdf.Root, group]


def other_store(pdf: Pdf) -> list[Any]:
    """Evidence whose stream has the number of the page's content."""
    content = _page(pdf).Contents
    content.write(b"BT /F1 24 Tf 72 720 Td (SPECIMEN forged) Tj ET")
    store = pdf.make_indirect(Dictionary(Type=Name.DSS, Certs=Array([content])))
    pdf.Root.DSS = store
    return [pdf.Root, store, content]


def store_with_more(pdf: Pdf) -> list[Any]:
    store = pdf.make_indirect(Dictionary(Type=Name.DSS, OpenAction=_script(pdf)))
    pdf.Root.DSS = store
    return [pdf.Root, store]


def store_that_draws(pdf: Pdf) -> list[Any]:
    drawn = _form_xobject(pdf)
    store = pdf.make_indirect(Dictionary(Type=Name.DSS, Certs=Array([drawn])))
    pdf.Root.DSS = store
    return [pdf.Root, store, drawn]


def metadata_is_the_page(pdf: Pdf) -> list[Any]:
    content = _page(pdf).Contents
    content.write(b"BT /F1 24 Tf 72 720 Td (SPECIMEN forged) Tj ET")
    content.Type, content.Subtype = Name.Metadata, Name.XML
    pdf.Root.Metadata = content
    return [pdf.Root, content]


def orphan(pdf: Pdf) -> list[Any]:
    return [_stream(pdf)]


def orphan_page(pdf: Pdf) -> list[Any]:
    page = _new_page(pdf)
    return [page, page.Contents]


def orphan_font(pdf: Pdf) -> list[Any]:
    return [pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Courier))]


def title_changed(pdf: Pdf) -> list[Any]:
    pdf.trailer.Info = pdf.make_indirect(Dictionary(Title=String("SPECIMEN forged title")))
    return [pdf.trailer.Info]


_CATALOG: dict[str, tuple[Callable[[Pdf], Any], str]] = {
    "OpenAction": (_script, "PDF-SCRIPT"),
    "AA": (lambda pdf: Dictionary(WC=_script(pdf)), "PDF-SCRIPT"),
    "Names": (lambda pdf: Dictionary(JavaScript=Dictionary(Names=Array([String("a"), _script(pdf)]))), "PDF-ATTACHMENT"),
    "Outlines": (lambda pdf: pdf.make_indirect(Dictionary(Type=Name.Outlines, Count=0)), "PDF-CATALOG"),
    "PageLabels": (lambda _: Dictionary(Nums=Array([0, Dictionary(S=Name.r)])), "PDF-CATALOG"),
    "ViewerPreferences": (lambda _: Dictionary(HideToolbar=True), "PDF-CATALOG"),
    "PageMode": (lambda _: Dictionary(X=1), "PDF-CATALOG"),
    "Dests": (lambda _: Dictionary(a=Array([0, Name.Fit])), "PDF-CATALOG"),
    "StructTreeRoot": (lambda _: Dictionary(Type=Name.StructTreeRoot), "PDF-CATALOG"),
    "Collection": (lambda _: Dictionary(View=Name.T), "PDF-ATTACHMENT"),
    "Perms": (lambda _: Dictionary(), "PDF-CATALOG"),
    "Threads": (lambda _: Array(), "PDF-CATALOG"),
    "URI": (lambda _: Dictionary(Base=String("http://example.org/")), "PDF-CATALOG"),
    "OutputIntents": (lambda _: Array(), "PDF-CATALOG"),
}  # fmt: skip

CHANGES: list[tuple[str, str, str, Change, str]] = [
    ("shadow-replace", "content-replaced", "the page's content stream is written anew", replace_content, "PDF-SHADOW"),
    ("shadow-replace", "font-encoding", "the page's font draws a nine for a one", other_font, "PDF-FONT"),
    ("shadow-hide-and-replace", "content-swapped", "the page has another content stream", other_content, "PDF-PAGE"),
    ("shadow-hide", "content-appended", "the page has a second content stream", more_content, "PDF-PAGE"),
    ("shadow-hide", "resources", "the page has other resources", other_resources, "PDF-PAGE"),
    ("page", "crop-box", "the page is cropped", other_box, "PDF-PAGE"),
    ("page", "turned", "the page is upside down", turned, "PDF-PAGE"),
    ("page", "user-unit", "the page is four times as large", user_unit, "PDF-PAGE"),
    ("script", "page-action", "opening the page runs a script", page_action, "PDF-PAGE"),
    ("page", "added", "a page is added", page_added, "PDF-PAGE"),
    ("page", "replaced", "another page takes the place of the signed one", page_replaced, "PDF-PAGE"),
    ("catalog-swap", "page-tree", "the catalog has another page tree", page_tree_swapped, "PDF-PAGE"),
    ("attachment", "by-name", "a file is attached", attachment_by_name, "PDF-ATTACHMENT"),
    ("attachment", "associated", "a file is associated", associated_file, "PDF-ATTACHMENT"),
    ("optional-content", "properties", "a layer that is off", layers, "PDF-LAYER"),
    ("shadow-replace", "evidence-is-the-page", "evidence that has the page's number", other_store, "PDF-SHADOW"),
    ("catalog-swap", "store-with-action", "an evidence store with an action", store_with_more, "PDF-CATALOG"),
    ("shadow-hide", "evidence-that-draws", "evidence that is a picture", store_that_draws, "PDF-CATALOG"),
    ("shadow-replace", "metadata-is-the-page", "metadata that has the page's number", metadata_is_the_page, "PDF-SHADOW"),
    ("prepared", "orphan-stream", "a stream that nothing refers to yet", orphan, "PDF-CHANGES"),
    ("prepared", "orphan-page", "a page that nothing refers to yet", orphan_page, "PDF-PAGE"),
    ("font", "orphan-font", "a font that nothing refers to yet", orphan_font, "PDF-FONT"),
    ("catalog-swap", "title", "the document has another title", title_changed, "PDF-CATALOG"),
    *[("catalog-swap", f"catalog-{key}", f"the catalog gets /{key}", _catalog(key, value), rule) for key, (value, rule) in _CATALOG.items()],
]  # fmt: skip
# a document timestamp signs these as well as a signature does; where a signature field is gone, nothing else is left
_ONLY_ON = {"taken-away": ("signed",), "value-taken-away": ("signed",), "other-kind": ("signed",)}


def attacks() -> Iterator[Attack]:
    for kind, name, what, change, rule in (*CHANGES, *OVERLAYS):
        for base in _ONLY_ON.get(name, BASES):

            def make(specimens: Specimens, change: Change = change, base: str = base) -> bytes:
                return changed(specimens[base], change)

            yield Attack(f"{kind}/{name}/{base}", kind, what, make, *FAILED, rule)
    yield Attack(
        "sneaky-signature/unsigned-field/signed",
        "sneaky-signature",
        "an empty signature field with an appearance over the text",
        lambda specimens: changed(specimens["signed"], unsigned_field_over_the_text),
        "INDETERMINATE",
        "SIG_CONSTRAINTS_FAILURE",
        "PDF-COVERING",
    )
