"""CMP's rules, with a client that breaks them; and malformed messages of every kind."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.db.engine import Database
from foundation.keys.port import KeyStore
from foundation.randomness import SystemRandomness
from foundation.x509 import der
from issuing_ca.cmp import asn1
from issuing_ca.cmp.message import Message, assembled, read, status
from issuing_ca.cmp.password_mac import MacProtection, check_mac
from issuing_ca.cmp.service import CmpServer
from issuing_ca.enrolment.model import NewEnrolmentCredential
from issuing_ca.model import CertificateState, Reason
from tests.ca.enrolment_world import NAME, EnrolmentWorld, enrolment_world
from tests.ca.test_cmp_client import cmp_door

_numbers = itertools.count(1)
PKIXCMP = {"Content-Type": "application/pkixcmp"}


@pytest.fixture
def door(database: Database, token: KeyStore, tmp_path: Path) -> Iterator[EnrolmentWorld]:
    """Runs twice: on SQLite and on PostgreSQL."""
    with enrolment_world(database, token, tmp_path, cmp_door) as world:
        yield world


def octets() -> bytes:
    return hashlib.sha256(str(next(_numbers)).encode()).digest()[:16]


def csr() -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    return request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)


def built(made: NewEnrolmentCredential, kind: int, content: bytes, **header: Any) -> bytes:
    """A message under the credential's secret; ``header`` replaces parts, None leaves one out."""
    mac = MacProtection(made.credential.reference, made.secret.encode(), octets())
    nobody = asn1_x509.GeneralName("directory_name", asn1_x509.Name.build({}))
    values = {
        "pvno": 2,
        "sender": nobody,
        "recipient": nobody,
        "protection_alg": asn1.Algorithm.load(mac.algorithm()),
        "sender_kid": made.credential.reference.encode(),
        "transaction_id": octets(),
        "sender_nonce": octets(),
    }
    top = asn1.Header({name: value for name, value in (values | header).items() if value is not None}).dump()
    return assembled(top, kind, content, mac.protect(der.sequence([top, der.explicit(kind, content)])), ())


def ask(door: EnrolmentWorld, message: bytes) -> Message:
    answer = door.http.post("/.well-known/cmp", content=message, headers=PKIXCMP)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pkixcmp"
    return read(answer.content)


def failure(message: Message) -> int:
    """The bit of an error's PKIFailureInfo."""
    assert message.kind == asn1.ERROR
    bits = asn1.ErrorContent.load(message.body)["status"]["failure"].native
    return int(bits.index(1))


def test_an_answer_is_bound_to_its_request(door: EnrolmentWorld) -> None:
    """Transaction and nonce come back, the answer's own nonce is new, and its MAC is under the same secret."""
    made = door.credential()
    transaction, nonce = octets(), octets()
    answer = ask(door, built(made, asn1.P10CR, csr(), transaction_id=transaction, sender_nonce=nonce))
    assert answer.kind == asn1.CP
    assert answer.header["transaction_id"].native == transaction
    assert answer.header["recip_nonce"].native == nonce
    assert len(answer.header["sender_nonce"].native) == 16
    check_mac(answer, made.secret.encode())


def test_a_transaction_is_good_once(door: EnrolmentWorld) -> None:
    """The same message again, and another one with its transaction id: transactionIdInUse."""
    made = door.credential()
    message = built(made, asn1.GENM, asn1.InfoTypesAndValues([]).dump())
    assert ask(door, message).kind == asn1.GENP
    assert failure(ask(door, message)) == 21
    taken = read(message).header["transaction_id"].native
    assert failure(ask(door, built(made, asn1.P10CR, csr(), transaction_id=taken))) == 21
    assert [one for one in door.world.ca.certificates() if one.owner == "organisation:specimen"] == []


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ({"pvno": 9}, 22),
        ({"transaction_id": None}, 5),
        ({"transaction_id": b"short"}, 5),
        ({"sender_nonce": None}, 18),
        ({"sender_nonce": b"short"}, 18),
        ({"protection_alg": None}, 1),
        ({"sender_kid": b"nobody"}, 1),
        ({"sender_kid": b"\xff"}, 1),
        ({"sender_kid": None}, 1),
    ],
)
def test_headers_that_are_refused(door: EnrolmentWorld, header: dict[str, Any], wanted: int) -> None:
    """Version, transaction id, nonce, protection, reference: each wrong one has its failure."""
    assert failure(ask(door, built(door.credential(), asn1.P10CR, csr(), **header))) == wanted


def test_a_changed_message_is_refused(door: EnrolmentWorld) -> None:
    """One bit of the body, or of the MAC: badMessageCheck; too many iterations: badAlg."""
    made = door.credential()
    good = built(made, asn1.P10CR, csr())
    at = good.index(NAME.encode())
    for changed in (good[:at] + b"x" + good[at + 1 :], good[:-1] + bytes((good[-1] ^ 1,))):
        assert failure(ask(door, changed)) == 1
    for iterations in (1, 10_000_000):
        owf, mac = (der.sequence([der.oid(one)]) for one in ("2.16.840.1.101.3.4.2.1", "1.2.840.113549.2.9"))
        parameters = der.sequence([der.octet_string(bytes(16)), owf, der.integer(iterations), mac])
        algorithm = asn1.Algorithm.load(der.sequence([der.oid(asn1.PBM), parameters]))
        assert failure(ask(door, built(made, asn1.P10CR, csr(), protection_alg=algorithm))) == 0
    assert ask(door, good).kind == asn1.CP


