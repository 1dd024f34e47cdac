"""Cursors of pages: opaque to whoever gets them, a sequence number to us."""

from __future__ import annotations

import base64

from foundation.base64url import encoded
from signing.errors import CursorInvalid


def write_cursor(sequence: int) -> str:
    """The cursor of what comes after this sequence number."""
    return encoded(str(sequence).encode())


def read_cursor(cursor: str | None) -> int | None:
    """The sequence number that a cursor stands for. Raises CursorInvalid for one that no page gave."""
    """The inverse; None: from the beginning. CursorInvalid for one that no page gave."""
    if cursor is None:
        return None
    try:
        value = base64.b64decode(cursor[:64] + "=" * (-len(cursor[:64]) % 4), altchars=b"-_", validate=True).decode()
        sequence = int(value) if value.isascii() and value.isdigit() else -1
    except ValueError:  # not base64, not ASCII
        sequence = -1
    if not 0 <= sequence < 2**63:
        raise CursorInvalid
    return sequence
