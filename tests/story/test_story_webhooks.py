"""An agency's system is told what happened: signed messages, sent again until they are taken, and nowhere else."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from sqlalchemy import func, select

from camtrust.job_handlers import worked_off
from camtrust.webhook_sender import WebhookSender
from foundation.clock import SystemClock
from foundation.db.job_requests import requests
from issuing_ca.acme.network import DnsResolver
from signing.webhooks.errors import WebhookUnreachable, WebhookUrlInvalid
from signing.webhooks.model import TRIES, pause
from tests.story.installation import Installation
from tests.story.served import wait_until
from tests.story.test_story_batches import Agency

WEBHOOKS = "/sign/v1/webhooks"
NOBODY = DnsResolver(("127.0.0.1",), 1)


@dataclass
class System:
    """An agency's system: keeps what it gets, and answers as it is told."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def system() -> Iterator[System]:
    """It listens on the loopback interface."""
    one = System()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            one.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = one.answers.pop(0) if one.answers else 204
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{one.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        one.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield one
        server.shutdown()
        thread.join()


def verified(url: str, headers: dict[str, str], body: bytes, jwk: dict[str, str]) -> dict[str, Any]:
    """The message, once its signature holds: from the text of RFC 9421 §2.5, with no library of the kind."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert headers["content-digest"] == f"sha-256=:{digest}:"
    label, _, given = headers["signature-input"].partition("=")
    components = re.findall(r'"([^"]+)"', given[: given.index(")")])
    assert components == ["@method", "@target-uri", "content-digest", "content-type", "webhook-id"]
    values = {"@method": "POST", "@target-uri": url}
    lines = [f'"{name}": {values.get(name) or headers[name]}' for name in components]
    base = "\n".join([*lines, f'"@signature-params": {given}']).encode()
    parameters = dict(re.findall(r';(\w+)="?([^";]+)"?', given))
    assert parameters["keyid"] == jwk["kid"]
    assert parameters["alg"] == "ecdsa-p256-sha256"
    now = SystemClock().now().timestamp()
    assert int(parameters["created"]) <= now <= int(parameters["expires"]) <= int(parameters["created"]) + 300
    raw = base64.b64decode(headers["signature"].removeprefix(f"{label}=:").removesuffix(":"))
    x, y = (int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "="), "big") for name in ("x", "y"))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.verify(signature, base, ec.ECDSA(hashes.SHA256()))
    said: dict[str, Any] = json.loads(body)
    assert said["id"] == headers["webhook-id"]
    return said


def test_a_batch_is_told_of(assembled: Installation, system: System) -> None:
    """Refused documents and the end of a batch arrive once each, signed; what is changed on the way does not verify.
    Only who asked is told, and only of what it asked for."""
    agency, other = Agency(assembled), Agency(assembled)
    url = f"{system.url}/hooks?from=camtrust"
    events = ["batch.finished", "document.refused"]
    hook = agency.ask("POST", WEBHOOKS, {"url": url, "events": events})
    agency.ask("POST", WEBHOOKS, {"url": f"{system.url}/other", "events": ["request.signed"]})
    other.ask("POST", WEBHOOKS, {"url": f"{system.url}/another", "events": events})
    batch = agency.filled({"broken": b"%PDF-1.7 cut off"})
    agency.ask("POST", f"{batch}/start")
    with worked_off(assembled.services):
        wait_until(lambda: len(system.got) >= 2, "two messages")
        batch_id = batch.rpartition("/")[2]
        ours = [batch_id, *(headers["webhook-id"] for headers, _ in system.got)]
        wait_until(lambda: _left(assembled, ours) == 0, "nothing is left to do of it")
    key = agency.ask("GET", f"{WEBHOOKS}/key")
    said = sorted((verified(url, *one, key) for one in system.got), key=lambda one: str(one["type"]))
    assert [one["type"] for one in said] == events
    assert said[0]["data"] == {"batch": batch_id, "refused": 1}
    assert said[1]["data"]["documents"] == [{"id": "broken", "code": "signing.document_damaged"}]
    headers, body = system.got[0]
    for changed in (headers | {"webhook-id": "0" * 32}, headers | {"content-type": "text/plain"}):
        with pytest.raises(InvalidSignature):
            verified(url, changed, body, key)
    with pytest.raises(InvalidSignature):
        verified(f"{url}x", headers, body, key)
    log = agency.ask("GET", f"{WEBHOOKS}/{hook['id']}/deliveries")["deliveries"]
    assert [(one["state"], one["tries"], one["answer"]) for one in log] == [("delivered", 1, 204)] * 2
    assert {one["id"] for one in log} == {one["id"] for one in said}


def test_tries_and_giving_up(assembled: Installation, system: System) -> None:
    """An error and a redirect are tried again, with the same id and another nonce, and not followed; what never arrives
    is given up after the last try, and said so. Removed, an address gets nothing more."""
    agency = Agency(assembled)
    hook = agency.ask("POST", WEBHOOKS, {"url": system.url, "events": ["batch.finished"]})
    place, webhooks = f"{WEBHOOKS}/{hook['id']}", assembled.services.webhooks
    system.answers = [500, 302, 200]
    message = agency.ask("POST", f"{place}/test")["id"]
    tries = [webhooks.deliver(message, lambda: False) for _ in range(4)]
    assert [one is None for one in tries] == [False, False, True, True]
    assert [headers["webhook-id"] for headers, _ in system.got] == [message] * 3
    assert len({headers["signature-input"] for headers, _ in system.got}) == 3
    system.answers = [503] * TRIES
    message = agency.ask("POST", f"{place}/test")["id"]
    assert [webhooks.deliver(message, lambda: False) is None for _ in range(TRIES)] == [False] * (TRIES - 1) + [True]
    told = agency.ask("GET", f"{place}/deliveries")["deliveries"][0]
    assert (told["state"], told["tries"], told["answer"]) == ("given-up", TRIES, 503)
    message = agency.ask("POST", f"{place}/test")["id"]
    agency.ask("DELETE", place)
    before = len(system.got)
    assert webhooks.deliver(message, lambda: False) is None
    assert len(system.got) == before
    assert [pause(number).total_seconds() for number in (1, 2, 3)] == [10, 30, 90]
    assert pause(100).total_seconds() == 6 * 3600


def test_others_webhooks(assembled: Installation, system: System) -> None:
    """Another client's address is as absent as one that never was; an eleventh one is refused."""
    agency, other = Agency(assembled), Agency(assembled)
    body = {"url": system.url, "events": ["batch.finished"]}
    place = f"{WEBHOOKS}/{agency.ask('POST', WEBHOOKS, body)['id']}"
    for method, path in (("DELETE", place), ("POST", f"{place}/test"), ("GET", f"{place}/deliveries")):
        answer = other.client.ask(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "signing.webhook_not_found")
    for _ in range(9):
        agency.ask("POST", WEBHOOKS, body)
    assert agency.client.ask("POST", WEBHOOKS, body).json()["code"] == "signing.too_many_webhooks"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.invalid/",
        "ftp://127.0.0.1/",
        "https://user@example.invalid/",
        "https://example.invalid/#part",
        "https:///path",
        "https://example.invalid/ space",
        "https://example.invalid:0/",
        "https://example.invalid:99999/",
        "https://[::1",
        "https://example.invalid/" + "a" * 500,
        "http://localhost/",
        "http://127.0.0.1@10.0.0.1/",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    """WS-URL, in a specimen installation; outside of one, plain http to this machine as well."""
    with pytest.raises(WebhookUrlInvalid):
        WebhookSender(NOBODY, (), loopback=True).check(url)
    WebhookSender(NOBODY, (), loopback=True).check("http://127.0.0.1:8000/hook")
    with pytest.raises(WebhookUrlInvalid):
        WebhookSender(NOBODY, (), loopback=False).check("http://127.0.0.1:8000/hook")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "192.168.1.1", "224.0.0.1"]
)
def test_machines_inside_are_not_reached(host: str, system: System) -> None:
    """WS-ADDRESS: nothing is connected to that is not public, by whatever spelling, unless the operator names it."""
    port = system.url.rpartition(":")[2]
    with pytest.raises(WebhookUnreachable) as told:
        WebhookSender(NOBODY, (), loopback=True).send(f"https://{host}:{port}/", {}, b"{}")
    assert told.value.params["rule"] == "WS-ADDRESS"
    assert system.got == []


def _left(assembled: Installation, subjects: Sequence[str]) -> int:
    """How many jobs are asked for about these; others of the installation may have some that are not due yet."""
    query = select(func.count()).where(requests.c.subject.in_(subjects))
    with assembled.services.database.read() as connection:
        return connection.execute(query).scalar_one()
