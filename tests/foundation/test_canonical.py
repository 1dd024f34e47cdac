"""Canonical JSON holds against Python's own writer, whose text is RFC 8785's for the values that we allow."""

from __future__ import annotations

import json
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.canonical import canonical_json

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner),
    max_leaves=20,
)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@given(_VALUES)
def test_it_is_what_json_writes_of_sorted_members(value: Any) -> None:
    """Octet for octet what Python's own writer gives for the same value with its members sorted."""
    written = json.dumps(_sorted(value), ensure_ascii=False, separators=(",", ":"))
    assert canonical_json(value) == written.encode()


def test_values_with_names_are_written_as_what_they_are() -> None:
    """Enumerations are their strings and numbers."""
    word, number = StrEnum("Word", {"ONE": 'o"ne'}), IntEnum("Number", {"TWO": 2})
    assert canonical_json((word.ONE, number.TWO, {word.ONE: number.TWO})) == b'["o\\"ne",2,{"o\\"ne":2}]'


@pytest.mark.parametrize("value", [1.0, float("nan"), {1: "a"}, b"octets", [{"a": {"b": 0.5}}], {"a"}])
def test_what_has_no_place_is_refused(value: object) -> None:
    """Floating-point numbers, octets, keys that are no strings: a TypeError, never something written."""
    with pytest.raises(TypeError):
        canonical_json(value)
