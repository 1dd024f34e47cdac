"""Machine-readable zones: published specimens, every check digit, field-aware errors, repair, Khmer digits."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekyc.errors import MrzCheckDigitWrong, MrzFieldInvalid, MrzFormatUnknown
from ekyc.mrz import MRV_A, MRV_B, TD1, TD2, TD3, examine, normalise, propose, read, write
from ekyc.mrz.check_digits import check_digit
from foundation.catalogue import Language

TODAY = date(2010, 6, 1)

# Specimens printed in ICAO Doc 9303 (parts 3 to 7): the state of Utopia.
PUBLISHED = {
    "TD1": (
        "I<UTOD231458907<<<<<<<<<<<<<<<",
        "7408122F1204159UTO<<<<<<<<<<<6",
        "ERIKSSON<<ANNA<MARIA<<<<<<<<<<",
    ),
    "TD2": ("I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<", "D231458907UTO7408122F1204159<<<<<<<6"),
    "TD3": ("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10"),
    "MRV-A": ("V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L8988901C4XXX4009078F96121096ZE184226B<<<<<<"),
    "MRV-B": ("V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<", "L8988901C4XXX4009078F9612109<<<<<<<<"),
}


def khmer_card(number: str = "012345678", birth: str = "900413", expiry: str = "330412") -> tuple[str, ...]:
    fields = {
        "document_code": "ID",
        "issuer": "KHM",
        "document_number": number,
        "date_of_birth": birth,
        "sex": "F",
        "date_of_expiry": expiry,
        "nationality": "KHM",
    }
    return write(TD1, fields, "SPECIMEN", "SOPHEA")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_specimens_read(name: str) -> None:
    """The specimens that ICAO printed are read, whichever the size."""
    mrz = read(PUBLISHED[name], TODAY)
    assert (mrz.layout, mrz.surname, mrz.given_names, mrz.sex) == (name, "ERIKSSON", "ANNA MARIA", "F")
    if not name.startswith("MRV"):
        assert mrz.date_of_birth.value == date(1974, 8, 12)
        assert mrz.date_of_expiry is not None
        assert mrz.date_of_expiry.value == date(2012, 4, 15)


def test_number_longer_than_nine_characters() -> None:
    """A long number goes on in the optional data, with its check digit there (ICAO 9303-5 and -6)."""
    td1 = (
        "I<UTOD23145890<7349<<<<<<<<<<<",
        "3407127M9507122UTO<<<<<<<<<<<2",
        "STEVENSON<<PETER<JOHN<<<<<<<<<",
    )
    td2 = ("I<UTOSTEVENSON<<PETER<JOHN<<<<<<<<<<", "D23145890<UTO3407127M95071227349<<<8")
    for lines in (td1, td2):
        mrz = read(lines, date(1990, 1, 1))
        assert mrz.document_number == "D23145890734"
        assert mrz.optional[0] == ""
    broken = (td1[0].replace("7349", "7359"), *td1[1:])
    with pytest.raises(MrzCheckDigitWrong) as told:
        read(broken, date(1990, 1, 1))
    assert told.value.names == ("document_number",)


def test_khmer_card_keeps_leading_zeros() -> None:
    """``IDKHM`` and nine digits are a Khmer identity card; the number stays text."""
    mrz = read(khmer_card(), date(2026, 1, 1))
    assert mrz.is_khmer_id_card
    assert mrz.document_number == "012345678"
    assert not read(PUBLISHED["TD1"], TODAY).is_khmer_id_card


@pytest.mark.parametrize("check", ["0", "<"])
def test_lifetime_card_has_no_expiry(check: str) -> None:
    """A lifetime card has fillers for its expiry; its check digit may be 0 or a filler."""
    lines = khmer_card(expiry="<<<<<<")
    changed = (lines[0], lines[1][:14] + check + lines[1][15:], lines[2])
    assert read(changed, date(2026, 1, 1)).date_of_expiry is None


def test_typed_lines_with_khmer_digits_and_spaces() -> None:
    """Khmer digits, small letters and white space are what people type."""
    khmer = str.maketrans({str(n): chr(0x17E0 + n) for n in range(10)})
    typed = [f" {line.lower().translate(khmer)[:10]} {line.lower().translate(khmer)[10:]}" for line in khmer_card()]
    assert normalise(typed) == khmer_card()


@pytest.mark.parametrize(
    ("line", "place", "field"),
    [(0, 7, "document_number"), (1, 1, "date_of_birth"), (1, 13, "date_of_expiry")],
)
def test_an_error_names_its_field(line: int, place: int, field: str) -> None:
    """A wrong digit is told by the field that it stands in, in both languages."""
    lines = list(khmer_card())
    digit = str((int(lines[line][place]) + 1) % 10)
    lines[line] = lines[line][:place] + digit + lines[line][place + 1 :]
    with pytest.raises(MrzCheckDigitWrong) as told:
        read(lines, date(2026, 1, 1))
    assert told.value.names == (field,)
    assert field.replace("_", " ") in told.value.message(Language.EN)
    assert told.value.message(Language.KM)


def test_composite_alone_is_named() -> None:
    """What only the digit over the whole zone covers is told as such."""
    lines = khmer_card()
    with pytest.raises(MrzCheckDigitWrong) as told:
        read((lines[0][:20] + "7" + lines[0][21:], *lines[1:]), date(2026, 1, 1))
    assert told.value.names == ("composite",)


@pytest.mark.parametrize("birth", ["901332", "900230", "90<413"])
def test_dates_that_cannot_be(birth: str) -> None:
    """A month 13, a 30 February and a hole in a date are told as an invalid field, though the digits fit."""
    with pytest.raises(MrzFieldInvalid) as told:
        read(khmer_card(birth=birth), date(2026, 1, 1))
    assert told.value.names == ("date_of_birth",)


def test_unknown_day_of_birth_is_read_as_unknown() -> None:
    """ICAO 9303-3 §4.8 permits an unknown day or month; there is then no date."""
    mrz = read(khmer_card(birth="9004<<"), date(2026, 1, 1))
    assert mrz.date_of_birth.value is None
    assert mrz.date_of_birth.text == "9004<<"


def test_century_of_birth_and_expiry() -> None:
    """A birth is the latest one not after the reference; an expiry within fifty years of it."""
    mrz = read(khmer_card(birth="260102", expiry="750101"), date(2026, 1, 1))
    assert mrz.date_of_birth.value == date(1926, 1, 2)
    assert mrz.date_of_expiry is not None
    assert mrz.date_of_expiry.value == date(2075, 1, 1)
    assert read(khmer_card(birth="260102"), date(2026, 1, 2)).date_of_birth.value == date(2026, 1, 2)
    assert read(khmer_card(birth="480229"), date(2026, 1, 2)).date_of_birth.value == date(1948, 2, 29)


@pytest.mark.parametrize("lines", [(), ("",), ("A" * 30,), ("A" * 30, "B" * 30), ("A" * 44, "B" * 43), ("Ω" * 31,) * 3])
def test_other_shapes_are_no_mrz(lines: tuple[str, ...]) -> None:
    """Lines of another number or length are no machine-readable zone."""
    with pytest.raises(MrzFormatUnknown):
        read(lines, TODAY)


def test_repair_of_look_alikes_is_a_proposal_only() -> None:
    """Letters read for digits give one proposal; reading itself still refuses."""
    lines = khmer_card("012345678")
    misread = (lines[0].replace("012345678", "O1234567B"), lines[1].replace("900413", "9OO4I3"), lines[2])
    with pytest.raises(MrzFieldInvalid):
        read(misread, date(2026, 1, 1))
    assert propose(misread, date(2026, 1, 1)) == lines


def test_no_proposal_where_two_fit_or_none() -> None:
    """A digit typed for another digit, or two candidates, give no proposal."""
    lines = khmer_card("012345678")
    assert propose(lines, date(2026, 1, 1)) is None  # nothing is wrong
    wrong = (lines[0].replace("012345678", "012345679"), *lines[1:])
    assert propose(wrong, date(2026, 1, 1)) is None
    # In a number of letters and digits, several exchanges satisfy the same check digit (1/I/L: 1, 18, 21).
    fields = {"document_code": "P", "issuer": "UTO", "document_number": "I1I1I1I1I", "date_of_birth": "740812"}
    passport = write(TD3, fields | {"sex": "F", "nationality": "UTO"}, "SPECIMEN", "ANNA")
    assert examine(passport, TODAY).failures == ()
    damaged = (passport[0], "II" + passport[1][2:])
    assert propose(damaged, TODAY) is None


_NAME = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=12)
_NUMBER = st.text("0123456789", min_size=9, max_size=9)
_DAY = st.dates(date(1930, 1, 1), date(2025, 12, 31))


@given(_NUMBER, _DAY, st.dates(date(1980, 1, 1), date(2070, 12, 31)), st.sampled_from("MF<"), _NAME, _NAME)
def test_what_is_written_is_read(number: str, born: date, expires: date, sex: str, surname: str, given_: str) -> None:
    """Whatever is composed in any layout is read back the same."""
    reference = date(2026, 1, 1)
    for layout in (TD1, TD2, TD3, MRV_A, MRV_B):
        fields = {
            "document_code": "V" if layout.name.startswith("MRV") else "ID",
            "issuer": "KHM",
            "document_number": number,
            "date_of_birth": born.strftime("%y%m%d"),
            "sex": sex,
            "date_of_expiry": expires.strftime("%y%m%d"),
            "nationality": "KHM",
        }
        mrz = read(write(layout, fields, surname, given_), reference)
        assert (mrz.layout, mrz.document_number, mrz.surname, mrz.given_names) == (layout.name, number, surname, given_)
        assert mrz.date_of_birth.value == born
        assert mrz.date_of_expiry is not None
        assert mrz.date_of_expiry.value == expires


@given(_NUMBER, st.integers(0, 9), st.sampled_from("0123456789"))
def test_any_changed_digit_of_the_number_is_found(number: str, place: int, digit: str) -> None:
    """One changed digit in number or check digit never passes (weights 7, 3, 1 have inverses modulo 10)."""
    lines = khmer_card(number)
    at = 5 + place
    if lines[0][at] == digit:
        return
    failures = examine((lines[0][:at] + digit + lines[0][at + 1 :], *lines[1:]), date(2026, 1, 1)).failures
    assert "document_number" in {failure.field for failure in failures}


@given(st.lists(st.text(max_size=50), max_size=4))
def test_reading_never_breaks(lines: list[str]) -> None:
    """Any text is read or refused with an error of ours."""
    try:
        read(normalise(lines), TODAY)
    except (MrzFormatUnknown, MrzFieldInvalid, MrzCheckDigitWrong) as refused:
        assert refused.message(Language.KM)  # noqa: PT017


@given(st.data())
def test_proposals_are_readable_and_differ(data: st.DataObject) -> None:
    """A proposal always satisfies every digit, and is the card that was misread where letters stood for digits."""
    lines = list(khmer_card(data.draw(_NUMBER)))
    confused = {"0": "O", "1": "I", "2": "Z", "5": "S", "6": "G", "8": "B"}
    places = [n for n in range(5, 15) if lines[0][n] in confused]
    chosen = data.draw(st.sets(st.sampled_from(places), max_size=4)) if places else set()
    damaged = "".join(confused[c] if n in chosen else c for n, c in enumerate(lines[0]))
    proposal = propose((damaged, *lines[1:]), date(2026, 1, 1))
    assert proposal == (tuple(lines) if chosen else None)


def test_check_digit_of_the_standard() -> None:
    """The worked examples of ICAO 9303-3 Appendix A."""
    assert check_digit("520727") == "3"
    assert check_digit("AB2134<<<") == "5"
