"""Reviews, decisions, factors, certificates: the second half of an enrolment, and what cannot be done to it."""

from __future__ import annotations

import pytest
from sqlalchemy import select

import ekyc.store
from ekyc.errors import (
    CertificateMismatch,
    DecisionNotReproduced,
    EvidenceChanged,
    InPersonNeeded,
    ReviewReasonUnknown,
    SelfReview,
    WithdrawTooLate,
    WrongState,
)
from ekyc.model import State
from ekyc.ports import CitizenCertificateRequest, IssuedCertificate
from ekyc.registry_simulation.persons import series
from ekyc.review.desk import Method, Verdict
from foundation.keys.errors import PinIncorrect, PinInvalid
from tests.ekyc.story import OFFICER, PIN, SECOND, SmallCa, World

# --- start and consent ---


def test_a_review_needs_the_evidence_that_was_seen(world: World) -> None:
    """A verdict on other evidence, with a reason that does not fit, or on one's own enrolment is refused."""
    actor, name = world.until(State.REGISTRY_MATCHED)
    decide = world.decide
    seen = world.service.review.show(OFFICER, name).evidence_digest
    with pytest.raises(EvidenceChanged):
        decide(OFFICER, name, Verdict.BIND, Method.IN_PERSON, "person-is-holder", "0" * 64)
    for verdict, reason in ((Verdict.BIND, "document-suspicious"), (Verdict.REJECT, "nothing")):
        with pytest.raises(ReviewReasonUnknown):
            decide(OFFICER, name, verdict, Method.IN_PERSON, reason, seen)
    world.staff.persons[OFFICER.id] = actor.id
    with pytest.raises(SelfReview):
        world.service.review.show(OFFICER, name)
    with pytest.raises(SelfReview):
        decide(OFFICER, name, Verdict.BIND, Method.IN_PERSON, "person-is-holder", seen)
    assert world.state(name).state is State.REGISTRY_MATCHED


def test_an_officer_is_known_under_another_enrolment_too(world: World) -> None:
    """The same human being with a second enrolment is still the officer: told by the index of the person."""
    own, _ = world.until(State.REGISTRY_MATCHED, "officer")
    _, second = world.until(State.REGISTRY_MATCHED, "officer")
    world.staff.persons[OFFICER.id] = own.id
    with pytest.raises(SelfReview):
        world.review(second)


def test_an_officer_can_refuse(world: World) -> None:
    """A refusal ends the enrolment, with its reason."""
    _, name = world.until(State.REGISTRY_MATCHED)
    refused = world.review(name, Verdict.REJECT, Method.REMOTE_VIDEO, "person-is-not-holder")
    assert (refused.state, refused.reason) == (State.REJECTED, "reason_officer_refused")


def test_a_referred_case_needs_the_person(both_worlds: World) -> None:
    """What the registry or an officer refers, nobody can bind from afar; seen in person, it is approved."""
    actor, name = both_worlds.until(State.DOCUMENT_VALIDATED, "differs-in-khmer")
    assert both_worlds.service.registry.match(actor, name).state is State.REFERRED_IN_PERSON
    with pytest.raises(InPersonNeeded):
        both_worlds.review(name)
    assert both_worlds.review(name, method=Method.IN_PERSON).state is State.APPROVED
    _, other = both_worlds.until(State.REGISTRY_MATCHED, series(9))
    referred = both_worlds.review(other, Verdict.REFER, Method.REMOTE_VIDEO, "cannot-tell-remotely")
    assert referred.reason == "reason_officer_referred"
    with pytest.raises(InPersonNeeded):
        both_worlds.review(other)


def test_the_highest_level_is_in_person(world: World) -> None:
    """IAL3 is not approved by a video: the policy refers, naming the rule that is not met."""
    _, name = world.until(State.REGISTRY_MATCHED, series(10), level="IAL3")
    referred = world.review(name)
    assert (referred.state, referred.reason) == (State.REFERRED_IN_PERSON, "reason_binding_in_person")
    world.staff.add(SECOND)  # the first has had their turn
    assert world.review(name, method=Method.IN_PERSON, officer=SECOND).state is State.APPROVED
    decisions = world.service.decider.replay(name)
    assert [one.outcome.value for one in decisions] == ["refer", "approved"]
    assert [one.rule for one in decisions[0].against] == ["EKYC-IAL3-BINDING", "EKYC-IAL3-OFFICERS"]


def test_the_queue_is_paged(world: World) -> None:
    """Pages follow each other and lose nobody."""
    names = {world.until(State.REGISTRY_MATCHED, series(n))[1] for n in range(20, 25)}
    found: set[str] = set()
    cursor = None
    for _ in range(3):
        page = world.service.review.queue(OFFICER, cursor, 2)
        found |= {item.id for item in page.items}
        cursor = page.next_cursor
    assert (found, cursor) == (names, None)


