"""Several issuing CAs: ACME, EST and CMP have addresses for each, and a credential of one opens no other door."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import ECKey

from foundation.approval import ApprovalRefused
from foundation.db.engine import Database
from foundation.keys.port import KeyStore
from issuing_ca.errors import RequestRefused
from issuing_ca.est.api import create_router as create_est_router
from issuing_ca.model import CertificateState
from tests import programs
from tests.ca.acme_world import AcmeWorld, Client, encoded, refused
from tests.ca.ca_world import OPERATOR, World, add_ca
from tests.ca.enrolment_world import NAME, EnrolmentWorld, enrolment_world
from tests.ca.named_actors import as_actor
from tests.ca.test_acme_clients import NAME as SITE
from tests.ca.test_acme_clients import certbot, leaf, lego, standing
from tests.ca.test_acme_clients import real as real  # a fixture
from tests.ca.test_cmp_client import Failed, by_key, by_secret, client, cmp_door
from tests.ca.test_cmp_client import leaf as leaf_of
from tests.ca.test_est import SECRET, body_of, by_proxy, certificates, curl, enrolled

SECOND, TITLE = "agencies", "Agencies CA"
CA = (SECOND, TITLE)
PKCS10 = {"Content-Type": "application/pkcs10"}


@pytest.fixture
def enrolling(database: Database, token: KeyStore, tmp_path: Path) -> Iterator[EnrolmentWorld]:
    """EST and CMP of two CAs; runs twice: on SQLite and on PostgreSQL."""
    with enrolment_world(
        database, token, tmp_path, lambda service: [create_est_router(service, SECRET), *cmp_door(service)]
    ) as world:
        add_ca(world.world, *CA)
        yield world


def issuer(certificate: x509.Certificate) -> str:
    return certificate.issuer.rfc4514_string()


# --- ACME ---------------------------------------------------------------------------------------------------------


def test_certbot_and_lego_at_another_ca(real: AcmeWorld) -> None:
    """Each gets a certificate of the CA whose directory it was given, with the credential of that CA; certbot renews
    there; the credential of one does not open an account at the other."""
    add_ca(real.world, *CA)
    second = real.at(SECOND)
    made = second.credential(domains=("ministry.example",))
    port = ["--standalone", "--http-01-port", str(real.challenge_port), "--http-01-address", "127.0.0.1"]
    refusal = certbot(real, "certonly", *port, *standing(made), "-d", SITE, check=False)
    assert refusal.returncode != 0
    certbot(second, "certonly", *port, *standing(made), "-d", SITE, "--key-type", "ecdsa")
    first = leaf(real.folder)
    assert TITLE in issuer(first)
    folder = real.folder / "certbot" / "config" / "live" / SITE
    root = real.world.write("root.pem", real.world.root.certificate)
    programs.run("openssl", "verify", "-CAfile", root, "-untrusted", folder / "chain.pem", folder / "cert.pem")
    certbot(second, "renew", "--force-renewal", "--no-random-sleep-on-renew", *port)
    assert leaf(real.folder) != first
    assert TITLE in issuer(leaf(real.folder))
    bound = second.credential("camdx-auth", ("ministry.example",))
    binding = ["--eab", "--kid", bound.credential.kid, f"--hmac={bound.hmac_key}"]
    http = ["--http", "--http.port", f"127.0.0.1:{real.challenge_port}", "--domains", SITE, "--key-type", "rsa2048"]
    lego(second, *binding, *http, "run")
    file = real.folder / "lego" / "certificates" / f"{SITE}.crt"
    assert TITLE in issuer(x509.load_pem_x509_certificates(file.read_bytes())[0])


def test_an_acme_account_is_known_to_its_own_ca_alone(door: AcmeWorld) -> None:
    """What one CA gave out (credential, account, order, authorization, certificate) is unknown at the other's
    addresses; the same key may have an account at each, which are two."""
    add_ca(door.world, *CA)
    second, own = door.at(SECOND), Client(door)
    made = second.credential()
    refused(own.register(made), "unauthorized", 403)
    assert own.register(door.credential()).status_code == 201
    certified = ec.generate_private_key(ec.SECP256R1())
    certificate = own.certified("www.specimen.example", key=certified)
    assert TITLE not in issuer(certificate)

    there = Client(second, own.key)
    known = there.post(f"{second.base}/new-account", {"onlyReturnExisting": True})
    refused(known, "accountDoesNotExist", 400)
    there.kid = own.kid
    refused(there.order("www.specimen.example"), "accountDoesNotExist")
    assert own.kid is not None
    there.kid = own.kid.replace("/acme/", f"{second.base}/")
    refused(there.order("www.specimen.example"), "accountDoesNotExist")

    there.kid = None
    assert there.register(made).status_code == 201
    assert there.kid is not None
    assert there.kid.rpartition("/")[2] != own.kid.rpartition("/")[2]
    assert there.kid.startswith(f"{door.url}{second.base}/accounts/")
    theirs = there.certified("www.specimen.example")
    assert TITLE in issuer(theirs)
    order = own.order("www.specimen.example").json()
    for address in (*order["authorizations"], order["finalize"].removesuffix("/finalize")):
        elsewhere = address.replace("/acme/", f"{second.base}/")
        assert there.post(elsewhere).status_code in (403, 404)
    serial = f"{certificate.serial_number:x}"
    assert there.post(f"{second.base}/certificates/{serial}").status_code in (403, 404)

    revocation = {"certificate": encoded(certificate.public_bytes(Encoding.DER)), "reason": 4}
    by_account = there.post(f"{second.base}/revoke-cert", revocation)
    holder = Client(second, ECKey.import_key(certified))
    by_its_key = holder.post(f"{second.base}/revoke-cert", revocation)
    assert {by_account.status_code, by_its_key.status_code} == {404}
    assert door.world.ca.certificate(serial).state is CertificateState.ISSUED
    key_id = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    number = certificate.serial_number
    name = f"{encoded(key_id or b'')}.{encoded(number.to_bytes(number.bit_length() // 8 + 1, 'big'))}"
    assert door.http.get(f"/acme/renewal-info/{name}").status_code == 200
    assert door.http.get(f"{second.base}/renewal-info/{name}").status_code == 404


def test_an_account_takes_a_key_that_another_ca_knows(door: AcmeWorld) -> None:
    """Key rollover looks at accounts of its own CA alone."""
    add_ca(door.world, *CA)
    here, there = door.client(), Client(door.at(SECOND))
    assert there.register(door.at(SECOND).credential()).status_code == 201
    url = f"{door.url}/acme/key-change"
    inner = here.signed(
        url, {"account": here.kid, "oldKey": here.jwk}, key=there.key, jwk=there.jwk, kid=None, nonce=None
    )
    answer = here.post(url, inner)
    assert answer.status_code == 200, answer.text


def test_there_is_no_such_ca(door: AcmeWorld) -> None:
    """A CA that never was, and one that certifies no others: 404, and no credential is made for it."""
    issuing = as_actor("operator", "ca-issue")
    body = {"profile": "tls-server", "subject": [["C", "KH"], ["O", "SPECIMEN Ministry"]], "owner": "organisation:1"}
    for name in ("never", "tsa"):
        assert door.http.get(f"/acme/ca/{name}/directory").status_code == 404
        assert door.http.head(f"/acme/ca/{name}/new-nonce").status_code == 404
        made = door.http.post("/ca/v1/acme-credentials", json=body | {"authority": name}, headers=issuing)
        assert (made.status_code, made.json()["code"]) == (404, "issuing_ca.authority_unknown")
    for odd in ("No%20CA", "%00", "x" * 400, "agencies%0a"):
        assert door.http.get(f"/acme/ca/{odd}/directory").status_code == 404
    add_ca(door.world, *CA)
    made = door.http.post("/ca/v1/acme-credentials", json=body | {"authority": SECOND}, headers=issuing)
    assert (made.status_code, made.json()["authority"]) == (201, SECOND)
    page = door.http.get("/ca/v1/acme-credentials", headers=issuing).json()
    assert [one["authority"] for one in page["credentials"]] == [SECOND]


# --- EST ----------------------------------------------------------------------------------------------------------


def test_est_labels(enrolling: EnrolmentWorld) -> None:
    """curl and openssl enrol and renew below the label of a CA: its certificates, its signature. Credentials and
    certificates of one are nobody's at the other; there is no label for what is no issuing CA."""
    door = enrolling
    both = certificates(door, curl(door, f"{SECOND}/cacerts"))
    assert {one.subject.rfc4514_string() for one in both} == {
        f"CN=SPECIMEN {word},O=SPECIMEN CamTrust,C=KH" for word in (TITLE, "Root")
    }
    assert door.world.ca.authorities.get("issuing").certificate in certificates(door, curl(door, "cacerts"))
    made, other = door.credential(authority=SECOND), door.credential()
    (first,) = certificates(
        door, enrolled(door, made, door.csr(door.key("one"), f"/CN={NAME}"), f"{SECOND}/simpleenroll")
    )
    first.verify_directly_issued_by(door.world.ca.authorities.get(SECOND).certificate)
    body = body_of(door.csr(door.key("two")))

    def post(path: str, headers: dict[str, str] | None = None, **options: object) -> int:
        place = f"/.well-known/est/{path}"
        answer = door.http.post(place, content=body, headers=PKCS10 | (headers or {}), **options)  # type: ignore[arg-type]
        return int(answer.status_code)

    assert post("simpleenroll", auth=(made.credential.reference, made.secret)) == 401
    assert post(f"{SECOND}/simpleenroll", auth=(other.credential.reference, other.secret)) == 401
    assert post("simplereenroll", by_proxy(first)) == 401
    assert post(f"{SECOND}/simplereenroll", by_proxy(first)) == 200
    assert post("never/simpleenroll", auth=(made.credential.reference, made.secret)) == 404
    assert post("tsa/simpleenroll", auth=(made.credential.reference, made.secret)) == 404
    assert post(f"{SECOND}/serverkeygen") == 403
    assert door.http.get("/.well-known/est/never/cacerts").status_code == 404
    for odd in ("No%20CA", "%00", "agencies%0a"):  # nothing that could be a name
        assert door.http.get(f"/.well-known/est/{odd}/cacerts").status_code == 422
    asked = base64.b64decode(curl(door, f"{SECOND}/csrattrs", "--user", f"{made.credential.reference}:{made.secret}"))
    assert NAME.encode() in asked


