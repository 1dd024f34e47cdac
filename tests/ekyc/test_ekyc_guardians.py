"""Minors: 15 to 17 with a guardian who holds a certificate: how it goes, and what else can happen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp
import pytest
from cryptography import x509

from ekyc import store
from ekyc.errors import GuardianNeeded, RegistryUnavailable, WrongState
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.guardians.errors import (
    GuardianNotConfirmed,
    GuardianshipUnknown,
    GuardianUnneeded,
    RelationUnknown,
)
from ekyc.model import State
from ekyc.policy import default_policy, parse_policy
from ekyc.registry_simulation.persons import specimens
from ekyc.registry_simulation.process import RegistryProcess
from ekyc.review.desk import Method
from foundation.keys.errors import PinIncorrect
from tests.ekyc.families import CODE, Factors, minor
from tests.ekyc.story import PIN, World


def last(world: World, name: str) -> Any:
    return latest(world.service.files.ledger(world.state(name)), EvidenceKind.GUARDIAN)


def test_a_minor_with_a_guardian_gets_a_certificate_until_the_birthday(
    both_worlds: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mother says so with her factors and the registry agrees: the officer can approve, and the certificate ends
    with the day before the eighteenth birthday, in the statement to the CA and in the certificate."""
    world = both_worlds
    monkeypatch.setattr(world.service.guardians, "_factors", Factors())
    mother, _ = world.until(State.ACTIVATED, "adult")
    actor, name, code = minor(world)
    assert [one.value for one in world.state(name).next] == ["guardian", "withdraw"]
    with pytest.raises(WrongState):
        world.review(name)
    with pytest.raises(PinIncorrect):
        world.service.guardians.accept(mother, code, "mother", PIN, "000000")
    answered = world.service.guardians.accept(mother, f" {code.lower()} ", "mother", PIN, CODE)
    assert (answered.enrolment_id, answered.outcome) == (name, "bound")
    record = last(world, name)
    assert (record.control, record.actor, record.facts["relation"]) == ("EKYC-GUARDIAN", str(mother), "mother")
    assert world.state(name).state is State.REGISTRY_MATCHED
    assert world.review(name).state is State.APPROVED
    world.bind_factors(actor, name)
    assert world.service.issuance.certificate(actor, name).state is State.ACTIVATED
    ends = datetime(2028, 12, 24, 16, 59, 59, tzinfo=UTC)  # born on 25 December 2010; midnight in Phnom Penh
    assert world.ca.requests[-1].not_after == ends
    certificate = x509.load_der_x509_certificate(world.service.issuance.issued(actor, name).certificate)
    assert certificate.not_valid_after_utc <= ends
    world.service.decider.replay(name)
    world.audit.verify(world.database)
    assert [(one.enrolment_id, one.ended_at) for one in world.service.guardians.wards(mother)] == [(name, None)]


def test_the_guardian_s_factors_are_checked_in_the_token(world: World) -> None:
    """A real PIN and a real code of the guardian's authenticator; a wrong PIN is refused, and the code is good once."""
    mother, theirs = world.until(State.APPROVED, "adult")
    app = pyotp.parse_uri(world.service.issuance.enrol_factors(mother, theirs, PIN))
    assert isinstance(app, pyotp.TOTP)
    now = datetime.now(UTC)
    world.service.issuance.confirm_factors(mother, theirs, app.at(now))
    world.service.issuance.certificate(mother, theirs)
    _, name, code = minor(world)
    fresh = app.at(now + timedelta(seconds=30))
    with pytest.raises(PinIncorrect):
        world.service.guardians.accept(mother, code, "mother", "999999", fresh)
    assert world.service.guardians.accept(mother, code, "mother", PIN, fresh).outcome == "bound"
    assert world.state(name).state is State.REGISTRY_MATCHED


