"""A machine that tries every order of steps against the service, cut off or overtaken anywhere: no certificate without
the evidence of its level, and none made while what it stands on is called back. That it would find a removed gate is
shown in `test_ekyc_machine_breaches.py`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from unittest import TestCase

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from ekyc.appeals.desk import Word
from ekyc.authenticators.cool_off import CoolOffs, Held, default_rules
from ekyc.authenticators.recovery import Loss
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.model import State
from ekyc.recall.desk import Origin
from ekyc.review import statement as review_statement
from ekyc.review.desk import Method
from foundation.http.actor import Actor
from tests.ekyc.machine import BACK, CODE, Machine
from tests.ekyc.machine_evidence import check_renewals, check_suspensions, supports
from tests.ekyc.story import OFFICER, OPERATOR, PIN

CERTIFIED = (State.KEY_GENERATED, State.CERTIFICATE_ISSUED, State.ACTIVATED)

# The same ways each time in the suite; `make fuzz` goes many others.
FIXED = "CAMTRUST_FUZZ" not in os.environ
EXAMPLES = 20 if FIXED else 20 * int(os.environ["CAMTRUST_FUZZ"]) // 60
pytestmark = pytest.mark.timeout(300 + (0 if FIXED else 5 * EXAMPLES))


class Enrolments(Machine):
    """And what comes after the certificate: renewal, lost factors, evidence that is called back and the way back."""

    seen: object = None  # what was looked at last

    def others(self) -> Sequence[Callable[[], object]]:
        return (*super().others(), self.recall_last, self.lose)

    @rule(died=st.sampled_from((False, False, True)))
    def renew(self, died: bool) -> None:
        """The certificate ends soon, and its holder renews it; if the registry has not heard otherwise."""
        if self.world.state(self.name).state is State.ACTIVATED:
            self.world.clock.advance(timedelta(days=310))
            self.more += 1
            self.registry.down, self.registry.died = False, died
            self.attempt(lambda: self.world.service.renewals.renew(self.actor, self.name, PIN, CODE))
            self.registry.died = False
        self.upkeep()

    def lose(self, loss: Loss = Loss.LOST) -> None:
        self.more += 1
        self.world.service.recovery.recover(OFFICER, self.name, loss)

    @rule(loss=st.sampled_from(Loss), go=st.integers(0, 1))
    def lose_factors(self, loss: Loss, go: int) -> None:
        """An officer leads back who has lost every factor."""
        if go == 0:
            self.attempt(lambda: self.lose(loss))

    @rule(
        what=st.sampled_from(("recalled", "recalled", "lost", "guardian", "renewed")),
        points=st.integers(0, 12),
        how=st.sampled_from(("killed", "lost", "again", "meanwhile")),
        which=st.integers(0, 9),
        officers=st.sampled_from((BACK, BACK, BACK[:1] * 2)),
    )
    def there_and_back(self, what: str, points: int, how: str, which: int, officers: Sequence[Actor]) -> None:
        """The whole way that follows from something that happens to a certificate, cut off or overtaken once on it."""
        happens: dict[str, Callable[[], object]] = {
            "recalled": self.recall_last,
            "lost": self.lose,
            "guardian": lambda: self.world.service.guardians.withdraw(self.guardian, self.name),
            "renewed": lambda: None,
        }
        self.cut_off(points, how, which)
        self.attempt(happens[what])
        for _ in range(2):
            self.reinstate(officers, "person-seen-again")
            if what == "guardian":
                self.guardian_answers("father", CODE)
            self.factors(CODE)
            self.certificate()
            if what == "renewed":
                self.renew(died=False)
            self.upkeep()

    @rule(go=st.integers(0, 1))
    def stop(self, go: int) -> None:
        """Whoever has the code of the notice stops what came of the recovery."""
        told = [one.params["code"] for one in self.world.outbox.read(OPERATOR, self.actor.id) if "until" in one.params]
        lost = self.last(EvidenceKind.FACTOR)
        if told and go == 0 and self.attempt(lambda: self.world.service.cool_off.stop(told[0])):
            self.stopped = 0 if lost is None else lost.sequence
            assert self.actor.id in {person for person, _ in self.world.ca.held}
            assert self.actor.id not in self.world.sessions.tokens.values()

    def recall_last(self, officers: Sequence[Actor] = BACK) -> None:
        """What the person showed, or somebody said for them, is called back by two officers."""
        document, recalls = self.last(EvidenceKind.DOCUMENT), self.world.service.recalls
        origin = Origin(document=None if document is None else document.facts.get("document"))
        if self.level == "VOUCHED":
            origin = Origin(voucher=self.guardian.id)
        if not origin.empty:
            proposed = recalls.propose(officers[0], origin, recalls.look(origin).digest)
            recalls.confirm(officers[1], proposed.recall_id)

    @rule(go=st.integers(0, 2))
    def call_back(self, go: int) -> None:
        if go == 0:
            self.attempt(self.recall_last)

    @rule(
        officers=st.sampled_from((BACK, BACK, BACK[::-1], BACK[:1] * 2)),
        reason=st.sampled_from(("evidence-is-sound", "person-seen-again")),
    )
    def reinstate(self, officers: Sequence[Actor], reason: str) -> None:
        """Two officers say that it should stand again; or one does, twice."""
        desk = self.world.service.reinstatements

        def speak(officer: Actor) -> None:
            seen = desk.show(officer, self.name).evidence_digest
            said = review_statement.statement(self.name, seen, "reinstate", "in-person", reason)
            signature = review_statement.sign(self.world.staff.keys[officer.id], said)
            desk.decide(officer, self.name, reason, Method.IN_PERSON, seen, signature)

        for officer in officers:
            self.attempt(lambda officer=officer: speak(officer))

    @rule(officer=st.sampled_from((*BACK, OFFICER)), word=st.sampled_from((Word.GRANT, Word.GRANT, Word.UPHOLD)))
    def appeal(self, officer: Actor, word: Word) -> None:
        """Who was refused appeals, and an officer decides; granted, the case goes on and needs all of its evidence."""
        desk, reason = self.world.service.appeals, "refusal-was-wrong" if word is Word.GRANT else "nothing-new"

        def speak() -> None:
            seen = desk.show(officer, self.name).evidence_digest
            said = review_statement.statement(self.name, seen, word.value, "record", reason)
            signature = review_statement.sign(self.world.staff.keys[officer.id], said)
            desk.decide(officer, self.name, word, reason, seen, signature)

        self.attempt(lambda: desk.lodge(self.actor, self.name, "SPECIMEN"))
        self.attempt(speak)

    @rule(go=st.integers(0, 9))
    def withdraw(self, go: int) -> None:
        if go == 0:
            self.attempt(lambda: self.world.service.enrolment.withdraw(self.actor, self.name))

    @rule(days=st.sampled_from((1, 3, 40)), go=st.integers(0, 3))
    def nobody_comes(self, days: int, go: int) -> None:
        """Days pass, and the upkeep runs."""
        if go == 0:
            self.world.clock.advance(timedelta(days=days))
            self.upkeep()

    def upkeep(self) -> None:
        """What the services do by themselves; when it went through, nothing that ended is in force."""
        service = self.world.service
        parts = (service.enrolment.sweep, service.recalls.resume, service.reinstatements.resume)
        if not all(self.attempt(one) for one in (*parts, service.guardians.resume, service.renewals.resume)):
            return
        enrolment = self.world.state(self.name)
        made = {one.facts["serial"] for one in self.ledger() if one.kind is EvidenceKind.CERTIFICATE}
        if enrolment.state in (State.ACTIVATED, State.APPROVED, State.FACTOR_BOUND):
            assert made - {enrolment.certificate_serial} <= set(self.world.ca.revoked)
        if enrolment.state is State.SUSPENDED:
            assert self.actor.id in {person for person, _ in self.world.ca.held}

    # --- what must hold wherever it gets to ---

    @invariant()
    def a_certificate_has_its_evidence(self) -> None:
        """Wherever there is a certificate or a key, the ledger holds what the level needs, as said a second time."""
        if not hasattr(self, "world"):
            return
        enrolment = self.world.state(self.name)
        made = len(self.world.ca.requests)
        if self.seen == (enrolment, made):
            return
        self.seen, ledger = (enrolment, made), self.ledger()
        decided, factor = latest(ledger, EvidenceKind.DECISION), latest(ledger, EvidenceKind.FACTOR)
        judged = ledger if decided is None else ledger[: decided.sequence]
        theirs = {one.key_id for one in self.world.ca.requests if one.person_id == self.actor.id}
        if enrolment.state in (*CERTIFIED, State.APPROVED, State.FACTOR_BOUND) or theirs:
            assert supports(enrolment.level, judged)
        if enrolment.state in (*CERTIFIED, State.FACTOR_BOUND):
            assert factor is not None
            assert factor.outcome == "bound"
        assert factor is not None or not theirs
        assert len(theirs) <= 1 + self.more  # whatever was cut off, nobody gets a second one
        proved = [one.sequence for one in ledger if one.kind is EvidenceKind.CONTACT and one.outcome == "verified"]
        asked = [one.sequence for one in ledger if one.kind is EvidenceKind.REGISTRY]
        assert not asked or (proved and proved[0] < asked[0])  # a further contact can be proved at any time
        check_renewals(ledger)
        check_suspensions(ledger, self.world.staff)
        self.world.service.decider.replay(self.name)

    @invariant()
    def new_factors_wait(self) -> None:
        """After every factor was lost nothing signs before its time, and nothing at all where it was stopped."""
        if not hasattr(self, "world"):
            return
        lost = [one for one in self.ledger() if one.kind is EvidenceKind.FACTOR and one.outcome == "lost"][-1:]
        held = CoolOffs(self.database, self.world.clock).held(self.actor.id)
        for one in lost:
            ends = one.at + default_rules().lasts(self.level)
            if self.stopped == one.sequence:
                assert held == Held(None)
            elif held != Held(None):  # it may be stopped by a request whose answer was lost
                assert held == (Held(ends) if self.world.clock.now() < ends else None)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            try:
                self.world.audit.verify(self.database)
            finally:
                self.database.close()
                self.folder.cleanup()


def of_level(level: str) -> type[TestCase]:
    """The machine at one level."""
    tested: type[TestCase] = type(f"Enrolments{level}", (Enrolments,), {"levels": (level,)}).TestCase
    tested.settings = settings(  # type: ignore[attr-defined]
        max_examples=EXAMPLES, stateful_step_count=16, deadline=None, derandomize=FIXED, database=None
    )
    return tested


TestRemote = of_level("IAL2")
TestInPerson = of_level("IAL3")
TestVouched = of_level("VOUCHED")
