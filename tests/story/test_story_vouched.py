"""Somebody without a document, over HTTP and with the CA that runs: a short certificate that says its level."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509

from ekyc.review import statement as review_statement
from foundation.http.actor import ActorKind
from tests.story.installation import Installation


def test_two_neighbours_and_the_commune_s_officer(assembled: Installation) -> None:
    """Two holders vouch with real factors, an officer with the roles of the commune signs; the CA's certificate has the
    declared name, the policy OID of VOUCHED, and ends within ninety days of the declaration."""
    neighbours = [assembled.applicant().until("certificate") for _ in range(2)]
    person = assembled.applicant()
    raised = person.http.post("/ekyc/v1/enrolments", json={"level": "VOUCHED", "language": "km"}).json()
    person.enrolment, person._session = raised["enrolment"], raised["session_token"]
    person.base, person.person_id = f"/ekyc/v1/enrolments/{person.enrolment['id']}", person.enrolment["person_id"]
    person.until("verify_code")
    declaration = {
        "surname": "SPECIMEN",
        "given_names": "BOPHA",
        "surname_km": "គំរូ",
        "given_names_km": "បុប្ផា",
        "date_of_birth": "1991-02-03",
        "commune": "120401",
    }
    declared_at = datetime.now(UTC)
    assert person.post(f"{person.base}/declaration", declaration)["state"] == "WAITING_VOUCHERS"
    for one in neighbours:
        code = {"invitation": person.post(f"{person.base}/vouch-invitations")["invitation"]}
        asked = one.post("/ekyc/v1/vouchings/preview", code)
        assert asked["given_names"] == "BOPHA"
        word = {"evidence_digest": asked["evidence_digest"], "pin": one.pin, "totp": one.next_code()}
        one.post("/ekyc/v1/vouchings", code | word)
    chief = assembled.staff(ActorKind.OFFICER, "ekyc-commune", "commune-120401")
    path = f"/ekyc/v1/commune-reviews/{person.enrolment['id']}"
    elsewhere = assembled.staff(ActorKind.OFFICER, "ekyc-commune", "commune-010203")
    assert elsewhere.ask("GET", path).json()["code"] == "ekyc.commune_other"
    seen = chief.ask("GET", path).json()["evidence_digest"]
    said = review_statement.statement(person.enrolment["id"], seen, "bind", "in-person", "person-is-holder")
    verdict = {"decision": "bind", "reason": "person-is-holder", "evidence_digest": seen}
    spoken = chief.ask("POST", path, verdict | {"signature": review_statement.sign(chief._key, said)})
    assert (spoken.status_code, spoken.json()["state"]) == (200, "APPROVED"), spoken.text
    for step in (person.factors, person.confirm, person.certificate):
        step()
    certificate = x509.load_pem_x509_certificate(person.get(f"{person.base}/certificate")["certificate"].encode())
    policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    assert "2.999.116.1.1.1" in {one.policy_identifier.dotted_string for one in policies}
    assert certificate.not_valid_after_utc <= declared_at + timedelta(days=90, minutes=1)
    assert "BOPHA" in certificate.subject.rfc4514_string()