def test_three_answers_that_it_is_not_so_refuse(family: World) -> None:
    """Each needs a new invitation; at the third the minor's enrolment is rejected."""
    stranger, _ = family.until(State.ACTIVATED, "lifetime-card")
    actor, name, code = minor(family)
    with pytest.raises(RelationUnknown):
        family.service.guardians.accept(stranger, code, "uncle", PIN, CODE)
    for left in (2, 1, 0):
        with pytest.raises(GuardianNotConfirmed) as told:
            family.service.guardians.accept(stranger, code, "father", PIN, CODE)
        assert told.value.params == {"left": left}
        assert last(family, name).outcome == "no-match"
        if left:
            code = family.service.guardians.invite(actor, name).code
    rejected = family.state(name)
    assert (rejected.state, rejected.reason) == (State.REJECTED, "reason_guardian_not_confirmed")


def test_a_disputed_relation_needs_an_officer_who_sees_them(family: World) -> None:
    """The registry asks for a look: a verdict by video is not enough, in person it is."""
    other, _ = family.until(State.ACTIVATED, "leading-zero")
    _, name, code = minor(family)
    assert family.service.guardians.accept(other, code, "father", PIN, CODE).outcome == "review"
    assert family.review(name).state is State.REFERRED_IN_PERSON
    assert family.review(name, method=Method.IN_PERSON).state is State.APPROVED


def test_a_guardian_withdraws(family: World) -> None:
    """Before the decision the minor waits again; afterwards the enrolment is suspended and the certificate on hold.
    Nobody else can withdraw it."""
    mother, _ = family.until(State.ACTIVATED, "adult")
    actor, name, code = minor(family)
    desk = family.service.guardians
    desk.accept(mother, code, "mother", PIN, CODE)
    with pytest.raises(WrongState):
        desk.invite(actor, name)
    stranger, _ = family.start()
    with pytest.raises(GuardianshipUnknown):
        desk.withdraw(stranger, name)
    desk.withdraw(mother, name)
    assert family.state(name).state is State.WAITING_GUARDIAN
    desk.accept(mother, desk.invite(actor, name).code, "mother", PIN, CODE)
    family.review(name)
    family.bind_factors(actor, name)
    family.service.issuance.certificate(actor, name)
    assert family.ca.held == []
    for _ in range(2):
        desk.withdraw(mother, name)
        assert family.state(name).state is State.SUSPENDED
    assert {person for person, _ in family.ca.held} == {actor.id}
    assert last(family, name).outcome == "withdrawn"


