"""Text that others wrote and people are shown: one line that can neither hide nor turn round what stands beside it."""

from __future__ import annotations

ZERO_WIDTH_SPACE = "\u200b"
"""Parts Khmer words, and is no more than that: the only invisible character that is taken."""


def is_printable(text: str) -> bool:
    """Whether every character can be shown: no controls, line ends, marks that turn the direction of writing."""
    return all(one.isprintable() or one == ZERO_WIDTH_SPACE for one in text)


def is_line(text: str, longest: int) -> bool:
    """Whether it is one printable line that says something, of at most so many characters."""
    return bool(text.replace(ZERO_WIDTH_SPACE, "").strip()) and len(text) <= longest and is_printable(text)
