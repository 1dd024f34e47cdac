"""Malformed DER at every door of the issuing CA: always an answer of its own, never a 500, no growing memory.

A fixed count in the suite; ``make fuzz`` tries more, from another seed (`CAMTRUST_FUZZ`, `CAMTRUST_FUZZ_SEED`).
"""

from __future__ import annotations

import base64
import gc
import os
import random
import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.http.guard import Guard
from foundation.keys.port import KeyStore
from foundation.x509 import der
from foundation.x509.pem import read_certificate, read_crl
from issuing_ca.api import create_router as create_ca_router
from issuing_ca.asgi import OcspEndpoint, TimestampEndpoint
from issuing_ca.cmp import asn1
from issuing_ca.cmp.api import create_router as create_cmp_router
from issuing_ca.cmp.service import CmpServer
from issuing_ca.enrolment.service import Enrolment
from issuing_ca.est.api import CERTIFICATE_HEADER, SECRET_HEADER
from issuing_ca.est.api import create_router as create_est_router
from issuing_ca.timestamp_message import message_imprint
from tests.ca.acme_world import acme_world, encoded
from tests.ca.acme_world import csr as acme_csr
from tests.ca.asgi_call import call
from tests.ca.ca_world import World
from tests.ca.enrolment_world import NAME, EnrolmentWorld, enrolment_world
from tests.ca.malformed_der import bombs, changed, tlv
from tests.ca.named_actors import NamedActors
from tests.ca.test_cmp_rules import built
from tests.ca.test_est import SECRET

COUNT = int(os.environ.get("CAMTRUST_FUZZ", "60"))  # changed structures at each door
SEED = int(os.environ.get("CAMTRUST_FUZZ_SEED", "1"))
_LONGEST = 300 + COUNT  # seconds: far more than it takes, and an end to what does not end
# `cryptography` warns of what it reads all the same (it will refuse some of it one day): it must not matter
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
GROWTH = 48 << 20  # octets that the process may grow by after the first tenth: caches fill, allocators round up


@dataclass(frozen=True)
class Door:
    """A way in. ``send`` gives the HTTP status, or 400 for an error of ours where there is no HTTP.

    ``valid``: what is changed; ``finish`` makes it whole again (a signature over what was changed).
    """

    name: str
    valid: Sequence[bytes]
    send: Callable[[bytes], int]
    finish: Callable[[bytes], bytes] = bytes


