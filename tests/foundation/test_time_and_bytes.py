"""Clock, randomness and canonical JSON: one value, one form."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.canonical import canonical_json, digest
from foundation.clock import SetClock, SystemClock, parse_rfc3339, rfc3339
from foundation.randomness import SystemRandomness, serial_number

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


def test_the_clock_is_aware() -> None:
    """The system's clock gives UTC; a time without a zone is refused, another zone is converted."""
    assert SystemClock().now().tzinfo is UTC
    with pytest.raises(ValueError, match="zone"):
        SetClock(datetime(2030, 1, 1))  # noqa: DTZ001 - the point of the test
    phnom_penh = timezone(timedelta(hours=7))
    clock = SetClock(datetime(2030, 1, 1, 7, tzinfo=phnom_penh))
    assert clock.now() == datetime(2030, 1, 1, tzinfo=UTC)
    clock.advance(timedelta(days=1))
    assert clock.now().day == 2


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_survive_being_written(at: datetime) -> None:
    """RFC 3339 in UTC with a Z, and back."""
    written = rfc3339(at)
    assert written.endswith("Z")
    assert parse_rfc3339(written) == at


def test_a_written_time_without_a_zone_is_refused() -> None:
    """It would mean different moments to different readers."""
    with pytest.raises(ValueError, match="zone"):
        parse_rfc3339("2030-01-01T00:00:00")


def test_serial_numbers_are_long_positive_and_short_enough() -> None:
    """RFC 5280 §4.1.2.2 and BR §7.1: positive, at least 64 random bits, at most 20 octets; here always 16."""
    numbers = {serial_number(SystemRandomness()) for _ in range(500)}
    assert len(numbers) == 500
    assert all(number > 0 and number.bit_length() == 127 for number in numbers)


@given(VALUES)
def test_canonical_json_is_json_and_stable(value: object) -> None:
    """What is written reads back as the same value, and writing that again gives the same bytes."""
    written = canonical_json(value)
    assert json.loads(written) == value
    assert canonical_json(json.loads(written)) == written


def test_canonical_json_sorts_by_utf16() -> None:
    """RFC 8785 §3.2.3: by UTF-16 code units, so that U+1F600 comes before U+FB33."""
    value = {"\ufb33": 1, "\U0001f600": 2, "b": 3, "a": {"z": [], "y": None}}
    assert canonical_json(value) == '{"a":{"y":null,"z":[]},"b":3,"\U0001f600":2,"\ufb33":1}'.encode()
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [1.5, float("nan"), {1: "a"}, {"a": b"x"}, object(), [{"a": {2.0}}]])
def test_canonical_json_refuses_what_has_no_one_form(value: object) -> None:
    """Floating-point numbers, odd keys and odd types are refused rather than normalised."""
    with pytest.raises(TypeError):
        canonical_json(value)