@pytest.mark.parametrize("cut", ["_follow", "suspend_citizens"])
def test_a_withdrawal_that_was_cut_off_goes_on(family: World, monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    """Killed after the guardian's word is ended, or while the CA is told: the upkeep does the rest, once."""
    mother, _ = family.until(State.ACTIVATED, "adult")
    actor, name, code = minor(family)
    desk = family.service.guardians
    desk.accept(mother, code, "mother", PIN, CODE)
    family.review(name)

    def killed(*_: Any) -> None:
        raise RegistryUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(desk if cut == "_follow" else family.ca, cut, killed)
        with pytest.raises(RegistryUnavailable):
            desk.withdraw(mother, name)
    assert desk.resume() == 1
    assert family.state(name).state is State.SUSPENDED
    assert [person for person, _ in family.ca.held] == [actor.id]
    assert desk.resume() == 0


def test_a_guardian_who_comes_back_before_the_upkeep(family: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A withdrawal was cut off before the CA was told, and the same guardian answers again: the certificate is on hold
    all the same, and two officers are the way back."""
    mother, _ = family.until(State.ACTIVATED, "adult")
    actor, name, code = minor(family)
    desk = family.service.guardians
    desk.accept(mother, code, "mother", PIN, CODE)
    family.review(name)

    def killed(*_: Any) -> None:
        raise RegistryUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(family.ca, "suspend_citizens", killed)
        with pytest.raises(RegistryUnavailable):
            desk.withdraw(mother, name)
    assert (family.state(name).state, family.ca.held) == (State.SUSPENDED, [])
    assert desk.accept(mother, desk.invite(actor, name).code, "mother", PIN, CODE).outcome == "bound"
    assert family.state(name).state is State.SUSPENDED
    assert {person for person, _ in family.ca.held} == {actor.id}


def test_a_guardian_who_is_lost_is_one_who_withdrew(family: World) -> None:
    """The guardian's own enrolment is suspended: the upkeep suspends the minor's."""
    mother, theirs = family.until(State.ACTIVATED, "adult")
    _, name, code = minor(family)
    family.service.guardians.accept(mother, code, "mother", PIN, CODE)
    family.review(name)
    assert family.service.guardians.resume() == 0
    with family.database.unit_of_work() as connection:
        table = store.enrolments
        connection.execute(table.update().where(table.c.id == theirs).values(state=State.SUSPENDED.value))
    assert family.service.guardians.resume() == 1
    assert family.state(name).state is State.SUSPENDED


def test_another_document_needs_the_guardian_anew(family: World) -> None:
    """What a guardian said was about the document that was shown then."""
    mother, _ = family.until(State.ACTIVATED, "adult")
    actor, name = family.until(State.DOCUMENT_VALIDATED, "minor")
    code = family.service.guardians.invite(actor, name).code
    family.service.guardians.accept(mother, code, "mother", PIN, CODE)  # before the registry was asked
    assert family.service.registry.match(actor, name).state is State.REGISTRY_MATCHED
    with family.database.unit_of_work() as connection:
        table = store.enrolments
        connection.execute(table.update().where(table.c.id == name).values(state=State.NEEDS_INPUT.value))
    family.submit(actor, name, specimens()["minor"])
    assert family.service.registry.match(actor, name).state is State.WAITING_GUARDIAN


def test_adults_need_none_and_a_policy_without_guardians_refuses(world: World) -> None:
    """An adult cannot invite; where the policy has no guardians, a minor is refused as before."""
    actor, name = world.until(State.DOCUMENT_VALIDATED, "adult")
    with pytest.raises(GuardianUnneeded):
        world.service.guardians.invite(actor, name)
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    del data["guardians"]
    world.service = world.restarted(policy=parse_policy(data))
    actor, name = world.until(State.CONTACT_VERIFIED)
    with pytest.raises(GuardianNeeded):
        world.submit(actor, name, specimens()["minor"])
    assert world.state(name).state is State.REJECTED


def test_a_register_that_is_down_means_wait(family: World, registry_process: RegistryProcess) -> None:
    """The invitation stays good; asked again, the guardian is confirmed."""
    mother, _ = family.until(State.ACTIVATED, "adult")
    _, name, code = minor(family)
    for how in ({"outage": True}, {"broken": True}):
        registry_process.switch(**how)
        with pytest.raises(RegistryUnavailable):
            family.service.guardians.accept(mother, code, "mother", PIN, CODE)
    registry_process.switch()
    assert family.service.guardians.accept(mother, code, "mother", PIN, CODE).outcome == "bound"
    assert family.state(name).state is State.REGISTRY_MATCHED


def test_guardians_over_http(family: World) -> None:
    """The minor gets a code, the guardian answers it, sees it, and takes it back."""
    client = family.client()
    mother, _ = family.until(State.ACTIVATED, "adult")
    actor, name = family.until(State.DOCUMENT_VALIDATED, "minor")
    family.service.registry.match(actor, name)
    theirs, hers = ({"Authorization": f"Bearer {family.sessions.open(one.id)}"} for one in (actor, mother))
    invited = client.post(f"/ekyc/v1/enrolments/{name}/guardian-invitation", headers=theirs)
    assert invited.status_code == 201
    body = {"invitation": invited.json()["invitation"], "relation": "mother", "pin": PIN, "totp": CODE}
    mine = client.post("/ekyc/v1/guardianships", json=body, headers=theirs)
    assert mine.json()["code"] == "ekyc.guardian_self"
    answered = client.post("/ekyc/v1/guardianships", json=body, headers=hers)
    assert (answered.status_code, answered.json()["outcome"]) == (201, "bound")
    assert [one["enrolment_id"] for one in client.get("/ekyc/v1/guardianships", headers=hers).json()] == [name]
    assert client.delete(f"/ekyc/v1/guardianships/{name}", headers=theirs).status_code == 404
    assert client.delete(f"/ekyc/v1/guardianships/{name}", headers=hers).status_code == 204
    assert client.get("/ekyc/v1/guardianships", headers=hers).json()[0]["ended_at"] is not None
