"""Cursors of pages: opaque to whoever gets them; to us, where the page ended."""

from __future__ import annotations

import base64
import re

from foundation.base64url import encoded

_PLACE = re.compile(r"[!-~]{1,200}")


def write_cursor(place: str) -> str:
    """The cursor of what comes after ``place``: an id or a number, visible ASCII."""
    return encoded(place.encode("ascii"))


def read_cursor(cursor: str) -> str:
    """The place that a cursor stands for. Raises ValueError for what :func:`write_cursor` cannot have given."""
    place = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    if not _PLACE.fullmatch(place):  # a NUL, say, which one of the databases takes and the other does not
        raise ValueError("not a cursor")
    return place
