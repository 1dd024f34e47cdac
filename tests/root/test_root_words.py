"""Fingerprints as words, in English and Khmer."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.words import _lists, khmer_words, normalised, word_lines, words

ENGLISH, KHMER = "words_en.txt", "words_km.txt"
SAY = {ENGLISH: words, KHMER: khmer_words}


def test_english_lists_have_a_word_for_every_octet() -> None:
    """256 distinct words each: four letters at even positions, five at odd ones, lower case."""
    for words_of, letters in zip(_lists(ENGLISH), (4, 5), strict=True):
        assert len(set(words_of)) == 256
        assert all(len(word) == letters and word.isascii() and word.islower() for word in words_of)


def test_khmer_lists_have_a_word_for_every_octet() -> None:
    """512 distinct words after normalisation, all Khmer letters and signs, and none begins another."""
    lists = _lists(KHMER)
    both = [*lists[0], *lists[1]]
    assert [len(one) for one in lists] == [256, 256]
    assert len({normalised(word) for word in both}) == 512
    for word in both:
        assert all(unicodedata.name(sign).startswith("KHMER ") for sign in word)
        assert unicodedata.normalize("NFC", word) == word
    ordered = sorted(both)  # a word that begins another stands directly before one that it begins
    assert not any(other.startswith(one) for one, other in itertools.pairwise(ordered))


def _distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        before, row[0] = row[0], number
        for place, against in enumerate(other, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (letter != against))
    return row[-1]


@pytest.mark.parametrize("file", SAY)
def test_no_two_words_of_a_list_differ_in_one_letter(file: str) -> None:
    """A single misheard, mistyped, missing or additional letter never gives another word of the same list."""
    for words_of in _lists(file):
        for one, other in itertools.combinations(words_of, 2):
            assert _distance(one, other) >= 2


@pytest.mark.parametrize("file", SAY)
@given(one=st.binary(min_size=32, max_size=32), other=st.binary(min_size=32, max_size=32))
def test_words_are_one_to_one(file: str, one: bytes, other: bytes) -> None:
    """Different digests have different words."""
    assert (SAY[file](one) == SAY[file](other)) == (one == other)


@pytest.mark.parametrize("file", SAY)
@given(data=st.binary(min_size=32, max_size=32), position=st.integers(0, 30))
def test_swapped_neighbours_are_heard(file: str, data: bytes, position: int) -> None:
    """Two neighbouring words in the wrong order are not words at their places."""
    said = list(SAY[file](data))
    said[position], said[position + 1] = said[position + 1], said[position]
    assert said[position] not in _lists(file)[position % 2]


def test_words_come_in_lines_of_eight() -> None:
    """A SHA-256 is four lines of eight words."""
    assert [len(line.split()) for line in word_lines(bytes(32))] == [8, 8, 8, 8]


def test_what_is_typed_is_compared_as_a_person_means_it() -> None:
    """Capitals, doubled and zero-width spaces, and the order of combining signs make no difference; letters do."""
    said = khmer_words(bytes(range(6)))
    assert normalised("\u200b".join(said) + " \n") == " ".join(said)
    assert normalised("  ACID   acorn\n") == "acid acorn"
    assert normalised("acid acor") != "acid acorn"
