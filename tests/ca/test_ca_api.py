"""The CA over HTTP: who may do what, what comes back, and what bad input meets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from foundation.http.guard import Guard
from foundation.http.problems import install
from foundation.x509.csr import read_csr
from foundation.x509.errors import CsrInvalid
from issuing_ca.api import create_public_router, create_router
from issuing_ca.model import CertificateState, Reason
from issuing_ca.ra.api import create_router as create_ra_router
from issuing_ca.service import BY_REQUEST
from tests.ca.ca_world import OPERATOR, World
from tests.ca.named_actors import NamedActors, as_actor
from tests.ca.ra_world import registration
from tests.programs import run

SUBJECT = [
    {"name": "C", "value": "KH"},
    {"name": "O", "value": "SPECIMEN CamTrust"},
    {"name": "CN", "value": "SPECIMEN Officer 1"},
]
UNSEEN = {"name": "CN", "value": "SPECIMEN \u200bOfficer"}


ISSUER, REVOKER = as_actor("officer", "ca-issue"), as_actor("officer", "ca-revoke")


def csr() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    yield from serve(world)


@pytest.fixture
def small_client(small_world: World) -> Iterator[TestClient]:
    yield from serve(small_world)


def serve(world: World) -> Iterator[TestClient]:
    app = FastAPI()
    install(app)
    guard = Guard(NamedActors(), "http://testserver")
    app.include_router(create_router(world.ca, guard))
    app.include_router(create_ra_router(registration(world), guard))
    app.include_router(create_public_router(world.ca))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_from_request_to_revocation(world: World, client: TestClient) -> None:
    """An officer asks with a CSR, reads the certificate, revokes it; the CRL that anybody can fetch tells it."""
    body = {"profile": "officer", "csr": csr(), "subject": SUBJECT, "owner": "officer-1"}
    made = client.post("/ca/v1/requests", json=body, headers=ISSUER)
    assert made.status_code == 201, made.text
    serial = made.json()["serial"]
    shown = client.get(f"/ca/v1/certificates/{serial}", headers=as_actor("operator")).json()
    assert shown["state"] == "issued"
    assert shown["certificate"] == made.json()["certificate"]
    change = {"reason": "superseded"}
    done = client.post(f"/ca/v1/certificates/{serial}/revocation", json=change, headers=REVOKER)
    assert (done.status_code, done.json()["state"], done.json()["reason"]) == (200, "revoked", "superseded")
    crl = client.get("/crl/issuing.crl")
    assert crl.headers["content-type"] == "application/pkix-crl"
    assert int(serial, 16) in {entry.serial_number for entry in x509.load_der_x509_crl(crl.content)}
    issuer = client.get("/aia/issuing.cer")
    assert issuer.headers["content-type"] == "application/pkix-cert"
    assert x509.load_der_x509_certificate(issuer.content) == world.ca.authorities.get("issuing").certificate
    assert x509.load_der_x509_certificate(client.get("/aia/root.cer").content) == world.root.certificate


def test_pages_follow_each_other(world: World, client: TestClient) -> None:
    """Cursor-paged, filtered by state and owner; lists carry no names."""
    person = world.person()
    world.ca.issue_citizen(person)
    for _ in range(4):
        world.citizen()
    seen, cursor = [], None
    while True:
        query = f"?limit=2{f'&cursor={cursor}' if cursor else ''}"
        page = client.get(f"/ca/v1/certificates{query}", headers=as_actor("officer")).json()
        seen += [one["serial"] for one in page["certificates"]]
        assert all(one["certificate"] is None for one in page["certificates"])
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5
    mine = client.get(f"/ca/v1/certificates?owner={person.person_id}&state=issued", headers=as_actor("officer")).json()
    assert len(mine["certificates"]) == 1
    profiles = client.get("/ca/v1/profiles", headers=as_actor("officer")).json()
    assert {one["name"] for one in profiles if one["by_request"]} == BY_REQUEST


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/ca/v1/certificates", [("officer",), ("operator",)]),
        ("GET", "/ca/v1/certificates/abc", [("officer",), ("operator",)]),
        ("GET", "/ca/v1/profiles", [("officer",), ("operator",)]),
        ("POST", "/ca/v1/certificates/abc/revocation", [("officer", "ca-revoke")]),
        ("POST", "/ca/v1/requests", [("officer", "ca-issue"), ("operator", "ca-issue")]),
        ("POST", "/ca/v1/requests/1/approvals", [("officer", "ca-approve")]),
    ],
)
def test_nobody_else_may(small_client: TestClient, method: str, path: str, allowed: list[tuple[str, ...]]) -> None:
    """Without a credential 401; with any other kind of actor, or without the role, 403; with the right one neither."""
    body = {"json": {}} if method == "POST" else {}
    assert small_client.request(method, path, **body).status_code == 401
    others = [("person",), ("client", "other"), ("officer", "other"), ("operator", "other")]
    for actor in others:
        if (actor[0],) in allowed:
            continue
        assert small_client.request(method, path, headers=as_actor(*actor), **body).status_code == 403
    for actor in allowed:
        assert small_client.request(method, path, headers=as_actor(*actor), **body).status_code not in (401, 403)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"profile": "citizen-sign"}, 403, "issuing_ca.profile_refused"),
        ({"profile": "tsa"}, 403, "issuing_ca.profile_refused"),
        ({"csr": "not a request"}, 422, "foundation.csr_invalid"),
        ({"owner": "authority:issuing"}, 422, "issuing_ca.request_refused"),
        ({"subject": SUBJECT[:2]}, 422, "foundation.profile_mismatch"),
        (
            {"subject": [*SUBJECT[:2], {"name": "CN", "value": "SPECIMEN \u200bOfficer"}]},
            422,
            "foundation.name_invalid",
        ),
        ({"not_after": "2001-01-01T00:00:00Z"}, 422, "issuing_ca.request_refused"),
        ({"not_after": "soon"}, 422, None),
        ({"more": 1}, 422, None),
    ],
)
def test_requests_that_are_refused(
    small_world: World, small_client: TestClient, change: dict[str, object], status: int, code: str | None
) -> None:
    """Each bad request is a problem document with its code; nothing is issued."""
    body = {"profile": "officer", "csr": csr(), "subject": SUBJECT, **change}
    answer = small_client.post("/ca/v1/requests", json=body, headers=ISSUER)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    if code is not None:
        assert answer.json()["code"] == code
    states = {record.state for record in small_world.ca.certificates()}
    assert CertificateState.ISSUED not in states


def test_status_changes_that_are_refused(small_world: World, small_client: TestClient) -> None:
    """An unknown certificate, an unknown reason, and a release of what is not held."""
    serial = small_world.citizen().serial
    cases = [
        (f"/ca/v1/certificates/{serial}/revocation", "because", 422, "issuing_ca.reason_unknown"),
        (f"/ca/v1/certificates/{serial}/revocation", "removeFromCRL", 409, "issuing_ca.transition_refused"),
        ("/ca/v1/certificates/abc/revocation", "superseded", 404, "issuing_ca.certificate_unknown"),
    ]
    for path, reason, status, code in cases:
        answer = small_client.post(path, json={"reason": reason}, headers=REVOKER)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert small_client.get("/crl/nobody.crl").status_code == 404
    assert small_client.get("/crl/root.crl").status_code == 503
    assert small_client.get("/aia/nobody.cer").status_code == 404
    approval = small_client.post(
        "/ca/v1/requests/1/approvals", json={"reason": "identity-verified"}, headers=as_actor("officer", "ca-approve")
    )
    assert (approval.status_code, approval.json()["code"]) == (404, "issuing_ca.ra_request_unknown")


def test_openssl_reads_what_certificates_point_to(small_world: World, small_client: TestClient) -> None:
    """openssl reads the CRL and the issuer certificate as served (DER)."""
    crl = small_world.write("served.crl", small_client.get("/crl/issuing.crl").content)
    issuer = small_world.write("served.cer", small_client.get("/aia/issuing.cer").content)
    run("openssl", "crl", "-inform", "DER", "-in", crl, "-noout")
    run("openssl", "x509", "-inform", "DER", "-in", issuer, "-noout")


@settings(max_examples=60)
@given(csr=st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda data: data.decode("latin-1"))))
def test_fuzzed_requests(csr: str) -> None:
    """Whatever is sent as a CSR: CsrInvalid and nothing else."""
    with pytest.raises(CsrInvalid):
        read_csr(csr.encode())


def test_a_delta_over_http(small_world: World, small_client: TestClient) -> None:
    """/crl/{issuer}/delta.crl beside the full one, with headers for caches; anything else is 404."""
    world = small_world
    world.ca.current_crl("issuing")  # what the delta will be to
    world.ca.revoke(world.citizen().serial, Reason.SUPERSEDED, OPERATOR)
    answer = small_client.get("/crl/issuing/delta.crl")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pkix-crl"
    crl = x509.load_der_x509_crl(answer.content)
    assert len(crl) == 1
    crl_number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert answer.headers["etag"] == f'"issuing-delta-{crl_number}"'
    for wrong in ("16-3", "256-300", "full", "17-1", "16-01"):
        assert small_client.get(f"/crl/issuing/{wrong}.crl").status_code in (404, 422)
