"""A person's factors: PIN and one-time code, checked inside the daemon."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.keys.errors import (
    CodeUsed,
    FactorsEnrolled,
    FactorsNotEnrolled,
    KeyStoreError,
    OwnerDestroyed,
    PinIncorrect,
    PinInvalid,
    PinLocked,
    WrappedKeyInvalid,
)
from hsm_emulation.factors import Record, check_pin
from hsm_emulation.lockout import FREE_TRIES, wait_after
from tests.hsm.conftest import PERSON_PIN, Person, Served

WEAK = [
    *("000000", "111111", "123456", "654321", "234567", "890123", "987654", "112233", "332211", "123123", "121212"),
    *("123321", "147258", "159753", "111222", "100000", "951357", "000000000000", "012345678901"),
]
UNUSABLE = ["", "48291", "4829134829134", "48291a", "៤៨២៩១៣", "482 13", "-48291", "４８２９１３"]


@pytest.mark.parametrize("pin", WEAK + UNUSABLE)
def test_pins_that_cannot_be_used(served: Served, pin: str) -> None:
    """A PIN is 6 to 12 ASCII digits and not one of those that are guessed first; nothing is enrolled otherwise."""
    with pytest.raises(PinInvalid):
        served.client.enrol("specimen", pin)
    assert served.client.inventory()["factors"] == 0


@given(st.text("0123456789", min_size=6, max_size=12))
def test_most_pins_can_be_used(pin: str) -> None:
    """A PIN with five different digits that is no run and no pattern is never refused."""
    if len(set(pin)) < 3:
        with pytest.raises(PinInvalid):
            check_pin(pin)
    differences = {(int(b) - int(a)) % 10 for a, b in pairwise(pin)}
    if len(set(pin)) >= 5 and len(differences) >= 5:
        check_pin(pin)


def test_enrol_confirm_check(served: Served) -> None:
    """Pending factors check nothing; a code from the app confirms them; then PIN and code are right together."""
    person = Person(served, "specimen", confirmed=False)
    with pytest.raises(FactorsNotEnrolled):
        served.client.check("specimen", PERSON_PIN, person.code())
    with pytest.raises(PinIncorrect):
        served.client.confirm("specimen", person.wrong_code())
    served.client.confirm("specimen", person.code())
    served.client.check("specimen", PERSON_PIN, person.next_code())
    with pytest.raises(FactorsEnrolled):
        served.client.confirm("specimen", person.next_code())
    with pytest.raises(FactorsNotEnrolled):
        served.client.check("nobody", PERSON_PIN, "123456")


def test_pending_factors_are_replaced_and_confirmed_ones_are_not(served: Served) -> None:
    """Before confirming, enrolling again gives a new seed (the QR code was lost); afterwards it is refused."""
    first = Person(served, "specimen", confirmed=False)
    second = Person(served, "specimen", confirmed=False)
    assert first.app.secret != second.app.secret
    with pytest.raises(PinIncorrect):
        served.client.confirm("specimen", first.code())
    served.client.confirm("specimen", second.code())
    with pytest.raises(FactorsEnrolled):
        served.client.enrol("specimen", "739146")


def test_a_code_is_good_once(served: Served, person: Person) -> None:
    """The code that confirmed, and any that was checked, are refused as used, whatever PIN comes with them."""
    code = person.next_code()
    served.client.check(person.owner, PERSON_PIN, code)
    for pin in (PERSON_PIN, "739146"):
        with pytest.raises(CodeUsed):
            served.client.check(person.owner, pin, code)
    served.restart()
    with pytest.raises(CodeUsed):
        served.client.check(person.owner, PERSON_PIN, code)
    served.client.check(person.owner, PERSON_PIN, person.code(+1))
    with pytest.raises(CodeUsed):
        served.client.check(person.owner, PERSON_PIN, code)


def test_without_the_memory_of_steps_a_code_would_be_replayed(
    served: Served, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step that was used is all that refuses a code a second time: not kept, the same code passes again."""
    code = person.next_code()
    served.client.check(person.owner, PERSON_PIN, code)
    with pytest.raises(CodeUsed):
        served.client.check(person.owner, PERSON_PIN, code)
    succeeded = Record.succeeded
    monkeypatch.setattr(Record, "succeeded", lambda record, step: replace(succeeded(record, step), last_step=-1))
    later = person.next_code()
    for _ in range(3):
        served.client.check(person.owner, PERSON_PIN, later)


def test_one_code_by_many_at_once(served: Served, person: Person) -> None:
    """Of eight simultaneous tries with one right code, one succeeds."""
    code = person.next_code()

    def attempt(_: int) -> bool:
        try:
            served.client.check(person.owner, PERSON_PIN, code)
        except CodeUsed:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(8))) == 1


