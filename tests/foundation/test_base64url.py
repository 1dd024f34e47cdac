"""Base64url, and names at random that can stand on a command line."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.base64url import encoded, typable


class Told:
    """A source of randomness that gives what it was told, in turn, the last again and again."""

    def __init__(self, *texts: str) -> None:
        self._octets = [base64.urlsafe_b64decode(text) for text in texts]

    def bytes(self, count: int) -> bytes:
        """The next ones, which have that length."""
        octets = self._octets.pop(0) if len(self._octets) > 1 else self._octets[0]
        assert len(octets) == count
        return octets


@given(st.binary(max_size=100))
def test_encoded(octets: bytes) -> None:
    """The text has no padding, and gives the octets back."""
    text = encoded(octets)
    assert "=" not in text
    assert base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) == octets


def test_a_name_is_no_option_of_a_command() -> None:
    """What would begin with "-" is drawn anew; a source that gives nothing else is refused."""
    assert typable(Told("-abc", "--ab", "a-bc"), 3) == "a-bc"
    with pytest.raises(ValueError, match="repeats"):
        typable(Told("-abc"), 3)
