"""Names of documents as they are shown to whoever signs."""

from __future__ import annotations

import pytest

from signing.file_name import MAX_NAME, plain_name


@pytest.mark.parametrize(
    "mark", [*"\u202e\u2066\u2067\u2069\u200e\u200f\u061c\u2028\u2029\ufeff\x00\x7f", "\r\n", "\u202e\u202c"]
)
def test_a_name_cannot_lie(mark: str) -> None:
    """What turns the direction of writing or ends a line is left out, so that the suffix stays at the end."""
    assert plain_name(f"contract{mark}fdp.exe") == "contractfdp.exe"


def test_khmer_spelling_stays() -> None:
    """Zero-width space and joiners are part of words; folders are not part of names."""
    assert plain_name("C:\\folder/កិច្ច\u200bសន្យា\u200c\u200d.pdf") == "កិច្ច\u200bសន្យា\u200c\u200d.pdf"
    assert plain_name("\u202e") == "document.pdf"
    assert len(plain_name("ក" * 500)) == MAX_NAME
