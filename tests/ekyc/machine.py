"""The machine of `test_ekyc_machine.py`: the world that it drives, and the steps up to a certificate."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ekyc.contacts.desk import Channel
from ekyc.errors import GateClosed, RegistryUnavailable
from ekyc.evidence.record import Evidence, EvidenceKind, latest
from ekyc.model import State
from ekyc.policy import Policy
from ekyc.recall.desk import ROLE as RECALL_ROLE
from ekyc.registry_simulation.persons import series, specimens
from ekyc.review import statement as review_statement
from ekyc.review.desk import Method, Verdict
from ekyc.vouching.desk import Declaration
from foundation.errors import CamTrustError
from foundation.http.actor import Actor, ActorKind
from tests.ekyc.machine_parts import CODE, Fuse, Killed, village
from tests.ekyc.story import OFFICER, OPERATOR, PHONE, PIN, SECOND, THIRD
from tests.ekyc.vouchers import COMMUNE, SAID

REVIEWERS = (OFFICER, SECOND, THIRD)
CHIEF, ELSEWHERE = (
    Actor(ActorKind.OFFICER, f"OFF-COMMUNE-{code}", frozenset({"ekyc-commune", f"commune-{code}"}))
    for code in (COMMUNE, "010203")
)
BACK = tuple(Actor(ActorKind.OFFICER, f"OFF-BACK-{n}", frozenset({RECALL_ROLE})) for n in (1, 2))
CARDS = ("adult", "adult", "differs-in-khmer", "wrong-birth", "expired-card", "deceased", "resident", "minor")


@dataclass(frozen=True)
class Way:
    """One way to a certificate: mostly the right one, so that its end is reached, and sometimes a wrong turn on it."""

    document_first: bool
    person: str
    seen: Method  # how the first officer saw the person
    commune: Actor  # whose officer speaks for somebody without a document
    voucher_held: bool  # whether a voucher's certificate is on hold when that officer speaks


WAYS = st.builds(
    Way,
    document_first=st.booleans(),
    person=st.sampled_from(("adult", "adult", "minor", "resident")),
    seen=st.sampled_from((Method.IN_PERSON, Method.IN_PERSON, Method.REMOTE_VIDEO)),
    commune=st.sampled_from((CHIEF, CHIEF, ELSEWHERE)),
    voucher_held=st.sampled_from((False, False, True)),
)


class Machine(RuleBasedStateMachine):
    """Steps in any order, with right and wrong input, retries, a registry that comes and goes; and steps that are cut
    off in the middle (the process is killed, or an answer of the CA, token or registry is lost), or overtaken by
    the same request again, or by something else that happens to the enrolment."""

    levels: Sequence[str] = ("IAL2", "IAL3", "VOUCHED")
    policy: Policy | None = None  # that of the build
    person: str | None = None  # whose document is shown on every whole way; None: whoever's is drawn
    again = False

    @initialize(level=st.integers(0, 5), way=st.none() | WAYS | WAYS)
    def begin(self, level: int, way: Way | None) -> None:
        """From nothing, or from somebody who has a certificate already, so that what comes after is tried as much."""
        self.folder = tempfile.TemporaryDirectory()
        self.world = village().copied(Path(self.folder.name) / "machine.sqlite", self.policy)
        self.database = self.world.database
        self.registry: Any = self.world.arguments["registry"]
        token: Any = self.world.token
        for officer in (*REVIEWERS, CHIEF, ELSEWHERE, *BACK):
            self.world.staff.add(officer)
        self.world.staff.reviewers = lambda: [one.id for one in REVIEWERS]  # type: ignore[method-assign]
        self.level = self.levels[level % len(self.levels)]
        self.guardian, _ = self.vouchers = village().holders
        self.actor, enrolment = self.world.start(self.level)
        self.name = enrolment.id
        self.fuse = Fuse()
        self.more = 0  # how many more certificates than one there can be
        self.stopped = 0  # the record of the loss of factors after which everything was stopped
        self.database.unit_of_work = self.fuse.around(self.database)  # type: ignore[method-assign]
        for part, call in (
            (self.world.ca, "issue_citizen"),
            (self.world.ca, "revoke_citizen"),
            (self.world.credentials, "register"),
            (self.registry, "match"),
            (self.registry, "relation"),
            (token, "enrol"),
            (token, "confirm"),
            (token, "generate_wrapped"),
            (token, "lose_factors"),
        ):
            setattr(part, call, self.fuse.after(getattr(part, call)))
        if way is not None:
            self.whole_way(way)

    def attempt(self, step: Callable[[], object]) -> bool:
        """Take a step, which may be refused, cut off or overtaken by itself; whether it ended."""
        self.fuse.lit = True
        if self.again:
            self.fuse.meanwhile = step
        try:
            step()
        except CamTrustError as refused:
            assert not isinstance(refused, GateClosed)  # noqa: PT017 - a gate that closes here is a hole elsewhere
        except Killed:
            self.world.service = self.world.restarted()
        else:
            return True
        finally:
            self.fuse.lit = False
        return False

    @rule(
        points=st.integers(1, 8),
        how=st.sampled_from(("killed", "lost", "again", "meanwhile")),
        which=st.integers(0, 9),
    )
    def cut_off(self, points: int, how: str, which: int) -> None:
        """One of the next steps does not go its way: the process is killed there, what it waits for times out, the same
        request comes again in between, or something else happens to the enrolment."""
        self.fuse.left, self.again = points, how == "again"
        self.fuse.failure = {"killed": Killed(), "lost": RegistryUnavailable()}.get(how)
        others = self.others()
        self.fuse.meanwhile = others[which % len(others)]

    def others(self) -> Sequence[Callable[[], object]]:
        """What can happen to the enrolment while a step is under way."""
        return (lambda: self.world.service.enrolment.withdraw(self.actor, self.name),)

    # --- the way to a certificate ---

    @rule()
    def consent(self) -> None:
        self.attempt(lambda: self.world.service.enrolment.consent(self.actor, self.name, self.world.accept()))

    @rule()
    def prove_contact(self) -> None:
        self.world.clock.advance(timedelta(minutes=61))

        def prove() -> None:
            self.world.service.contact.send(self.actor, self.name, Channel.SMS, PHONE)
            if self.world.outbox.read(OPERATOR, self.actor.id):
                self.world.service.contact.verify(self.actor, self.name, self.world.code(self.actor.id), shared=True)
            else:  # it went with all that was personal
                assert self.world.state(self.name).state is State.WITHDRAWN

        self.attempt(prove)

    @rule()
    def guess_code(self) -> None:
        self.attempt(lambda: self.world.service.contact.send(self.actor, self.name, Channel.SMS, PHONE))
        self.attempt(lambda: self.world.service.contact.verify(self.actor, self.name, "00000x"))

    @rule(person=st.sampled_from(CARDS))
    def document(self, person: str) -> None:
        self.world.clock.advance(timedelta(minutes=2))
        self.attempt(lambda: self.world.submit(self.actor, self.name, specimens()[person]))

    @rule(down=st.sampled_from((False, False, True)))
    def ask_registry(self, down: bool) -> None:
        self.registry.down = down
        self.attempt(lambda: self.world.service.registry.match(self.actor, self.name))

    @rule(relation=st.sampled_from(("father", "father", "uncle")), code=st.sampled_from((CODE, CODE, "999999")))
    def guardian_answers(self, relation: str, code: str) -> None:
        desk = self.world.service.guardians

        def invite_and_answer() -> None:
            invitation = desk.invite(self.actor, self.name).code
            desk.accept(self.guardian, invitation, relation, PIN, code)

        self.attempt(invite_and_answer)

    @rule(go=st.integers(0, 4))
    def guardian_withdraws(self, go: int) -> None:
        if go == 0:
            self.attempt(lambda: self.world.service.guardians.withdraw(self.guardian, self.name))
        self.attempt(self.world.service.guardians.resume)

    @rule(who=st.sampled_from(("unknown", "unknown", "another", "namesake")))
    def declare(self, who: str) -> None:
        """As somebody without a document: one of two people, or somebody of the name and birth of a card's holder."""
        said = SAID if who == "unknown" else replace(SAID, date_of_birth=date(1980, 1, 2))
        if who == "namesake":
            card = series(811)
            names = (card.surname, card.given_names, card.surname_km, card.given_names_km)
            said = Declaration(*names, date.fromisoformat(card.date_of_birth), COMMUNE)
        self.attempt(lambda: self.world.service.vouching.declare(self.actor, self.name, said))

    @rule(which=st.integers(0, 2), code=st.sampled_from((CODE, CODE, CODE, "999999")))
    def vouch(self, which: int, code: str) -> None:
        """One of the two who know the person, or the person themselves, says so."""
        voucher = (*self.vouchers, self.actor, self.actor, self.actor)[which]
        desk = self.world.service.vouching

        def invite_and_vouch() -> None:
            invitation = desk.invite(self.actor, self.name).code
            desk.vouch(voucher, invitation, desk.look(voucher, invitation).evidence_digest, PIN, code)

        self.attempt(invite_and_vouch)

    @rule(go=st.integers(0, 3))
    def a_voucher_is_held(self, go: int) -> None:
        """The certificate of one who vouches is put on hold, or is good again."""
        for voucher in self.vouchers[1:]:
            if go == 0:
                self.world.ca.suspend_citizens([voucher.id], "specimen")
            else:
                self.world.ca.release_citizens([voucher.id], "specimen")

    @rule(
        officer=st.sampled_from((CHIEF, CHIEF, CHIEF, ELSEWHERE)),
        verdict=st.sampled_from((*[Verdict.BIND] * 4, Verdict.REJECT)),
    )
    def commune_speaks(self, officer: Actor, verdict: Verdict) -> None:
        reason = "person-is-holder" if verdict is Verdict.BIND else "person-is-not-holder"
        desk = self.world.service.commune

        def speak() -> None:
            seen = desk.show(officer, self.name).evidence_digest
            said = review_statement.statement(self.name, seen, verdict.value, "in-person", reason)
            signature = review_statement.sign(self.world.staff.keys[officer.id], said)
            desk.decide(officer, self.name, verdict, reason, seen, signature)

        if self.attempt(speak) and verdict is Verdict.BIND:
            held = {person for person, _ in self.world.ca.held}
            assert not held.intersection(one.id for one in self.vouchers)

    @rule(
        verdict=st.sampled_from(
            (
                (Verdict.BIND, "person-is-holder"),
                (Verdict.BIND, "person-is-holder"),
                (Verdict.REFER, "cannot-tell-remotely"),
                (Verdict.REJECT, "person-is-not-holder"),
            )
        ),
        method=st.sampled_from(Method),
        officer=st.sampled_from(REVIEWERS),
    )
    def review(self, verdict: tuple[Verdict, str], method: Method, officer: Actor) -> None:
        self.attempt(lambda: self.world.review(self.name, verdict[0], method, verdict[1], officer))

    @rule(method=st.sampled_from((Method.IN_PERSON, Method.IN_PERSON, Method.REMOTE_VIDEO, Method.RECORD)))
    def review_in_turn(self, method: Method) -> None:
        """Whoever's turn it is binds."""
        turn = self.world.service.review.assignments.turn_of(self.world.state(self.name))
        if turn is not None:
            officer = next(one for one in REVIEWERS if one.id == turn)
            self.review((Verdict.BIND, "person-is-holder"), method, officer)

    @rule(code=st.sampled_from((CODE, "999999")))
    def factors(self, code: str) -> None:
        self.attempt(lambda: self.world.service.issuance.enrol_factors(self.actor, self.name, PIN))
        self.attempt(lambda: self.world.service.issuance.confirm_factors(self.actor, self.name, code))

    @rule()
    def certificate(self) -> None:
        self.attempt(lambda: self.world.service.issuance.certificate(self.actor, self.name))

    # --- so that the ends are visited often ---

    @rule(way=WAYS, points=st.integers(0, 30), how=st.sampled_from(("killed", "lost", "again")))
    def straight_on(self, way: Way, points: int, how: str) -> None:
        """The whole way, as far as it goes from here and in either order: so that its end is visited often. It may be
        cut off once on the way; then the person starts over from where they are."""
        self.cut_off(points, how, 0)
        self.whole_way(way)
        if points and not self.fuse.left:
            self.whole_way(way)

    def whole_way(self, way: Way) -> None:
        self.consent()
        if way.document_first:
            self.document(self.person or way.person)
            self.ask_registry(down=False)  # it is asked for nobody whose contact is not proved
            self.prove_contact()
        else:
            self.prove_contact()
            self.document(self.person or way.person)
        if self.level == "VOUCHED":
            self.declare("unknown")
            self.vouch(0, CODE)
            self.vouch(1, CODE)
            self.a_voucher_is_held(0 if way.voucher_held else 1)
            self.commune_speaks(way.commune, Verdict.BIND)
            self.a_voucher_is_held(1)
        self.ask_registry(down=False)
        self.guardian_answers("father", CODE)
        self.review_in_turn(way.seen)
        self.review_in_turn(Method.RECORD)
        self.factors(CODE)
        self.certificate()

    def ledger(self) -> tuple[Evidence, ...]:
        return tuple(self.world.service.files.ledger(self.world.state(self.name)))

    def last(self, kind: EvidenceKind) -> Evidence | None:
        return latest(self.ledger(), kind)
