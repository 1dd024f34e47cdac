"""The authorisation server on a whole installation, asked by Authlib over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from authlib.integrations.base_client.errors import OAuthError

from camtrust.documents import make_specimen_documents
from camtrust.organisations import ROLE, make_seal_credential
from foundation.clock import SystemClock
from foundation.http.actor import ActorKind
from tests.story.installation import Installation, Staff
from tests.story.oauth_client import machine_token


def machine(assembled: Installation, *roles: str) -> Staff:
    """A client that may have tokens for itself."""
    client = assembled.staff(ActorKind.CLIENT, *roles)
    assembled.services.identity.clients.register(None, client.id, ["client_credentials"])
    return client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_for_one_ca_reaches_no_other(assembled: Installation) -> None:
    """A machine whose token names one authority and profile lists these certificates; another's and a narrower token
    list none; without the role there is no entry; and a token is never more than the registration."""
    assembled.applicant().until("certificate")
    profile = assembled.services.ca.certificates()[0].profile
    roles = ("ca-read", "ca-of-issuing", f"ca-profile-{profile}", "ca-issue")
    client = machine(assembled, *roles)

    def listed(scope: str, who: Staff = client) -> tuple[int, int]:
        answer = assembled.http.get("/ca/v1/certificates", headers=bearer(machine_token(assembled, who, scope)))
        return answer.status_code, len(answer.json().get("certificates", ()))

    status, found = listed(f"ca-read ca-of-issuing ca-profile-{profile}")
    assert status == 200
    assert found > 0
    assert listed("ca-read ca-of-issuing") == (200, 0)
    assert listed(f"ca-issue ca-of-issuing ca-profile-{profile}")[0] == 403
    elsewhere = machine(assembled, "ca-read", "ca-of-tsa", f"ca-profile-{profile}")
    assert listed(f"ca-read ca-of-tsa ca-profile-{profile}", elsewhere) == (200, 0)
    with pytest.raises(OAuthError, match="invalid_scope"):
        machine_token(assembled, elsewhere, "ca-read ca-of-issuing")


def test_an_agency_seals_with_a_token(assembled: Installation, tmp_path: Any) -> None:
    """A seal is made for a bearer token of the role; the audit trail names the client."""
    client = machine(assembled, ROLE)
    credential = make_seal_credential(
        assembled.services,
        "operator:test",
        client.id,
        organisation="SPECIMEN Agency",
        identifier="GO:KH-000042",
        common_name="SPECIMEN Agency seal 2",
    ).credential_id
    make_specimen_documents(tmp_path, SystemClock().now().replace(microsecond=0))
    document = min(tmp_path.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()
    form = {"file": ("SPECIMEN permit.pdf", document, "application/pdf")}
    data, shown = {"credential": credential, "level": "B-T"}, bearer(machine_token(assembled, client, ROLE))
    sealed = assembled.http.post("/sign/v1/seals", files=form, data=data, headers=shown)
    assert sealed.status_code == 200, sealed.text
    assert sealed.content.startswith(b"%PDF-")
    assert any(
        row["actor"] == f"client:{client.id}" and row["action"].startswith("signing.") for row in assembled.audit()
    )
