"""What is printed for people, against the machine-readable lines: Khmer digits and dates, issue and expiry."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekyc import mrz
from ekyc.documents.printed import _MONTHS, Printed, check_printed, read_date
from ekyc.errors import DocumentNotYetValid, PrintedDateUnreadable, PrintedDiffers
from ekyc.model import State
from ekyc.registry_simulation.persons import specimens
from tests.ekyc.story import World

KHMER = str.maketrans("0123456789", "០១២៣៤៥៦៧៨៩")
TODAY = date(2026, 6, 1)


@given(st.dates(date(1900, 1, 1), date(2199, 12, 31)), st.booleans(), st.sampled_from("./- "))
def test_any_date_is_read_in_both_scripts(day: date, khmer: bool, between: str) -> None:
    """As numbers in either digits, and with the month as a Khmer word."""
    numbers = f"{day.day:02d}{between}{day.month:02d}{between}{day.year}"
    words = f"ថ្ងៃទី{day.day} ខែ{_MONTHS[day.month - 1]} ឆ្នាំ{day.year}"
    for written in (numbers, words, f"{day.day} {_MONTHS[day.month - 1]} {day.year}"):
        assert read_date(written.translate(KHMER) if khmer else written) == day


@pytest.mark.parametrize(
    "written", ["", "1990", "31.02.1990", "13.13.1990", "1990-04-13", "13.04.90", "១៣.០៤.២៥៣៤", "13 April 1990"]
)
def test_what_is_no_date_is_not_guessed(written: str) -> None:
    """Two-digit years, impossible days, years of the Buddhist era: asked for again."""
    with pytest.raises(PrintedDateUnreadable):
        read_date(written)


def card(person: str = "adult") -> mrz.Mrz:
    return mrz.read(specimens()[person].card(), TODAY)


@pytest.mark.parametrize(
    ("printed", "fields"),
    [
        (Printed(document_number="999999999"), ("document_number",)),
        (Printed(date_of_birth="14.04.1990"), ("date_of_birth",)),
        (Printed(date_of_expiry="01.01.2030"), ("date_of_expiry",)),
        (Printed(never_expires=True), ("date_of_expiry",)),
        (Printed(document_number="1", date_of_birth="១៤.០៤.១៩៩០"), ("document_number", "date_of_birth")),
    ],
)
def test_what_differs_is_named(printed: Printed, fields: tuple[str, ...]) -> None:
    """Each field that is not what the lines say; never the values."""
    with pytest.raises(PrintedDiffers) as refused:
        check_printed(printed, card(), TODAY)
    assert refused.value.names == fields
    assert "999999999" not in str(refused.value)


def test_what_is_the_same_passes_in_khmer_digits() -> None:
    """Number and dates as on the card, with spaces; nothing given is nothing compared."""
    person = specimens()["adult"]
    born, expires = date.fromisoformat(person.date_of_birth), date.fromisoformat(person.card_expires)
    printed = Printed(
        document_number=person.document_number.translate(KHMER),
        date_of_birth=f"{born:%d.%m.%Y}".translate(KHMER),
        date_of_issue="01.06.2026",
        date_of_expiry=f"{expires:%d/%m/%Y}",
    )
    check_printed(printed, card(), TODAY)
    check_printed(Printed(), card(), TODAY)


def test_lifetime_cards_and_cards_of_tomorrow() -> None:
    """A card that never expires may say so and has no date; one that was issued tomorrow is not valid yet."""
    check_printed(Printed(never_expires=True), card("lifetime-card"), TODAY)
    with pytest.raises(PrintedDiffers):
        check_printed(Printed(date_of_expiry="01.01.2030"), card("lifetime-card"), TODAY)
    with pytest.raises(DocumentNotYetValid):
        check_printed(Printed(date_of_issue="០២.០៦.២០២៦"), card(), TODAY)


def test_over_http_nothing_is_kept_of_what_differs(world: World) -> None:
    """A difference is told with its fields and keeps nothing; without one the document is taken."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    client, headers = world.client(), {"Authorization": f"Bearer {world.sessions.open(actor.id)}"}
    person, before = specimens()["adult"], world.state(name)
    body = {"lines": list(person.card()), "surname_km": person.surname_km, "given_names_km": person.given_names_km}
    path = f"/ekyc/v1/enrolments/{name}/document"
    wrong = client.post(path, json={**body, "printed": {"document_number": "999999999"}}, headers=headers)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "ekyc.printed_differs")
    assert "999999999" not in wrong.text
    assert world.state(name) == before
    right = {"document_number": person.document_number.translate(KHMER)}
    assert client.post(path, json={**body, "printed": right}, headers=headers).status_code == 200