# --- CMP ----------------------------------------------------------------------------------------------------------


def test_openssl_cmp_at_another_ca(enrolling: EnrolmentWorld) -> None:
    """ir, kur, genm and rr at `p/<name>` of a CA, whose signer protects the answers; credentials and certificates of
    one CA are nobody's at the other; an unknown name is a 404."""
    door, made, other = enrolling, enrolling.credential(authority=SECOND), enrolling.credential()
    place = f"cmp/p/{SECOND}"
    first, second, third = (door.folder / f"{name}.pem" for name in ("first", "second", "third"))
    one, two = door.key("one"), door.key("two")
    wanted = ("-newkey", one, "-subject", f"/CN={NAME}", "-certout", first)
    for path, credential in (("cmp", made), (place, other)):
        with pytest.raises(Failed, match="badMessageCheck"):
            client(door, "ir", *wanted, *by_secret(credential), "-unprotected_errors", path=path)
    client(door, "ir", *wanted, *by_secret(made), path=place, ca=CA)
    assert TITLE in issuer(leaf_of(first))
    client(door, "kur", *by_key(first, one), "-newkey", two, "-certout", second, path=place, ca=CA)
    assert TITLE in issuer(leaf_of(second))
    client(door, "genm", *by_key(second, two), "-infotype", "caCerts", path=place, ca=CA)
    with pytest.raises(Failed, match="signerNotTrusted"):
        client(door, "kur", *by_key(second, two), "-newkey", one, "-certout", third)
    with pytest.raises(Failed, match="signerNotTrusted"):
        client(door, "rr", *by_key(second, two), "-oldcert", second)
    assert door.world.ca.certificate(f"{leaf_of(second).serial_number:x}").state is CertificateState.ISSUED
    client(door, "rr", *by_key(second, two), "-oldcert", second, path=place, ca=CA)
    assert door.world.ca.certificate(f"{leaf_of(second).serial_number:x}").state is CertificateState.REVOKED
    for name in ("never", "tsa-ca"):
        answer = door.http.post(
            f"/.well-known/cmp/p/{name}", content=b"0", headers={"Content-Type": "application/pkixcmp"}
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "issuing_ca.authority_unknown")


# --- names and citizens -------------------------------------------------------------------------------------------


def test_names_that_a_door_would_take_for_something_else(small_world: World) -> None:
    """No CA is called like a profile or an operation of EST."""
    subject = [("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Another CA")]
    for name in ("tls-server", "citizen-sign", "cacerts", "simpleenroll"):
        with pytest.raises(RequestRefused):
            small_world.ca.init(name, subject, OPERATOR)


def test_citizens_move_to_another_ca(world: World) -> None:
    """`citizens` of the settings names the CA of persons' certificates; an approval that names another CA is refused;
    what the CA before issued stays its own."""
    add_ca(world, *CA)
    before, stale = world.citizen(), world.person()
    world.ca.settings = world.ca.settings.model_copy(update={"citizens": SECOND})
    after = world.citizen()
    assert TITLE not in issuer(before.certificate)
    assert TITLE in issuer(after.certificate)
    assert world.ca.certificate(after.serial).authority == SECOND
    assert world.ca.certificate(before.serial).authority == "issuing"
    with pytest.raises(ApprovalRefused):
        world.ca.issue_citizen(stale)