# --- factors, key, certificate ---


def test_factors_refuse_and_can_be_set_again(world: World) -> None:
    """A guessable PIN and a wrong code are refused; until a code is confirmed, another secret can be had."""
    actor, name = world.until(State.APPROVED, series(30))
    with pytest.raises(PinInvalid):
        world.service.issuance.enrol_factors(actor, name, "123456")
    first = world.service.issuance.enrol_factors(actor, name, PIN)
    assert first != world.service.issuance.enrol_factors(actor, name, PIN)
    with pytest.raises(PinIncorrect):
        world.service.issuance.confirm_factors(actor, name, "abcdef")
    assert world.bind_factors(actor, name).state is State.FACTOR_BOUND


class Killed(BaseException):
    """The process ends here."""


def test_a_kill_at_every_stage_loses_nothing(both_worlds: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after token or CA did its part and before it was written down, the next call goes on from there."""
    world = both_worlds
    actor, name = world.until(State.APPROVED, series(31 if world.database.dialect == "sqlite" else 32))
    files = world.service.files

    def killed(*_: object, **__: object) -> None:
        raise Killed

    def kill_at(stage: str, step: object) -> None:
        monkeypatch.setattr(files, "record", killed)
        with pytest.raises(Killed):
            step()  # type: ignore[operator]
        monkeypatch.undo()
        assert world.state(name).state.value == stage

    kill_at("APPROVED", lambda: world.bind_factors(actor, name))
    assert world.service.issuance.confirm_factors(actor, name, "000000").state is State.FACTOR_BOUND
    kill_at("FACTOR_BOUND", lambda: world.service.issuance.certificate(actor, name))
    world.service.issuance._make_key(str(actor), world.state(name))
    kill_at("KEY_GENERATED", lambda: world.service.issuance.certificate(actor, name))
    world.service.issuance._certify(str(actor), world.state(name))
    kill_at("CERTIFICATE_ISSUED", lambda: world.service.issuance.certificate(actor, name))
    done = world.restarted().issuance.certificate(actor, name)
    assert done.state is State.ACTIVATED
    assert [one.key_id for one in world.token.wrapped_keys(actor.id)] == [done.key_id]  # the stray one was destroyed
    assert len(world.ca.issued) == len(world.credentials.registered) == 1
    assert {request.enrolment_id for request in world.ca.requests} == {name}


def test_a_certificate_for_another_key_is_not_taken(world: World) -> None:
    """Whatever the issuer answers, the certificate must be for the key that was made."""
    actor, name = world.until(State.FACTOR_BOUND, series(33))
    _, elsewhere = world.until(State.ACTIVATED, series(34))

    class WrongCa(SmallCa):
        def issue_citizen(self, request: CitizenCertificateRequest) -> IssuedCertificate:  # noqa: ARG002
            return next(one for (enrolment, _), one in world.ca.issued.items() if enrolment == elsewhere)

    with pytest.raises(CertificateMismatch):
        world.restarted(issuer=WrongCa(world.clock)).issuance.certificate(actor, name)
    assert world.state(name).state is State.KEY_GENERATED
    with pytest.raises(WithdrawTooLate):
        world.service.enrolment.withdraw(actor, name)


def test_steps_out_of_order_say_what_is_next(world: World) -> None:
    """A step that is not next is a conflict which names the steps that are."""
    actor, name = world.until(State.CONSENTED)
    for step in (
        lambda: world.service.registry.match(actor, name),
        lambda: world.service.issuance.enrol_factors(actor, name, PIN),
        lambda: world.service.issuance.certificate(actor, name),
        lambda: world.review(name),
    ):
        with pytest.raises(WrongState) as told:
            step()
        assert told.value.names == ("contact", "verify-contact", "document", "withdraw")


def test_the_ledger_and_decisions_cannot_be_changed_unseen(world: World) -> None:
    """A changed record breaks the chain; a changed decision does not replay."""
    from ekyc.errors import EvidenceChainBroken
    from ekyc.evidence.record import verify_chain

    _, name = world.until(State.APPROVED, series(35))
    verify_chain(world.service.files.ledger(world.state(name)))
    table = ekyc.store.decisions
    with world.database.unit_of_work() as connection:
        document = connection.execute(select(table.c.document)).scalar_one()
        connection.execute(table.update().values(document=document.replace("IAL2", "IAL3")))
    with pytest.raises(DecisionNotReproduced, match="does not follow"):
        world.service.decider.replay(name)
    with world.database.unit_of_work() as connection:
        records = ekyc.store.evidence
        connection.execute(records.update().where(records.c.kind == "registry").values(outcome="review"))
    with pytest.raises(EvidenceChainBroken):
        verify_chain(world.service.files.ledger(world.state(name)))
