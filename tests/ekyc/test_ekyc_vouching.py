"""The provisional level: two certificate holders and the commune's officer for somebody without a document."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pyotp
import pytest
from cryptography import x509

from ekyc.errors import (
    ApprovalImpossible,
    BirthDateIncomplete,
    EvidenceChanged,
    GuardianNeeded,
    LevelWithout,
    TooMuchEvidence,
)
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.lifecycle_errors import RenewalNeedsProofing
from ekyc.model import State
from ekyc.policy import default_policy, parse_policy
from ekyc.ports import Cause
from ekyc.recall.desk import Origin
from ekyc.registry_simulation.persons import series
from ekyc.review.desk import Verdict
from ekyc.vouching.errors import CommuneQuota, VoucherLost, VoucherQuota
from foundation.db.engine import StaleWrite
from foundation.keys.errors import PinIncorrect
from tests.ekyc.families import CODE, Factors
from tests.ekyc.story import OFFICER, PIN, SECOND, World
from tests.ekyc.test_ekyc_recall import FIRST, OTHER
from tests.ekyc.vouchers import (
    CHIEF,
    COMMUNE,
    SAID,
    another,
    by_policy,
    by_rules,
    declared,
    holder,
    speak,
    vouch,
    vouched,
)


@pytest.fixture
def village(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose vouchers show simple codes."""
    monkeypatch.setattr(world.service.vouching, "_factors", Factors())
    return world


