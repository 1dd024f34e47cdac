"""Marks: how far something outside of a token had come, remembered by the token, which lets a mark only go forward.

Whoever puts files back from last week puts back what they say of themselves too; the token still knows. A mark is a
name, a count that only grows, and a digest of what there was at that count. The token knows nothing of what it counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from foundation.canonical import canonical_json
from foundation.errors import Kind
from foundation.keys.errors import DataInvalid, KeyStoreError

MOST_MARKS = 256
_LONGEST_NAME, _LONGEST_DIGEST = 100, 64


class MarkBehind(KeyStoreError):
    """A mark that would go back, or to something else at the same count."""

    ckr = "CKR_DATA_INVALID"
    code = "foundation.mark_behind"
    kind = Kind.CONFLICT


@dataclass(frozen=True)
class Mark:
    """``name``: 1 to 100 printable characters. ``count``: 0 to 2^62 - 1. ``digest``: up to 64 octets."""

    name: str
    count: int
    digest: bytes

    def follows(self, before: Mark) -> bool:
        """Whether this may stand after ``before``: further, or the same."""
        return self.count > before.count or self == before

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical_json({"name": self.name, "count": self.count, "digest": self.digest.hex()})

    @classmethod
    def parse(cls, octets: bytes) -> Mark:
        """The inverse, strictly. DataInvalid."""
        try:
            value = json.loads(octets)
            mark = cls(value["name"], value["count"], bytes.fromhex(value["digest"]))
            sound = _sound(mark) and mark.encode() == octets
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataInvalid from None
        if not sound:
            raise DataInvalid
        return mark


class Marks(Protocol):
    """A token that remembers marks."""

    def marks(self) -> tuple[Mark, ...]:
        """All marks, by name."""
        ...

    def set_marks(self, marks: Sequence[Mark], *, again: bool = False) -> None:
        """Remember these, all or none, for good when it returns; MarkBehind where one does not follow what is there.

        ``again``: in the place of all others, wherever they stood; the token's audit log says so. DataInvalid for a
        name twice, and where there would be more than 256.
        """
        ...


def _sound(mark: Mark) -> bool:
    name: Any = mark.name
    count: Any = mark.count
    return (
        isinstance(name, str)
        and 0 < len(name) <= _LONGEST_NAME
        and name.isprintable()
        and isinstance(count, int)
        and not isinstance(count, bool)
        and 0 <= count < 1 << 62
        and len(mark.digest) <= _LONGEST_DIGEST
    )
