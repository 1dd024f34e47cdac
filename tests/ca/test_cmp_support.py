"""CMP's support messages, judged by an ASN.1 schema that is not ours (pyasn1's RFC 9480) and by cryptography."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyasn1.codec.der.decoder import decode
from pyasn1.codec.der.encoder import encode
from pyasn1_alt_modules import rfc9480

from camtrust.cli import ca as commands
from camtrust.cli.context import Context
from foundation.db.engine import Database
from foundation.keys.port import KeyStore
from foundation.terminal import Terminal
from foundation.x509 import der
from issuing_ca.cmp import asn1
from issuing_ca.config import IssuingCaSettings
from issuing_ca.enrolment.model import NewEnrolmentCredential
from issuing_ca.errors import AuthorityRefused
from issuing_ca.model import Reason
from issuing_ca.root_updates import RootKeyUpdate
from tests.ca.ca_world import OPERATOR, Root, World
from tests.ca.enrolment_world import NAME, EnrolmentWorld, enrolment_world
from tests.ca.test_cmp_client import by_secret, client, cmp_door
from tests.ca.test_cmp_rules import ask, built, failure

PUBLIC = "http://127.0.0.1:8440"


@pytest.fixture
def door(database: Database, token: KeyStore, tmp_path: Path) -> Iterator[EnrolmentWorld]:
    """Runs twice: on SQLite and on PostgreSQL."""
    with enrolment_world(database, token, tmp_path, cmp_door) as world:
        yield world


def genm(made: NewEnrolmentCredential, kind: object, value: bytes = b"") -> bytes:
    one = der.sequence([der.oid(str(kind)), value])
    return built(made, asn1.GENM, der.sequence([one]))


def answered(door: EnrolmentWorld, made: NewEnrolmentCredential, kind: object, value: bytes = b"") -> tuple[str, bytes]:
    """Type and value of the one thing that the genp says; strict DER, as pyasn1 writes it again."""
    answer = ask(door, genm(made, kind, value))
    assert answer.kind == asn1.GENP
    content, rest = decode(answer.body, asn1Spec=rfc9480.GenRepContent(), decodeOpenTypes=False)
    assert (rest, encode(content), len(content)) == (b"", answer.body, 1)
    said = content[0]["infoValue"]
    return str(content[0]["infoType"]), bytes(said) if said.hasValue() else b""


def strict(octets: bytes, spec: Any) -> Any:
    """What an independent schema reads; and the same octets when it writes them again."""
    value, rest = decode(octets, asn1Spec=spec, decodeOpenTypes=False)
    assert rest == b""
    assert encode(value) == octets
    return value


def loaded(certificate: Any) -> x509.Certificate:
    """A certificate without the outer tag that a field of the structure gave it."""
    octets = encode(certificate)
    return x509.load_der_x509_certificate(octets if octets[0] == 0x30 else der.children(octets)[0])


class NextRoot(Root):
    """The key that follows the root of a world, under the same name."""

    def __init__(self, old: Root) -> None:
        super().__init__(old.clock)
        self.old = old

    def _signed(self, by: Root, public_key: object) -> x509.Certificate:
        builder = by._builder(self.name, public_key, ca=True, path_length=1)
        return builder.sign(by.key, hashes.SHA384())

    @property
    def links(self) -> tuple[x509.Certificate, x509.Certificate]:
        """The new key under the old one, and the old key under the new one."""
        return self._signed(self.old, self.key.public_key()), self._signed(self, self.old.key.public_key())


def test_the_next_key_of_the_root(door: EnrolmentWorld) -> None:
    """Before a rollover there is no update; afterwards whoever holds the old root, or names none, gets newWithNew,
    newWithOld and oldWithNew, which verify; whoever holds another root gets nothing."""
    made, world = door.credential(), door.world
    old = world.root.certificate.public_bytes(Encoding.DER)
    assert answered(door, made, rfc9480.id_it_rootCaCert, old) == (str(rfc9480.id_it_rootCaKeyUpdate), b"")
    new = NextRoot(world.root)
    by_old, by_new = new.links
    kept = world.ca.root_updates.install(new.certificate, by_old, by_new, OPERATOR)
    assert world.ca.root_updates.install(new.certificate, by_old, by_new, OPERATOR) == kept
    for value in (old, b""):
        kind, said = answered(door, made, rfc9480.id_it_rootCaCert, value)
        assert kind == str(rfc9480.id_it_rootCaKeyUpdate)
        update = strict(said, rfc9480.RootCaKeyUpdateContent())
        found = [loaded(update[name]) for name in ("newWithNew", "newWithOld", "oldWithNew")]
        assert found == [new.certificate, by_old, by_new]
        found[1].verify_directly_issued_by(world.root.certificate)
        found[2].verify_directly_issued_by(found[0])
        keys = [one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for one in found]
        assert keys[0] == keys[1] != keys[2]
    stranger = Root(world.clock, "stranger").certificate.public_bytes(Encoding.DER)
    assert answered(door, made, rfc9480.id_it_rootCaCert, stranger)[1] == b""
    assert failure(ask(door, genm(made, rfc9480.id_it_rootCaCert, der.sequence([])))) == 5


def test_what_is_no_rollover_of_our_root_is_refused(door: EnrolmentWorld) -> None:
    """Links that are swapped, by a stranger, about another key or name, too late, or a second rollover."""
    world = door.world
    updates, new = world.ca.root_updates, NextRoot(door.world.root)
    by_old, by_new = new.links
    other = NextRoot(world.root)
    foreign = NextRoot(Root(world.clock))
    named = Root(world.clock, "another name")
    old = world.root.certificate
    wrong = [
        (new.certificate, by_new, by_old),
        (new.certificate, by_old, other.links[1]),
        (new.certificate, other.links[0], by_new),
        (new.certificate, foreign.links[0], by_new),
        (by_old, by_old, by_new),
        (old, old, old),
        (named.certificate, by_old, by_new),
    ]
    for certificates in wrong:
        with pytest.raises(AuthorityRefused) as refusal:
            updates.install(*certificates, OPERATOR)
        assert refusal.value.params["rule"] == "AUTH-ROOT-UPDATE"
    assert updates.of() is None
    assert isinstance(updates.install(new.certificate, by_old, by_new, OPERATOR), RootKeyUpdate)
    with pytest.raises(AuthorityRefused):
        updates.install(other.certificate, *other.links, OPERATOR)
    world.clock.advance(timedelta(days=4000))
    with pytest.raises(AuthorityRefused):
        updates.install(new.certificate, by_old, by_new, OPERATOR)


def test_what_a_request_may_hold(door: EnrolmentWorld) -> None:
    """Subject and names of the credential, no key, and the kinds of key that its profile certifies."""
    made = door.credential()
    kind, said = answered(door, made, rfc9480.id_it_certReqTemplate)
    assert kind == str(rfc9480.id_it_certReqTemplate)
    content = strict(said, rfc9480.CertReqTemplateContent())
    template = content["certTemplate"]
    assert [part[0] & 0x1F for part in der.children(der.children(said)[0])] == [5, 9]  # subject, extensions
    subject = asn1_x509.Name.load(der.children(encode(template["subject"]))[0])
    assert subject.native == {
        "country_name": "KH",
        "organization_name": "SPECIMEN Ministry",
        "common_name": NAME,
    }
    names = x509.SubjectAlternativeName([x509.DNSName(NAME)]).public_bytes()
    assert [bytes(one["extnValue"]) for one in template["extensions"]] == [names]
    specified = {(str(one["type"]), bytes(one["value"])) for one in content["keySpec"]}
    p256 = der.sequence([der.oid("1.2.840.10045.2.1"), der.oid("1.2.840.10045.3.1.7")])
    assert (str(rfc9480.id_regCtrl_algId), p256) in specified
    rsa = {bytes(value) for kind, value in specified if kind == str(rfc9480.id_regCtrl_rsaKeyLen)}
    profile = door.world.ca.profiles["tls-server"]
    assert len(specified) == len(profile.key.algorithms)
    assert rsa == {
        der.integer(int(one.value.removeprefix("rsa-"))) for one in profile.key.algorithms if "rsa" in one.value
    }


def status_list(*statuses: tuple[str, object, object]) -> bytes:
    """CRLStatusListValue as pyasn1 writes it: ("dpn", address, time) or ("issuer", name, time)."""
    made = []
    for kind, what, since in statuses:
        if kind == "dpn":
            uri = der.tlv(0x86, str(what).encode())
            source = der.explicit(0, der.tlv(0xA0, uri))
        else:
            source = der.explicit(1, der.sequence([der.explicit(4, what.public_bytes())]))  # type: ignore[attr-defined]
        made.append(der.sequence([source, der.time(since)] if since is not None else [source]))  # type: ignore[arg-type]
    octets = der.sequence(made)
    strict(octets, rfc9480.CRLStatusListValue())
    return octets


def crls(said: bytes) -> list[x509.CertificateRevocationList]:
    return [x509.load_der_x509_crl(encode(one)) for one in strict(said, rfc9480.CRLsValue())] if said else []


def test_crls_that_are_newer(door: EnrolmentWorld) -> None:
    """By address or issuer, of the issuing CA, of a partition and of the root; nothing where the client has the newest,
    nor for a source that is not ours; once where two sources are the same."""
    made, world = door.credential(), door.world
    world.ca.settings = IssuingCaSettings(crl_partitions=16)
    world.ca.lists._settings = world.ca.settings
    ask_for = rfc9480.id_it_crlStatusList
    name = world.ca.authorities.get("issuing").certificate.subject
    first = world.ca.lists.current("issuing")
    for source in (("dpn", f"{PUBLIC}/crl/issuing.crl"), ("issuer", name)):
        kind, said = answered(door, made, ask_for, status_list((*source, None)))
        assert kind == str(rfc9480.id_it_crls)
        assert [one.public_bytes(Encoding.DER) for one in crls(said)] == [first.crl]
        now = first.this_update
        assert answered(door, made, ask_for, status_list((*source, now)))[1] == b""
        assert len(crls(answered(door, made, ask_for, status_list((*source, now - timedelta(seconds=1))))[1])) == 1
    world.clock.advance(timedelta(minutes=1))
    serial = world.citizen().serial
    world.ca.revoke(serial, Reason.KEY_COMPROMISE, OPERATOR)
    (newer,) = crls(answered(door, made, ask_for, status_list(("issuer", name, first.this_update)))[1])
    assert newer.get_revoked_certificate_by_serial_number(int(serial, 16)) is not None
    world.ca.install_root_crl(world.root.crl(1), OPERATOR)
    partition = f"{PUBLIC}/crl/issuing/16-{int(serial, 16) % 16}.crl"
    three = status_list(
        ("issuer", world.root.name, None), ("dpn", partition, None), ("dpn", f"{PUBLIC}/crl/issuing.crl", None),
        ("issuer", name, None),
    )  # fmt: skip
    found = crls(answered(door, made, ask_for, three)[1])
    assert [one.issuer for one in found] == [world.root.name, name, name]
    assert found[1].extensions.get_extension_for_class(x509.IssuingDistributionPoint).value.full_name is not None
    for foreign in (
        "http://elsewhere.example/crl/issuing.crl",
        f"{PUBLIC}/crl/issuing/256-1.crl",
        f"{PUBLIC}/crl/x.crl",
    ):
        assert answered(door, made, ask_for, status_list(("dpn", foreign, None)))[1] == b""
    for value in (b"", der.sequence([]), der.sequence([der.sequence([])]), der.integer(1)):
        assert failure(ask(door, genm(made, ask_for, value))) in (2, 5)


def test_other_questions(door: EnrolmentWorld) -> None:
    """The CA's certificates without the root; an information type that nobody knows comes back without a value; too
    many at once are refused."""
    made = door.credential()
    _, said = answered(door, made, rfc9480.id_it_caCerts)
    certificates = [x509.load_der_x509_certificate(encode(one)) for one in strict(said, rfc9480.CaCertsValue())]
    assert certificates == [door.world.ca.authorities.get("issuing").certificate]
    assert answered(door, made, "2.999.1") == ("2.999.1", b"")
    many = der.sequence([der.sequence([der.oid("2.999.1")])] * 17)
    assert failure(ask(door, built(made, asn1.GENM, many))) == 2


@pytest.fixture
def fuzzed(sqlite_database: Database, token: KeyStore, tmp_path: Path) -> Iterator[EnrolmentWorld]:
    """One world for every example."""
    with enrolment_world(sqlite_database, token, tmp_path, cmp_door) as world:
        yield world


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_no_malformed_question_is_a_failure_of_ours(fuzzed: EnrolmentWorld, data: st.DataObject) -> None:
    """Values of any octets, good ones with octets changed, and deep ones, for each information type: an answer."""
    made = fuzzed.credential()
    kinds = (asn1.ROOT_CA_CERT, asn1.CRL_STATUS_LIST, asn1.CERT_REQ_TEMPLATE, asn1.CA_CERTS, asn1.CRLS)
    good = bytearray(status_list(("dpn", f"{PUBLIC}/crl/issuing.crl", None), ("issuer", fuzzed.world.root.name, None)))
    way = data.draw(st.sampled_from(("octets", "changed", "deep")))
    if way == "octets":
        value = data.draw(st.binary(max_size=80))
    elif way == "deep":
        value = der.integer(1)
        for _ in range(data.draw(st.sampled_from((1, 3, 300)))):
            value = der.tlv(data.draw(st.sampled_from((0x30, 0xA0, 0xA1))), value)
    else:
        for _ in range(data.draw(st.integers(1, 3))):
            good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
        value = bytes(good)
    answer = ask(fuzzed, genm(made, data.draw(st.sampled_from(kinds)), value))
    assert answer.kind in (asn1.GENP, asn1.ERROR)


def test_openssl_asks_what_its_request_may_hold(door: EnrolmentWorld) -> None:
    """`openssl cmp` 3.0 reads the genp: protection, header and body; what its values mean it does not tell."""
    client(door, "genm", *by_secret(door.credential()), "-infotype", "certReqTemplate")


def test_an_operator_installs_a_rollover(
    small_world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`camtrust ca install-root-update` with the ceremony's three files; in the wrong order they are refused."""

    @contextmanager
    def services_of(_: Context) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(ca=small_world.ca)

    monkeypatch.setattr(commands, "services_of", services_of)
    group = typer.main.get_command(commands.create(Context(terminal=Terminal(json=True), home_path=None)))
    new = NextRoot(small_world.root)
    root = str(small_world.write("new.pem", new.certificate))
    by_old, by_new = (str(small_world.write(f"link-{at}.pem", link)) for at, link in enumerate(new.links))
    with pytest.raises(AuthorityRefused):
        group(["install-root-update", root, "--new-with-old", by_new, "--old-with-new", by_old], standalone_mode=False)
    group(["install-root-update", root, "--new-with-old", by_old, "--old-with-new", by_new], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == {"root": f"{new.certificate.serial_number:x}"}
    assert small_world.ca.root_updates.of() is not None
