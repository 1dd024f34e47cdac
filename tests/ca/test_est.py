"""EST (RFC 7030) with curl and openssl, and everybody who must not get in."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.db.engine import Database
from foundation.keys.port import KeyStore
from issuing_ca.config import IssuingCaSettings
from issuing_ca.enrolment.model import NewEnrolmentCredential
from issuing_ca.est.api import create_router
from issuing_ca.model import Reason
from issuing_ca.ra.model import ApprovalReason, RejectionReason, RequestState
from tests import programs
from tests.ca.ca_world import OPERATOR
from tests.ca.enrolment_world import NAME, EnrolmentWorld, enrolment_world
from tests.ca.named_actors import as_actor
from tests.ca.ra_world import officer, registration

SECRET = b"the-secret-that-proxy-and-service-share"
EST = "/.well-known/est"
PKCS10 = {"Content-Type": "application/pkcs10"}


@pytest.fixture
def door(database: Database, token: KeyStore, tmp_path: Path) -> Iterator[EnrolmentWorld]:
    """Runs twice: on SQLite and on PostgreSQL."""
    with enrolment_world(database, token, tmp_path, lambda service: [create_router(service, SECRET)]) as world:
        yield world


def curl(door: EnrolmentWorld, path: str, *options: str, check: bool = True) -> bytes:
    """What curl gets; it fails for a status of 400 and more."""
    done = programs.run("curl", "-sS", "--fail", "--noproxy", "*", *options, f"{door.url}{EST}/{path}",
                        text=False, check=check)  # fmt: skip
    return bytes(done.stdout)


def certificates(door: EnrolmentWorld, pkcs7: bytes) -> list[x509.Certificate]:
    """The certificates of a base64 PKCS#7, by openssl alone."""
    der = programs.run("openssl", "base64", "-d", input=pkcs7, text=False).stdout
    pem = programs.run("openssl", "pkcs7", "-inform", "DER", "-print_certs", input=der, text=False).stdout
    return x509.load_pem_x509_certificates(pem)


def attributes(csrattrs: bytes) -> str:
    """What openssl reads in CsrAttrs."""
    der = base64.b64decode(csrattrs)
    return str(programs.run("openssl", "asn1parse", "-inform", "DER", input=der, text=False).stdout.decode())


def enrolled(door: EnrolmentWorld, made: NewEnrolmentCredential, csr: Path, path: str = "simpleenroll") -> bytes:
    body = door.folder / f"{csr.stem}.b64"
    programs.run("openssl", "base64", "-in", csr, "-out", body)
    user = f"{made.credential.reference}:{made.secret}"
    return curl(door, path, "--user", user, "-H", "Content-Type: application/pkcs10", "--data-binary", f"@{body}")


def by_proxy(certificate: x509.Certificate, secret: bytes = SECRET) -> dict[str, str]:
    """What a proxy sends that ended TLS with this client certificate."""
    pem = certificate.public_bytes(Encoding.PEM).decode()
    return {"X-CamTrust-Client-Certificate": quote(pem), "X-CamTrust-Proxy-Secret": secret.decode()}


def body_of(csr: Path) -> bytes:
    return base64.encodebytes(csr.read_bytes())


def test_curl_and_openssl_enrol_and_renew(door: EnrolmentWorld) -> None:
    """The CA's certificates, what to ask for, a first certificate by reference and secret, the next by the first."""
    both = certificates(door, curl(door, "cacerts"))
    root, issuer = sorted(both, key=lambda one: one.subject != one.issuer)
    assert root == door.world.root.certificate
    made = door.credential()
    user = f"{made.credential.reference}:{made.secret}"
    asked = attributes(curl(door, "csrattrs", "--user", user))
    assert "id-ecPublicKey" in asked
    assert "prime256v1" in asked
    assert "Extension Request" in asked
    assert "id-ecPublicKey" in attributes(curl(door, "csrattrs"))
    (first,) = certificates(door, enrolled(door, made, door.csr(door.key("one"), f"/CN={NAME}", NAME)))
    assert first.subject.rfc4514_string() == f"CN={NAME},O=SPECIMEN Ministry,C=KH"
    first.verify_directly_issued_by(issuer)
    chain = (
        door.world.write("chain.pem", issuer),
        door.world.write("root.pem", root),
        door.world.write("leaf.pem", first),
    )
    programs.run("openssl", "verify", "-CAfile", chain[1], "-untrusted", chain[0], "-verify_hostname", NAME, chain[2])

    again = door.http.post(f"{EST}/simplereenroll", content=body_of(door.csr(door.key("two"))),
                           headers=PKCS10 | by_proxy(first))  # fmt: skip
    assert again.status_code == 200, again.text
    assert again.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    (second,) = certificates(door, again.content)
    assert second.subject == first.subject
    assert second.public_key() != first.public_key()
    third = door.http.post(f"{EST}/simplereenroll", content=body_of(door.csr(door.key("three"))),
                           headers=PKCS10 | by_proxy(second))  # fmt: skip
    assert third.status_code == 200
    record = door.world.ca.certificate(f"{second.serial_number:x}")
    assert record.requested_by == f"est:{made.credential.reference}"


