"""Certificates at once over HTTP: one in a call and many, answered directly and by the declared endpoint alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI
from starlette.testclient import TestClient

from camtrust.web.app import WebSettings, create_app
from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.http.guard import Guard
from foundation.http.idempotency_store import IdempotencyStore
from foundation.http.idempotency_store import metadata as idempotency_tables
from foundation.keys.port import KeyStore
from foundation.vault import Vault
from issuing_ca.config import IssuingCaSettings
from issuing_ca.model import CertificateState
from issuing_ca.ra.certificates_api import MOST, create_router
from tests.ca.ca_world import World, down, make_world
from tests.ca.named_actors import NamedActors, as_actor

URL = "http://testserver"
ONE, MANY = "/ca/v1/certificates", "/ca/v1/certificates/batch"
ISSUER = as_actor("officer", "ca-issue")
SUBJECT = [
    {"name": "C", "value": "KH"},
    {"name": "O", "value": "SPECIMEN CamTrust"},
    {"name": "CN", "value": "SPECIMEN"},
]


def application(world: World) -> FastAPI:
    idempotency_tables.create_all(world.database.engine)
    store = IdempotencyStore(world.database, Vault(world.keys._token), world.clock)  # type: ignore[arg-type]
    router = create_router(world.ca, Guard(NamedActors(), URL))
    return create_app(WebSettings(public_url=URL, version="0"), routers=[router], idempotency=store)


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    with TestClient(application(world), raise_server_exceptions=False) as one:
        yield one


@pytest.fixture
def small_client(small_world: World) -> Iterator[TestClient]:
    with TestClient(application(small_world), raise_server_exceptions=False) as one:
        yield one


def body(owner: str = "officer-1", **values: object) -> dict[str, Any]:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)
    return {"profile": "officer", "csr": csr.decode(), "subject": SUBJECT, "owner": owner, **values}


def test_one_certificate(world: World, client: TestClient) -> None:
    """The CSR's key, the officer's subject; the certificate, and the chain below the root."""
    asked = body()
    made = client.post(ONE, json=asked, headers=ISSUER)
    assert made.status_code == 201, made.text
    certificate = x509.load_pem_x509_certificate(made.json()["certificate"].encode())
    issuer = x509.load_pem_x509_certificate(made.json()["chain"].encode())
    certificate.verify_directly_issued_by(issuer)
    assert certificate.public_key() == x509.load_pem_x509_csr(asked["csr"].encode()).public_key()
    record = world.ca.certificate(made.json()["serial"])
    assert (record.state, record.owner, record.requested_by) == (
        CertificateState.ISSUED,
        "officer-1",
        "officer:specimen",
    )
    assert made.headers["x-trace-id"]
    assert made.headers["x-content-type-options"] == "nosniff"


def test_many_at_once_and_one_that_is_wrong(world: World, client: TestClient) -> None:
    """Outcomes in the order of the requests; what is refused says its code, and does not hinder the others."""
    requests = [body(f"officer-{number}") for number in range(12)]
    requests[2]["profile"] = "citizen-sign"
    requests[3]["csr"] = "no request"
    requests[5]["owner"] = "authority:issuing"
    requests[7]["csr"] = requests[0]["csr"]
    answer = client.post(MANY, json={"requests": requests}, headers=ISSUER)
    assert answer.status_code == 200
    outcomes = answer.json()["outcomes"]
    assert {at: one["refused"]["code"] for at, one in enumerate(outcomes) if one["refused"]} == {
        2: "issuing_ca.profile_refused",
        3: "foundation.csr_invalid",
        5: "issuing_ca.request_refused",
        7: "issuing_ca.key_in_use",
    }
    for at, one in enumerate(outcomes):
        if one["issued"]:
            assert world.ca.certificate(one["issued"]["serial"]).owner == f"officer-{at}"
            x509.load_pem_x509_certificate(one["issued"]["certificate"].encode())
    assert len({one["issued"]["serial"] for one in outcomes if one["issued"]}) == 8
    assert world.audit.verify(world.database) > 0


def test_an_idempotency_key_issues_nothing_twice(world: World, client: TestClient) -> None:
    """The same call again gives the same answer, octet for octet, and no certificate more."""
    headers = {**ISSUER, "Idempotency-Key": "f3f1c6a0-0001-4a56-9c1e-000000000001"}
    for path, asked in ((ONE, body()), (MANY, {"requests": [body("officer-2"), body("officer-3")]})):
        first, again = (client.post(path, json=asked, headers=headers) for _ in range(2))
        assert first.status_code in (200, 201)
        assert first.content == again.content
        assert again.headers["idempotency-replayed"] == "true"
    assert len(world.ca.certificates()) == 3


@pytest.mark.parametrize("path", [ONE, MANY])
def test_who_may_ask(small_client: TestClient, path: str) -> None:
    """Officers and operators who may issue, nobody else: refused before anything is read."""
    one = body()
    asked = one if path == ONE else {"requests": [one]}
    assert small_client.post(path, json=asked).status_code == 401
    for words in (("officer",), ("officer", "ca-revoke"), ("person",), ("client", "ca-issue")):
        assert small_client.post(path, json=asked, headers=as_actor(*words)).status_code == 403, words
    assert small_client.post(path, content=b"{", headers={**as_actor("person"), **JSON}).status_code == 403


JSON = {"Content-Type": "application/json"}
WRONG: list[tuple[str, bytes]] = [
    (ONE, b""),
    (ONE, b"{"),
    (ONE, b"[]"),
    (ONE, b"\xff\xfe"),
    (ONE, json.dumps({**body(), "more": 1}).encode()),
    (ONE, json.dumps({**body(), "owner": "a b"}).encode()),
    (ONE, json.dumps({**body(), "not_after": "2026-01-01T00:00:00"}).encode()),
    (ONE, json.dumps({**body(), "subject": []}).encode()),
    (ONE, json.dumps({**body(), "profile": 7}).encode()),
    (MANY, b'{"requests": []}'),
    (MANY, json.dumps({"requests": [body()] * (MOST + 1)}).encode()),
    (MANY, json.dumps({"requests": [body(), {}]}).encode()),
]


@pytest.mark.parametrize(("path", "octets"), WRONG)
def test_what_cannot_be_read_is_told_alike_by_both_ways(small_client: TestClient, path: str, octets: bytes) -> None:
    """`application/json` is answered directly; with a parameter the declared endpoint answers. The same problem."""
    direct = small_client.post(path, content=octets, headers={**ISSUER, **JSON})
    declared = small_client.post(
        path, content=octets, headers={**ISSUER, "Content-Type": "application/json; charset=utf-8"}
    )
    assert direct.status_code == declared.status_code
    assert direct.status_code in (400, 422)
    told, also = direct.json(), declared.json()
    assert {**told, "trace_id": ""} == {**also, "trace_id": ""}


def test_both_ways_issue(small_world: World, small_client: TestClient) -> None:
    """The declared endpoint gives the answer that the direct one gives."""
    for content_type in ("application/json", "application/json; charset=utf-8"):
        headers = {**ISSUER, "Content-Type": content_type}
        made = small_client.post(ONE, content=json.dumps(body()), headers=headers)
        assert (made.status_code, sorted(made.json())) == (201, ["certificate", "chain", "serial"])
        made = small_client.post(MANY, content=json.dumps({"requests": [body()]}), headers=headers)
        assert (made.status_code, made.json()["outcomes"][0]["refused"]) == (200, None)
    assert len(small_world.ca.certificates()) == 4


def test_profiles_of_two_officers_are_not_issued_here(
    sqlite_database: Database, clock: SetClock, token: KeyStore, tmp_path: Any
) -> None:
    """Refused by its code, in both calls; nothing is issued."""
    settings = IssuingCaSettings(two_officers=frozenset({"officer"}))
    world = make_world(sqlite_database, clock, token, tmp_path, settings)  # type: ignore[arg-type]
    with TestClient(application(world)) as client:
        refused = client.post(ONE, json=body(), headers=ISSUER)
        assert (refused.status_code, refused.json()["code"]) == (403, "issuing_ca.approval_required")
        many = client.post(MANY, json={"requests": [body()]}, headers=ISSUER).json()
        assert many["outcomes"][0]["refused"]["code"] == "issuing_ca.approval_required"
    assert world.ca.certificates() == ()


def test_a_token_that_is_down_is_told(small_world: World, small_client: TestClient) -> None:
    """503 with its code, and nothing is left half done."""
    small_world.keys.before = down("sign")
    answer = small_client.post(ONE, json=body(), headers=ISSUER)
    assert (answer.status_code, answer.json()["code"]) == (503, "foundation.token_unavailable")
    assert {one.state for one in small_world.ca.certificates()} == {CertificateState.ABANDONED}


def test_calls_at_once_share_commits(world: World, client: TestClient) -> None:
    """Thirty clients at once: each has its own certificate, and the chain of the trail is whole."""
    bodies = [body(f"officer-{number}") for number in range(30)]
    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(lambda one: client.post(ONE, json=one, headers=ISSUER), bodies))
    assert {one.status_code for one in made} == {201}
    for number, one in enumerate(made):
        assert world.ca.certificate(one.json()["serial"]).owner == f"officer-{number}"
    assert len(world.ca.certificates(limit=100)) == 30
    assert world.audit.verify(world.database) > 0
