"""Foreign residents: passports of their own states, the register of residents, the name in Latin alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ekyc import mrz
from ekyc.chip import ChipOutcome
from ekyc.errors import DocumentExpired, DocumentNotAccepted, NameUnusable, RegistryNoMatch
from ekyc.evidence.errors import KhmerNameUnverified
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.model import State
from ekyc.policy import Policy, default_policy, parse_policy
from ekyc.registry_simulation.persons import Specimen, specimens
from ekyc.review.desk import Method
from foundation.approval import verify
from foundation.clock import SetClock
from foundation.x509 import der
from tests.ekyc.chip_parties import NOW, Party, authority, crl, document_signer, ec_key
from tests.ekyc.chip_specimen import answer, com, dg14, dg15, sod
from tests.ekyc.story import KEEPERS, SECOND, World

KEY = ec_key(ec.SECP256R1, "possession")
FRANCE = authority(ec_key(ec.SECP384R1, "csca-fr"), country="FR")
RESIDENT = specimens()["resident"]


@pytest.fixture
def clock() -> SetClock:
    """The day for which the specimen chips are made."""
    return SetClock(NOW)


def changed(**changes: Any) -> Policy:
    """The policy of this build with other values."""
    return parse_policy(default_policy().model_dump(mode="json", exclude_unset=True) | changes)


def without_rule(level: str, rule: str) -> Policy:
    """The policy of this build with one rule of a level switched off."""
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    data["levels"][level]["rules"] = [one for one in data["levels"][level]["rules"] if one["id"] != rule]
    return parse_policy(data)


def trusted(world: World, issuer: Party = FRANCE) -> World:
    """A world in which two officers brought the authority of a state, and its CRL."""
    brought = world.service.chip_trust.bring(KEEPERS[0], issuer.certificate)
    world.service.chip_trust.decide(KEEPERS[1], brought.id, brought.digest, approve=True)
    world.service.chip_trust.bring_crl(KEEPERS[0], crl(issuer, ()))
    return world


def show_chip(world: World, actor: Any, name: str, person: Specimen, issuer: Party, country: str) -> ChipOutcome:
    """The chip of a specimen's passport answers a challenge."""
    lines = "".join(person.card()).encode()
    groups = {1: der.tlv(0x61, b"\x5f\x1f" + der.length(len(lines)) + lines), 14: dg14(), 15: dg15(KEY)}
    files = {f"DG{number}": data for number, data in groups.items()} | {"EF.COM": com(sorted(groups))}
    files["EF.SOD"] = sod(groups, document_signer(issuer, country=country), issuer.name)
    asked = world.service.chips.challenge(actor, name)
    return world.service.chips.submit(actor, name, files, asked.id, answer(KEY, asked.nonce)).verdict.outcome


def fact(world: World, name: str, kind: EvidenceKind) -> Any:
    return latest(world.service.files.ledger(world.state(name)), kind)


def test_a_resident_gets_a_certificate_that_ends_with_the_passport(both_worlds: World) -> None:
    """By passport and the register of residents: Latin name alone, an opaque serialNumber, and the last second of the
    passport's last day in Cambodia as the end of what is approved."""
    world = both_worlds
    actor, enrolment = world.start()
    name = enrolment.id
    world.service.enrolment.consent(actor, name, world.accept())
    world.prove_contact(actor, name)
    assert world.submit(actor, name, RESIDENT).state is State.DOCUMENT_VALIDATED
    assert world.service.registry.match(actor, name).state is State.REGISTRY_MATCHED
    assert world.review(name, method=Method.IN_PERSON).state is State.APPROVED
    world.bind_factors(actor, name)
    assert world.service.issuance.certificate(actor, name).state is State.ACTIVATED
    (request,) = world.ca.requests
    ends = datetime(2029, 10, 1, 16, 59, 59, tzinfo=UTC)
    assert (request.khmer_name, request.not_after) == (None, ends)
    said = verify(request.approval, world.arguments["authority"].pins)
    assert said.not_after == ends
    subject = dict(world.arguments["authority"].naming.subject(actor.id, "SPECIMEN", "CAMILLE", None))
    assert (subject["C"], subject["CN"]) == ("KH", "SPECIMEN CAMILLE")
    assert subject["serialNumber"].startswith("CT:KH-")
    record = fact(world, name, EvidenceKind.DOCUMENT)
    assert record.facts["type"] == "passport"
    assert not any(word in str(record.facts) for word in (RESIDENT.document_number, "FRA", "CAMILLE"))
    world.service.decider.replay(name)


