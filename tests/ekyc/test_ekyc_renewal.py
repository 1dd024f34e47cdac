"""Renewal: reminders at set days, a new certificate without a gap, and who is not renewed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ekyc.documents.lost import LostDocument
from ekyc.errors import (
    DocumentExpired,
    DocumentReportedLost,
    PersonDeceased,
    RegistryNoMatch,
    RegistryUnavailable,
    WrongState,
)
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.lifecycle_errors import RenewalNeedsProofing, RenewalTooEarly
from ekyc.model import State
from ekyc.policy import default_policy, parse_policy
from ekyc.ports import VITAL_STATUS, Cause, FieldOutcome, RegistryAnswer, RegistryOutcome, RegistryQuery
from ekyc.registry_simulation.persons import series
from ekyc.registry_simulation.process import RegistryProcess
from foundation.http.actor import Actor
from foundation.keys.errors import PinIncorrect
from tests.ekyc.families import CODE, Factors, minor
from tests.ekyc.story import KEEPERS, OPERATOR, PIN, World

SOON = timedelta(days=310)  # of the 365 that certificates last here


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Codes that can be shown at any time; the token's own are tried in test_ekyc_guardians.py."""
    monkeypatch.setattr(world.service.renewals, "_factors", Factors())
    return world


def by_policy(world: World, monkeypatch: pytest.MonkeyPatch, **renewal: Any) -> None:
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    world.service = world.restarted(policy=parse_policy(data | {"renewal": data["renewal"] | renewal}))
    monkeypatch.setattr(world.service.renewals, "_factors", Factors())


def renew(world: World, actor: Actor, name: str) -> State:
    return world.service.renewals.renew(actor, name, PIN, CODE).state


def test_a_new_certificate_without_a_gap(both_worlds: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too early it is refused; then there is a new key, certificate and credential under the same person, and the one
    before is revoked as superseded when the new one is registered and not earlier."""
    world = both_worlds
    monkeypatch.setattr(world.service.renewals, "_factors", Factors())
    actor, name = world.until(State.ACTIVATED, series(820))
    before = world.state(name)
    with pytest.raises(RenewalTooEarly):
        renew(world, actor, name)
    world.clock.advance(SOON)
    with pytest.raises(PinIncorrect):
        world.service.renewals.renew(actor, name, PIN, "000000")
    registered = world.credentials.register

    def register(*arguments: Any) -> str:
        assert world.ca.revoked == {}, "the certificate before still works"
        return registered(*arguments)

    monkeypatch.setattr(world.credentials, "register", register)
    assert renew(world, actor, name) is State.ACTIVATED
    after = world.state(name)
    for field in ("key_id", "certificate_serial", "credential_id"):
        assert getattr(after, field) not in (None, getattr(before, field))
    assert world.ca.revoked == {before.certificate_serial: Cause.SUPERSEDED}
    assert after.superseded_serial is None
    answer = latest(world.service.files.ledger(after), EvidenceKind.REGISTRY)
    assert answer is not None
    assert (answer.outcome, answer.facts["for"]) == ("match", "renewal")
    with pytest.raises(RenewalTooEarly):
        renew(world, actor, name)
    world.service.decider.replay(name)
    world.audit.verify(world.database)


@pytest.mark.parametrize("cut", ["issue_citizen", "register", "revoke_citizen"])
def test_a_renewal_that_was_cut_off_goes_on(world: World, monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    """The certificate before works until then; asked for the certificate, or by the upkeep, it is finished. Nothing
    that has a certificate runs out meanwhile."""
    actor, name = world.until(State.ACTIVATED, series(821))
    before = world.state(name)
    world.clock.advance(SOON)

    def killed(*_: Any, **__: Any) -> None:
        raise RegistryUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(world.credentials if cut == "register" else world.ca, cut, killed)
        with pytest.raises(RegistryUnavailable):
            renew(world, actor, name)
    assert world.ca.revoked == {}
    world.service.enrolment.sweep()
    assert world.service.renewals.resume() == (1 if cut == "revoke_citizen" else 0)
    assert world.service.issuance.certificate(actor, name).state is State.ACTIVATED
    world.service.renewals.resume()
    assert world.ca.revoked == {before.certificate_serial: Cause.SUPERSEDED}
    assert world.state(name).certificate_serial != before.certificate_serial
    assert world.state(name).erased_at is None


def test_a_renewal_after_one_that_was_cut_off_forgets_neither(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first was to revoke, and died before it did, is revoked before the second takes its place."""
    actor, name = world.until(State.ACTIVATED, series(828))
    first = world.state(name).certificate_serial
    world.clock.advance(SOON)
    with monkeypatch.context() as patch:
        patch.setattr(world.service.renewals, "resume", lambda **_: 0)  # killed just before
        renew(world, actor, name)
    second = world.state(name).certificate_serial
    assert world.ca.revoked == {}
    world.clock.advance(SOON)
    assert renew(world, actor, name) is State.ACTIVATED
    assert world.ca.revoked == {first: Cause.SUPERSEDED, second: Cause.SUPERSEDED}
    assert world.state(name).superseded_serial is None


class Answering:
    """A registry that says one thing."""

    def __init__(self, outcome: RegistryOutcome, *, died: bool = False) -> None:
        self.answer = RegistryAnswer(outcome, {VITAL_STATUS: FieldOutcome.MISMATCH} if died else {}, "SPECIMEN")

    def match(self, query: RegistryQuery) -> RegistryAnswer:  # noqa: ARG002
        return self.answer


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        (Answering(RegistryOutcome.NO_MATCH), RegistryNoMatch),
        (Answering(RegistryOutcome.NO_MATCH, died=True), PersonDeceased),
        (Answering(RegistryOutcome.REVIEW), RenewalNeedsProofing),
    ],
    ids=["no-match", "died", "review"],
)
def test_the_registry_is_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: Answering, refusal: type[Exception]
) -> None:
    """Who is not found as before gets no new key; had it said yes, they would have."""
    actor, name = world.until(State.ACTIVATED, series(822))
    world.clock.advance(SOON)
    with monkeypatch.context() as patch:
        patch.setattr(world.service.renewals, "_registry", answer)
        with pytest.raises(refusal):
            renew(world, actor, name)
    assert (world.state(name).state, len(world.ca.issued)) == (State.ACTIVATED, 1)
    assert renew(world, actor, name) is State.ACTIVATED
    assert len(world.ca.issued) == 2