def attack(doors: Sequence[Door], count: int, seed: int) -> None:
    """Bombs, then ``count`` changed structures at each door. AssertionError with what to send to see it again."""
    chance, sizes = random.Random(seed), []  # noqa: S311
    for door in doors:
        for name, data in bombs():
            _sent(door, data, f"bomb: {name}")
        for _ in range(count):
            data = changed(chance, chance.choice(door.valid))
            _sent(door, data, f"seed {seed}")
            if door.finish is not bytes:
                _sent(door, door.finish(data), f"seed {seed}, finished")
    for tenth in range(10):
        for door in doors:
            for _ in range(max(count // 10, 1)):
                _sent(door, door.finish(changed(chance, chance.choice(door.valid))), f"seed {seed}, round {tenth}")
        gc.collect()
        sizes.append(_resident())
    assert sizes[-1] - sizes[0] < GROWTH, f"memory grew: {[size >> 20 for size in sizes]} MiB"


def _sent(door: Door, data: bytes, about: str) -> None:
    try:
        status = door.send(data)
    except Exception as error:
        raise AssertionError(f"{door.name}: {about}: {error!r}: {data[:2000].hex()}") from error
    assert status < 500, f"{door.name}: {about}: {status}: {data[:2000].hex()}"


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


KEY = ec.generate_private_key(ec.SECP256R1())


def csr() -> bytes:
    """A valid request with names and a challenge."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), False)
    builder = builder.add_attribute(x509.oid.AttributeOID.CHALLENGE_PASSWORD, b"specimen")
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def info_of(request: bytes) -> bytes:
    """CertificationRequestInfo, what the request's signature is over."""
    return x509.load_der_x509_csr(request).tbs_certrequest_bytes


def signed(info: bytes) -> bytes:
    """Whatever it is, as the content of a request whose signature is right: what comes behind the signature is met."""
    algorithm = der.sequence([der.oid("1.2.840.10045.4.3.2")])
    return tlv(b"\x30", info + algorithm + der.bit_string(KEY.sign(info, ec.ECDSA(hashes.SHA256()))))


# --- OCSP, timestamps, and what officers install ------------------------------------------------------------------


def hot_doors(world: World) -> list[Door]:
    issued = world.citizen().certificate
    issuer = world.ca.authorities.get("issuing").certificate
    answers, stamps = OcspEndpoint(world.ca.kept_ocsp, world.clock), TimestampEndpoint(world.ca.timestamps)
    asked = []
    for algorithm in (hashes.SHA1(), hashes.SHA256()):  # noqa: S303
        builder = ocsp.OCSPRequestBuilder().add_certificate(issued, issuer, algorithm)
        asked.append(builder.build().public_bytes(Encoding.DER))
        nonced = builder.add_extension(x509.OCSPNonce(bytes(range(32))), False)
        asked.append(nonced.build().public_bytes(Encoding.DER))
    imprint = message_imprint(bytes(32), "sha256")
    wanted = [
        der.sequence((der.integer(1), imprint)),
        der.sequence((der.integer(1), imprint, der.oid(world.ca.settings.tsa_policy), der.integer(7), der.TRUE)),
    ]
    return [
        Door("OCSP by POST", asked, lambda data: call(answers, "POST", "/ocsp", data)[0]),
        Door("OCSP by GET", asked, lambda data: call(answers, "GET", f"/ocsp/{base64.b64encode(data).decode()}")[0]),
        Door("timestamp", wanted, lambda data: call(stamps, "POST", "/tsa", data)[0]),
    ]


def _refusable(act: Callable[[], object]) -> int:
    """400 for an error of ours, 200 without one; anything else goes through."""
    try:
        act()
    except CamTrustError:
        return 400
    return 200


def installing_doors(world: World) -> list[Door]:
    """What a ceremony hands over: a certificate for a waiting authority, and a CRL of the root."""
    ca, root = world.ca, world.root
    request = ca.init("other", [("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Other")], "operator:test")
    certificate = root.sign_ca(request).public_bytes(Encoding.DER)
    crl = root.crl(1, world.ca.authorities.get("tsa").certificate).public_bytes(Encoding.DER)

    def resigned(tbs: bytes) -> bytes:
        algorithm = der.sequence([der.oid("1.2.840.10045.4.3.3")])
        return tlv(b"\x30", tbs + algorithm + der.bit_string(root.key.sign(tbs, ec.ECDSA(hashes.SHA384()))))

    def install(data: bytes) -> int:
        chain = [root.certificate]
        return _refusable(lambda: ca.install("other", read_certificate(data), chain, "operator:test"))

    def install_crl(data: bytes) -> int:
        return _refusable(lambda: ca.install_root_crl(read_crl(data), "operator:test"))

    tbs = x509.load_der_x509_certificate(certificate).tbs_certificate_bytes
    list_tbs = x509.load_der_x509_crl(crl).tbs_certlist_bytes
    return [
        Door("a certificate installed", [tbs], install, resigned),
        Door("a CRL installed", [list_tbs], install_crl, resigned),
    ]


def request_door(world: World) -> Door:
    """What an officer sends in a PKCS#10 request."""

    def issue(data: bytes) -> int:
        subject = [("C", "KH"), ("O", "SPECIMEN Ministry"), ("organizationIdentifier", "CTKH-41"), ("CN", "SPECIMEN")]
        return _refusable(lambda: world.ca.issue_for_request("organisation-seal", data, subject, "o:1", "officer:test"))

    return Door("a request over REST", [info_of(csr())], issue, signed)


@pytest.mark.timeout(_LONGEST)
def test_ocsp_timestamps_and_what_is_installed(small_world: World) -> None:
    """Bombs and changed structures; afterwards each is answered as before."""
    doors = [*hot_doors(small_world), request_door(small_world), *installing_doors(small_world)]
    attack(doors, COUNT, SEED)
    for door in doors[:3]:
        assert door.send(door.valid[0]) == 200
    answer = ocsp.load_der_ocsp_response(small_world.ca.kept_ocsp.answer(doors[0].valid[0]).response)
    assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD


# --- EST and CMP ---------------------------------------------------------------------------------------------------


@pytest.fixture
def machines(sqlite_database: Database, token: KeyStore, tmp_path: Path) -> Iterator[EnrolmentWorld]:
    def doors(service: Enrolment) -> list[Any]:
        cmp = CmpServer(service, service._database, service._clock, service._randomness, service._audit)
        guarded = create_ca_router(service.ca, Guard(NamedActors(), "http://127.0.0.1"))
        return [create_est_router(service, SECRET), create_cmp_router(cmp), guarded]

    with enrolment_world(sqlite_database, token, tmp_path, doors) as world:
        yield world


def machine_doors(world: EnrolmentWorld) -> list[Door]:
    made = world.credential()
    basic = base64.b64encode(f"{made.credential.reference}:{made.secret}".encode()).decode()
    est = {"Content-Type": "application/pkcs10", "Authorization": f"Basic {basic}"}
    certificate = world.world.citizen().certificate.public_bytes(Encoding.DER)
    shown = {SECRET_HEADER: SECRET.decode(), "Content-Type": "application/pkcs10"}

    def enrol(data: bytes) -> int:
        answer = world.http.post("/.well-known/est/simpleenroll", content=base64.b64encode(data), headers=est)
        return answer.status_code

    def show(data: bytes) -> int:
        pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(data) + b"-----END CERTIFICATE-----\n"
        header = {CERTIFICATE_HEADER: pem.decode().replace("\n", "%0A").replace("+", "%2B")[:12000]}
        answer = world.http.post("/.well-known/est/simplereenroll", content=b"", headers=shown | header)
        return answer.status_code

    def message(data: bytes) -> int:
        headers = {"Content-Type": "application/pkixcmp"}
        return world.http.post("/.well-known/cmp", content=data, headers=headers).status_code

    def protected(kind: int) -> Callable[[bytes], bytes]:
        return lambda content: built(made, kind, content)

    whole = [built(made, asn1.P10CR, csr()), built(made, asn1.GENM, asn1.InfoTypesAndValues([]).dump())]
    template = asn1.CertTemplate({"subject": asn1_x509.Name.build({"common_name": NAME})}).dump()
    wanted = der.sequence([der.sequence([der.sequence([der.integer(0), template])])])
    return [
        Door("EST", [info_of(csr())], enrol, signed),
        Door("EST, a client's certificate", [certificate], show),
        Door("CMP", whole, message),
        Door("CMP, a PKCS#10 request under a right MAC", [csr()], message, protected(asn1.P10CR)),
        Door("CMP, a certificate request under a right MAC", [wanted], message, protected(asn1.IR)),
        Door("CMP, a revocation under a right MAC", [wanted], message, protected(asn1.RR)),
    ]


@pytest.mark.timeout(_LONGEST)
def test_est_and_cmp(machines: EnrolmentWorld) -> None:
    """Requests, clients' certificates and messages, protected ones among them; afterwards a machine is enrolled."""
    attack(machine_doors(machines), COUNT, SEED)
    fresh = machine_doors(machines)[0]
    assert fresh.send(csr()) == 200


# --- ACME ------------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(_LONGEST)
def test_acme(sqlite_database: Database, clock: SetClock, token: KeyStore, tmp_path: Path) -> None:
    """Requests to finalize a proved order, and certificates to revoke, in right JWS; then the order is finalized."""
    with acme_world(sqlite_database, clock, token, tmp_path) as world:
        client = world.client()
        order = client.order(NAME).json()
        client.prove(order)

        def finalize(data: bytes) -> int:
            return client.post(order["finalize"], {"csr": encoded(data)}).status_code

        def revoke(data: bytes) -> int:
            return client.post("/acme/revoke-cert", {"certificate": encoded(data)}).status_code

        certificate = world.world.citizen().certificate.public_bytes(Encoding.DER)
        other = info_of(acme_csr("other.example", key=KEY))  # never the one that the order is for
        doors = [Door("ACME finalize", [other], finalize, signed), Door("ACME revoke", [certificate], revoke)]
        attack(doors, COUNT // 2, SEED)
        assert finalize(acme_csr(NAME)) == 200


def test_the_changes_are_of_every_kind() -> None:
    """Most changed requests are no valid DER any more or another structure, some are still read; a seed repeats."""
    valid, chance = csr(), random.Random(7)  # noqa: S311
    made = [changed(chance, valid) for _ in range(2000)]
    assert made[:20] == [changed(again, valid) for again in [random.Random(7)] for _ in range(20)]  # noqa: S311
    assert sum(one != valid for one in made) > 1900
    assert 20 < sum(_reads(one) for one in made) < 1500
    assert max(map(len, made)) <= 64 * 1024


def _reads(data: bytes) -> bool:
    try:
        x509.load_der_x509_csr(data)
    except (ValueError, x509.InvalidVersion):
        return False
    return True
