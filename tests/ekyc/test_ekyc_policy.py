"""The policy and the states as pure values, and a machine that tries every order of steps against the service."""

from __future__ import annotations

import hashlib
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ekyc.contact import Channel
from ekyc.errors import GateClosed, LevelUnknown, PolicyInvalid, RegistryUnavailable, WrongState
from ekyc.evidence import GENESIS, Evidence, EvidenceKind, chained, latest
from ekyc.model import CLOSED, TRANSITIONS, Enrolment, State, check_transition
from ekyc.policy import Outcome, default_policy, evaluate, parse_policy
from ekyc.ports import FieldOutcome, RegistryAnswer, RegistryOutcome, RegistryQuery
from ekyc.registry_simulation.matching import compare
from ekyc.registry_simulation.persons import registered, specimens
from ekyc.review import Method, Verdict
from foundation.clock import SetClock
from foundation.db.engine import open_database
from foundation.errors import CamTrustError
from foundation.http.actor import Actor
from foundation.keys.attestation import TOKEN_KEY_HASH, KeyAttestation, document
from foundation.keys.errors import FactorsEnrolled, FactorsNotEnrolled, PinIncorrect
from foundation.keys.policy import KeyPolicy, policy_for
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, TotpEnrolment, WrappedKey
from tests.ekyc.story import OFFICER, PHONE, PIN, SECOND, THIRD, World
from tests.web.keys_in_memory import MemoryPersonKeys

AT = datetime(2026, 5, 1, tzinfo=UTC)
POLICY = default_policy()
OUTCOMES = {
    EvidenceKind.CONSENT: ("accepted",),
    EvidenceKind.AGREEMENT: ("accepted",),
    EvidenceKind.CONTACT: ("verified",),
    EvidenceKind.DOCUMENT: ("captured", "valid", "expired", "under-age"),
    EvidenceKind.REGISTRY: ("match", "review", "no-match", "deceased"),
    EvidenceKind.DEDUPE: ("unique", "duplicate"),
    EvidenceKind.REVIEW: ("bound", "refused", "referred"),
}
RECORD = st.sampled_from(sorted(OUTCOMES)).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.sampled_from(OUTCOMES[kind]), st.sampled_from(("in-person", "remote-video", "record"))
    )
)


def ledger_of(records: list[tuple[EvidenceKind, str, str]]) -> tuple[Evidence, ...]:
    ledger: list[Evidence] = []
    for number, (kind, outcome, method) in enumerate(records):
        facts = {"method": method} if kind is EvidenceKind.REVIEW else {}
        actor = f"officer:OFF-{number % 3}" if kind is EvidenceKind.REVIEW else "person:KH-SPECIMEN"
        ledger.append(
            chained(
                ledger[-1].hash if ledger else GENESIS,
                enrolment_id="ENR-SPECIMEN",
                sequence=len(ledger) + 1,
                kind=kind,
                outcome=outcome,
                facts=facts,
                content=bytes(32),
                actor=actor,
                at=AT,
            )
        )
    return tuple(ledger)


def needed(level: str, ledger: tuple[Evidence, ...]) -> bool:
    """What a level needs, said a second time and in another way than the policy file."""
    last = {kind: latest(ledger, kind) for kind in EvidenceKind}

    def shows(kind: EvidenceKind, outcome: str, *about: EvidenceKind) -> bool:
        record = last[kind]
        later = max((one.sequence for other in about if (one := last[other])), default=0)
        return record is not None and record.outcome == outcome and record.sequence > later

    document, answer = EvidenceKind.DOCUMENT, EvidenceKind.REGISTRY
    review = last[EvidenceKind.REVIEW]
    later = max((one.sequence for kind in (document, answer) if (one := last[kind])), default=0)
    said = [one for one in ledger if one.kind is EvidenceKind.REVIEW and one.sequence > later]
    spoke = {one.actor: one for one in said}
    holders = [one for one in spoke.values() if one.outcome == "bound"]
    in_person = any(one.facts["method"] == "in-person" for one in holders)
    seen = in_person or any(one.facts["method"] == "remote-video" for one in holders)
    points = 30 * any(one.kind is answer and one.outcome == "review" for one in ledger)
    points += 20 * any(one.kind is EvidenceKind.REVIEW and one.outcome == "referred" for one in ledger)
    points += 20 * min(2, sum(one.kind is answer and one.outcome == "no-match" for one in ledger))
    points += 10 * any(one.facts.get("channel") == "email" for one in ledger)
    two = bool(said) and said[-1].outcome == "bound" and len(holders) >= 2
    officers = two or (level == "IAL2" and points < 40)
    registry = shows(answer, "match", document)
    if level == "IAL2":
        registry = registry or (shows(answer, "review", document) and in_person)
    return (
        shows(EvidenceKind.CONSENT, "accepted")
        and shows(EvidenceKind.AGREEMENT, "accepted")
        and shows(EvidenceKind.CONTACT, "verified")
        and shows(EvidenceKind.DOCUMENT, "valid")
        and registry
        and shows(EvidenceKind.DEDUPE, "unique", document)
        and (in_person if level == "IAL3" else seen)
        and officers
        and not (review is not None and review.outcome == "refused")
    )


