"""A machine that tries every order of steps against the service, cut off anywhere: no certificate without evidence."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection

from ekyc.contact import Channel
from ekyc.errors import GateClosed, RegistryUnavailable
from ekyc.evidence import EvidenceKind, latest
from ekyc.model import State
from ekyc.ports import FieldOutcome, RegistryAnswer, RegistryOutcome, RegistryQuery, RelationQuery
from ekyc.registry_simulation.matching import compare, compare_relation
from ekyc.registry_simulation.persons import registered, specimens
from ekyc.review import Method, Verdict
from foundation.clock import SetClock
from foundation.db.engine import Database, open_database
from foundation.errors import CamTrustError
from foundation.http.actor import Actor
from foundation.keys.attestation import TOKEN_KEY_HASH, KeyAttestation, document
from foundation.keys.errors import FactorsEnrolled, FactorsNotEnrolled, PinIncorrect
from foundation.keys.factors import FactorsOf
from foundation.keys.policy import KeyPolicy, policy_for
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, TotpEnrolment, WrappedKey
from tests.ekyc.story import OFFICER, PHONE, PIN, SECOND, THIRD, World
from tests.ekyc.test_ekyc_policy import AT, needed
from tests.web.keys_in_memory import MemoryPersonKeys


class MemoryToken(MemoryPersonKeys):
    """Factors and keys in memory, so that thousands of steps are quick; the real ones are used everywhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.pins: dict[str, bool] = {}
        self.keys: dict[str, KeyInfo] = {}
        self._own = ec.generate_private_key(ec.SECP256R1())

    def enrol(self, owner: str, pin: str) -> TotpEnrolment:  # noqa: ARG002
        if self.pins.get(owner):
            raise FactorsEnrolled
        self.pins[owner] = False
        return TotpEnrolment("otpauth://totp/SPECIMEN")

    def confirm(self, owner: str, totp: str) -> None:
        if owner not in self.pins:
            raise FactorsNotEnrolled
        if self.pins[owner]:
            raise FactorsEnrolled
        if totp != "111222":
            raise PinIncorrect
        self.pins[owner] = True

    def factors_of(self, owner: str) -> FactorsOf:  # noqa: ARG002
        return FactorsOf(frozenset(), ())

    def check(self, owner: str, pin: str, totp: str) -> None:
        if not self.pins.get(owner) or (pin, totp) != (PIN, "111222"):
            raise PinIncorrect

    def generate_wrapped(
        self, owner: str, algorithm: KeyAlgorithm, use: KeyUse, policy: KeyPolicy | None = None
    ) -> WrappedKey:
        public = ec.generate_private_key(ec.SECP256R1()).public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        key_id = f"key-{len(self.keys)}"
        info = KeyInfo(key_id, key_id, algorithm, use, der, owner, True, policy_for(use, policy).hash)
        self.keys[key_id] = info
        return WrappedKey(info, key_id.encode())

    def wrapped_keys(self, owner: str) -> tuple[KeyInfo, ...]:
        return tuple(key for key in self.keys.values() if key.owner == owner)

    def destroy_wrapped(self, owner: str, key_id: str) -> None:  # noqa: ARG002
        del self.keys[key_id]

    def token_key(self) -> bytes:
        return self._own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def attest(self, key_id: str) -> bytes:
        info = self.keys[key_id]
        public_key = hashlib.sha256(info.public_key).hexdigest()
        said = KeyAttestation(
            "SPECIMEN", key_id, info.owner, info.algorithm, info.use, public_key, info.policy, "wrapped", 1, AT
        )
        return document(said, lambda message: self._own.sign(message, ec.ECDSA(TOKEN_KEY_HASH)))


class MemoryRegistry:
    """The simulated registry's comparison, without its process."""

    def __init__(self) -> None:
        self.down = False

    def match(self, query: RegistryQuery) -> RegistryAnswer:
        if self.down:
            raise RegistryUnavailable
        asked = {**vars(query), "date_of_birth": query.date_of_birth.isoformat()}
        outcome, fields = compare(registered(query.document_number, query.issuing_state), asked)
        compared = {name: FieldOutcome(value) for name, value in fields.items()}
        return RegistryAnswer(RegistryOutcome(outcome), compared, "SPECIMEN")

    def relation(self, query: RelationQuery) -> RegistryAnswer:
        if self.down:
            raise RegistryUnavailable
        child, guardian = (registered(one.document_number) for one in (query.child, query.guardian))
        outcome, fields = compare_relation(child, guardian, query.relation)
        compared = {name: FieldOutcome(value) for name, value in fields.items()}
        return RegistryAnswer(RegistryOutcome(outcome), compared, "SPECIMEN")


class Killed(BaseException):
    """The process died: nothing after this point is run."""


