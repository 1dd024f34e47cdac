"""The registration authority: two officers, renewal, holders, many at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

import issuing_ca.enrolment.store
from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard
from foundation.http.problems import install
from foundation.keys.errors import PinIncorrect, TokenUnavailable
from foundation.keys.port import KeyStore
from foundation.vault import Vault
from foundation.x509.csr import read_csr
from issuing_ca.config import IssuingCaSettings
from issuing_ca.enrolment.model import Applicant
from issuing_ca.enrolment.request import wanted_of
from issuing_ca.enrolment.service import Enrolment
from issuing_ca.errors import (
    ApprovalRequired,
    CertificateUnknown,
    DecisionRefused,
    HolderReasonRefused,
    ProfileRefused,
    QueryChanged,
    QueryEmpty,
    RaRequestUnknown,
    TransitionRefused,
)
from issuing_ca.model import CertificateState, IssuedCertificate, Reason
from issuing_ca.ra.api import create_router
from issuing_ca.ra.model import (
    ApprovalReason,
    CertificateApplication,
    CertificateQuery,
    RejectionReason,
    RequestState,
)
from issuing_ca.ra.service import Registration
from issuing_ca.ra.tables import decisions
from tests.ca.ca_world import OPERATOR, World, down, make_world, up
from tests.ca.named_actors import NamedActors, as_actor
from tests.ca.ra_world import CODE, PIN, OnePin, Persons, officer, registration

SEAL = (
    ("C", "KH"),
    ("O", "SPECIMEN Ministry"),
    ("organizationIdentifier", "GO:KH-000000"),
    ("CN", "SPECIMEN Ministry seal"),
)
WHY, NO = ApprovalReason.ORGANISATION_VERIFIED, RejectionReason.NOT_VERIFIED
ASKS, FIRST, SECOND = officer("asks"), officer("first"), officer("second")
STRICT = IssuingCaSettings(two_officers=frozenset({"organisation-seal"}))


@pytest.fixture
def strict(database: Database, clock: SetClock, token: KeyStore, tmp_path: object) -> World:
    """A CA whose seals two officers must approve; on SQLite and on PostgreSQL."""
    return make_world(database, clock, token, tmp_path, STRICT)  # type: ignore[arg-type]


def csr(key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)


def asked(ra: Registration, **values: object) -> CertificateApplication:
    made = ra.request(ASKS, "organisation-seal", csr(), SEAL, "organisation-1", **values)  # type: ignore[arg-type]
    assert isinstance(made, CertificateApplication)
    return made


def rule(error: pytest.ExceptionInfo[CamTrustError]) -> object:
    return error.value.params["rule"]


def test_two_officers_and_then_the_certificate(strict: World) -> None:
    """Nothing is issued on one approval; on the second, by another officer, it is. History and comments are kept, the
    comments sealed."""
    ra = registration(strict)
    one = asked(ra)
    assert one.state is RequestState.PENDING
    assert ra.approve(FIRST, one.id, WHY, "seen at the ministry, by Dara").state is RequestState.PENDING
    assert strict.ca.certificates() == ()
    done = ra.approve(SECOND, one.id, WHY)
    assert done.state is RequestState.ISSUED
    record = strict.ca.certificate(str(done.serial))
    assert (record.profile, record.owner, record.requested_by) == (
        "organisation-seal",
        "organisation-1",
        "officer:asks",
    )
    assert [(said.officer, said.approves, said.comment) for said in ra.show(one.id).decisions] == [
        ("officer:first", True, "seen at the ministry, by Dara"),
        ("officer:second", True, None),
    ]
    with strict.database.read() as connection:
        sealed = connection.execute(select(decisions.c.comment).where(decisions.c.comment.is_not(None))).scalar_one()
    assert b"Dara" not in sealed
    assert [two.id for two in ra.list(None, 10, RequestState.ISSUED)] == [one.id]
    with pytest.raises(TransitionRefused):
        ra.approve(officer("third"), one.id, WHY)


def test_nobody_approves_their_own_or_twice(strict: World) -> None:
    """Not whoever asked, not one officer two times, not one person under two names."""
    persons = Persons({"asks": "KH-1", "alias": "KH-1", "first": "KH-2", "twin": "KH-2"})
    ra = registration(strict, persons)
    one = asked(ra)
    for actor in (ASKS, officer("alias")):
        with pytest.raises(DecisionRefused) as error:
            ra.approve(actor, one.id, WHY)
        assert rule(error) == "RA-OTHER"
    ra.approve(FIRST, one.id, WHY)
    with pytest.raises(DecisionRefused) as error:
        ra.approve(FIRST, one.id, WHY)
    assert rule(error) == "RA-ONCE"
    with pytest.raises(DecisionRefused) as error:
        ra.approve(officer("twin"), one.id, WHY)
    assert rule(error) == "RA-TWO"
    with pytest.raises(DecisionRefused):
        ra.reject(FIRST, one.id, NO)
    with pytest.raises(DecisionRefused):
        ra.reject(ASKS, one.id, NO)
    assert strict.ca.certificates() == ()
    assert ra.approve(SECOND, one.id, WHY).state is RequestState.ISSUED


def test_approvals_at_once_issue_one_certificate(strict: World) -> None:
    """Six officers approve at the same moment: one certificate."""
    ra = registration(strict)
    one = asked(ra)
    refused: list[CamTrustError] = []

    def approve(number: int) -> None:
        try:
            ra.approve(officer(f"officer-{number}"), one.id, WHY)
        except CamTrustError as error:
            refused.append(error)

    threads = [threading.Thread(target=approve, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ra.show(one.id).state is RequestState.ISSUED
    assert len(strict.ca.certificates()) == 1
    assert len(refused) == 4


def test_a_rejection_a_withdrawal_and_time_end_a_request(strict: World) -> None:
    """After any of them no approval counts."""
    ra = registration(strict)
    rejected, withdrawn, late = asked(ra), asked(ra), asked(ra)
    assert ra.reject(FIRST, rejected.id, NO, "no such ministry").state is RequestState.REJECTED
    with pytest.raises(DecisionRefused):
        ra.reject(FIRST, withdrawn.id, RejectionReason.WITHDRAWN)
    assert ra.reject(ASKS, withdrawn.id, RejectionReason.WITHDRAWN).state is RequestState.REJECTED
    strict.clock.advance(timedelta(days=31))
    assert ra.show(late.id).state is RequestState.EXPIRED
    listed = {state: [one.id for one in ra.list(None, 9, state)] for state in RequestState}
    assert listed[RequestState.EXPIRED] == [late.id]
    assert listed[RequestState.PENDING] == []
    assert {one.id: one.state for one in ra.list(None, 9, None)}[late.id] is RequestState.EXPIRED
    for one in (rejected, withdrawn, late):
        with pytest.raises(TransitionRefused):
            ra.approve(SECOND, one.id, WHY)
    with pytest.raises(RaRequestUnknown):
        ra.approve(SECOND, "nobody", WHY)


def test_a_failure_of_ours_leaves_it_approved_and_one_of_theirs_tells_it(strict: World) -> None:
    """The token is away: approved, and issued when an approver asks again. A subject that does not fit: failed."""
    ra = registration(strict)
    one = asked(ra)
    ra.approve(FIRST, one.id, WHY)
    strict.keys.before = down("sign")
    with pytest.raises(TokenUnavailable):
        ra.approve(SECOND, one.id, WHY)
    assert ra.show(one.id).state is RequestState.APPROVED
    strict.keys.before = up
    with pytest.raises(DecisionRefused):
        ra.approve(officer("third"), one.id, WHY)
    assert ra.approve(SECOND, one.id, WHY).state is RequestState.ISSUED
    made = ra.request(ASKS, "organisation-seal", csr(), SEAL[:2], "organisation-1")
    assert isinstance(made, CertificateApplication)
    ra.approve(FIRST, made.id, WHY)
    done = ra.approve(SECOND, made.id, WHY)
    assert (done.state, done.failure) == (RequestState.FAILED, "foundation.profile_mismatch")


def test_no_door_goes_past_two_officers(strict: World) -> None:
    """What issues on one officer's word refuses the profile; other profiles are issued at once."""
    ra = registration(strict)
    with pytest.raises(ApprovalRequired):
        strict.ca.issue_for_request("organisation-seal", csr(), SEAL, "organisation-1", OPERATOR)
    vault = Vault(strict.keys._token)  # type: ignore[arg-type]
    enrolment = Enrolment(strict.ca, strict.database, vault, strict.clock, ra._randomness, strict.audit)
    issuing_ca.enrolment.store.metadata.create_all(strict.database.engine)
    credential = enrolment.new_credential("organisation-seal", SEAL, (), "organisation-1", OPERATOR).credential
    waits = enrolment.enrol(Applicant(credential), wanted_of(read_csr(csr())), "est")
    assert isinstance(waits, CertificateApplication)
    assert strict.ca.certificates() == ()
    made = ra.request(ASKS, "officer", csr(), (("C", "KH"), ("O", "SPECIMEN"), ("CN", "SPECIMEN 1")), "officer-1")
    assert isinstance(made, IssuedCertificate)


