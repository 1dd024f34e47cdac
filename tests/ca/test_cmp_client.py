"""CMP with OpenSSL's client: MAC- and signature-protected, every request of the lightweight profile that we answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from foundation.db.engine import Database
from foundation.keys.port import KeyStore
from issuing_ca.cmp.api import create_router
from issuing_ca.cmp.service import CmpServer
from issuing_ca.enrolment.model import NewEnrolmentCredential
from issuing_ca.enrolment.service import Enrolment
from issuing_ca.model import CertificateState, Reason
from tests import programs
from tests.ca.ca_world import OPERATOR
from tests.ca.enrolment_world import NAME, EnrolmentWorld, enrolment_world


def cmp_door(service: Enrolment) -> list:  # type: ignore[type-arg]
    server = CmpServer(service, service._database, service._clock, service._randomness, service._audit)
    return [create_router(server)]


@pytest.fixture
def door(database: Database, token: KeyStore, tmp_path: Path) -> Iterator[EnrolmentWorld]:
    """Runs twice: on SQLite and on PostgreSQL."""
    with enrolment_world(database, token, tmp_path, cmp_door) as world:
        yield world


class Failed(Exception):
    """The client was refused; the text is what it wrote."""


def client(
    door: EnrolmentWorld,
    command: str,
    *options: str | os.PathLike[str],
    path: str = "cmp",
    ca: tuple[str, str] = ("issuing", "Issuing CA"),
) -> None:
    """`openssl cmp`, trusting this world's root alone, for one CA (name, title). Raises Failed."""
    root = door.world.write("root.pem", door.world.root.certificate)
    address = door.url.removeprefix("http://")
    issuing = door.world.write("issuing.pem", door.world.ca.authorities.get(ca[0]).certificate)
    done = programs.run(
        "openssl", "cmp", "-config", "", "-cmd", command, "-server", address, "-path", f"/.well-known/{path}",
        "-trusted", root, "-out_trusted", root, "-untrusted", issuing, "-no_proxy", "127.0.0.1",
        "-recipient", f"/C=KH/O=SPECIMEN CamTrust/CN=SPECIMEN {ca[1]}", *options, check=False, timeout=60,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"{done.stdout}{done.stderr}")


def by_secret(made: NewEnrolmentCredential) -> tuple[str, ...]:
    return ("-ref", made.credential.reference, "-secret", f"pass:{made.secret}")


def by_key(certificate: Path, key: Path) -> tuple[str | Path, ...]:
    return ("-cert", certificate, "-key", key)


