"""Composing a machine-readable zone, for specimens: pure values in, lines with every check digit out."""

from __future__ import annotations

from collections.abc import Mapping

from ekyc.mrz.check_digits import check_digit
from ekyc.mrz.layouts import NAMES, Layout


def write(layout: Layout, fields: Mapping[str, str], surname: str, given_names: str) -> tuple[str, ...]:
    """Lines with all check digits. ``fields`` maps field names (not ``names``) to text; the rest is filler.

    ValueError for a text that is too long; a name is cut at the end of its field.
    """
    lines = [["<"] * layout.width for _ in range(layout.height)]
    names = f"{surname.replace(' ', '<')}<<{given_names.replace(' ', '<')}"
    for field in layout.fields:
        place = field.place
        room = place.end - place.start
        text = names[:room] if field.name == NAMES else fields.get(field.name, "")
        if len(text) > room:
            raise ValueError(f"{field.name} has room for {room} characters")
        lines[place.line][place.start : place.end] = text.ljust(room, "<")
        if field.check is not None:
            lines[field.check.line][field.check.start] = check_digit(text.ljust(room, "<"))
    if layout.composite is not None:
        written = ["".join(line) for line in lines]
        over = "".join(place.of(written) for place in layout.covered)
        lines[layout.composite.line][layout.composite.start] = check_digit(over)
    return tuple("".join(line) for line in lines)
