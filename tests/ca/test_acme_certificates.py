"""From order to certificate and its revocation; what a crash leaves."""

from __future__ import annotations

import json
from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import ECKey

from issuing_ca.model import CertificateState, Reason
from tests.ca.acme_world import AcmeWorld, Client, csr, encoded, flattened, refused

NAME = "www.ministry.example"


def test_csrs_that_are_refused(door: AcmeWorld) -> None:
    """Other names, more names, fewer, addresses, PEM, nonsense, the account's own key, a weak key, a key of somebody
    else: badCSR, and the order stays ready for a right one."""
    client = door.client()
    order = client.order(NAME, f"b.{NAME}").json()
    refused(client.finalize(order, csr(NAME, f"b.{NAME}")), "orderNotReady")
    client.prove(order)
    key = ec.generate_private_key(ec.SECP256R1())
    signed = csr(NAME, f"b.{NAME}")
    for bad in (
        csr(NAME),
        csr(NAME, f"b.{NAME}", f"c.{NAME}"),
        csr(NAME, cn=f"c.{NAME}"),
        csr(san=[x509.DNSName(NAME), x509.DNSName(f"b.{NAME}"), x509.IPAddress(ip_address("127.0.0.1"))]),
        csr(),
        b"",
        b"nonsense",
        x509.load_der_x509_csr(csr(NAME, f"b.{NAME}")).public_bytes(Encoding.PEM),
        csr(NAME, f"b.{NAME}", key=client.key.private_key),
        csr(NAME, f"b.{NAME}", key=rsa.generate_private_key(3, 2048)),
        signed[:-1] + bytes([signed[-1] ^ 1]),  # one signature in 256 ends with any octet that one would put there
    ):
        refused(client.finalize(order, bad), "badCSR", 400)
    other = door.client()
    other.certified("c.example", key=key)
    assert client.finalize(order, csr(NAME, f"b.{NAME}", key=key)).status_code == 200  # the same owner
    stranger = Client(door)
    stranger.register(door.credential(owner="organisation:another"))
    order = stranger.order("d.example").json()
    stranger.prove(order)
    refused(stranger.finalize(order, csr("d.example", key=key)), "badCSR")
    done = stranger.finalize(order, csr("d.example")).json()
    assert done["status"] == "valid"
    again = stranger.finalize(order, csr("d.example")).json()
    assert again["certificate"] == done["certificate"]


def test_a_crash_while_signing_loses_nothing(door: AcmeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends after the certificate was stored and before the order knew: the next look finds it. One that
    never came out closes its order."""
    client = door.client()
    order = client.order(NAME)
    client.prove(order.json())
    orders = door.service.orders
    monkeypatch.setattr(orders, "_complete", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    asked = door.service.accounts
    body = json.dumps(client.signed(order.json()["finalize"], {"csr": encoded(csr(NAME))})).encode()
    path = order.json()["finalize"].removeprefix(f"{door.url}/acme/")
    request = asked.asked(body, path)
    with pytest.raises(KeyboardInterrupt):
        orders.finalize(request, path.split("/")[1])
    monkeypatch.undo()
    found = client.post(order.headers["Location"]).json()
    assert found["status"] == "valid"
    assert client.post(found["certificate"]).status_code == 200

    lost = client.order(NAME)
    client.prove(lost.json())
    monkeypatch.setattr(door.world.ca, "issue_now", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    body = json.dumps(client.signed(lost.json()["finalize"], {"csr": encoded(csr(NAME))})).encode()
    path = lost.json()["finalize"].removeprefix(f"{door.url}/acme/")
    with pytest.raises(KeyboardInterrupt):
        orders.finalize(asked.asked(body, path), path.split("/")[1])
    assert client.post(lost.headers["Location"]).json()["status"] == "processing"
    door.world.clock.advance(timedelta(minutes=6))
    assert client.post(lost.headers["Location"]).json()["status"] == "invalid"


def test_revocation(door: AcmeWorld) -> None:
    """By the account and by the certificate's key, with the reasons of a subscriber; once."""
    client = door.client()
    key = ec.generate_private_key(ec.SECP256R1())
    first, second = client.certified(NAME), client.certified(NAME, key=key)
    url = f"{door.url}/acme/revoke-cert"
    given = {"certificate": encoded(first.public_bytes(Encoding.DER))}
    for reason in (6, 8, 9, 10, 2, 99, "1", True):
        refused(client.post(url, given | {"reason": reason}), "badRevocationReason")
    assert client.post(url, given | {"reason": 4}).status_code == 200
    refused(client.post(url, given), "alreadyRevoked")
    own = ECKey.import_key(key)
    theirs = {"certificate": encoded(second.public_bytes(Encoding.DER)), "reason": 1}
    stranger = Client(door)
    refused(stranger.post(url, theirs), "unauthorized")
    holder = Client(door, key=own)
    assert holder.post(url, theirs).status_code == 200
    record = door.world.ca.certificate(f"{second.serial_number:x}")
    assert (record.state, record.reason) == (CertificateState.REVOKED, Reason.KEY_COMPROMISE)
    order = client.order(NAME).json()
    client.prove(order)
    refused(client.finalize(order, csr(NAME, key=key)), "badCSR")  # a compromised key is never certified again
    foreign = client.post(url, {"certificate": encoded(door.world.root.certificate.public_bytes(Encoding.DER))})
    assert foreign.status_code == 404
    for certificate in ("nonsense", 1, None, encoded(b"nonsense")):
        assert client.post(url, {"certificate": certificate}).status_code in (400, 404)


def test_the_key_of_an_account_is_changed(door: AcmeWorld) -> None:
    """The new key signs too; from then on the old one is nobody's. Another account's key is refused."""
    client, other = door.client(), door.client()
    url = f"{door.url}/acme/key-change"
    new = ECKey.generate_key("P-256")

    def inner(key: ECKey, **change: object) -> dict[str, str]:
        payload = {"account": client.kid, "oldKey": client.jwk} | {k: v for k, v in change.items() if k != "url"}
        header = {"url": change.get("url", url), "jwk": dict(key.as_dict(private=False))}
        return flattened(header, json.dumps(payload).encode(), key, "ES256")

    refused(client.post(url, inner(new, account=other.kid)), "malformed")
    refused(client.post(url, inner(new, oldKey=other.jwk)), "malformed")
    refused(client.post(url, inner(new, url=f"{door.url}/acme/new-order")), "malformed")
    forged = inner(new) | {"signature": inner(other.key)["signature"]}
    refused(client.post(url, forged), "unauthorized")
    taken = client.post(url, inner(other.key))
    assert (taken.status_code, taken.headers["Location"]) == (409, other.kid)
    assert client.post(url, inner(new)).status_code == 200
    refused(client.order(NAME), "unauthorized")
    client.key = new
    assert client.order(NAME).status_code == 201


def test_a_deactivated_account_is_over(small_door: AcmeWorld) -> None:
    """It cannot order, and its key opens no other account."""
    client = small_door.client()
    assert client.post(f"{client.kid}", {"status": "deactivated"}).json()["status"] == "deactivated"
    refused(client.order(NAME), "unauthorized")
    client.kid = None
    refused(client.register(small_door.credential()), "unauthorized")