def test_renewal_and_rekey(small_world: World) -> None:
    """The same names for the old key and for another; not of a revoked or held one; approvals as the profile asks."""
    ra, key = registration(small_world), ec.generate_private_key(ec.SECP256R1())
    first = small_world.ca.issue_for_request("organisation-seal", csr(key), SEAL, "organisation-1", OPERATOR)
    for new in (key, ec.generate_private_key(ec.SECP256R1())):
        again = ra.renew(ASKS, first.serial, csr(new))
        assert isinstance(again, IssuedCertificate)
        assert again.certificate.subject == first.certificate.subject
        assert again.certificate.public_key() == new.public_key()
    small_world.ca.revoke(first.serial, Reason.CERTIFICATE_HOLD, OPERATOR)
    with pytest.raises(TransitionRefused):
        ra.renew(ASKS, first.serial, csr(key))
    with pytest.raises(CertificateUnknown):
        ra.renew(ASKS, "abc", csr(key))


def test_a_holder_revokes_with_both_factors(world: World) -> None:
    """A wrong PIN changes nothing; the right one suspends and revokes; another's certificate is unknown, and release
    is not a holder's to give."""
    factors = OnePin()
    ra = registration(world, factors=factors)
    request, other = world.person(), world.person()
    serial = world.ca.issue_citizen(request).serial
    theirs = world.ca.issue_citizen(other).serial
    holder = Actor(ActorKind.PERSON, request.person_id)
    with pytest.raises(PinIncorrect):
        ra.revoke_own(holder, serial, Reason.KEY_COMPROMISE, "000000000000", CODE)
    assert world.ca.certificate(serial).state is CertificateState.ISSUED
    with pytest.raises(CertificateUnknown):
        ra.revoke_own(holder, theirs, Reason.KEY_COMPROMISE, PIN, CODE)
    assert factors.checked == [request.person_id]  # another's certificate costs no try
    for reason in (Reason.REMOVE_FROM_CRL, Reason.CA_COMPROMISE, Reason.AA_COMPROMISE, Reason.PRIVILEGE_WITHDRAWN):
        with pytest.raises(HolderReasonRefused):
            ra.revoke_own(holder, serial, reason, PIN, CODE)
    assert ra.revoke_own(holder, serial, Reason.CERTIFICATE_HOLD, PIN, CODE).state is CertificateState.HELD
    assert not world.keys.get(request.key_id).enabled
    done = ra.revoke_own(holder, serial, Reason.KEY_COMPROMISE, PIN, CODE)
    assert (done.state, done.reason) == (CertificateState.REVOKED, Reason.KEY_COMPROMISE)
    assert [one.serial for one in ra.own(holder)] == [serial]


