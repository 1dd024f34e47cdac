"""Cursors of pages of this room: a sequence number, opaque to whoever gets it."""

from __future__ import annotations

from foundation import cursor as cursors
from signing.errors import CursorInvalid


def write_cursor(sequence: int) -> str:
    """The cursor of what comes after this sequence number."""
    return cursors.write_cursor(str(sequence))


def read_cursor(cursor: str | None) -> int | None:
    """The sequence number that a cursor stands for; None: from the beginning. CursorInvalid for what no page gave."""
    if cursor is None:
        return None
    try:
        place = cursors.read_cursor(cursor)
        sequence = int(place) if place.isdigit() and len(place) < 20 else -1
    except ValueError:
        sequence = -1
    if not 0 <= sequence < 2**63:
        raise CursorInvalid
    return sequence