def leaf(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_from_the_first_certificate_to_its_revocation(door: EnrolmentWorld) -> None:
    """ir by secret with confirmation; kur by the first certificate; cr by the second with implicit confirmation; the
    CA's certificates by genm; rr by the second."""
    made = door.credential()
    first, second, third = (door.folder / f"{name}.pem" for name in ("first", "second", "third"))
    one, two = door.key("one"), door.key("two")
    client(door, "ir", *by_secret(made), "-newkey", one, "-subject", f"/CN={NAME}", "-certout", first)
    assert leaf(first).subject.rfc4514_string() == f"CN={NAME},O=SPECIMEN Ministry,C=KH"
    names = leaf(first).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    client(door, "kur", *by_key(first, one), "-newkey", two, "-certout", second)
    assert leaf(second).subject == leaf(first).subject
    assert leaf(second).public_key() != leaf(first).public_key()
    client(door, "cr", *by_key(second, two), "-newkey", door.key("three"), "-implicit_confirm", "-certout", third)
    client(door, "genm", *by_key(second, two), "-infotype", "caCerts")
    client(door, "rr", *by_key(second, two), "-oldcert", second, "-revreason", "1")
    record = door.world.ca.certificate(f"{leaf(second).serial_number:x}")
    assert (record.state, record.reason) == (CertificateState.REVOKED, Reason.KEY_COMPROMISE)
    assert door.world.ca.certificate(f"{leaf(third).serial_number:x}").state is CertificateState.ISSUED
    with pytest.raises(Failed, match="signerNotTrusted"):
        client(door, "kur", *by_key(second, two), "-newkey", door.key("four"), "-certout", third)


def test_a_pkcs10_request_and_an_rsa_key(door: EnrolmentWorld) -> None:
    """p10cr by secret at the address of the profile; the MAC may be HMAC-SHA256; RSA signs what follows."""
    member = (("C", "KH"), ("O", "SPECIMEN Member"), ("serialNumber", "0000041"), ("CN", NAME))
    made = door.credential("camdx-auth", subject=member, owner="member:41")
    key = door.key("rsa", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    first, second = door.folder / "first.pem", door.folder / "second.pem"
    csr = door.csr(key, f"/C=KH/O=SPECIMEN Member/serialNumber=0000041/CN={NAME}", NAME)
    with pytest.raises(Failed, match="notAuthorized"):
        client(door, "p10cr", *by_secret(made), "-csr", csr, "-certout", first, path="cmp/p/tls-server")
    client(door, "p10cr", *by_secret(made), "-mac", "hmacWithSHA256", "-csr", csr, "-certout", first,
           path="cmp/p/camdx-auth")  # fmt: skip
    client(door, "kur", *by_key(first, key), "-newkey", key, "-certout", second)
    assert leaf(second).public_key() == leaf(first).public_key()


def test_what_is_refused(door: EnrolmentWorld) -> None:
    """A wrong secret, another subject, another name, no proof of possession, a second certificate on one secret, an
    update by secret, a weak MAC parameter, no protection: each in the protocol's words, and nothing is issued."""
    made, other = door.credential(), door.credential()
    key, out = door.key("one"), door.folder / "out.pem"
    wanted = ("-newkey", key, "-subject", f"/CN={NAME}", "-certout", out)
    wrong = ("-ref", made.credential.reference, "-secret", f"pass:{other.secret}")
    for options, failure in (
        (wrong, "badMessageCheck"),
        (("-ref", "nobody", "-secret", "pass:x"), "badMessageCheck"),
        ((*by_secret(made), "-popo", "0"), "badPOP"),
        ((*by_secret(made), "-popo", "-1"), "badPOP"),
        ((*by_secret(made), "-sans", f"{NAME} other.example"), "badCertTemplate"),
        ((*by_secret(made), "-subject", "/CN=other.example"), "badCertTemplate"),
    ):
        # what nobody authenticated is answered under the CA's signature, which a client with a secret need not take
        with pytest.raises(Failed, match=failure):
            client(door, "ir", *wanted, *options, "-unprotected_errors")
    with pytest.raises(Failed, match="badMessageCheck"):
        client(door, "ir", *wanted, *by_secret(made), "-unprotected_requests", "-unprotected_errors")
    door.service.withdraw(other.credential.reference, OPERATOR)
    with pytest.raises(Failed, match="badMessageCheck"):
        client(door, "ir", *wanted, *by_secret(other), "-unprotected_errors")
    issued = [one for one in door.world.ca.certificates() if one.owner == "organisation:specimen"]
    assert issued == []
    client(door, "ir", *wanted, *by_secret(made))
    with pytest.raises(Failed, match="wrongIntegrity"):
        client(door, "kur", *by_secret(made), "-oldcert", out, "-newkey", door.key("two"), "-certout", out)
    with pytest.raises(Failed, match="notAuthorized"):
        client(door, "ir", *by_secret(made), "-newkey", door.key("three"), "-subject", f"/CN={NAME}", "-certout", out)


def test_a_stranger_s_certificate_signs_nothing(door: EnrolmentWorld) -> None:
    """A certificate that the issuing CA did not make, and one of ours with another key."""
    made = door.credential()
    first, key = door.folder / "first.pem", door.key("one")
    client(door, "ir", *by_secret(made), "-newkey", key, "-subject", f"/CN={NAME}", "-certout", first)
    own, self_signed = door.key("own"), door.folder / "own.pem"
    programs.run("openssl", "req", "-x509", "-new", "-key", own, "-subj", f"/CN={NAME}", "-out", self_signed)
    with pytest.raises(Failed, match="signerNotTrusted"):
        client(door, "kur", *by_key(self_signed, own), "-newkey", own, "-certout", first)
    victim = leaf(first)
    second = door.folder / "second.pem"
    client(door, "kur", *by_key(first, key), "-newkey", door.key("two"), "-certout", second)
    with pytest.raises(Failed, match="badCertId"):
        client(door, "rr", *by_key(second, door.folder / "two.key"), "-oldcert", first)
    assert door.world.ca.certificate(f"{victim.serial_number:x}").state is CertificateState.ISSUED