def confirmation(made: NewEnrolmentCredential, answer: Message, certificate: bytes, **changes: Any) -> bytes:
    """What accepts a certificate, or, changed, does not."""
    said: dict[str, Any] = {"hash": hashlib.sha384(certificate).digest(), "id": -1}
    if "status" in changes:
        said["status"] = changes.pop("status")
    if "hash" in changes:
        said["hash"] = changes.pop("hash")
    header = {
        "transaction_id": answer.header["transaction_id"].native,
        "recip_nonce": answer.header["sender_nonce"].native,
    }
    return built(made, asn1.CERT_CONF, asn1.CertConfirm([said]).dump(), **(header | changes))


def certificate_of(answer: Message) -> bytes:
    response = asn1.CertRepMessage.load(answer.body)["responses"][0]
    return bytes(response["pair"]["certificate"].chosen.untag().dump(force=True))


def test_confirmations(door: EnrolmentWorld) -> None:
    """The right one ends the transaction, once; a wrong nonce, a wrong hash, another credential's and an unknown
    transaction confirm nothing; a rejection has the certificate revoked."""
    made, other = door.credential(), door.credential(owner="organisation:other")
    answer = ask(door, built(made, asn1.P10CR, csr()))
    certificate = certificate_of(answer)
    assert failure(ask(door, confirmation(made, answer, certificate, recip_nonce=octets()))) == 13
    assert failure(ask(door, confirmation(made, answer, certificate, recip_nonce=None))) == 13
    assert failure(ask(door, confirmation(made, answer, certificate, hash=bytes(48)))) == 4
    assert failure(ask(door, confirmation(made, answer, certificate, transaction_id=octets()))) == 2
    assert failure(ask(door, confirmation(other, answer, certificate))) == 2
    good = confirmation(made, answer, certificate)
    assert ask(door, good).kind == asn1.PKICONF
    assert failure(ask(door, good)) == 2
    serial = f"{x509.load_der_x509_certificate(certificate).serial_number:x}"
    assert door.world.ca.certificate(serial).state is CertificateState.ISSUED
    answer = ask(door, built(other, asn1.P10CR, csr()))
    certificate = certificate_of(answer)
    assert ask(door, confirmation(other, answer, certificate, status=status(2))).kind == asn1.PKICONF
    serial = f"{x509.load_der_x509_certificate(certificate).serial_number:x}"
    assert door.world.ca.certificate(serial).state is CertificateState.REVOKED


def test_what_is_never_confirmed_is_revoked(door: EnrolmentWorld) -> None:
    """After a day, by upkeep, once; other transactions in between do not make it forgotten; a late confirmation is
    refused; what was confirmed, or revoked for another reason, stays as it is."""
    server = CmpServer(door.service, door.world.database, door.world.clock, SystemRandomness(), door.world.audit)
    made = [door.credential(owner=f"organisation:{number}") for number in range(4)]
    answers = [ask(door, built(one, asn1.P10CR, csr())) for one in made[:3]]
    certificates = [certificate_of(answer) for answer in answers]
    serials = [f"{x509.load_der_x509_certificate(one).serial_number:x}" for one in certificates]
    assert ask(door, confirmation(made[0], answers[0], certificates[0])).kind == asn1.PKICONF
    door.world.ca.revoke(serials[2], Reason.KEY_COMPROMISE, "operator:specimen")
    assert server.revoke_unconfirmed() == 0
    door.world.clock.advance(timedelta(days=1, seconds=1))
    assert ask(door, built(made[3], asn1.P10CR, csr())).kind == asn1.CP
    assert failure(ask(door, confirmation(made[1], answers[1], certificates[1]))) == 2
    assert server.revoke_unconfirmed() == 2
    assert server.revoke_unconfirmed() == 0
    records = [door.world.ca.certificate(serial) for serial in serials]
    assert [record.state for record in records] == [
        CertificateState.ISSUED,
        CertificateState.REVOKED,
        CertificateState.REVOKED,
    ]
    assert [record.reason for record in records[1:]] == [Reason.CESSATION_OF_OPERATION, Reason.KEY_COMPROMISE]


@pytest.fixture
def fuzzed(sqlite_database: Database, token: KeyStore, tmp_path: Path) -> Iterator[EnrolmentWorld]:
    """One world for every example."""
    with enrolment_world(sqlite_database, token, tmp_path, cmp_door) as world:
        yield world


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_no_malformed_message_is_a_failure_of_ours(fuzzed: EnrolmentWorld, data: st.DataObject) -> None:
    """Any octets; a good message with octets changed or cut off; a well-protected body of any octets or of any kind:
    every answer is a PKIMessage."""
    made = fuzzed.credential()
    kind = data.draw(st.sampled_from(("octets", "changed", "cut", "body", "nested")))
    good = built(made, asn1.P10CR, csr())
    if kind == "octets":
        content = data.draw(st.binary(max_size=200))
    elif kind == "changed":
        changed = bytearray(good)
        for _ in range(data.draw(st.integers(1, 4))):
            changed[data.draw(st.integers(0, 4000)) % len(good)] = data.draw(st.integers(0, 255))
        content = bytes(changed)
    elif kind == "cut":
        content = good[: data.draw(st.integers(0, 4000)) % len(good)]
    else:
        inner = data.draw(st.binary(max_size=120))
        if kind == "nested":
            for tag in data.draw(st.lists(st.sampled_from((0x30, 0x31, 0xA0, 0xA1, 0xA5, 0xA6, 0x04)), max_size=8)):
                inner = der.tlv(tag, inner)
        content = built(made, data.draw(st.integers(0, 26)), inner)
    answer = fuzzed.http.post("/.well-known/cmp", content=content, headers=PKIXCMP)
    assert answer.status_code == 200, answer.text
    read(answer.content)


def test_other_content_types_are_refused(door: EnrolmentWorld) -> None:
    """A message by another name is not read."""
    answer = door.http.post("/.well-known/cmp", content=b"", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (422, "issuing_ca.cmp_type_wrong")