def test_one_name_alone_and_a_number_that_another_state_gave_too(world: World) -> None:
    """Two states gave the same number to two persons: both are enrolled. A single name is the surname, and there is no
    givenName."""
    world.until(State.APPROVED, "resident", level="IAL2")
    actor, name = world.until(State.ACTIVATED, "resident-single-name")
    certificate = x509.load_der_x509_certificate(world.service.issuance.issued(actor, name).certificate)
    assert certificate.subject.get_attributes_for_oid(NameOID.GIVEN_NAME) == []
    subject = dict(world.arguments["authority"].naming.subject(actor.id, "SPECIMEN", "", None))
    assert (subject["CN"], "givenName" in subject) == ("SPECIMEN", False)


@pytest.mark.parametrize("level", ["IAL2", "IAL3"])
def test_a_passport_that_nobody_touched_needs_its_chip(world: World, level: str) -> None:
    """Seen by video alone it is referred, at IAL3 even seen in person; an authentic chip of that very state settles it.
    Without the rule the passport would have been approved as it was."""
    world.staff.add(SECOND)
    method = Method.REMOTE_VIDEO if level == "IAL2" else Method.IN_PERSON

    def reviewed(world: World, *, chip: bool) -> State:
        actor, name = world.until(State.REGISTRY_MATCHED, "resident", level=level)
        if chip:
            assert show_chip(world, actor, name, RESIDENT, FRANCE, "FR") is ChipOutcome.AUTHENTIC
        turn = world.service.review.assignments.turn_of(world.state(name))
        officer = next(one for one in (SECOND, *world.sessions.staff.values()) if one.id == turn)
        moved = world.review(name, method=method, officer=officer)
        return world.second(name).state if moved.state is State.REVIEW_2 else moved.state

    assert reviewed(world, chip=False) is State.REFERRED_IN_PERSON
    trusted(world)
    assert reviewed(world, chip=True) is State.APPROVED


@pytest.mark.parametrize("level", ["IAL2", "IAL3"])
def test_without_the_rule_no_chip_is_needed(world: World, level: str) -> None:
    """The control of the test before, switched off."""
    world.staff.add(SECOND)
    world.service = world.restarted(policy=without_rule(level, f"EKYC-{level}-PASSPORT"))
    _, name = world.until(State.REGISTRY_MATCHED, "resident", level=level)
    assert world.approve(name).state is State.APPROVED


def test_a_chip_of_another_state_s_authority_fails(world: World) -> None:
    """A passport of one state whose chip another state signed is refused, though both are trusted."""
    cambodia = authority()
    trusted(trusted(world), cambodia)
    actor, name = world.until(State.REGISTRY_MATCHED, "resident")
    assert show_chip(world, actor, name, RESIDENT, cambodia, "KH") is ChipOutcome.FAILED
    assert world.review(name, method=Method.IN_PERSON).state is State.REJECTED


def lines(**fields: str) -> tuple[str, ...]:
    """The lines of the specimen's passport with other fields."""
    plain = {
        "document_code": "P",
        "issuer": "FRA",
        "document_number": RESIDENT.document_number,
        "date_of_birth": "840305",
        "sex": "F",
        "date_of_expiry": "291001",
        "nationality": "FRA",
    }
    return mrz.write(mrz.TD3, plain | fields, "SPECIMEN", "CAMILLE")