def test_a_person_gets_a_certificate_to_log_in_with(world: World) -> None:
    """For a key of their own, with both factors: names, level, evidence and end of the signing certificate. Not with a
    wrong PIN, not for the token's key, not without a good signing certificate, and never through an officer."""
    ra, request = registration(world), world.person()
    signing = world.ca.issue_citizen(request)
    person, key = Actor(ActorKind.PERSON, request.person_id), ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(PinIncorrect):
        ra.issue_own(person, csr(key), "000000000000", CODE)
    made = ra.issue_own(person, csr(key), PIN, CODE).certificate
    assert made.subject == signing.certificate.subject
    assert made.not_valid_after_utc <= signing.certificate.not_valid_after_utc
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.content_commitment
    policies = [
        one.extensions.get_extension_for_class(x509.CertificatePolicies).value for one in (made, signing.certificate)
    ]
    assert policies[0] == policies[1]
    record = world.ca.certificate(f"{made.serial_number:x}")
    assert (record.owner, record.evidence, record.key_id) == (request.person_id, request.evidence, None)
    with pytest.raises(CertificateUnknown):
        ra.issue_own(Actor(ActorKind.PERSON, "nobody"), csr(), PIN, CODE)
    world.ca.revoke(signing.serial, Reason.CERTIFICATE_HOLD, OPERATOR)
    with pytest.raises(CertificateUnknown):
        ra.issue_own(person, csr(), PIN, CODE)
    with pytest.raises(ProfileRefused):
        ra.request(ASKS, "citizen-auth", csr(), (("C", "KH"),), request.person_id)


