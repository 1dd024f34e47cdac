"""Fingerprints as words."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from root_ca.words import _lists, word_lines, words


def test_both_lists_have_a_word_for_every_octet() -> None:
    """256 distinct words each: four letters at even positions, five at odd ones, lower case."""
    for words_of, letters in zip(_lists(), (4, 5), strict=True):
        assert len(set(words_of)) == 256
        assert all(len(word) == letters and word.isascii() and word.islower() for word in words_of)


def test_no_two_words_of_a_list_differ_in_one_letter() -> None:
    """A single misheard or mistyped letter never gives another word of the same list."""
    for words_of in _lists():
        for one, other in itertools.combinations(words_of, 2):
            assert sum(a != b for a, b in zip(one, other, strict=True)) >= 2


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_words_are_one_to_one(one: bytes, other: bytes) -> None:
    """Different digests have different words."""
    assert (words(one) == words(other)) == (one == other)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 30))
def test_swapped_neighbours_are_heard(data: bytes, position: int) -> None:
    """Two neighbouring words in the wrong order are not words at their places."""
    said = list(words(data))
    said[position], said[position + 1] = said[position + 1], said[position]
    lists = _lists()
    assert said[position] not in lists[position % 2]


def test_words_come_in_lines_of_eight() -> None:
    """A SHA-256 is four lines of eight words."""
    assert [len(line.split()) for line in word_lines(bytes(32))] == [8, 8, 8, 8]