@pytest.mark.parametrize(
    "fields",
    [
        {"issuer": "KHM", "nationality": "KHM"},
        {"nationality": "KHM"},
        {"nationality": "DZA"},
        {"issuer": "UTO", "nationality": "UTO"},
        {"issuer": "UNO", "nationality": "UNO"},
        {"document_code": "PD"},
        {"document_code": "V"},
        {"date_of_expiry": ""},
        {"date_of_expiry": "400101"},
    ],
    ids=["national", "national-by-another", "not-a-national", "no-state", "organisation", "diplomat", "visa", "endless",
         "too-long"],
)  # fmt: skip
def test_what_is_no_passport_of_a_foreign_resident(world: World, fields: dict[str, str]) -> None:
    """Refused and not kept."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    with pytest.raises(DocumentNotAccepted):
        world.service.document.submit(actor, name, lines(**fields), None, None)
    assert world.state(name).state is State.CONTACT_VERIFIED
    assert fact(world, name, EvidenceKind.DOCUMENT) is None


def test_what_is_a_passport_is_the_policy_s_to_say(world: World) -> None:
    """An ordinary one by its newer code and one of a refugee are taken; where the policy takes no passports, none;
    where it refused no state, a national could go by passport."""
    for fields in ({"document_code": "PP"}, {"nationality": "XXB"}):
        actor, name = world.until(State.CONTACT_VERIFIED)
        assert world.service.document.submit(actor, name, lines(**fields), None, None).state is (
            State.DOCUMENT_VALIDATED
        )
    world.service = world.restarted(policy=changed(accepted_documents=["khmer-id-card"]))
    actor, name = world.until(State.CONTACT_VERIFIED)
    with pytest.raises(DocumentNotAccepted):
        world.service.document.submit(actor, name, lines(), None, None)
    kinds = default_policy().model_dump(mode="json", exclude_unset=True)["travel_documents"]
    kinds["passport"]["refused_issuers"] = []
    world.service = world.restarted(policy=changed(travel_documents=kinds))
    national = lines(issuer="KHM", nationality="KHM")
    assert world.service.document.submit(actor, name, national, None, None).state is State.DOCUMENT_VALIDATED


def test_expired_left_and_named_in_khmer(world: World) -> None:
    """An expired passport asks for another; who no longer lives here is not found; a Khmer name nobody verified is not
    taken, and a card needs one."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    with pytest.raises(KhmerNameUnverified):
        world.service.document.submit(actor, name, RESIDENT.card(), "គំរូ", "សុភា")
    with pytest.raises(NameUnusable):
        world.service.document.submit(actor, name, specimens()["adult"].card(), None, None)
    with pytest.raises(DocumentExpired):
        world.submit(actor, name, specimens()["resident-expired"])
    assert world.state(name).state is State.NEEDS_INPUT
    world.submit(actor, name, specimens()["resident-left"])
    with pytest.raises(RegistryNoMatch):
        world.service.registry.match(actor, name)
    with world.database.read() as connection:
        answer = world.service.files.open(connection, world.state(name), EvidenceKind.REGISTRY)
    assert answer["fields"]["residence"] == "mismatch"


def test_somebody_of_the_same_name_and_birth_is_looked_at_by_two(both_worlds: World) -> None:
    """A renewed passport has another number: the second enrolment is marked, and one officer is not enough. Without the
    risk rule one would have been."""
    world = both_worlds
    world.staff.add(SECOND)
    world.until(State.APPROVED, "resident")
    _, name = world.until(State.REGISTRY_MATCHED, "resident-renewed")
    assert fact(world, name, EvidenceKind.DEDUPE).facts == {"namesake": "true"}
    turn = world.service.review.assignments.turn_of(world.state(name))
    officer = next(one for one in (SECOND, *world.sessions.staff.values()) if one.id == turn)
    assert world.review(name, method=Method.IN_PERSON, officer=officer).state is State.REVIEW_2
    assert world.second(name).state is State.APPROVED
    world.service.decider.replay(name)


@pytest.mark.parametrize("control", ["policy", "off"])
def test_the_mark_of_a_namesake_is_a_risk_by_policy(world: World, control: str) -> None:
    """With the rule one officer's word waits for another's; with the rule off it is enough."""
    world.staff.add(SECOND)
    world.until(State.APPROVED, "resident")
    if control == "off":
        risks = default_policy().model_dump(mode="json", exclude_unset=True)["risks"]
        world.service = world.restarted(
            policy=changed(risks=[one for one in risks if one["id"] != "EKYC-RISK-NAMESAKE"])
        )
    _, name = world.until(State.REGISTRY_MATCHED, "resident-renewed")
    turn = world.service.review.assignments.turn_of(world.state(name))
    officer = next(one for one in (SECOND, *world.sessions.staff.values()) if one.id == turn)
    reached = world.review(name, method=Method.IN_PERSON, officer=officer).state
    assert reached is (State.APPROVED if control == "off" else State.REVIEW_2)


def test_passports_over_http(world: World) -> None:
    """The lines alone are sent; what is missing or too much is said by its code."""
    client = world.client()
    started = client.post("/ekyc/v1/enrolments", json={"language": "en"}).json()
    base = f"/ekyc/v1/enrolments/{started['enrolment']['id']}"
    headers = {"Authorization": f"Bearer {started['session_token']}"}
    client.post(f"{base}/consent", json=vars(world.accept()), headers=headers)
    named = {"lines": list(RESIDENT.card()), "surname_km": "គំរូ", "given_names_km": "សុភា"}
    assert client.post(f"{base}/document", json=named, headers=headers).json()["code"] == "ekyc.khmer_name_unverified"
    card = {"lines": list(specimens()["adult"].card())}
    assert client.post(f"{base}/document", json=card, headers=headers).json()["code"] == "ekyc.name_unusable"
    taken = client.post(f"{base}/document", json={"lines": list(RESIDENT.card())}, headers=headers)
    assert (taken.status_code, taken.json()["state"]) == (200, "CONSENTED")