def test_two_holders_and_the_commune_s_officer_give_a_provisional_certificate(
    both_worlds: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each approves the digest of the evidence; the certificate has the declared name and the level's policy OID, ends
    within the policy's days, and the decision is reproduced byte for byte."""
    world = both_worlds
    monkeypatch.setattr(world.service.vouching, "_factors", Factors())
    first, second = holder(world, 801), holder(world, 802)
    actor, name = declared(world)
    assert [one.value for one in world.state(name).next] == ["vouchers", "declaration", "withdraw"]
    for voucher in (first, second):
        assert vouch(world, actor, name, voucher).state is State.WAITING_VOUCHERS
    assert speak(world, name).state is State.APPROVED
    ledger = world.service.files.ledger(world.state(name))
    words = [one for one in ledger if one.kind is EvidenceKind.VOUCH]
    assert [(one.control, one.actor) for one in words] == [("EKYC-VOUCH", str(first)), ("EKYC-VOUCH", str(second))]
    assert len({one.facts["seen"] for one in words}) == 2
    review = latest(ledger, EvidenceKind.REVIEW)
    assert review is not None
    assert (review.facts["role"], review.facts["commune"], review.actor) == ("commune", COMMUNE, str(CHIEF))
    world.bind_factors(actor, name)
    assert world.service.issuance.certificate(actor, name).state is State.ACTIVATED
    request = world.ca.requests[-1]
    assert (request.level, request.policy_oid) == ("VOUCHED", "2.999.116.1.1.1")
    assert (request.surname, request.given_names, request.khmer_name) == ("SPECIMEN", "SREY MOM", "គំរូ ស្រីមុំ")
    certificate = x509.load_der_x509_certificate(world.service.issuance.issued(actor, name).certificate)
    assert certificate.not_valid_after_utc <= world.clock.now() + timedelta(days=90)
    body = world.service.receipts.of(actor, name).receipt.split(".")[1]
    proofing = json.loads(base64.urlsafe_b64decode(body + "=="))["verified_claims"]["verification"]
    [vouches] = [one for one in proofing["evidence"] if one["type"] == "vouch"]
    assert [one["check_id"] for one in vouches["check_details"]] == ["EKYC-VOUCH", "EKYC-VOUCH", "EKYC-REVIEW"]
    assert proofing["assurance_level"] == "VOUCHED"
    assert world.service.decider.replay(name)[-1].outcome.value == "approved"
    world.audit.verify(world.database)


def test_a_voucher_s_factors_are_checked_in_the_token(world: World) -> None:
    """A real PIN and a real code of the voucher's authenticator; a wrong PIN is refused and writes nothing."""
    voucher, theirs = world.until(State.APPROVED, series(803))
    app = pyotp.parse_uri(world.service.issuance.enrol_factors(voucher, theirs, PIN))
    assert isinstance(app, pyotp.TOTP)
    now = datetime.now(UTC)
    world.service.issuance.confirm_factors(voucher, theirs, app.at(now))
    world.service.issuance.certificate(voucher, theirs)
    actor, name = declared(world)
    desk = world.service.vouching
    code = desk.invite(actor, name).code
    seen = desk.look(voucher, code).evidence_digest
    fresh = app.at(now + timedelta(seconds=30))
    with pytest.raises(PinIncorrect):
        desk.vouch(voucher, code, seen, "999999", fresh)
    assert latest(world.service.files.ledger(world.state(name)), EvidenceKind.VOUCH) is None
    desk.vouch(voucher, code, seen, PIN, fresh)
    assert latest(world.service.files.ledger(world.state(name)), EvidenceKind.VOUCH) is not None


def test_what_is_declared(village: World) -> None:
    """Of age, with a possible birth, a few times only; nothing at another level, or under a policy without it."""
    actor, name = declared(village)
    desk = village.service.vouching
    with pytest.raises(GuardianNeeded):
        desk.declare(actor, name, replace(SAID, date_of_birth=date(2012, 1, 1)))
    with pytest.raises(BirthDateIncomplete):
        desk.declare(actor, name, replace(SAID, date_of_birth=date(2090, 1, 1)))
    for _ in range(village.service.files.settings.evidence_tries - 1):
        desk.declare(actor, name, SAID)
    with pytest.raises(TooMuchEvidence):
        desk.declare(actor, name, SAID)
    other, theirs = village.until(State.CONTACT_VERIFIED)
    with pytest.raises(LevelWithout):
        desk.declare(other, theirs, SAID)
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    del data["vouching"]
    by_policy_without = parse_policy(data)
    village.service = village.restarted(policy=by_policy_without)
    with pytest.raises(LevelWithout):
        village.service.vouching.declare(actor, name, SAID)


def test_what_changed_since_it_was_looked_at_is_not_vouched_for(village: World) -> None:
    """Declared anew, the digest that a voucher saw is worth nothing, and whoever vouched before has to do it again."""
    first, second = holder(village, 804), holder(village, 805)
    actor, name = vouched(village, first)
    desk = village.service.vouching
    code = desk.invite(actor, name).code
    seen = desk.look(second, code).evidence_digest
    desk.declare(actor, name, another(1))
    with pytest.raises(EvidenceChanged):
        desk.vouch(second, code, seen, PIN, CODE)
    desk.vouch(second, code, desk.look(second, code).evidence_digest, PIN, CODE)
    vouch(village, actor, name, first)
    assert speak(village, name).state is State.APPROVED
    looked = [one.who for one in village.service.own_data.accesses(actor, name)]
    assert str(second) in looked
    assert str(CHIEF) in looked


def test_a_namesake_waits_for_a_second_officer(village: World) -> None:
    """Somebody of the same name and birth is approved already under a document: the commune's word is not enough."""
    village.staff.add(SECOND)
    person = series(806)
    village.until(State.ACTIVATED, person)
    said = replace(
        SAID,
        surname=person.surname,
        given_names=person.given_names,
        date_of_birth=date.fromisoformat(person.date_of_birth),
    )
    _, name = vouched(village, holder(village, 804), holder(village, 805), said=said)
    village.staff.keys.pop(OFFICER.id)  # the commune's officer reviews too, and could be drawn
    assert speak(village, name).state is State.REVIEW_2
    assert village.service.review.assignments.turn_of(village.state(name)) == SECOND.id
    assert village.second(name).state is State.APPROVED


def test_the_commune_s_officer_refuses(village: World) -> None:
    """The person is not who they say: rejected, with as many vouchers as can be."""
    _, name = vouched(village, holder(village, 804), holder(village, 805))
    assert speak(village, name, verdict=Verdict.REJECT, reason="person-is-not-holder").state is State.REJECTED


def test_a_voucher_is_called_back(village: World) -> None:
    """The edge from a voucher to certificates: exactly whom they vouched for is suspended, whoever else is not; who is
    not approved yet declares anew."""
    village.staff.keys.pop(SECOND.id, None)
    false, honest, third = (holder(village, number) for number in (804, 805, 807))
    _, mine = vouched(village, false, honest, said=another(2))
    _, other = vouched(village, third, honest, said=another(3))
    for name in (mine, other):
        speak(village, name)
    waiting, theirs = vouched(village, false, said=another(4))
    recalls, origin = village.service.recalls, Origin(voucher=false.id)
    found = recalls.look(origin)
    assert {one.enrolment_id for one in found.affected} == {mine, theirs}
    recall = recalls.propose(FIRST, origin, found.digest)
    recalls.confirm(OTHER, recall.recall_id)
    assert [village.state(one).state for one in (mine, other)] == [State.SUSPENDED, State.APPROVED]
    assert village.state(theirs).state is State.NEEDS_INPUT
    village.service.vouching.declare(waiting, theirs, another(4))
    for one in (honest, third):
        vouch(village, waiting, theirs, one)
    assert speak(village, theirs).state is State.APPROVED
    village.service.decider.replay(mine)


def test_a_voucher_whose_certificate_is_revoked_before_the_officer_speaks(village: World) -> None:
    """What a voucher said before counts no more when the officer decides; others vouch on a new declaration."""
    first, second, third = (holder(village, number) for number in (804, 805, 807))
    actor, name = vouched(village, first, second)
    village.ca.revoked[village.service.files.of_person(first).certificate_serial or ""] = Cause.COMPROMISED
    with pytest.raises(VoucherLost):
        speak(village, name)
    village.service.vouching.declare(actor, name, SAID)
    for one in (second, third):
        vouch(village, actor, name, one)
    assert speak(village, name).state is State.APPROVED


def test_a_provisional_certificate_is_not_renewed(village: World) -> None:
    """Near its end it needs another proofing; and an approval that nobody used in time carries no certificate."""
    actor, name = vouched(village, holder(village, 804), holder(village, 805))
    speak(village, name)
    village.bind_factors(actor, name)
    village.service.issuance.certificate(actor, name)
    village.clock.advance(timedelta(days=60))
    with pytest.raises(RenewalNeedsProofing):
        village.service.renewals.renew(actor, name, PIN, CODE)


def test_an_approval_that_was_not_used_in_time_carries_nothing(village: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate ends so many days after the declaration, and not after it is asked for."""
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    data["vouching"]["lifetime_days"] = 2
    by_policy(village, monkeypatch, parse_policy(data))
    actor, name = vouched(village, holder(village, 804), holder(village, 805))
    speak(village, name)
    village.bind_factors(actor, name)
    village.clock.advance(timedelta(days=3))
    with pytest.raises(ApprovalImpossible):
        village.service.issuance.certificate(actor, name)


def test_vouching_over_http(village: World) -> None:
    """Declared, invited, looked at, vouched for; the commune's officer has a role of their own."""
    client = village.client()
    actor, enrolment = village.start("VOUCHED")
    name = enrolment.id
    village.service.enrolment.consent(actor, name, village.accept())
    village.prove_contact(actor, name)
    first = holder(village, 804)
    mine, theirs = ({"Authorization": f"Bearer {village.sessions.open(one.id)}"} for one in (actor, first))
    body = {**vars(SAID), "date_of_birth": SAID.date_of_birth.isoformat()}
    said = client.post(f"/ekyc/v1/enrolments/{name}/declaration", json=body, headers=mine)
    assert (said.status_code, said.json()["state"]) == (200, "WAITING_VOUCHERS")
    code = client.post(f"/ekyc/v1/enrolments/{name}/vouch-invitations", headers=mine).json()["invitation"]
    own = client.post("/ekyc/v1/vouchings/preview", json={"invitation": code}, headers=mine)
    assert own.json()["code"] == "ekyc.voucher_self"
    asked = client.post("/ekyc/v1/vouchings/preview", json={"invitation": code}, headers=theirs).json()
    assert (asked["given_names"], asked["commune"]) == ("SREY MOM", COMMUNE)
    word = {"invitation": code, "evidence_digest": asked["evidence_digest"], "pin": PIN, "totp": CODE}
    answered = client.post("/ekyc/v1/vouchings", json=word, headers=theirs)
    assert (answered.status_code, answered.json()) == (201, {"enrolment_id": name})
    village.sessions.staff["chief"] = CHIEF
    path = f"/ekyc/v1/commune-reviews/{name}"
    assert client.get(path, headers={"Authorization": "Staff officer"}).status_code == 403
    shown = client.get(path, headers={"Authorization": "Staff chief"})
    assert shown.status_code == 200
    assert OFFICER.id not in shown.text


def test_of_many_at_once_a_voucher_and_a_commune_stay_within_their_numbers(
    both_worlds: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight persons ask one voucher at the same moment, of whom the policy permits two; then the commune's officer
    speaks for four at the same moment, of whom it permits one."""
    world = both_worlds
    by_rules(world, monkeypatch, per_voucher=2)
    voucher, desk = holder(world, 808), world.service.vouching
    asking = [declared(world, another(number)) for number in range(8)]
    codes = [desk.invite(actor, name).code for actor, name in asking]
    seen = [desk.look(voucher, code).evidence_digest for code in codes]

    def one(number: int) -> object:
        try:
            return desk.vouch(voucher, codes[number], seen[number], PIN, CODE)
        except (VoucherQuota, StaleWrite) as refused:
            return refused

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(one, range(8)))
    assert 1 <= sum(not isinstance(answer, Exception) for answer in answers) <= 2
    by_rules(world, monkeypatch, per_voucher=100, per_commune=1)
    waiting = [vouched(world, voucher, holder(world, 809), said=another(10 + number))[1] for number in range(4)]
    world.staff.add(CHIEF)

    def word(name: str) -> object:
        try:
            return speak(world, name)
        except (CommuneQuota, StaleWrite) as refused:
            return refused

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(word, waiting))
    assert sum(world.state(name).state is State.APPROVED for name in waiting) == 1