def test_a_credential_is_good_once(door: EnrolmentWorld) -> None:
    """The same key again gets the same certificate (the answer may have been lost); another key gets none."""
    made = door.credential()
    csr = door.csr(door.key("one"))
    first = certificates(door, enrolled(door, made, csr))
    assert certificates(door, enrolled(door, made, csr)) == first
    other = door.http.post(f"{EST}/simpleenroll", content=body_of(door.csr(door.key("two"))), headers=PKCS10,
                           auth=(made.credential.reference, made.secret))  # fmt: skip
    assert (other.status_code, other.json()["code"]) == (409, "issuing_ca.enrolment_credential_used")
    assert len(door.world.ca.certificates()) == 1


def test_nobody_else_gets_in(door: EnrolmentWorld) -> None:
    """No proof, a wrong secret, another's reference, an expired and a withdrawn credential, another scheme: 401."""
    made, other = door.credential(), door.credential()
    body = body_of(door.csr(door.key("one")))

    def post(path: str = "simpleenroll", **options: object) -> int:
        answer = door.http.post(f"{EST}/{path}", content=body, headers=PKCS10 | options.pop("more", {}), **options)  # type: ignore
        assert answer.status_code != 401 or answer.headers["www-authenticate"].startswith("Basic")
        return int(answer.status_code)

    reference = made.credential.reference
    assert post() == 401
    assert post(auth=(reference, other.secret)) == 401
    assert post(auth=("nobody", made.secret)) == 401
    assert post(auth=(reference, "")) == 401
    assert post(more={"Authorization": f"Bearer {made.secret}"}) == 401
    assert post(more={"Authorization": "Basic ?"}) == 401
    assert post("simplereenroll", auth=(reference, made.secret)) == 401
    door.service.withdraw(other.credential.reference, OPERATOR)
    assert post(auth=(other.credential.reference, other.secret)) == 401
    door.world.clock.advance(timedelta(days=31))
    assert post(auth=(reference, made.secret)) == 401
    assert door.world.ca.certificates() == ()


def test_who_can_lie_about_a_client_certificate(door: EnrolmentWorld) -> None:
    """Without the proxy's secret, with a wrong one, twice, beside another proof: the header is never believed."""
    made = door.credential()
    (first,) = certificates(door, enrolled(door, made, door.csr(door.key("one"))))
    body = body_of(door.csr(door.key("two")))
    good = by_proxy(first)

    def post(headers: dict[str, str] | list[tuple[str, str]], **options: object) -> int:
        items = [*PKCS10.items(), *(headers.items() if isinstance(headers, dict) else headers)]
        answer = door.http.post(f"{EST}/simplereenroll", content=body, headers=items, **options)  # type: ignore[arg-type]
        return int(answer.status_code)

    assert post({"X-CamTrust-Client-Certificate": good["X-CamTrust-Client-Certificate"]}) == 401
    assert post(by_proxy(first, b"another secret")) == 401
    assert post([*good.items(), ("X-CamTrust-Proxy-Secret", "x")]) == 401
    assert post([*good.items(), *good.items()]) == 401
    assert post(good, auth=(made.credential.reference, made.secret)) == 401
    assert post({**good, "X-CamTrust-Client-Certificate": "nonsense"}) == 401
    assert post({**good, "X-CamTrust-Client-Certificate": ""}) == 401
    for stranger in (door.world.root.certificate, door.world.ca.authorities.get("issuing").certificate):
        assert post(by_proxy(stranger)) == 401
    citizen = door.world.citizen().certificate  # ours, but of no credential
    assert post(by_proxy(citizen)) == 401
    door.world.ca.revoke(f"{first.serial_number:x}", Reason.CERTIFICATE_HOLD, OPERATOR)
    assert post(good) == 401
    door.world.ca.revoke(f"{first.serial_number:x}", Reason.REMOVE_FROM_CRL, OPERATOR)
    assert post(good) == 200
    door.service.withdraw(made.credential.reference, OPERATOR)
    assert post(good) == 401