@given(st.lists(RECORD, max_size=14), st.sampled_from(("IAL2", "IAL3")))
@settings(max_examples=300)
def test_approval_needs_exactly_its_evidence(records: list[tuple[EvidenceKind, str, str]], level: str) -> None:
    """Whatever is in the ledger, it is approved when its level's evidence is there and never else; twice the same."""
    ledger = ledger_of(records)
    decision = evaluate(POLICY, level, ledger)
    assert (decision.outcome is Outcome.APPROVED) == needed(level, ledger)
    assert evaluate(parse_policy(json.loads(POLICY.document())), level, ledger).document == decision.document


def test_complete_evidence_is_approved_and_each_missing_piece_is_named() -> None:
    """Without any one piece the decision refers and names its rule."""
    whole = [
        (kind, outcomes[0], "in-person") for kind, outcomes in OUTCOMES.items() if kind is not EvidenceKind.DOCUMENT
    ]
    whole.insert(3, (EvidenceKind.DOCUMENT, "valid", ""))
    whole.append((EvidenceKind.REVIEW, "bound", "record"))
    assert evaluate(POLICY, "IAL3", ledger_of(whole)).outcome is Outcome.APPROVED
    for n in range(len(whole)):
        decision = evaluate(POLICY, "IAL3", ledger_of(whole[:n] + whole[n + 1 :]))
        assert decision.outcome is Outcome.REFER
        named = [reason.rule for reason in decision.against]
        assert len(named) == (2 if whole[n] == (EvidenceKind.REVIEW, "bound", "in-person") else 1), named
        assert all(rule.startswith("EKYC-IAL3-") for rule in named)


def test_a_policy_is_parsed_strictly() -> None:
    """Unknown keys, unknown evidence and rules without conditions are no policy; nor is there a level of any name."""
    good = POLICY.model_dump(mode="json")
    for bad in (
        {**good, "extra": 1},
        {**good, "levels": {}},
        {**good, "levels": {"IAL2": {"policy_oid": "2.999", "rules": []}}},
        {
            **good,
            "refusals": [{"id": "EKYC-REFUSE-X", "text": "reason_x", "when": {"evidence": "nose", "outcomes": ["x"]}}],
        },
    ):
        with pytest.raises(PolicyInvalid):
            parse_policy(bad)
    with pytest.raises(LevelUnknown):
        POLICY.level("IAL1")


def test_policy_oids_are_of_the_example_arc() -> None:
    """Until Cambodia assigns an arc, every level's OID is an example (2.999); the level of contacts has none."""
    assert set(POLICY.oids()) == set(POLICY.levels) - {"CONTACT"}
    assert all(oid.startswith("2.999.") for oid in POLICY.oids().values())


def enrolment_in(state: State) -> Enrolment:
    later = AT + timedelta(days=1)
    return Enrolment("ENR-S", "KH-S", "IAL2", "en", state, 1, None, None, AT, later, None, None, None, None, None, None)


