"""What was made quick says what the slow way says."""

from __future__ import annotations

import hashlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyhanko.pdf_utils.misc import PdfStreamError

from signing.verify.pdf import _quick_hex
from signing.verify.pdf_bytes import RangeDigests


@given(data=st.binary(max_size=9000), cut=st.integers(0, 1), spaces=st.integers(1, 40))
def test_hexadecimal_strings(data: bytes, cut: int, spaces: int) -> None:
    """Whatever white space is between the digits; an odd digit is followed by a zero."""
    digits = data.hex()[: len(data) * 2 - cut] if data else ""
    written = "\n ".join(digits[at : at + spaces] for at in range(0, len(digits), spaces)).encode()
    stream = BytesIO(b"<" + written + b">rest")
    expected = bytes.fromhex(digits + "0" * (len(digits) % 2))
    assert _quick_hex(stream).original_bytes == expected
    assert stream.read() == b"rest"


@pytest.mark.parametrize("written", [b"<41", b"<4x>", b"<41(>", b"<"])
def test_hexadecimal_strings_that_are_none(written: bytes) -> None:
    """No end, or something else inside: refused as pyHanko refuses it."""
    with pytest.raises(PdfStreamError):
        _quick_hex(BytesIO(written))


@given(
    data=st.binary(min_size=10, max_size=300), holes=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=8)
)
def test_digests_of_ranges(data: bytes, holes: list[tuple[float, float]]) -> None:
    """In whatever order ranges come, each has the digest of its two parts."""
    digests = RangeDigests(data)
    for left, right in holes:
        before, after = sorted((int(left * len(data)), int(right * len(data))))
        for name in ("sha256", "sha512"):
            expected = hashlib.new(name, data[:before] + data[after:]).digest()
            assert digests.digest((0, before, after, len(data) - after), name) == expected
