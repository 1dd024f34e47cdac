"""More than one issuing CA: a request names the one that it goes to, and a credential of one does not reach another."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from cryptography import x509
from fastapi import FastAPI
from starlette.testclient import TestClient

from camtrust import upkeep
from foundation.http import problems
from foundation.http.guard import Guard
from issuing_ca.api import create_router
from issuing_ca.config import IssuingCaSettings
from issuing_ca.model import Reason
from issuing_ca.ra.api import create_router as create_ra_router
from issuing_ca.ra.certificates_api import create_router as create_certificates_router
from tests.ca.ca_world import OPERATOR, World, add_ca
from tests.ca.named_actors import NamedActors, as_actor
from tests.ca.ra_world import registration
from tests.ca.test_ca_api import ISSUER, SUBJECT, csr

SECOND = "agencies"
DOES = ("ca-read", "ca-issue", "ca-revoke")
OF_SECOND = as_actor("client/second", *DOES, f"ca-of-{SECOND}", "ca-profile-officer")
OF_FIRST = as_actor("client/first", *DOES, "ca-of-issuing", "ca-profile-officer")


@pytest.fixture
def two(world: World) -> World:
    add_ca(world, SECOND, "Agencies CA")
    return world


@pytest.fixture
def client(two: World) -> Iterator[TestClient]:
    app, guard = FastAPI(), Guard(NamedActors(), "http://testserver")
    problems.install(app)
    for router in (
        create_certificates_router(two.ca, guard),
        create_router(two.ca, guard),
        create_ra_router(registration(two), guard),
    ):
        app.include_router(router)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def body(authority: str | None = None, owner: str = "officer-1") -> dict[str, object]:
    named = {} if authority is None else {"authority": authority}
    return {"profile": "officer", "csr": csr(), "subject": SUBJECT, "owner": owner, **named}


def issuer(pem: str) -> str:
    return x509.load_pem_x509_certificate(pem.encode()).issuer.rfc4514_string()


def test_a_request_goes_to_the_ca_that_it_names(two: World, client: TestClient) -> None:
    """One by one and many at once; to `issuing` where none is named; its renewal goes to the same; its status and CRL
    are those of its CA."""
    both = {
        "Issuing CA": client.post("/ca/v1/requests", json=body(), headers=ISSUER).json(),
        "Agencies CA": client.post("/ca/v1/requests", json=body(SECOND, "officer-2"), headers=ISSUER).json(),
    }
    for word, made in both.items():
        assert word in issuer(made["certificate"])
        place = f"/ca/v1/certificates/{made['serial']}/renewal"
        assert word in issuer(client.post(place, json={"csr": csr()}, headers=ISSUER).json()["certificate"])
    one = client.post("/ca/v1/certificates", json=body(SECOND, "officer-3"), headers=ISSUER).json()
    asked = {"requests": [body(None, "officer-4"), body(SECOND, "officer-5"), body("never", "officer-6")]}
    many = client.post("/ca/v1/certificates/batch", json=asked, headers=ISSUER).json()["outcomes"]
    words = [issuer(it["certificate"]) for it in (one, many[0]["issued"], many[1]["issued"])]
    assert ["Agencies CA" in word for word in words] == [True, False, True]
    assert many[2]["refused"]["code"] == "issuing_ca.authority_unknown"
    serial = both["Agencies CA"]["serial"]
    two.ca.revoke(serial, Reason.SUPERSEDED, OPERATOR)
    upkeep._other_crls(two.ca)
    listed = {name: two.ca.current_crl(name) for name in ("issuing", SECOND)}
    found = {
        name: x509.load_der_x509_crl(crl).get_revoked_certificate_by_serial_number(int(serial, 16)) is not None
        for name, crl in listed.items()
    }
    assert found == {"issuing": False, SECOND: True}


def test_a_credential_of_one_ca_touches_no_other(two: World, client: TestClient) -> None:
    """Each asks its own CA and no other, named or not; what the other issued is as unknown as what never was."""
    made = {}
    for own, other, headers in ((SECOND, "issuing", OF_SECOND), ("issuing", SECOND, OF_FIRST)):
        asked = client.post("/ca/v1/requests", json=body(own, f"officer-{own}"), headers=headers)
        assert asked.status_code == 201, asked.text
        made[own] = asked.json()["serial"]
        refused = client.post("/ca/v1/requests", json=body(other, f"officer-{own}"), headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "issuing_ca.scope_exceeded")
    assert client.post("/ca/v1/requests", json=body(None, "officer-9"), headers=OF_SECOND).status_code == 403
    assert client.post("/ca/v1/requests", json=body("never", "officer-9"), headers=OF_SECOND).status_code == 403
    for headers, theirs in ((OF_SECOND, made["issuing"]), (OF_FIRST, made[SECOND])):
        assert client.get(f"/ca/v1/certificates/{theirs}", headers=headers).status_code == 404
        place = f"/ca/v1/certificates/{theirs}"
        assert client.post(f"{place}/renewal", json={"csr": csr()}, headers=headers).status_code == 404
        assert client.post(f"{place}/revocation", json={"reason": "superseded"}, headers=headers).status_code == 404
    assert two.ca.certificate(made[SECOND]).authority == SECOND


def test_two_officers_for_another_ca(two: World, client: TestClient) -> None:
    """The request remembers its CA until the second approval; a CA that is not there, or is none for it, is refused."""
    two.ca.settings = IssuingCaSettings(two_officers=frozenset({"officer"}))
    made = client.post("/ca/v1/requests", json=body(SECOND), headers=as_actor("officer/asks", "ca-issue"))
    assert (made.status_code, made.json()["authority"]) == (202, SECOND)
    path = f"/ca/v1/requests/{made.json()['id']}"
    for name in ("first", "second"):
        said = {"reason": "identity-verified"}
        answer = client.post(f"{path}/approvals", json=said, headers=as_actor(f"officer/{name}", "ca-approve"))
    assert answer.json()["state"] == "issued", answer.text
    assert two.ca.certificate(answer.json()["serial"]).authority == SECOND
    never = client.post("/ca/v1/requests", json=body("never"), headers=ISSUER)
    assert (never.status_code, never.json()["code"]) == (404, "issuing_ca.authority_unknown")
    two.ca.settings = IssuingCaSettings()
    stamps = client.post("/ca/v1/requests", json=body("tsa"), headers=ISSUER)
    assert stamps.json()["code"] == "issuing_ca.profile_refused", stamps.text
    assert client.post("/ca/v1/requests", json=body("No CA"), headers=ISSUER).status_code == 422


def test_upkeep_makes_the_crls_of_every_issuing_ca(two: World) -> None:
    """A part of upkeep of its own, which makes those beside `issuing`."""
    made: list[str] = []
    lists = SimpleNamespace(upkeep=made.append)
    upkeep._other_crls(SimpleNamespace(authorities=two.ca.authorities, lists=lists))  # type: ignore[arg-type]
    assert made == [SECOND]
