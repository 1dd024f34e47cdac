"""Machines' credentials: one CA and its profiles, and nothing of another; tried at every endpoint with either in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.testclient import TestClient

from foundation.http import problems
from foundation.http.guard import Guard
from issuing_ca.api import create_router
from issuing_ca.model import CertificateState
from issuing_ca.ra.api import create_router as create_ra_router
from tests.ca.ca_world import World
from tests.ca.named_actors import NamedActors, as_actor
from tests.ca.ra_world import registration
from tests.ca.test_ca_api import ISSUER, SUBJECT, csr

DOES = ("ca-read", "ca-issue", "ca-revoke")
OWN = as_actor("client/a", *DOES, "ca-of-issuing", "ca-profile-officer")
ELSEWHERE = {
    "another CA": as_actor("client/b", *DOES, "ca-of-tsa", "ca-profile-officer"),
    "another profile": as_actor("client/c", *DOES, "ca-of-issuing", "ca-profile-tls-server"),
    "a CA and no profile": as_actor("client/d", *DOES, "ca-of-issuing"),
    "a profile and no CA": as_actor("client/e", *DOES, "ca-profile-officer"),
    "nothing": as_actor("client/f", *DOES),
}
# Every endpoint that a client may enter at all, with what it is sent.
BODIES = {
    "GET /ca/v1/certificates": None,
    "GET /ca/v1/certificates/{serial}": None,
    "POST /ca/v1/certificates/{serial}/revocation": {"reason": "superseded"},
    "POST /ca/v1/certificates/{serial}/renewal": {"csr": csr()},
    "POST /ca/v1/requests": {"profile": "officer", "csr": csr(), "subject": SUBJECT, "owner": "officer-9"},
}


@pytest.fixture
def app(world: World) -> FastAPI:
    made, guard = FastAPI(), Guard(NamedActors(), "http://testserver")
    problems.install(made)
    made.include_router(create_router(world.ca, guard))
    made.include_router(create_ra_router(registration(world), guard))
    return made


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def issued(client: TestClient) -> str:
    body = {"profile": "officer", "csr": csr(), "subject": SUBJECT, "owner": "officer-1"}
    return str(client.post("/ca/v1/requests", json=body, headers=ISSUER).json()["serial"])


def test_clients_enter_these_endpoints_alone(app: FastAPI) -> None:
    """An endpoint that lets machines in and is not tried below fails here."""
    open_to_clients = set()
    for one in iter_route_contexts(app.routes):
        if not isinstance(one.route, APIRoute):
            continue
        for dependency in one.route.dependant.dependencies:
            if "client" in getattr(dependency.call, "camtrust_allows", {}):
                open_to_clients |= {f"{method} {one.path}" for method in one.route.methods}
    assert open_to_clients == set(BODIES)


@pytest.mark.parametrize("scope", ELSEWHERE)
@pytest.mark.parametrize("endpoint", BODIES)
def test_a_credential_of_elsewhere_touches_nothing(world: World, client: TestClient, scope: str, endpoint: str) -> None:
    """As unknown as what never was, or refused; nothing is issued, revoked or seen."""
    serial = issued(client)
    before = len(world.ca.certificates())
    method, path = endpoint.split(" ")
    answer = client.request(method, path.format(serial=serial), json=BODIES[endpoint], headers=ELSEWHERE[scope])
    if endpoint == "GET /ca/v1/certificates":
        assert (answer.status_code, answer.json()["certificates"]) == (200, [])
    else:
        assert answer.status_code in (403, 404), answer.text
        never = client.request(method, path.format(serial="abc"), json=BODIES[endpoint], headers=ELSEWHERE[scope])
        assert (never.status_code, never.json()["code"]) == (answer.status_code, answer.json()["code"])
    assert len(world.ca.certificates()) == before
    assert world.ca.certificate(serial).state is CertificateState.ISSUED


def test_a_credential_works_where_it_belongs(world: World, client: TestClient) -> None:
    """It asks, lists, reads, renews, suspends and revokes in its scope; a release is an officer's; it is named."""
    citizen = world.citizen().serial
    made = client.post("/ca/v1/requests", json=BODIES["POST /ca/v1/requests"], headers=OWN)
    assert made.status_code == 201, made.text
    serial = made.json()["serial"]
    listed = client.get("/ca/v1/certificates", headers=OWN).json()["certificates"]
    assert [one["serial"] for one in listed] == [serial]
    assert client.get(f"/ca/v1/certificates/{citizen}", headers=OWN).status_code == 404
    assert client.get(f"/ca/v1/certificates/{serial}", headers=OWN).json()["profile"] == "officer"
    renewed = client.post(f"/ca/v1/certificates/{serial}/renewal", json={"csr": csr()}, headers=OWN)
    assert renewed.status_code == 201, renewed.text
    place = f"/ca/v1/certificates/{serial}/revocation"
    assert client.post(place, json={"reason": "certificateHold"}, headers=OWN).json()["state"] == "held"
    assert client.post(place, json={"reason": "removeFromCRL"}, headers=OWN).status_code == 422
    assert client.post(place, json={"reason": "keyCompromise"}, headers=OWN).json()["state"] == "revoked"
    assert world.ca.certificate(serial).requested_by == "client:a"
    readers = as_actor("client/a", "ca-read", "ca-of-issuing", "ca-profile-officer")
    assert client.post(place, json={"reason": "superseded"}, headers=readers).status_code == 403
