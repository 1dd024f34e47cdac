"""Text that is shown to people, and cursors that they hand back."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.cursor import read_cursor, write_cursor
from foundation.printable import is_line, is_printable


@pytest.mark.parametrize("mark", [*"\n\r\t\x00\x7f\u2028\u2029\u200e\u200f\u061c\u202e\u2066\u2067"])
def test_nothing_that_hides_or_turns_is_printable(mark: str) -> None:
    """Ends of lines, controls, and every mark that turns the direction of writing."""
    assert not is_printable(f"a{mark}b")
    assert not is_line(f"a{mark}b", 10)


def test_khmer_is_printable() -> None:
    """With the zero-width spaces between its words; alone they say nothing."""
    assert is_line("សូម\u200bផ្ទៀងផ្ទាត់", 40)
    assert not is_line("\u200b \u200b", 40)
    assert not is_line("ក" * 41, 40)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=200))
def test_a_cursor_comes_back(place: str) -> None:
    """Whatever a page ended with is read again from its cursor, which any address can carry."""
    cursor = write_cursor(place)
    assert read_cursor(cursor) == place
    assert cursor.isascii()
    assert not set(cursor) & set("+/=")


@pytest.mark.parametrize(
    "cursor",
    ["", "!", "é", "A", *(base64.urlsafe_b64encode(place).decode() for place in (b"a\x00", b"\xff", b"a b", b""))],
)
def test_what_no_page_gave_is_no_cursor(cursor: str) -> None:
    """Nothing, no Base64url, a NUL, which PostgreSQL does not take, and what is no ASCII."""
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        read_cursor(cursor)
