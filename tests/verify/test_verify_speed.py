"""What was made quick says what the slow way says."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyhanko.pdf_utils.misc import PdfStreamError

from signing.verify import pdf_bytes
from signing.verify.model import Indication
from signing.verify.pdf import _quick_hex, read_pdf
from signing.verify.pdf_bytes import RangeDigests
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests.verify.verify_world import NOW, SIGNED_AT, World, document


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
    data=st.binary(min_size=10, max_size=300),
    holes=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=8),
    told=st.integers(0, 8),
)
def test_digests_of_ranges(data: bytes, holes: list[tuple[float, float]], told: int) -> None:
    """In whatever order ranges come, and whichever were expected, each has the digest of its two parts."""
    ranges = []
    for left, right in holes:
        before, after = sorted((int(left * len(data)), int(right * len(data))))
        ranges.append((0, before, after, len(data) - after))
    digests = RangeDigests(data, ranges[:told])
    for one in ranges:
        for name in ("sha256", "sha512"):
            expected = hashlib.new(name, data[: one[1]] + data[one[2] :]).digest()
            assert digests.digest(one, name) == expected


class Counted:
    """A hash that counts the octets it is fed, in ``fed``, which its copies share."""

    def __init__(self, name: str, fed: list[int], inner: Any = None) -> None:
        self._name, self._fed, self._inner = name, fed, inner or hashlib.new(name)

    def update(self, octets: memoryview) -> None:
        self._fed.append(len(octets))
        self._inner.update(octets)

    def copy(self) -> Counted:
        return Counted(self._name, self._fed, self._inner.copy())

    def digest(self) -> bytes:
        return bytes(self._inner.digest())


def test_what_signatures_cover_together_is_hashed_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last is judged first; the ones before it do not start again."""
    first = world.signed(document())
    data = world.timestamp(first, SIGNED_AT + timedelta(hours=3))
    fed: list[int] = []
    monkeypatch.setattr(pdf_bytes, "hashlib", SimpleNamespace(new=lambda name: Counted(name, fed)))
    trust = build_trust(world.bundle(), frozenset({world.pin}), [], NOW, STRICT)
    verdict = verify_file(data, "two", trust, NOW)
    assert verdict.indication is Indication.TOTAL_PASSED
    assert len(verdict.signatures) == 2
    ranges = [one.byte_range for one in read_pdf(data, STRICT).signatures]
    assert sum(fed) == ranges[-1][1] + sum(rest for _, _, _, rest in ranges)
