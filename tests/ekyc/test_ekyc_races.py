"""The same step asked for by many at once is taken once, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ekyc.contacts.desk import Channel
from ekyc.errors import EvidenceChanged, OtpThrottled, OtpUsed, OtpWrong, ResendThrottled, WrongState
from ekyc.evidence.record import EvidenceKind, verify_chain
from ekyc.model import State
from ekyc.registry_simulation.persons import series
from ekyc.review.desk import Method, Verdict
from foundation.clock import SetClock
from foundation.db.engine import StaleWrite, open_database
from tests.ekyc.machine_parts import MemoryRegistry, MemoryToken
from tests.ekyc.story import OFFICER, PHONE, World

MANY = 20
TAKEN_BESIDE = (
    EvidenceKind.IMAGE,
    EvidenceKind.CHIP,
    EvidenceKind.CROSS_CHECK,
    EvidenceKind.LIVENESS,
    EvidenceKind.FACE,
)
# Of minors, of people without a document, of who was suspended, refused or corrected, of stations.
OF_OTHERS = (
    EvidenceKind.GUARDIAN,
    EvidenceKind.DECLARATION,
    EvidenceKind.VOUCH,
    EvidenceKind.REINSTATEMENT,
    EvidenceKind.PACKET,
    EvidenceKind.APPEAL,
    EvidenceKind.CORRECTION,
)


def at_once(step: Callable[[int], Any], count: int = MANY) -> list[Any]:
    """What ``count`` threads met: results, or errors that a race may give."""

    def one(number: int) -> Any:
        try:
            return step(number)
        except (StaleWrite, WrongState, EvidenceChanged, OtpThrottled, OtpUsed, OtpWrong, ResendThrottled) as refused:
            return refused

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def succeeded(results: list[Any]) -> int:
    return sum(1 for result in results if not isinstance(result, Exception))


def test_twenty_submissions_are_one_step(both_worlds: World) -> None:
    """Of twenty equal submissions one is stored: one version, one record, and the ledger is whole."""
    world = both_worlds
    actor, enrolment = world.start()
    name, person = enrolment.id, series(50)
    assert succeeded(at_once(lambda _: world.service.enrolment.consent(actor, name, world.accept()))) == 1
    sent = at_once(lambda _: world.service.contact.send(actor, name, Channel.SMS, PHONE))
    assert succeeded(sent) == 1
    code = world.code(actor.id)
    assert succeeded(at_once(lambda _: world.service.contact.verify(actor, name, code))) == 1
    assert succeeded(at_once(lambda _: world.submit(actor, name, person))) == 1
    assert succeeded(at_once(lambda _: world.service.registry.match(actor, name))) == 1
    seen = world.service.review.show(OFFICER, name).evidence_digest
    verdicts = at_once(lambda _: world.decide(OFFICER, name, Verdict.BIND, Method.IN_PERSON, "person-is-holder", seen))
    assert succeeded(verdicts) == 1
    world.bind_factors(actor, name)
    issued = at_once(lambda _: world.service.issuance.certificate(actor, name))
    assert succeeded(issued) >= 1
    assert world.service.issuance.certificate(actor, name).state is State.ACTIVATED
    ledger = world.service.files.ledger(world.state(name))
    verify_chain(ledger)
    counts = Counter(record.kind for record in ledger)
    beside = {*TAKEN_BESIDE, *OF_OTHERS}
    twice = (EvidenceKind.DOCUMENT, EvidenceKind.DEDUPE)
    assert counts == {kind: 2 if kind in twice else 1 for kind in set(EvidenceKind) - beside}
    assert [one.key_id for one in world.token.wrapped_keys(actor.id)] == [world.state(name).key_id]
    assert len(world.ca.issued) == len(world.credentials.registered) == 1
    world.audit.verify(world.database)


def test_guesses_at_once_are_all_counted(both_worlds: World) -> None:
    """Wrong codes tried at the same moment do not give more tries than are allowed."""
    world = both_worlds
    actor, name = world.until(State.CONSENTED)
    world.service.contact.send(actor, name, Channel.SMS, PHONE)
    right = int(world.code(actor.id))
    results = at_once(lambda n: world.service.contact.verify(actor, name, str((right + 1 + n) % 10**6).zfill(6)))
    assert succeeded(results) == 0
    assert sum(isinstance(result, OtpWrong) for result in results) <= 5


@pytest.mark.parametrize("count", [4])
def test_one_person_approved_once_whatever_races(both_worlds: World, count: int) -> None:
    """Several enrolments of one person, decided at the same moment: one is approved, the others are refused."""
    world = both_worlds
    names = [world.until(State.REGISTRY_MATCHED, series(51))[1] for _ in range(count)]
    digests = [world.service.review.show(OFFICER, name).evidence_digest for name in names]
    results = at_once(
        lambda n: world.decide(OFFICER, names[n], Verdict.BIND, Method.IN_PERSON, "person-is-holder", digests[n]),
        count,
    )
    assert Counter(result.state for result in results) == {State.APPROVED: 1, State.REJECTED: count - 1}


def test_a_hundred_enrolments_of_one_person_at_once_give_one(tmp_path: Path) -> None:
    """A hundred double submissions, each its own enrolment of the same card, decided at the same moment by a hundred
    threads: one person is approved, ninety-nine are told that they are enrolled already, none is lost."""
    database = open_database(f"sqlite:///{tmp_path / 'hundred.sqlite'}")
    try:
        token: Any = MemoryToken()
        world = World(database, token, SetClock(datetime(2026, 5, 1, tzinfo=UTC)), MemoryRegistry())
        names = [world.until(State.REGISTRY_MATCHED, series(52), phone=f"0129{n:05}")[1] for n in range(100)]
        digests = [world.service.review.show(OFFICER, name).evidence_digest for name in names]

        def decide(number: int) -> Any:
            return world.decide(
                OFFICER, names[number], Verdict.BIND, Method.IN_PERSON, "person-is-holder", digests[number]
            )

        results = at_once(decide, 100)
        assert Counter(result.state for result in results) == {State.APPROVED: 1, State.REJECTED: 99}
        assert {result.reason for result in results if result.state is State.REJECTED} == {"reason_duplicate_person"}
        world.audit.verify(database)
    finally:
        database.close()