def test_many_at_once(world: World) -> None:
    """A dry run changes nothing; what is revoked is what was seen, a part at a time; a new one in between stops it."""
    ra = registration(world)
    made = [world.citizen().serial for _ in range(5)]
    kept = world.ca.issue_for_request("organisation-seal", csr(), SEAL, "organisation-1", OPERATOR).serial
    query = CertificateQuery(profile="citizen-sign", issued_from=world.clock.now() - timedelta(days=1))
    seen = ra.matching(query)
    assert (seen.count, sorted(one.serial for one in seen.first)) == (5, sorted(made))
    assert all(world.ca.certificate(serial).state is CertificateState.ISSUED for serial in made)
    late = world.citizen().serial
    with pytest.raises(QueryChanged):
        ra.revoke_matching(FIRST, query, Reason.SUPERSEDED, seen.digest)
    assert world.ca.certificate(late).state is CertificateState.ISSUED
    digest, left = ra.matching(query).digest, []
    while True:
        progress = ra.revoke_matching(FIRST, query, Reason.SUPERSEDED, digest, most=4)
        left.append(progress.remaining)
        digest = progress.digest
        if not progress.remaining:
            break
    assert left == [2, 0]
    assert all(world.ca.certificate(serial).state is CertificateState.REVOKED for serial in (*made, late))
    assert world.ca.certificate(kept).state is CertificateState.ISSUED
    crl = x509.load_der_x509_crl(world.ca.current_crl("issuing"))
    assert len(list(crl)) == 6
    for nothing in (CertificateQuery(), CertificateQuery(owner="")):
        with pytest.raises(QueryEmpty):
            ra.matching(nothing)
    with pytest.raises(HolderReasonRefused):
        ra.revoke_matching(FIRST, query, Reason.CERTIFICATE_HOLD, digest)


