"""ACME's rules (RFC 8555, RFC 9773), each with a client that breaks it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, RSAKey
from sqlalchemy import select

from foundation.db.audit import events
from issuing_ca.errors import ApprovalRequired
from issuing_ca.model import CertificateState, Reason
from tests.ca.acme_world import AcmeWorld, Client, csr, encoded, flattened, refused
from tests.ca.ca_world import OPERATOR
from tests.ca.named_actors import as_actor

NAME = "www.ministry.example"


def ari(world: AcmeWorld, certificate: x509.Certificate) -> str:
    """A certificate's identifier (RFC 9773 §4.1)."""
    aki = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier or b""
    number = certificate.serial_number
    return f"{encoded(aki)}.{encoded(number.to_bytes(number.bit_length() // 8 + 1, 'big'))}"


# --- the whole way ------------------------------------------------------------------------------------------------


def test_from_account_to_certificate(door: AcmeWorld) -> None:
    """Names by http-01 and dns-01; subject from the officer's credential, nothing from the CSR; notAfter kept."""
    client = door.client(domains=("ministry.example",))
    a_year = door.world.clock.now() + timedelta(days=365)
    made = client.order(NAME, "ministry.example", notAfter=a_year.isoformat())
    assert made.status_code == 201
    order = made.json()
    assert order["status"] == "pending"
    client.prove(order, "http-01")
    ready = client.post(made.headers["Location"]).json()
    assert ready["status"] == "ready"
    done = client.finalize(order, csr(NAME, "MINISTRY.example", cn=NAME)).json()
    assert done["status"] == "valid"
    answer = client.post(done["certificate"])
    assert answer.headers["content-type"] == "application/pem-certificate-chain"
    leaf, issuer = x509.load_pem_x509_certificates(answer.content)
    leaf.verify_directly_issued_by(issuer)
    assert leaf.not_valid_after_utc == a_year.replace(microsecond=0)
    assert leaf.subject.rfc4514_string() == f"CN={NAME},O=SPECIMEN Ministry,C=KH"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME, "ministry.example"]
    second = client.order(f"mail.{NAME}").json()
    client.prove(second, "dns-01")
    assert client.post(second["authorizations"][0]).json()["status"] == "valid"
    listed = client.post(f"{client.kid}/orders").json()["orders"]
    assert len(listed) == 2
    record = door.world.ca.certificate(f"{leaf.serial_number:x}")
    assert record.owner == "organisation:specimen"
    assert door.world.audit.verify(door.world.database) > 0


def test_an_account_from_before_does_not_go_past_two_officers(door: AcmeWorld) -> None:
    """Once two officers have to approve the profile, ACME issues nothing of it, and gives no new credentials."""
    client = door.client(domains=("ministry.example",))
    order = client.order(NAME).json()
    client.prove(order, "http-01")
    door.world.ca.settings = door.world.ca.settings.model_copy(update={"two_officers": frozenset({"tls-server"})})
    refused(client.finalize(order, csr(NAME)), "badCSR")
    with pytest.raises(ApprovalRequired):
        door.client(domains=("other.example",))
    assert [one for one in door.world.ca.certificates() if one.owner == "organisation:specimen"] == []


def test_camdx_orders_one_name_with_a_year(door: AcmeWorld) -> None:
    """A security server: RSA, one dNSName, notAfter a year ahead, member code in the subject."""
    client = door.client("camdx-auth")
    refused(client.order(NAME, f"b.{NAME}"), "rejectedIdentifier")
    a_year = door.world.clock.now() + timedelta(days=365)
    key = rsa.generate_private_key(65537, 2048)
    certificate = client.certified(NAME, key=key, notAfter=a_year.isoformat())
    assert certificate.not_valid_after_utc == a_year.replace(microsecond=0)
    assert certificate.subject.rfc4514_string() == f"CN={NAME},2.5.4.5=0000041,O=SPECIMEN Member,C=KH"


# --- who signs ----------------------------------------------------------------------------------------------------


def test_an_account_needs_the_officer_s_credential(door: AcmeWorld) -> None:
    """No binding, another MAC key, another algorithm, another address, another account key, a used, a withdrawn and an
    expired credential: no account."""
    made, other = door.credential(), door.credential()
    client = Client(door)
    refused(client.register(None), "externalAccountRequired", 403)
    forged = type(made)(made.credential, other.hmac_key)
    refused(client.register(forged), "unauthorized", 403)
    refused(client.register(made, alg="HS384"), "badSignatureAlgorithm")
    refused(client.register(made, url=f"{door.url}/acme/new-order"), "unauthorized")
    refused(client.register(made, jwk=Client(door).jwk), "unauthorized")
    refused(client.register(made, nonce="x"), "malformed")
    refused(client.post("/acme/new-account", {"onlyReturnExisting": True}), "accountDoesNotExist", 400)
    assert client.register(made).status_code == 201
    kid = client.kid
    client.kid = None
    assert client.register(None).status_code == 200  # the same key has its account
    assert client.kid == kid
    refused(Client(door).register(made), "unauthorized")
    withdrawn = door.credential()
    door.service.accounts.withdraw(withdrawn.credential.kid, OPERATOR)
    refused(Client(door).register(withdrawn), "unauthorized")
    late = door.credential()
    door.world.clock.advance(timedelta(days=31))
    refused(Client(door).register(late), "unauthorized")