def test_closed_states_stay_closed_and_all_states_are_reached() -> None:
    """Nothing leads out of a closed state; every state but the first can be reached."""
    assert all(not TRANSITIONS[state] for state in CLOSED)
    assert set().union(*TRANSITIONS.values()) == set(State) - {State.DRAFT}
    assert set(TRANSITIONS) == set(State)


@given(st.sampled_from(sorted(State)), st.sampled_from(sorted(State)), st.lists(RECORD, max_size=8))
def test_no_transition_beside_the_table_and_none_past_its_gate(
    state: State, to: State, records: list[tuple[EvidenceKind, str, str]]
) -> None:
    """A transition is refused unless it is in the table and its evidence is in the ledger."""
    ledger = ledger_of(records)
    enrolment = enrolment_in(state)
    if to not in TRANSITIONS[state]:
        with pytest.raises(WrongState):
            check_transition(enrolment, to, ledger)
    elif to in (State.APPROVED, State.FACTOR_BOUND, State.KEY_GENERATED, State.CERTIFICATE_ISSUED, State.ACTIVATED):
        with pytest.raises(GateClosed):  # these records hold no decision
            check_transition(enrolment, to, ledger)


# --- the machine ---


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
        outcome, fields = compare(registered(query.document_number), asked)
        compared = {name: FieldOutcome(value) for name, value in fields.items()}
        return RegistryAnswer(RegistryOutcome(outcome), compared, "SPECIMEN")


class Enrolments(RuleBasedStateMachine):
    """Steps in any order, with right and wrong input, retries and a registry that comes and goes."""

    @initialize(level=st.sampled_from(("IAL2", "IAL3")))
    def begin(self, level: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.database = open_database(f"sqlite:///{Path(self.folder.name) / 'machine.sqlite'}")
        self.registry = MemoryRegistry()
        token: Any = MemoryToken()
        self.world = World(self.database, token, SetClock(AT), self.registry)
        for officer in (SECOND, THIRD):
            self.world.staff.add(officer)
        self.actor, enrolment = self.world.start(level)
        self.name = enrolment.id

    def attempt(self, step: Any) -> None:
        try:
            step()
        except CamTrustError as refused:
            assert not isinstance(refused, GateClosed)  # noqa: PT017 - a gate that closes here is a hole elsewhere

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

    @rule(person=st.sampled_from(("adult", "adult", "differs-in-khmer", "wrong-birth", "expired-card", "deceased")))
    def document(self, person: str) -> None:
        self.world.clock.advance(timedelta(minutes=2))
        self.attempt(lambda: self.world.submit(self.actor, self.name, specimens()[person]))

    @rule(down=st.sampled_from((False, False, True)))
    def ask_registry(self, down: bool) -> None:
        self.registry.down = down
        self.attempt(lambda: self.world.service.registry.match(self.actor, self.name))

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

    @rule(go=st.integers(0, 9))
    def withdraw(self, go: int) -> None:
        if go == 0:
            self.attempt(lambda: self.world.service.enrolment.withdraw(self.actor, self.name))

    @rule()
    def straight_on(self) -> None:
        """The whole way, as far as it goes from here: so that its end is visited often."""
        for step in (self.consent, self.prove_contact):
            step()
        self.document("adult")
        self.ask_registry(down=False)
        self.review_in_turn(Method.IN_PERSON)
        self.review_in_turn(Method.RECORD)
        self.factors("111222")

    @invariant()
    def a_certificate_has_its_evidence(self) -> None:
        """Wherever there is a certificate or a key, the ledger holds what the level needs, as said a second time."""
        if not hasattr(self, "world"):
            return
        enrolment = self.world.state(self.name)
        ledger = tuple(self.world.service.files.ledger(enrolment))
        issued = enrolment.state in (State.KEY_GENERATED, State.CERTIFICATE_ISSUED, State.ACTIVATED)
        if issued or self.world.ca.issued:
            assert needed(enrolment.level, ledger)
            assert latest(ledger, EvidenceKind.FACTOR) is not None
        if enrolment.state in (State.APPROVED, State.FACTOR_BOUND):
            assert needed(enrolment.level, ledger)
        self.world.service.decider.replay(self.name)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.folder.cleanup()


TestEnrolments = Enrolments.TestCase
TestEnrolments.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