def test_all_that_rests_on_some_evidence(world: World) -> None:
    """By a list of decisions, as eKYC tells who used a control: those alone, in a dry run and then for good."""
    ra = registration(world)
    evidence = [f"{number:064x}" for number in range(3)]
    made = [world.ca.issue_citizen(world.approved(replace(world.person(), evidence=one))).serial for one in evidence]
    query = CertificateQuery(evidences=(evidence[0], evidence[2], "ff" * 32))
    seen = ra.matching(query)
    assert sorted(one.serial for one in seen.first) == sorted([made[0], made[2]])
    assert ra.revoke_matching(FIRST, query, Reason.SUPERSEDED, seen.digest).remaining == 0
    states = [world.ca.certificate(serial).state for serial in made]
    assert states == [CertificateState.REVOKED, CertificateState.ISSUED, CertificateState.REVOKED]


@pytest.fixture
def client(strict: World) -> Iterator[TestClient]:
    app = FastAPI()
    install(app)
    app.include_router(create_router(registration(strict), Guard(NamedActors(), "http://testserver")))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_over_http(strict: World, client: TestClient) -> None:
    """202 and a request, two approvals, the certificate; a person's own certificates; a dry run and the real one."""
    subject = [{"name": name, "value": value} for name, value in SEAL]
    body = {"profile": "organisation-seal", "csr": csr().decode(), "subject": subject, "owner": "organisation-1"}
    issuer = as_actor("officer", "ca-issue")
    made = client.post("/ca/v1/requests", json=body, headers=as_actor("officer/asks", "ca-issue"))
    assert (made.status_code, made.json()["state"]) == (202, "pending")
    path = f"/ca/v1/requests/{made.json()['id']}"
    reason = {"reason": "organisation-verified"}
    own = client.post(f"{path}/approvals", json=reason, headers=as_actor("officer/asks", "ca-approve"))
    assert (own.status_code, own.json()["code"]) == (403, "issuing_ca.decision_refused")
    for name, state in (("first", "pending"), ("second", "issued")):
        answer = client.post(f"{path}/approvals", json=reason, headers=as_actor(f"officer/{name}", "ca-approve"))
        assert answer.json()["state"] == state, answer.text
    shown = client.get(path, headers=as_actor("operator")).json()
    assert len(shown["decisions"]) == 2
    assert len(client.get("/ca/v1/requests?state=issued", headers=as_actor("officer")).json()["requests"]) == 1
    second = client.post("/ca/v1/requests", json=body | {"csr": csr().decode()}, headers=issuer)
    gone = client.delete(f"/ca/v1/requests/{second.json()['id']}", headers=as_actor("officer", "ca-issue"))
    assert gone.json()["state"] == "rejected"
    path = f"/ca/v1/certificates/{shown['serial']}/renewal"
    renewal = client.post(path, json={"csr": csr().decode()}, headers=issuer)
    assert renewal.status_code == 202

    person = strict.person()
    serial = strict.ca.issue_citizen(person).serial
    session = as_actor(f"person/{person.person_id}")
    assert [one["serial"] for one in client.get("/ca/v1/own-certificates", headers=session).json()] == [serial]
    body = {"reason": "superseded", "pin": PIN, "totp": "000000"}
    path = f"/ca/v1/own-certificates/{serial}/revocation"
    assert client.post(path, json=body, headers=session).status_code == 403
    assert client.post(path, json=body | {"totp": CODE}, headers=session).json()["state"] == "revoked"

    revoker = as_actor("officer", "ca-revoke")
    conditions = {"profile": "organisation-seal"}
    seen = client.post("/ca/v1/revocations/dry-run", json=conditions, headers=revoker).json()
    assert seen["count"] == 1
    body = {"conditions": conditions, "reason": "cessationOfOperation", "digest": seen["digest"]}
    done = client.post("/ca/v1/revocations", json=body, headers=revoker).json()
    assert (done["revoked"], done["remaining"]) == (1, 0)
    assert client.post("/ca/v1/revocations", json=body, headers=revoker).status_code == 409
    assert client.post("/ca/v1/revocations/dry-run", json={}, headers=revoker).status_code == 422