def test_a_withdrawn_credential_ends_its_account(small_door: AcmeWorld) -> None:
    """The account can do nothing from then on."""
    made = small_door.credential()
    client = Client(small_door)
    client.register(made)
    assert client.order(NAME).status_code == 201
    small_door.service.accounts.withdraw(made.credential.kid, OPERATOR)
    refused(client.order(NAME), "unauthorized", 403)


def test_requests_are_bound_to_nonce_address_and_key(door: AcmeWorld) -> None:
    """A replay, a foreign nonce, none; another address; another key; alg none and HMAC; kid and jwk together."""
    client = door.client()
    url = f"{door.url}/acme/new-order"
    payload = {"identifiers": [{"type": "dns", "value": NAME}]}
    body = client.signed(url, payload)
    assert client.send(url, body).status_code == 201
    refused(client.send(url, body), "badNonce", 400)
    refused(client.post(url, payload, nonce="AAAA"), "badNonce")
    refused(client.post(url, payload, nonce=None), "badNonce")
    old = client.nonce()
    door.world.clock.advance(timedelta(hours=2))
    problem = client.post(url, payload, nonce=old)
    refused(problem, "badNonce")
    assert client.post(url, payload, nonce=problem.headers["Replay-Nonce"]).status_code == 201
    refused(client.send(url, client.signed(f"{door.url}/acme/revoke-cert", payload)), "unauthorized")
    refused(client.post(url, payload, key=ECKey.generate_key("P-256")), "unauthorized")
    refused(client.post(url, payload, kid=f"{door.url}/acme/accounts/nobody"), "accountDoesNotExist")
    refused(client.post(url, payload, jwk=client.jwk), "malformed")
    hmac = flattened(
        {"url": url, "nonce": client.nonce(), "kid": client.kid},
        json.dumps(payload).encode(),
        OctKey.import_key(json.dumps(client.jwk).encode()),
        "HS256",
    )
    problem = client.send(url, hmac)
    assert "ES256" in refused(problem, "badSignatureAlgorithm")["algorithms"]  # type: ignore[operator]
    unsigned = client.signed(url, payload)
    header = json.loads(__import__("base64").urlsafe_b64decode(unsigned["protected"] + "=="))
    unsigned["protected"] = encoded(json.dumps(header | {"alg": "none"}).encode())
    refused(client.send(url, unsigned | {"signature": ""}), "badSignatureAlgorithm")
    answer = door.http.post(url, content=json.dumps(client.signed(url, payload)))
    refused(answer, "malformed", 415)


def test_refusals_are_in_the_audit_trail(door: AcmeWorld) -> None:
    """Who may not do what they asked is written down, with the code and the route; a used nonce is not."""
    client = door.client()
    url = f"{door.url}/acme/new-order"

    def kept() -> list[dict[str, str]]:
        with door.world.database.read() as connection:
            rows = connection.execute(select(events.c.details).where(events.c.action == "http.refused")).scalars()
            return [json.loads(row) for row in rows]

    refused(client.post(url, {}, nonce="AAAA"), "badNonce")
    assert kept() == []
    refused(client.post(url, {}, key=ECKey.generate_key("P-256")), "unauthorized")
    (row,) = kept()
    assert (row["code"], row["route"]) == ("issuing_ca.acme_unauthorized", "/acme/new-order")


def test_a_weak_account_key_is_refused(small_door: AcmeWorld) -> None:
    """RSA with 1024 bits, and a key that is a private one."""
    with pytest.warns(SecurityWarning):
        weak = RSAKey.import_key(rsa.generate_private_key(65537, 1024))  # noqa: S505 - what is refused
    url = f"{small_door.url}/acme/new-account"
    client = Client(small_door)
    header = {"url": url, "nonce": client.nonce(), "jwk": dict(weak.as_dict(private=False))}
    body = flattened(header, b"{}", weak, "RS256")
    refused(client.send(url, body), "badPublicKey")
    private = dict(client.key.as_dict(private=True))
    refused(client.post(url, {}, jwk=private), "badPublicKey")


