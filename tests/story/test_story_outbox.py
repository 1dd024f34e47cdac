"""The outbox that stands in for SMS and mail: operators read it through the API, and reading is written down."""

from __future__ import annotations

from ekyc.contacts.outbox import ROLE
from foundation.http.actor import ActorKind
from tests.story.installation import Installation, audit_rows


def test_an_operator_reads_the_code_that_a_person_was_sent(assembled: Installation) -> None:
    """The message is there as the person would have received it; the read is in the trail by the operator's id."""
    person = assembled.applicant()
    person.until("send_code")
    operator = assembled.staff(ActorKind.OPERATOR, ROLE)
    path = f"/ekyc/v1/outbox?person_id={person.person_id}"
    messages = operator.ask("GET", path).json()
    assert [message["channel"] for message in messages] == ["sms"]
    code = "".join(sign for sign in messages[0]["text"] if sign.isdigit())[:6]
    assert person.prove_contact(person.base, code)["state"] == "CONTACT_VERIFIED"
    reads = [row for row in audit_rows(assembled.services.database) if row["action"] == "ekyc.outbox_read"]
    assert reads[-1]["actor"] == f"operator:{operator.id}"


def test_an_operator_without_the_role_reads_nothing(assembled: Installation) -> None:
    """Another role does not open the outbox."""
    answer = assembled.staff(ActorKind.OPERATOR, "identity-admin").ask("GET", "/ekyc/v1/outbox")
    assert answer.status_code == 403