@pytest.mark.parametrize(
    ("steps", "accepted"), [(-3, False), (-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_the_window_is_one_step_each_way(served: Served, person: Person, steps: int, accepted: bool) -> None:
    """Codes of the step before, this one and the next are right; others are wrong (RFC 6238 §5.2)."""
    served.clock.advance(timedelta(seconds=300))
    if accepted:
        served.client.check(person.owner, PERSON_PIN, person.code(steps))
    else:
        with pytest.raises(PinIncorrect):
            served.client.check(person.owner, PERSON_PIN, person.code(steps))


def test_an_older_code_is_refused_after_a_newer_one(served: Served, person: Person) -> None:
    """After the next step's code was used, this step's code counts as used: steps only go up."""
    served.clock.advance(timedelta(seconds=300))
    served.client.check(person.owner, PERSON_PIN, person.code(+1))
    with pytest.raises(CodeUsed):
        served.client.check(person.owner, PERSON_PIN, person.code())


def test_nothing_says_which_factor_was_wrong(served: Served, person: Person) -> None:
    """Wrong PIN with a right code, right PIN with a wrong code, both wrong, not even digits: one and the same error."""
    served.clock.advance(timedelta(seconds=300))
    tries = [("739146", person.code()), (PERSON_PIN, person.wrong_code()), ("739146", person.wrong_code()), ("", "ខ")]
    seen = set()
    for pin, code in tries:
        with pytest.raises(PinIncorrect) as refused:
            served.client.check(person.owner, pin, code)
        seen.add((str(refused.value), str(refused.value.params), refused.value.retry_after))
    assert len(seen) == 1
    served.client.check(person.owner, PERSON_PIN, person.code())  # a code with a wrong PIN was not used up


def test_wrong_tries_lock_for_longer_and_longer(served: Served, person: Person) -> None:
    """Five wrong tries lock, with the time to wait; the right factors are refused meanwhile, after a restart too.

    Each further wrong try doubles the wait; a right one clears the count.
    """
    for _ in range(FREE_TRIES):
        with pytest.raises(PinIncorrect):
            served.client.check(person.owner, "739146", person.code(1))
    for failures in (FREE_TRIES, FREE_TRIES + 1, FREE_TRIES + 2):
        with pytest.raises(PinLocked) as locked:
            served.client.check(person.owner, PERSON_PIN, person.code(1))
        assert locked.value.retry_after is not None
        assert wait_after(failures) <= locked.value.retry_after <= wait_after(failures) + 1
        served.restart()
        with pytest.raises(PinLocked):
            served.client.check(person.owner, PERSON_PIN, person.code(1))
        served.clock.advance(timedelta(seconds=locked.value.retry_after))
        with pytest.raises(PinIncorrect):
            served.client.check(person.owner, "739146", person.code(1))
    served.clock.advance(timedelta(days=1))
    served.client.check(person.owner, PERSON_PIN, person.code())
    with pytest.raises(PinIncorrect):
        served.client.check(person.owner, "739146", person.next_code())
    served.client.check(person.owner, PERSON_PIN, person.code())


def test_guesses_at_once_do_not_overtake_the_count(served: Served, person: Person) -> None:
    """Twenty wrong tries at the same time: five are looked at, the others find it locked."""

    def attempt(_: int) -> type[KeyStoreError] | None:
        try:
            served.client.check(person.owner, "739146", person.wrong_code())
        except KeyStoreError as error:
            return type(error)
        return None

    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(attempt, range(20)))
    assert seen.count(PinIncorrect) == FREE_TRIES
    assert seen.count(PinLocked) == 20 - FREE_TRIES


def test_confirming_can_be_guessed_no_more_often(served: Served) -> None:
    """Wrong codes at confirmation count and lock as well."""
    person = Person(served, "specimen", confirmed=False)
    for _ in range(FREE_TRIES):
        with pytest.raises(PinIncorrect):
            served.client.confirm("specimen", person.wrong_code())
    with pytest.raises(PinLocked):
        served.client.confirm("specimen", person.code())


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE factors SET sealed = (SELECT sealed FROM factors WHERE owner = 'accomplice')",
        "UPDATE owners SET sealed = (SELECT sealed FROM owners WHERE owner = 'accomplice')",
        "UPDATE owners SET factors = 0",
        "UPDATE factors SET sealed = zeroblob(200)",
    ],
)
def test_factors_cannot_be_swapped_in_the_store(served: Served, person: Person, edit: str) -> None:
    """Somebody who can write to the store puts an accomplice's factors in a person's place: they do not check."""
    accomplice = Person(served, "accomplice")
    served.edit(edit)
    calls: list[Callable[[], object]] = [
        lambda: served.client.check(person.owner, PERSON_PIN, accomplice.next_code()),
        lambda: served.client.check(person.owner, PERSON_PIN, person.code()),
    ]
    for call in calls:
        with pytest.raises(WrappedKeyInvalid):
            call()


def test_deleting_the_factors_does_not_let_others_enrol(served: Served, person: Person) -> None:
    """The factors' row deleted: new ones cannot be enrolled for the same keys; nor with the note edited."""
    served.edit("DELETE FROM factors")
    with pytest.raises(FactorsEnrolled):
        served.client.enrol(person.owner, "739146")
    with pytest.raises(FactorsNotEnrolled):
        served.client.check(person.owner, PERSON_PIN, person.next_code())
    served.edit("UPDATE owners SET factors = 0")
    with pytest.raises(WrappedKeyInvalid):
        served.client.enrol(person.owner, "739146")


def test_a_destroyed_person_cannot_enrol(served: Served, person: Person) -> None:
    """After destruction nothing checks and nothing can be enrolled under the same id."""
    served.client.destroy_owner(person.owner)
    with pytest.raises(OwnerDestroyed):
        served.client.check(person.owner, PERSON_PIN, person.next_code())
    with pytest.raises(OwnerDestroyed):
        served.client.enrol(person.owner, "739146")