def test_accounts_see_nothing_of_others(door: AcmeWorld) -> None:
    """Order, authorization, challenge, certificate, finalizing and revoking are the account's own."""
    owner, other = door.client(), door.client()
    order = owner.order(NAME)
    authorization = order.json()["authorizations"][0]
    challenge = owner.challenge(authorization)
    for path in (order.headers["Location"], authorization, challenge["url"], order.json()["finalize"]):
        payload = {"csr": encoded(csr(NAME))} if path.endswith("finalize") else None
        assert other.post(path, payload).status_code in (403, 404)
    assert other.post(challenge["url"], {}).status_code == 404
    assert owner.post(challenge["url"]).json()["status"] == "pending"
    certificate = owner.certified(NAME)
    serial = f"{certificate.serial_number:x}"
    assert other.post(f"/acme/certificates/{serial}").status_code == 403
    given = {"certificate": encoded(certificate.public_bytes(Encoding.DER))}
    refused(other.post("/acme/revoke-cert", given), "unauthorized")
    assert other.post(f"{owner.kid}").status_code == 403
    assert door.world.ca.certificate(serial).state is CertificateState.ISSUED


# --- renewal ------------------------------------------------------------------------------------------------------


def test_renewal_information(door: AcmeWorld) -> None:
    """The window lies in the last third; at once for a certificate that is not good; 404 and 400 for others."""
    client = door.client()
    certificate = client.certified(NAME)
    identifier = ari(door, certificate)
    answer = door.http.get(f"/acme/renewal-info/{identifier}")
    window = answer.json()["suggestedWindow"]
    assert answer.headers["Retry-After"] == "21600"
    now = door.world.clock.now()
    assert now.isoformat() < window["start"] < window["end"] < certificate.not_valid_after_utc.isoformat()
    door.world.ca.revoke(f"{certificate.serial_number:x}", Reason.SUPERSEDED, OPERATOR)
    window = door.http.get(f"/acme/renewal-info/{identifier}").json()["suggestedWindow"]
    assert window["start"] < window["end"] < now.isoformat()
    for bad in ("x", "AAAA.AAAA", f"{identifier}A", "a.b.c", "AAAA.gA", f"{identifier.split('.')[0]}.AQ"):
        assert door.http.get(f"/acme/renewal-info/{bad}").status_code in (400, 404), bad


def test_a_certificate_is_replaced_once(door: AcmeWorld) -> None:
    """An order that names what it replaces: one of the account's own, with a name in common, once."""
    client, other = door.client(), door.client()
    identifier = ari(door, client.certified(NAME))
    refused(other.order(NAME, replaces=identifier), "unauthorized")
    refused(client.order("else.example", replaces=identifier), "unauthorized")
    refused(client.order(NAME, replaces="x"), "malformed")
    made = client.order(NAME, replaces=identifier)
    assert (made.status_code, made.json()["replaces"]) == (201, identifier)
    refused(client.order(NAME, replaces=identifier), "alreadyReplaced", 409)


# --- credentials over REST ----------------------------------------------------------------------------------------


def test_officers_make_and_withdraw_credentials(door: AcmeWorld) -> None:
    """The HMAC key is shown once; a citizen's profile is not for servers; others may not."""
    body = {
        "profile": "tls-server",
        "subject": [["C", "KH"], ["O", "SPECIMEN Ministry"]],
        "domains": ["ministry.example"],
        "owner": "organisation:specimen",
    }
    issuer = as_actor("officer", "ca-issue")
    path = "/ca/v1/acme-credentials"
    assert door.http.post(path, json=body).status_code == 401
    assert door.http.post(path, json=body, headers=as_actor("client", "ca-issue")).status_code == 403
    made = door.http.post(path, json=body, headers=issuer)
    assert made.status_code == 201
    kid, secret = made.json()["kid"], made.json()["hmac_key"]
    listed = door.http.get(path, headers=issuer).json()["credentials"]
    assert [one["kid"] for one in listed] == [kid]
    assert secret not in json.dumps(listed)
    for change in (
        {"profile": "citizen-sign"},
        {"subject": [["C", "KH"]]},
        {"subject": [["C", "KH"], ["O", "Ministry"]]},  # a specimen installation names nobody real
        {"subject": [["C", "KH"], ["O", "SPECIMEN \u200bMinistry"]]},
        {"domains": ["*.example"]},
        {"days": 0},
    ):
        assert door.http.post(path, json=body | change, headers=issuer).status_code in (403, 422), change
    gone = door.http.delete(f"{path}/{kid}", headers=issuer)
    assert gone.json()["state"] == "withdrawn"
    assert door.http.delete(f"{path}/nobody", headers=issuer).status_code == 404