def test_a_registry_that_is_down_means_wait(world: World, registry_process: RegistryProcess) -> None:
    """Nothing is renewed and nothing is lost."""
    actor, name = world.until(State.ACTIVATED, series(823))
    world.clock.advance(SOON)
    registry_process.switch(outage=True)
    with pytest.raises(RegistryUnavailable):
        renew(world, actor, name)
    registry_process.switch()
    assert renew(world, actor, name) is State.ACTIVATED


def lost(world: World) -> None:
    world.service.lost_documents.report(KEEPERS[0], [LostDocument("KHM", series(824).document_number)])


@pytest.mark.parametrize(
    ("happens", "refusal"), [(lost, DocumentReportedLost), (None, RenewalNeedsProofing)], ids=["lost", "old"]
)
def test_evidence_that_does_not_carry_any_more(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[World], None] | None,
    refusal: type[Exception],
) -> None:
    """A document on the list of lost ones, and a decision that is older than the policy permits; otherwise it is."""
    actor, name = world.until(State.ACTIVATED, series(824))
    world.clock.advance(SOON)
    if happens is not None:
        happens(world)
    else:
        by_policy(world, monkeypatch, proofing_days=300)
    with pytest.raises(refusal):
        renew(world, actor, name)
    by_policy(world, monkeypatch)
    world.service.lost_documents.found_again(KEEPERS[0], [LostDocument("KHM", series(824).document_number)])
    assert renew(world, actor, name) is State.ACTIVATED


def test_a_passport_that_ended_is_not_renewed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate ended with it; another passport is another enrolment."""
    actor, name = world.until(State.ACTIVATED, "resident")
    by_policy(world, monkeypatch, proofing_days=40_000)
    world.clock.advance(timedelta(days=365 * 4))
    with pytest.raises(DocumentExpired):
        renew(world, actor, name)


def test_a_minor_who_comes_of_age_renews_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the birthday the new certificate ends with it too; afterwards it does not, and no guardian is asked."""
    monkeypatch.setattr(world.service.guardians, "_factors", Factors())
    mother, _ = world.until(State.ACTIVATED, "adult")
    actor, name, code = minor(world)
    world.service.guardians.accept(mother, code, "mother", PIN, CODE)
    world.review(name)
    world.bind_factors(actor, name)
    world.service.issuance.certificate(actor, name)
    ends = world.ca.requests[-1].not_after
    world.clock.advance(SOON)
    renew(world, actor, name)
    assert world.ca.requests[-1].not_after == ends
    assert ends is not None
    world.clock.advance(ends - world.clock.now() + timedelta(days=1))
    assert renew(world, actor, name) is State.ACTIVATED
    assert world.ca.requests[-1].not_after is None


def test_reminders_come_once_each(world: World) -> None:
    """At 60, 30 and 7 days, to every contact; none before, none twice, none after renewal; the nearest one alone where
    several are due."""
    actor, name = world.until(State.ACTIVATED, series(826))
    other, _ = world.until(State.ACTIVATED, series(827), phone="012 111 222")
    told = []
    for days in (200, 110, 1, 25, 1, 22, 1):
        world.clock.advance(timedelta(days=days))
        told.append(world.service.renewals.remind())
    assert told == [0, 2, 0, 2, 0, 2, 0]
    texts = [one.text for one in world.outbox.read(OPERATOR, actor.id) if "ends in" in one.text]
    assert [f"ends in {days} days" in text for days, text in zip((6, 29, 55), texts, strict=True)] == [True] * 3
    renew(world, actor, name)
    assert world.service.renewals.remind() == 0
    assert len([one for one in world.outbox.read(OPERATOR, other.id) if "ends in" in one.text]) == 3


def test_renewal_over_http(world: World) -> None:
    """By the person's session; a second time it is too early."""
    client = world.client()
    actor, name = world.until(State.ACTIVATED, series(828))
    headers = {"Authorization": f"Bearer {world.sessions.open(actor.id)}"}
    path, body = f"/ekyc/v1/enrolments/{name}/renewal", {"pin": PIN, "totp": CODE}
    assert client.post(path, json=body, headers=headers).json()["code"] == "ekyc.renewal_too_early"
    world.clock.advance(SOON)
    renewed = client.post(path, json=body, headers=headers)
    assert (renewed.status_code, renewed.json()["state"]) == (200, "ACTIVATED")
    with pytest.raises(WrongState):
        world.service.renewals.renew(*world.until(State.APPROVED, series(829)), PIN, CODE)
