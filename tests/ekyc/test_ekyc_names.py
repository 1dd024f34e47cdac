"""Names: Khmer spellings that look alike, Latin names as people and machines write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekyc.errors import NameUnusable
from ekyc.names import Likeness, compare_latin, khmer_name, latin_name

COENG = "\u17d2"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("សុភា", "សុ\u200bភា"),  # a zero-width space for line breaking
        ("ក" + COENG + "រ" + COENG + "ម", "ក" + COENG + "ម" + COENG + "រ"),  # order of subscripts
        ("ក\u17b6\u17c6", "ក\u17c6\u17b6"),  # order of vowel and sign
        ("  ដារា  ", "ដារា"),
    ],
)
def test_khmer_spellings_with_one_canonical_form(one: str, other: str) -> None:
    """What differs only in invisible characters or in the order of marks has one canonical form."""
    assert khmer_name(one).canonical == khmer_name(other).canonical
    assert khmer_name(one).as_entered == one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ក" + COENG + "ដ", "ក" + COENG + "ត"),  # subscript DA and TA look the same
        ("ក\u17c1\u17b8", "ក\u17be"),  # a vowel in two parts
        ("សុភា រដ្ឋា", "សុភារដ្ឋា"),
    ],
)
def test_khmer_spellings_that_only_match(one: str, other: str) -> None:
    """What readers cannot tell apart has one match key, and two canonical forms."""
    assert khmer_name(one).match_key == khmer_name(other).match_key
    assert khmer_name(one).canonical != khmer_name(other).canonical


def test_different_khmer_names_stay_different() -> None:
    """Names that differ in a letter or a vowel have different keys."""
    assert khmer_name("សុភា").match_key != khmer_name("សុភី").match_key
    assert khmer_name("តារា").match_key != khmer_name("ដារា").match_key


@pytest.mark.parametrize(
    "text", ["", "   ", "Sophea", "សុភា1", "សុភា១", "សុភា\u202e", COENG + "ក", "ក" + COENG, "ក" * 121]
)
def test_what_is_no_khmer_name(text: str) -> None:
    """Other scripts, digits, direction marks and broken clusters are refused."""
    with pytest.raises(NameUnusable):
        khmer_name(text)


@given(st.text(st.characters(min_codepoint=0x1780, max_codepoint=0x17D3), max_size=30))
def test_canonical_forms_are_stable(text: str) -> None:
    """Canonical form and match key of a canonical form are themselves."""
    try:
        name = khmer_name(text)
    except NameUnusable:
        return
    again = khmer_name(name.canonical)
    assert (again.canonical, again.match_key) == (name.canonical, name.match_key)


@pytest.mark.parametrize(
    ("given_names", "surname", "expected"),
    [
        ("SOPHEA", "SPECIMEN", Likeness.SAME),
        ("sophea", "Specimen", Likeness.SAME),
        ("SO PHEA", "SPECIMEN", Likeness.SPACING),
        ("SPECIMEN", "SOPHEA", Likeness.SWAPPED),
        ("SOPHEAK", "SPECIMEN", Likeness.DIFFERENT),
    ],
)
def test_latin_names_compare_with_a_reason(given_names: str, surname: str, expected: Likeness) -> None:
    """Case and spaces do not count, the order is told, one letter more is another name."""
    assert compare_latin(surname, given_names, "SPECIMEN", "SOPHEA") is expected


def test_latin_names_cut_by_the_card() -> None:
    """A name that fills its field may be cut; only then is a beginning enough."""
    assert compare_latin("SPECIMEN", "SOPHEA MA", "SPECIMEN", "SOPHEA MALY") is Likeness.DIFFERENT
    assert compare_latin("SPECIMEN", "SOPHEA MA", "SPECIMEN", "SOPHEA MALY", truncated=True) is Likeness.TRUNCATED


def test_latin_diacritics_and_refusals() -> None:
    """Diacritics fold away in the key; digits and other scripts are refused."""
    assert latin_name("Rénée").match_key == "RENEE"
    for text in ("", "A1", "សុភា", "-", "A\u0000"):
        with pytest.raises(NameUnusable):
            latin_name(text)
