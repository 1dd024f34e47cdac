"""PBMAC1 (RFC 9481 §6.1.2), whose MACs OpenSSL computes by itself; and until when a certificate must be confirmed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asn1crypto import x509 as asn1_x509

from foundation.x509 import der
from issuing_ca.cmp import asn1
from issuing_ca.cmp.message import Message, assembled
from issuing_ca.enrolment.model import NewEnrolmentCredential
from tests import programs
from tests.ca.enrolment_world import EnrolmentWorld
from tests.ca.test_cmp_rules import ask, built, csr, failure, octets
from tests.ca.test_cmp_rules import door as door  # a fixture

SHA1, SHA256, SHA512 = "1.2.840.113549.2.7", "1.2.840.113549.2.9", "1.2.840.113549.2.11"
DIGESTS = {SHA256: "SHA256", SHA512: "SHA512"}
BAD_ALG, BAD_MESSAGE_CHECK = 0, 1


def algorithm(
    salt: bytes,
    count: int = 1000,
    length: int | None = 32,
    prf: str | None = SHA256,
    mac: str = SHA256,
    kdf: str = asn1.PBKDF2,
) -> bytes:
    """The AlgorithmIdentifier of PBMAC1; None leaves a part out."""

    def identifier(oid: str) -> bytes:
        return der.sequence([der.oid(oid), bytes((der.NULL, 0))])

    parts = [der.octet_string(salt), der.integer(count)]
    parts += [] if length is None else [der.integer(length)]
    parts += [] if prf is None else [identifier(prf)]
    derivation = der.sequence([der.oid(kdf), der.sequence(parts)])
    return der.sequence([der.oid(asn1.PBMAC1), der.sequence([derivation, identifier(mac)])])


def openssl_mac(
    door: EnrolmentWorld, secret: str, salt: bytes, count: int, length: int, prf: str, mac: str, data: bytes
) -> bytes:
    """PBKDF2 and HMAC by openssl alone."""
    given = (f"digest:{DIGESTS[prf]}", f"pass:{secret}", f"hexsalt:{salt.hex()}", f"iter:{count}")
    options = [part for one in given for part in ("-kdfopt", one)]
    printed = programs.run("openssl", "kdf", "-keylen", str(length), *options, "PBKDF2").stdout
    key = printed.strip().replace(":", "")
    file = door.world.write("protected.der", data)
    done = programs.run("openssl", "mac", "-digest", DIGESTS[mac], "-macopt", f"hexkey:{key}", "-in", file, "HMAC")
    return bytes.fromhex(done.stdout.strip())


def under(made: NewEnrolmentCredential, identifier: bytes) -> tuple[bytes, bytes]:
    """The header of a p10cr with this algorithm, and its body."""
    nobody = asn1_x509.GeneralName("directory_name", asn1_x509.Name.build({}))
    header = asn1.Header(
        {
            "pvno": 2,
            "sender": nobody,
            "recipient": nobody,
            "protection_alg": asn1.Algorithm.load(identifier),
            "sender_kid": made.credential.reference.encode(),
            "transaction_id": octets(),
            "sender_nonce": octets(),
        }
    )
    return bytes(header.dump()), csr()


def protected(header: bytes, body: bytes) -> bytes:
    return der.sequence([header, der.explicit(asn1.P10CR, body)])


@pytest.mark.parametrize(("prf", "mac", "length"), [(SHA256, SHA256, 32), (SHA512, SHA512, 64), (SHA512, SHA256, 20)])
def test_openssl_computes_the_same(door: EnrolmentWorld, prf: str, mac: str, length: int) -> None:
    """A request whose MAC openssl computed is answered under PBMAC1, and openssl computes the answer's MAC."""
    made, salt = door.credential(), octets()
    header, body = under(made, algorithm(salt, 2000, length, prf, mac))
    value = openssl_mac(door, made.secret, salt, 2000, length, prf, mac, protected(header, body))
    answer = ask(door, assembled(header, asn1.P10CR, body, value, ()))
    assert answer.kind == asn1.CP
    said = answer.header["protection_alg"]
    assert said["algorithm"].dotted == asn1.PBMAC1
    kdf = asn1.Pbmac1Parameters.load(said["parameters"].dump())["kdf"]["parameters"]
    salt = bytes(kdf.native["0"])
    assert said.dump(force=True) == der.explicit(1, algorithm(salt))
    assert answer.protection == openssl_mac(door, made.secret, salt, 1000, 32, SHA256, SHA256, answer.protected)


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 1},
        {"count": 10_000_000},
        {"length": 8},
        {"length": 19},
        {"length": 100_000},
        {"prf": SHA1},
        {"prf": None},
        {"mac": SHA1},
        {"mac": "1.2.3"},
        {"kdf": "1.3.6.1.4.1.11591.4.11"},
    ],
    ids=str,
)
def test_parameters_that_are_refused(door: EnrolmentWorld, changes: dict[str, object]) -> None:
    """Too few and too many iterations, short and long keys, SHA-1 (as the default too), other algorithms: badAlg."""
    made = door.credential()
    header, body = under(made, algorithm(octets(), **changes))  # type: ignore[arg-type]
    assert failure(ask(door, assembled(header, asn1.P10CR, body, bytes(32), ()))) == BAD_ALG


def test_a_wrong_mac(door: EnrolmentWorld) -> None:
    """Another secret, another message, no parameters: nothing is issued."""
    made, other, salt = door.credential(), door.credential(), octets()
    header, body = under(made, algorithm(salt))
    good = openssl_mac(door, made.secret, salt, 1000, 32, SHA256, SHA256, protected(header, body))
    wrong = openssl_mac(door, other.secret, salt, 1000, 32, SHA256, SHA256, protected(header, body))
    for value in (wrong, bytes(32), good[:-1], b""):
        assert failure(ask(door, assembled(header, asn1.P10CR, body, value, ()))) == BAD_MESSAGE_CHECK
    assert failure(ask(door, assembled(header, asn1.P10CR, csr(), good, ()))) == BAD_MESSAGE_CHECK
    bare, body = under(made, der.sequence([der.oid(asn1.PBMAC1)]))
    assert failure(ask(door, assembled(bare, asn1.P10CR, body, bytes(32), ()))) == 5
    assert [one for one in door.world.ca.certificates() if one.owner == "organisation:specimen"] == []


def information(answer: Message) -> list[str]:
    """The types of an answer's generalInfo."""
    found = answer.header["general_info"]
    return [] if found.native is None else [one["type"].dotted for one in found]


def test_until_when_a_certificate_must_be_confirmed(door: EnrolmentWorld) -> None:
    """The header tells the time after which it is revoked; nothing where no confirmation is wanted, or none issued."""
    answer = ask(door, built(door.credential(), asn1.P10CR, csr()))
    assert answer.kind == asn1.CP
    found = answer.header["general_info"][0]
    assert found["type"].dotted == asn1.CONFIRM_WAIT_TIME
    until = (door.world.clock.now() + timedelta(days=1)).strftime("%Y%m%d%H%M%SZ")
    assert found["value"].dump() == der.tlv(0x18, until.encode())
    answer = ask(door, built(door.credential(), asn1.P10CR, csr(), general_info=[{"type": asn1.IMPLICIT_CONFIRM}]))
    assert information(answer) == [asn1.IMPLICIT_CONFIRM]
    answer = ask(door, built(door.credential(), asn1.GENM, asn1.InfoTypesAndValues([]).dump()))
    assert information(answer) == []