def test_without_a_secret_no_header_is_believed(sqlite_database: Database, token: KeyStore, tmp_path: Path) -> None:
    """An installation that names no proxy secret believes no header at all, an empty secret neither."""
    with enrolment_world(sqlite_database, token, tmp_path, lambda service: [create_router(service, None)]) as door:
        made = door.credential()
        (first,) = certificates(door, enrolled(door, made, door.csr(door.key("one"))))
        for secret in (SECRET, b"", b"None"):
            answer = door.http.post(f"{EST}/simplereenroll", content=body_of(door.csr(door.key("two"))),
                                    headers=PKCS10 | by_proxy(first, secret))  # fmt: skip
            assert answer.status_code == 401


def test_requests_that_are_refused(door: EnrolmentWorld) -> None:
    """Another subject or name than was verified, no base64, no PKCS#10, a weak key, another content type; the
    credential stays good. Server-made keys are refused in words."""
    made = door.credential()
    key = door.key("one")
    weak = door.key("weak", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024")
    good = body_of(door.csr(key))
    cases = [
        (body_of(door.csr(key, "/O=SPECIMEN Other/CN=x")), PKCS10),
        (body_of(door.csr(key, f"/CN={NAME}", NAME, "other.example")), PKCS10),
        (b"nonsense", PKCS10),
        (base64.b64encode(b"nonsense"), PKCS10),
        (door.csr(key).read_bytes(), PKCS10),
        (b"", PKCS10),
        (body_of(door.csr(weak)), PKCS10),
        (good, {"Content-Type": "text/plain"}),
    ]
    for body, headers in cases:
        answer = door.http.post(f"{EST}/simpleenroll", content=body, headers=headers,
                                auth=(made.credential.reference, made.secret))  # fmt: skip
        assert answer.status_code == 422, answer.text
    answer = door.http.post(f"{EST}/serverkeygen", content=good, headers=PKCS10)
    assert (answer.status_code, answer.json()["code"]) == (403, "issuing_ca.server_keys_refused")
    done = door.http.post(f"{EST}/simpleenroll", content=good, headers=PKCS10,
                          auth=(made.credential.reference, made.secret))  # fmt: skip
    assert done.status_code == 200


def test_officers_make_and_withdraw_credentials(door: EnrolmentWorld) -> None:
    """The secret is shown once; a subject that the profile does not have, and citizens' profiles, are refused."""
    path, issuer = "/ca/v1/enrolment-credentials", as_actor("operator", "ca-issue")
    body = {
        "profile": "tls-server",
        "subject": [["C", "KH"], ["O", "SPECIMEN Ministry"], ["CN", NAME]],
        "dns_names": [NAME],
        "owner": "organisation:specimen",
    }
    assert door.http.post(path, json=body).status_code == 401
    assert door.http.post(path, json=body, headers=as_actor("person")).status_code == 403
    made = door.http.post(path, json=body, headers=issuer)
    assert made.status_code == 201
    reference, secret = made.json()["reference"], made.json()["secret"]
    assert secret not in door.http.get(path, headers=issuer).text
    for change in ({"profile": "citizen-sign"}, {"subject": [["CN", "SPECIMEN"]]}, {"dns_names": ["*.example"]}):
        assert door.http.post(path, json=body | change, headers=issuer).status_code in (403, 422)
    assert door.http.delete(f"{path}/{reference}", headers=issuer).json()["state"] == "withdrawn"


@pytest.fixture
def fuzzed(sqlite_database: Database, token: KeyStore, tmp_path: Path) -> Iterator[EnrolmentWorld]:
    """One world for every example."""
    with enrolment_world(sqlite_database, token, tmp_path, lambda service: [create_router(service, SECRET)]) as world:
        yield world


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_no_malformed_request_is_a_failure_of_ours(fuzzed: EnrolmentWorld, data: st.DataObject) -> None:
    """Any octets, base64 of any octets, and a good request with any octets changed: never a 500."""
    folder = fuzzed.folder
    good = folder / "good.csr"
    if not good.exists():
        fuzzed.csr(fuzzed.key("good"))
    kind = data.draw(st.sampled_from(("octets", "base64", "changed")))
    if kind == "octets":
        body = data.draw(st.binary(max_size=300))
    elif kind == "base64":
        body = base64.b64encode(b"0" + data.draw(st.binary(max_size=300)))
    else:
        der = bytearray(good.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
        body = base64.b64encode(bytes(der))
    made = fuzzed.credential()
    path = data.draw(st.sampled_from(("simpleenroll", "simplereenroll", "serverkeygen")))
    header = data.draw(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40))
    proofs = ({"Authorization": header}, {"Authorization": f"Basic {header}"},
              {"X-CamTrust-Client-Certificate": header, "X-CamTrust-Proxy-Secret": SECRET.decode()},
              {"Authorization": "Basic " + base64.b64encode(
                  f"{made.credential.reference}:{made.secret}".encode()).decode()})  # fmt: skip
    answer = fuzzed.http.post(f"{EST}/{path}", content=body, headers=PKCS10 | data.draw(st.sampled_from(proofs)))
    assert answer.status_code < 500, answer.text


def test_curl_waits_for_two_officers(door: EnrolmentWorld) -> None:
    """Where two officers approve: 202 with Retry-After until they have (RFC 7030 §4.2.3), the same request then brings
    the certificate, each time the same; a rejected one is refused, and a renewal waits as well."""
    ra = registration(door.world)
    door.world.ca.settings = IssuingCaSettings(two_officers=frozenset({"tls-server"}))
    made, other = door.credential(), door.credential(owner="organisation:other")
    key, headers = door.key("one"), door.folder / "headers"
    csr = door.csr(key)

    def approve() -> str:
        (one,) = ra.list(None, 10, RequestState.PENDING)
        ra.approve(officer("first"), one.id, ApprovalReason.CONTROL_VERIFIED)
        return str(ra.approve(officer("second"), one.id, ApprovalReason.CONTROL_VERIFIED).serial)

    body = door.folder / "one.b64"
    programs.run("openssl", "base64", "-in", csr, "-out", body)
    again = ("--user", f"{made.credential.reference}:{made.secret}", "-H", "Content-Type: application/pkcs10",
             "--data-binary", f"@{body}", "-D", str(headers))  # fmt: skip
    for _ in range(2):
        assert curl(door, "simpleenroll", *again) == b""
        told = headers.read_text().lower()
        assert told.startswith("http/1.1 202 ")
        assert "retry-after: 300" in told
    serial = approve()
    for _ in range(2):
        (leaf,) = certificates(door, curl(door, "simpleenroll", *again))
        assert f"{leaf.serial_number:x}" == serial
    renewal = door.http.post(f"{EST}/simplereenroll", content=body_of(csr), headers=PKCS10 | by_proxy(leaf))
    assert renewal.status_code == 202
    renewed = approve()
    renewal = door.http.post(f"{EST}/simplereenroll", content=body_of(csr), headers=PKCS10 | by_proxy(leaf))
    assert [f"{one.serial_number:x}" for one in certificates(door, renewal.content)] == [renewed]
    proof = base64.b64encode(f"{other.credential.reference}:{other.secret}".encode()).decode()
    told = PKCS10 | {"Authorization": f"Basic {proof}"}
    assert door.http.post(f"{EST}/simpleenroll", content=body_of(csr), headers=told).status_code == 202
    (one,) = ra.list(None, 10, RequestState.PENDING)
    ra.reject(officer("first"), one.id, RejectionReason.NOT_VERIFIED)
    refused = door.http.post(f"{EST}/simpleenroll", content=body_of(csr), headers=told)
    assert (refused.status_code, refused.json()["code"]) == (403, "issuing_ca.enrolment_not_approved")