class Fuse:
    """Kills, or loses an answer, at the n-th of the points where a step can be cut off; burns once."""

    def __init__(self) -> None:
        self.left = 0
        self.lit = False
        self.failure: BaseException = Killed()

    def burn(self) -> None:
        if self.lit and self.left > 0:
            self.left -= 1
            if self.left == 0:
                raise self.failure

    def after(self, call: Any) -> Any:
        """The call is done, and then the fuse may burn: what was asked for has happened, and nobody heard of it."""

        def called(*arguments: Any, **named: Any) -> Any:
            answer = call(*arguments, **named)
            self.burn()
            return answer

        return called

    def around(self, database: Database) -> Any:
        """Units of work that can be cut off before they are committed, and after."""
        real = database.unit_of_work

        @contextmanager
        def unit_of_work() -> Iterator[Connection]:
            with real() as connection:
                yield connection
                self.burn()
            self.burn()

        return unit_of_work


class Enrolments(RuleBasedStateMachine):
    """Steps in any order, with right and wrong input, retries, a registry that comes and goes, and steps that are cut
    off in the middle: the process is killed, or an answer of the CA, the token or the registry is lost."""

    @initialize(level=st.sampled_from(("IAL2", "IAL3")))
    def begin(self, level: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.database = open_database(f"sqlite:///{Path(self.folder.name) / 'machine.sqlite'}")
        self.registry = MemoryRegistry()
        token: Any = MemoryToken()
        self.world = World(self.database, token, SetClock(AT), self.registry)
        for officer in (SECOND, THIRD):
            self.world.staff.add(officer)
        self.guardian = self.enrolled_guardian()
        self.actor, enrolment = self.world.start(level)
        self.name = enrolment.id
        self.fuse = Fuse()
        self.renewed = 0
        self.database.unit_of_work = self.fuse.around(self.database)  # type: ignore[method-assign]
        for part, call in (
            (self.world.ca, "issue_citizen"),
            (self.world.credentials, "register"),
            (self.registry, "match"),
            (self.registry, "relation"),
            (token, "enrol"),
            (token, "confirm"),
            (token, "generate_wrapped"),
        ):
            setattr(part, call, self.fuse.after(getattr(part, call)))

    def enrolled_guardian(self) -> Actor:
        """Somebody whom the registry knows as the minor's guardian in dispute, with a certificate."""
        world = self.world
        actor, name = world.until(State.APPROVED, "leading-zero")
        world.service.issuance.enrol_factors(actor, name, PIN)
        world.service.issuance.confirm_factors(actor, name, "111222")
        world.service.issuance.certificate(actor, name)
        return actor

    def attempt(self, step: Any) -> None:
        self.fuse.lit = True
        try:
            step()
        except CamTrustError as refused:
            assert not isinstance(refused, GateClosed)  # noqa: PT017 - a gate that closes here is a hole elsewhere
        except Killed:
            self.world.service = self.world.restarted()
        finally:
            self.fuse.lit = False

    @rule(points=st.integers(1, 8), killed=st.booleans())
    def cut_off(self, points: int, killed: bool) -> None:
        """One of the next steps does not end: the process is killed there, or what it waits for times out."""
        self.fuse.left = points
        self.fuse.failure = Killed() if killed else RegistryUnavailable()

    @rule()
    def consent(self) -> None:
        self.attempt(lambda: self.world.service.enrolment.consent(self.actor, self.name, self.world.accept()))

    @rule()
    def prove_contact(self) -> None:
        self.world.clock.advance(timedelta(minutes=61))
        self.attempt(lambda: self.world.prove_contact(self.actor, self.name, PHONE))

    @rule()
    def guess_code(self) -> None:
        self.attempt(lambda: self.world.service.contact.send(self.actor, self.name, Channel.SMS, PHONE))
        self.attempt(lambda: self.world.service.contact.verify(self.actor, self.name, "00000x"))

    @rule(
        person=st.sampled_from(
            ("adult", "adult", "differs-in-khmer", "wrong-birth", "expired-card", "deceased", "resident", "minor")
        )
    )
    def document(self, person: str) -> None:
        self.world.clock.advance(timedelta(minutes=2))
        self.attempt(lambda: self.world.submit(self.actor, self.name, specimens()[person]))

    @rule(down=st.sampled_from((False, False, True)))
    def ask_registry(self, down: bool) -> None:
        self.registry.down = down
        self.attempt(lambda: self.world.service.registry.match(self.actor, self.name))

    @rule(relation=st.sampled_from(("father", "father", "uncle")), code=st.sampled_from(("111222", "111222", "999999")))
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
        officer=st.sampled_from((OFFICER, SECOND, THIRD)),
    )
    def review(self, verdict: tuple[Verdict, str], method: Method, officer: Actor) -> None:
        self.attempt(lambda: self.world.review(self.name, verdict[0], method, verdict[1], officer))

    @rule(method=st.sampled_from((Method.IN_PERSON, Method.IN_PERSON, Method.REMOTE_VIDEO, Method.RECORD)))
    def review_in_turn(self, method: Method) -> None:
        """Whoever's turn it is binds."""
        turn = self.world.service.review.assignments.turn_of(self.world.state(self.name))
        if turn is not None:
            officer = next(one for one in (OFFICER, SECOND, THIRD) if one.id == turn)
            self.review((Verdict.BIND, "person-is-holder"), method, officer)

    @rule(code=st.sampled_from(("111222", "999999")))
    def factors(self, code: str) -> None:
        self.attempt(lambda: self.world.service.issuance.enrol_factors(self.actor, self.name, PIN))
        self.attempt(lambda: self.world.service.issuance.confirm_factors(self.actor, self.name, code))

    @rule()
    def certificate(self) -> None:
        self.attempt(lambda: self.world.service.issuance.certificate(self.actor, self.name))

    @rule()
    def renew(self) -> None:
        """The certificate ends soon, and its holder renews it."""
        if self.world.state(self.name).state is State.ACTIVATED:
            self.world.clock.advance(timedelta(days=310))
            self.renewed += 1
            self.attempt(lambda: self.world.service.renewals.renew(self.actor, self.name, PIN, "111222"))
        self.attempt(self.world.service.renewals.resume)

    @rule(go=st.integers(0, 9))
    def withdraw(self, go: int) -> None:
        if go == 0:
            self.attempt(lambda: self.world.service.enrolment.withdraw(self.actor, self.name))

    @rule(days=st.sampled_from((1, 3, 40)), go=st.integers(0, 3))
    def nobody_comes(self, days: int, go: int) -> None:
        """Days pass, and the upkeep runs."""
        if go == 0:
            self.world.clock.advance(timedelta(days=days))
            self.attempt(self.world.service.enrolment.sweep)

    @rule(
        document_first=st.booleans(),
        points=st.integers(0, 30),
        killed=st.booleans(),
        person=st.sampled_from(("adult", "minor", "resident")),
    )
    def straight_on(self, document_first: bool, points: int, killed: bool, person: str) -> None:
        """The whole way, as far as it goes from here and in either order: so that its end is visited often. It may be
        cut off once on the way; then the person starts over from where they are."""
        self.cut_off(points, killed)
        self.whole_way(document_first, person)
        if points and not self.fuse.left:
            self.whole_way(document_first, person)

    def whole_way(self, document_first: bool, person: str) -> None:
        self.consent()
        if document_first:
            self.document(person)
            self.ask_registry(down=False)  # it is asked for nobody whose contact is not proved
            self.prove_contact()
        else:
            self.prove_contact()
            self.document(person)
        self.ask_registry(down=False)
        self.guardian_answers("father", "111222")
        self.review_in_turn(Method.IN_PERSON)
        self.review_in_turn(Method.RECORD)
        self.factors("111222")
        self.certificate()

    @invariant()
    def a_certificate_has_its_evidence(self) -> None:
        """Wherever there is a certificate or a key, the ledger holds what the level needs, as said a second time."""
        if not hasattr(self, "world"):
            return
        enrolment = self.world.state(self.name)
        ledger = tuple(self.world.service.files.ledger(enrolment))
        decided = latest(ledger, EvidenceKind.DECISION)
        judged = ledger if decided is None else ledger[: decided.sequence]
        issued = enrolment.state in (State.KEY_GENERATED, State.CERTIFICATE_ISSUED, State.ACTIVATED)
        theirs = {one.key_id for one in self.world.ca.requests if one.person_id == self.actor.id}
        if issued or (theirs and enrolment.state is not State.SUSPENDED):
            assert needed(enrolment.level, judged)
            assert latest(ledger, EvidenceKind.FACTOR) is not None
        if enrolment.state in (State.APPROVED, State.FACTOR_BOUND):
            assert needed(enrolment.level, judged)
        assert len(theirs) <= 1 + self.renewed  # whatever was cut off, nobody gets a second one
        proved = [one.sequence for one in ledger if one.kind is EvidenceKind.CONTACT and one.outcome == "verified"]
        asked = [one.sequence for one in ledger if one.kind is EvidenceKind.REGISTRY]
        assert not asked or (proved and proved[0] < asked[0])  # a further contact can be proved at any time
        self.world.service.decider.replay(self.name)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            try:
                self.world.audit.verify(self.database)
            finally:
                self.database.close()
                self.folder.cleanup()


TestEnrolments = Enrolments.TestCase
TestEnrolments.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
