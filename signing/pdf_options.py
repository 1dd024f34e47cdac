"""How a PDF is to be signed besides by whom: the field, what it locks, whether it certifies, and what is seen of it.

A visible signature is asked for in words, the same for the command line and the API:

    auto                          in free space, from the last page's foot upwards
    field                         in the area of the existing field that is named beside it
    at=72,100 page=2              with the left lower corner there, in points; the page from 1, or from -1 backwards
    anchor=Signed by:             beside the first place where these words stand (always last: they go on to the end)
    size=230x76                   its width and height in points
    qr                            with a QR code that leads to verification
    template=official             as this template of the client's organisation looks; it has a size of its own, and a
                                  place where none is asked for (`signing.templates`)

What is printed of a document can be named beside it, label by label (``printed``): then the QR code of a seal carries
that too, signed, so that a print can be checked (`signing.paper_code`).
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from signing.errors import OptionInvalid
from signing.model import FieldAction, FieldLock

DEFAULT_SIZE = (230.0, 76.0)
_MAX_ANCHOR = 200
_MAX_FIELDS = 200
_LARGEST = 14_400.0  # the side of the largest page (ISO 32000-2 Annex C)
_SMALLEST = (60.0, 24.0)
_NUMBER = r"-?\d{1,5}(?:\.\d{1,3})?"
_AT = re.compile(rf"({_NUMBER}),({_NUMBER})")
_SIZE = re.compile(rf"({_NUMBER})x({_NUMBER})")
_TEMPLATE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class Where(StrEnum):
    """How the place of a visible signature is found."""

    AUTO = "auto"
    FIELD = "field"
    AT = "at"
    ANCHOR = "anchor"
    TEMPLATE = "template"


@dataclass(frozen=True)
class Visible:
    """A visible signature. ``page`` counts from 1, or from -1 backwards; None: as the place says. Points throughout."""

    where: Where = Where.AUTO
    page: int | None = None
    at: tuple[float, float] | None = None
    size: tuple[float, float] = DEFAULT_SIZE
    anchor: str | None = None
    qr: bool = False
    template: str | None = None

    @classmethod
    def parse(cls, words: str) -> Visible:
        """Read the words above. OptionInvalid for anything else."""
        found = cls()
        head, anchored, anchor = words.partition("anchor=")
        if anchored:
            if not anchor.strip() or len(anchor) > _MAX_ANCHOR:
                raise OptionInvalid(option="visible")
            found = replace(found, where=Where.ANCHOR, anchor=anchor.strip())
        given = head.split()
        places = [one for one in given if one in ("auto", "field") or one.startswith("at=")]
        if (not given and not anchored) or len(places) + len(anchored[:1]) > 1:
            raise OptionInvalid(option="visible")
        for word in given:
            found = _with(found, word)
        if found.template is not None:
            if found.size != DEFAULT_SIZE:
                raise OptionInvalid(option="visible")
            if not places and not anchored:
                found = replace(found, where=Where.TEMPLATE)
        return found


def _with(found: Visible, word: str) -> Visible:
    if word == "qr":
        return replace(found, qr=True)
    if word in ("auto", "field"):
        return replace(found, where=Where(word))
    name, _, value = word.partition("=")
    if name == "page" and re.fullmatch(r"-?[1-9]\d{0,4}", value):
        return replace(found, page=int(value))
    if name == "template" and _TEMPLATE.fullmatch(value):
        return replace(found, template=value)
    place = _AT.fullmatch(value) if name == "at" else None
    if place:
        return replace(found, where=Where.AT, at=(float(place[1]), float(place[2])))
    size = _SIZE.fullmatch(value) if name == "size" else None
    if size:
        width, height = float(size[1]), float(size[2])
        if _SMALLEST[0] <= width <= _LARGEST and _SMALLEST[1] <= height <= _LARGEST:
            return replace(found, size=(width, height))
    raise OptionInvalid(option="visible")


@dataclass(frozen=True)
class PdfOptions:
    """``field``: an existing empty one by its name; ``certify``: 1 to 3, what may still be done (DocMDP); ``printed``:
    labels and values for the code on paper, None where the QR code only leads somewhere."""

    field: str | None = None
    lock: FieldLock | None = None
    certify: int | None = None
    visible: Visible | None = None
    printed: tuple[tuple[str, str], ...] | None = None

    @classmethod
    def parse(
        cls,
        *,
        field: str | None = None,
        lock: str | None = None,
        certify: str | None = None,
        visible: str | None = None,
        printed: str | None = None,
    ) -> PdfOptions:
        """From words: ``lock`` is ``all``, ``include=a,b`` or ``exclude=a,b``, and after a space ``close`` (P 1),
        ``forms`` (P 2) or ``notes`` (P 3); ``certify`` is one of these three; ``printed`` is a JSON object, and wants a
        QR code. OptionInvalid."""
        seen = None if visible is None else Visible.parse(visible)
        if seen is not None and seen.where is Where.FIELD and field is None:
            raise OptionInvalid(option="visible")
        permission = None if certify is None else _PERMISSIONS.get(certify)
        if certify is not None and permission is None:
            raise OptionInvalid(option="certify")
        if printed is not None and (seen is None or not seen.qr):
            raise OptionInvalid(option="printed")
        return cls(
            field,
            None if lock is None else _lock(lock),
            permission,
            seen,
            None if printed is None else _printed(printed),
        )

    def encode(self) -> str | None:
        """As JSON; None where there is nothing to say."""
        return json.dumps(asdict(self), ensure_ascii=False) if self != PdfOptions() else None

    @classmethod
    def decode(cls, encoded: str | None) -> PdfOptions:
        """The inverse."""
        if encoded is None:
            return cls()
        given = json.loads(encoded)
        lock, visible = given["lock"], given["visible"]
        if lock is not None:
            lock = FieldLock(FieldAction(lock["action"]), tuple(lock["fields"]), lock["permission"])
        if visible is not None:
            at = visible["at"]
            visible = Visible(
                Where(visible["where"]),
                visible["page"],
                None if at is None else (at[0], at[1]),
                (visible["size"][0], visible["size"][1]),
                visible["anchor"],
                visible["qr"],
                visible.get("template"),
            )
        printed = given.get("printed")
        kept = None if printed is None else tuple((name, value) for name, value in printed)
        return cls(given["field"], lock, given["certify"], visible, kept)


_PERMISSIONS = {"close": 1, "forms": 2, "notes": 3}


def _printed(words: str) -> tuple[tuple[str, str], ...]:
    from signing.paper_code import CodeInvalid, checked_fields  # it takes libraries that signing otherwise does without

    try:
        given = json.loads(words)
        if not isinstance(given, dict) or not all(isinstance(one, str) for one in given.values()):
            raise OptionInvalid(option="printed")
        return checked_fields(given)
    except (ValueError, RecursionError, CodeInvalid):
        raise OptionInvalid(option="printed") from None


def _lock(words: str) -> FieldLock:
    body, _, last = words.rpartition(" ")
    permission = _PERMISSIONS.get(last)
    action, _, names = (body if permission else words).partition("=")
    fields = tuple(one.strip() for one in names.split(",") if one.strip())
    if action == "all" and not names:
        return FieldLock(FieldAction.ALL, (), permission)
    if action in ("include", "exclude") and 0 < len(fields) <= _MAX_FIELDS:
        return FieldLock(FieldAction(action.capitalize()), fields, permission)
    raise OptionInvalid(option="lock")
