"""Latin spellings that may be one name, and the error rates of the name engine over generated names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import names
from ekyc.latin_lattice import alike
from ekyc.registry_simulation.matching import compare
from ekyc.registry_simulation.persons import Specimen, series

LETTERS = st.text(st.sampled_from("ABCDEHIKLMNOPRSTUVY"), min_size=1, max_size=14)


@pytest.mark.parametrize(
    ("one", "other", "reasons"),
    [
        ("SOPHEA", "SOPHEAR", ("silent_r",)),
        ("SOPHEA", "Sopia", ("aspiration", "vowel")),
        ("THYDA", "TYDA", ("aspiration",)),
        ("VUTHY", "WUTHI", ("consonant", "vowel")),
        ("SREY  MOM", "Sreymom", ()),
    ],
)
def test_spellings_of_one_name(one: str, other: str, reasons: tuple[str, ...]) -> None:
    """What writers use for each other is alike, both ways, and each kind of change is named."""
    for first, second in ((one, other), (other, one)):
        found = alike(first, second)
        assert (found.alike, sorted(found.reasons)) == (True, sorted(reasons))


@pytest.mark.parametrize(
    ("one", "other"), [("SOPHEA", "SOKHA"), ("DARA", "DARAVY"), ("KHIM", "KIN"), ("TA", "THA"), ("SOK", "SOM")]
)
def test_different_names_are_not_alike(one: str, other: str) -> None:
    """A letter that nothing stands for, a syllable more, or too short a name for its changes."""
    assert not alike(one, other).alike


@given(LETTERS, LETTERS)
def test_alike_is_symmetric_and_every_name_is_like_itself(one: str, other: str) -> None:
    """The order of the two does not matter."""
    assert alike(one, other).alike == alike(other, one).alike
    assert alike(one, one).alike
    assert alike(one, one).reasons == ()


def test_another_spelling_is_for_an_officer_and_never_a_match() -> None:
    """The simulated registry asks for a review of a Latin name in another spelling; another name matches nothing."""
    person = Specimen(**{**vars(series(1)), "surname": "SOPHEA"})

    def asked(surname: str) -> str:
        return compare(person, {**{k: str(v) for k, v in vars(person).items()}, "surname": surname})[0]

    assert [asked("SOPHEA"), asked("SOPHEAR"), asked("SOKHA")] == ["match", "review", "no-match"]


def test_the_rates_are_what_is_published() -> None:
    """Over generated pairs: Khmer look-alikes are all found and different names are never merged; Latin spellings that
    the lattice knows are found, those of the unknown kind are not, and next to nothing is merged."""
    khmer, latin = names.khmer(1500, seed=7), names.latin(1500, seed=7)
    assert (khmer.false_non_match, khmer.false_match) == (0, 0)
    assert 0.05 < latin.false_non_match < 0.20
    assert latin.false_match < 0.005
