"""An appearance as data: seal image, texts, colours, size and place. Read strictly, and told by one digest. Pure.

TP-NAMED   it says whose seal it is: ``{organisation}`` or ``{name}``, which come from the certificate and nowhere else
TP-TEXT    Khmer and Latin letters, digits and the marks that go with them: what the embedded fonts can draw
TP-PLACE   where it stands is told in the words of `signing.pdf_options`; its size is its own
TP-IMAGE   the image is pixels alone, encoded by the confined process (`signing.ports.SealImages`)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from foundation import canonical
from signing.errors import OptionInvalid
from signing.pdf_options import DEFAULT_SIZE, Visible, Where
from signing.templates.errors import TemplateInvalid

MAX_LINES = 8
MAX_TEXT = 120
MAX_OCTETS = 512 * 1024
"""Octets of a seal image as it is kept."""
PLAIN = "plain"
"""What policies call the appearance without a template; no template has this name."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_FIELD = re.compile(r"\{([a-z]+)\}")
_FIELDS = {"name", "organisation", "number", "time", "reason"}
_NAMING = {"name", "organisation"}
_LETTERS = (
    (0x20, 0x7E), (0xA0, 0x24F), (0x1780, 0x17F9), (0x1E00, 0x1EFF), (0x200B, 0x200B), (0x2010, 0x2015),
    (0x2018, 0x201E), (0x2022, 0x2022), (0x2026, 0x2026),
)  # fmt: skip
SIDES = ((60, 1000), (24, 1000))
"""Least and most points of width and height."""
SHARES = (50, 200)
"""Least and most percent of a line's letters."""


class Picture(StrEnum):
    """Where the seal image stands to the text."""

    LEFT = "left"
    RIGHT = "right"
    ABOVE = "above"


class Align(StrEnum):
    """How lines stand in their room."""

    LEFT = "left"
    CENTRE = "centre"


@dataclass(frozen=True)
class Line:
    """A line of text with fields in braces; ``share``: its letters in percent of the others'."""

    text: str
    bold: bool = False
    share: int = 100


@dataclass(frozen=True)
class Appearance:
    """``size``: width and height in points; ``place``: words of `signing.pdf_options` for where it stands unless it is
    asked for elsewhere; colours as ``#rrggbb``, ``border`` None: it has none; ``qr``: with a code that leads to
    verification; ``picture``: a JPEG."""

    lines: tuple[Line, ...]
    size: tuple[int, int] = (int(DEFAULT_SIZE[0]), int(DEFAULT_SIZE[1]))
    place: str = "auto"
    ink: str = "#000000"
    paper: str = "#ffffff"
    border: str | None = None
    align: Align = Align.LEFT
    picture_at: Picture = Picture.LEFT
    qr: bool = False
    picture: bytes | None = None

    @classmethod
    def read(cls, value: Mapping[str, Any], picture: bytes | None) -> Appearance:
        """From JSON. Raises TemplateInvalid with the part that cannot be; a key that is unknown is one."""
        known = {one.name for one in fields(cls)} - {"picture"}
        for key in value:
            if key not in known:
                raise TemplateInvalid(field=str(key)[:40])
        chosen = dict(value)
        try:
            chosen["lines"] = tuple(Line(**one) for one in value["lines"])
            if "size" in chosen:
                width, height = chosen["size"]
                chosen["size"] = (width, height)
            for key, kind in (("align", Align), ("picture_at", Picture)):
                if key in chosen:
                    chosen[key] = kind(chosen[key])
            read = cls(**chosen, picture=picture)
        except (KeyError, TypeError, ValueError) as error:
            raise TemplateInvalid(field="lines") from error
        for key, sound in read._checks().items():
            if not sound:
                raise TemplateInvalid(field=key)
        return read

    def json(self) -> dict[str, Any]:
        """What :meth:`read` reads, without the picture."""
        value = asdict(replace(self, picture=None))
        del value["picture"]
        return value | {"lines": [asdict(one) for one in self.lines], "size": list(self.size)}

    def digest(self, name: str) -> str:
        """SHA-256 of all that is seen under this name, in hexadecimal: what an officer approves."""
        picture = None if self.picture is None else hashlib.sha256(self.picture).hexdigest()
        return canonical.digest({"name": name, "appearance": self.json(), "picture": picture}).hex()

    def fitted(self, asked: Visible, *, in_field: bool) -> Visible:
        """Where it stands: as it was asked for, else in the field that was named, else as the template says; in the
        template's size where a field has none."""
        place = asked
        if asked.where is Where.TEMPLATE:
            place = Visible(Where.FIELD) if in_field else Visible.parse(self.place)
        width, height = self.size
        return replace(
            place, page=asked.page or place.page, size=(width, height), qr=asked.qr or self.qr, template=asked.template
        )

    def filled(self, values: Mapping[str, str]) -> tuple[tuple[Line, str], ...]:
        """The lines with their fields' values; one that has a field without a value is left out."""
        return tuple(
            (line, _FIELD.sub(lambda found: values[found[1]], line.text))
            for line in self.lines
            if all(values.get(one) for one in _FIELD.findall(line.text))
        )

    def _checks(self) -> dict[str, bool]:
        lines, used = self.lines, {one for line in self.lines for one in _FIELD.findall(line.text)}
        (least_width, most_width), (least_height, most_height) = SIDES
        width, height = self.size
        return {
            "lines": 0 < len(lines) <= MAX_LINES and all(map(_is_line, lines)) and used <= _FIELDS,
            "TP-NAMED": any(_NAMING & set(_FIELD.findall(line.text)) for line in lines),
            "size": type(width) is type(height) is int
            and least_width <= width <= most_width
            and least_height <= height <= most_height,
            "place": isinstance(self.place, str) and _is_place(self.place),
            "ink": _is_colour(self.ink),
            "paper": _is_colour(self.paper),
            "border": self.border is None or _is_colour(self.border),
            "qr": isinstance(self.qr, bool),
            "picture": self.picture is None or _is_jpeg(self.picture),
        }


def is_name(name: str) -> bool:
    """Whether a template may be called so."""
    return _NAME.fullmatch(name) is not None and name != PLAIN


def _is_line(line: Line) -> bool:
    if not isinstance(line.text, str) or type(line.share) is not int or not isinstance(line.bold, bool):
        return False
    rest = _FIELD.sub("", line.text)
    drawable = all(any(low <= ord(one) <= high for low, high in _LETTERS) for one in rest)
    return (
        bool(line.text.strip())
        and len(line.text) <= MAX_TEXT
        and drawable
        and not set("{}") & set(rest)
        and SHARES[0] <= line.share <= SHARES[1]
    )


def _is_colour(value: object) -> bool:
    return isinstance(value, str) and _COLOUR.fullmatch(value) is not None


def _is_place(words: str) -> bool:
    try:
        place = Visible.parse(words)
    except OptionInvalid:
        return False
    plain = (place.size, place.qr, place.template) == (DEFAULT_SIZE, False, None)
    return plain and place.where in (Where.AUTO, Where.AT, Where.ANCHOR)


def _is_jpeg(picture: bytes) -> bool:
    return len(picture) <= MAX_OCTETS and picture.startswith(b"\xff\xd8\xff") and picture.endswith(b"\xff\xd9")
