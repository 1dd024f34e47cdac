"""What attacks and benign files start from: a few documents that are really signed, made once for a run.

Nothing here uses the code under test but the export of the trust bundle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from io import BytesIO
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, String
from pyhanko.sign.fields import MDPPerm

from tests.verify.verify_world import SIGNED_AT, World, document


def form_document() -> bytes:
    """A page of text with two text fields (one filled in), a check box, and an empty signature field over the text."""
    with pikepdf.open(BytesIO(document())) as pdf:
        page = pdf.pages[0]
        font = pdf.make_indirect(
            Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica, Encoding=Name.WinAnsiEncoding)
        )
        fields = [
            text_field(pdf, "amount", (72, 600, 200, 620), "100", font),
            text_field(pdf, "remark", (72, 560, 400, 580), "", font),
            check_box(pdf, "agreed", (72, 520, 90, 538)),
            pdf.make_indirect(
                Dictionary(
                    Type=Name.Annot, Subtype=Name.Widget, FT=Name.Sig, T=String("Later"), F=132,
                    Rect=Array([60, 700, 500, 760]), P=page.obj,
                )
            ),
        ]  # fmt: skip
        page.Annots = Array(fields)
        pdf.Root.AcroForm = pdf.make_indirect(
            Dictionary(
                Fields=Array(fields),
                DA=String("/Helv 12 Tf 0 g"),
                DR=Dictionary(Font=Dictionary(Helv=font)),
            )
        )
        return saved(pdf)


def text_field(pdf: Pdf, name: str, rect: tuple[int, int, int, int], value: str, font: Any) -> Any:
    field = Dictionary(
        Type=Name.Annot, Subtype=Name.Widget, FT=Name.Tx, T=String(name), Rect=Array(rect), F=4,
        P=pdf.pages[0].obj, DA=String("/Helv 12 Tf 0 g"),
    )  # fmt: skip
    if value:
        field.V = String(value)
        field.AP = Dictionary(N=appearance(pdf, rect, value.encode(), font))
    return pdf.make_indirect(field)


def appearance(pdf: Pdf, rect: tuple[int, int, int, int], text: bytes, font: Any, body: bytes | None = None) -> Any:
    """What a text field shows: ``text``, or whatever ``body`` draws."""
    stream = pdf.make_stream(body or b"/Tx BMC q BT /Helv 12 Tf 0 g 2 5 Td (" + text + b") Tj ET Q EMC")
    stream.Type, stream.Subtype = Name.XObject, Name.Form
    stream.BBox = Array([0, 0, rect[2] - rect[0], rect[3] - rect[1]])
    stream.Resources = Dictionary(Font=Dictionary(Helv=font))
    return stream


def check_box(pdf: Pdf, name: str, rect: tuple[int, int, int, int]) -> Any:
    def state(body: bytes) -> Any:
        stream = pdf.make_stream(body)
        stream.Type, stream.Subtype, stream.BBox = Name.XObject, Name.Form, Array([0, 0, 18, 18])
        return stream

    states = Dictionary(Yes=state(b"0 0 m 18 18 l S"), Off=state(b"q Q"))
    return pdf.make_indirect(
        Dictionary(
            Type=Name.Annot, Subtype=Name.Widget, FT=Name.Btn, T=String(name), Rect=Array(rect), F=4,
            P=pdf.pages[0].obj, V=Name.Off, AS=Name.Off, AP=Dictionary(N=states),
        )
    )  # fmt: skip


def saved(pdf: Pdf, **options: Any) -> bytes:
    output = BytesIO()
    settings: dict[str, Any] = {
        "object_stream_mode": pikepdf.ObjectStreamMode.disable,
        "compress_streams": False,
        "static_id": True,
    }
    pdf.save(output, **{**settings, **options})
    return output.getvalue()


class Specimens:
    """Signed documents by name, each made when it is first asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._made: dict[str, bytes] = {}

    def __getitem__(self, name: str) -> bytes:
        if name not in self._made:
            self._made[name] = _MAKERS[name](self.world)
        return self._made[name]

    @cached_property
    def other(self) -> bytes:
        """Another document by the same signer."""
        return self.world.sign(document("SPECIMEN other agreement"))


def _certified(level: MDPPerm) -> Callable[[World], bytes]:
    metadata: dict[str, object] = {"certify": True, "docmdp_permissions": level}
    return lambda world: world.sign(form_document(), metadata=metadata)


_MAKERS: dict[str, Callable[[World], bytes]] = {
    "signed": lambda world: world.sign(document()),
    "long-term": lambda world: world.signed(document()),
    "archive": lambda world: world.timestamp(world.signed(document()), SIGNED_AT + timedelta(hours=3)),
    "form": lambda world: world.sign(form_document()),
    "certified-1": _certified(MDPPerm.NO_CHANGES),
    "certified-2": _certified(MDPPerm.FILL_FORMS),
    "certified-3": _certified(MDPPerm.ANNOTATE),
}


@dataclass(frozen=True)
class Place:
    """A file of the generator. ``make`` gives its octets from the specimens."""

    name: str
    kind: str
    what: str
    make: Callable[[Specimens], bytes]


@dataclass(frozen=True)
class Attack(Place):
    """An attack with its verdict: the indication, the sub-indication, and a rule that must speak."""

    indication: str
    sub: str | None
    rule: str
