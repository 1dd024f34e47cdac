"""Revocation, suspension, release; CRLs; the key's switch in the token."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select

from issuing_ca.errors import (
    AuthorityExists,
    AuthorityNotInstalled,
    AuthorityRefused,
    AuthorityUnknown,
    CertificateUnknown,
    ReasonUnknown,
    RequestRefused,
    StatusStale,
    TransitionRefused,
)
from issuing_ca.model import CertificateState, Reason
from issuing_ca.tables import crls
from tests.ca.ca_world import OPERATOR, Root, World, down, up
from tests.programs import run


def crl_of(world: World, name: str = "issuing") -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(world.ca.current_crl(name))


def test_every_reason_of_the_standard_is_read() -> None:
    """By name in any case, or by number (RFC 5280 §5.3.1); 7 and anything else is refused."""
    numbers = {0, 1, 2, 3, 4, 5, 6, 8, 9, 10}
    assert {reason.number for reason in Reason} == numbers
    for reason in Reason:
        assert Reason.parse(reason.value.upper()) is reason
        assert Reason.parse(str(reason.number)) is reason
    for wrong in ("7", "11", "", "because"):
        with pytest.raises(ReasonUnknown):
            Reason.parse(wrong)


def test_revocation_is_in_the_next_crl_with_reason_and_dates(world: World) -> None:
    """Time, reason and invalidity date stand in the CRL that is made at once; unspecified is told by saying nothing."""
    world.ca.current_crl("issuing")
    since = world.clock.now() - timedelta(hours=5)
    issued, other = world.citizen(), world.citizen()
    world.ca.revoke(issued.serial, Reason.KEY_COMPROMISE, OPERATOR, since)
    world.ca.revoke(other.serial, Reason.UNSPECIFIED, OPERATOR)
    crl = crl_of(world)
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3
    entry = crl.get_revoked_certificate_by_serial_number(int(issued.serial, 16))
    assert entry is not None
    assert entry.revocation_date_utc == world.clock.now()
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    assert entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc == since
    plain = crl.get_revoked_certificate_by_serial_number(int(other.serial, 16))
    assert plain is not None
    assert len(plain.extensions) == 0
    with pytest.raises(RequestRefused):
        world.ca.revoke(world.citizen().serial, Reason.SUPERSEDED, OPERATOR, world.clock.now() + timedelta(days=1))


def test_openssl_reads_the_crl_and_refuses_what_it_lists(small_world: World) -> None:
    """`openssl crl` verifies it; `openssl verify -crl_check` accepts a good certificate and refuses a revoked one."""
    world = small_world
    good, bad = world.citizen(), world.citizen()
    world.ca.revoke(bad.serial, Reason.CESSATION_OF_OPERATION, OPERATOR)
    issuing = world.write("issuing.pem", world.ca.authorities.get("issuing").certificate)
    root = world.write("root.pem", world.root.certificate)
    crl = world.write("issuing.crl", crl_of(world).public_bytes(Encoding.PEM))
    said = run("openssl", "crl", "-in", crl, "-CAfile", issuing, "-noout", "-text")
    assert "verify OK" in said.stderr + said.stdout
    options = ("-CAfile", root, "-untrusted", issuing, "-CRLfile", crl, "-crl_check", "-x509_strict")
    run("openssl", "verify", *options, world.write("good.pem", good.certificate))
    refused = run("openssl", "verify", *options, world.write("bad.pem", bad.certificate), check=False)
    assert refused.returncode != 0
    assert "certificate revoked" in refused.stderr + refused.stdout


def test_hold_release_and_what_is_refused(world: World) -> None:
    """Hold and release go back and forth; revoked is for good; repeats change nothing; the key follows."""
    request = world.person()
    serial = world.ca.issue_citizen(request).serial
    with pytest.raises(TransitionRefused):
        world.ca.revoke(serial, Reason.REMOVE_FROM_CRL, OPERATOR)
    held = world.ca.revoke(serial, Reason.CERTIFICATE_HOLD, OPERATOR)
    assert held.state is CertificateState.HELD
    assert world.ca.revoke(serial, Reason.CERTIFICATE_HOLD, OPERATOR) == held
    assert not world.keys.get(request.key_id).enabled
    assert len(crl_of(world)) == 1
    world.ca.revoke(serial, Reason.REMOVE_FROM_CRL, OPERATOR)
    assert world.keys.get(request.key_id).enabled
    assert len(crl_of(world)) == 0
    world.ca.revoke(serial, Reason.CERTIFICATE_HOLD, OPERATOR)
    held_at = world.clock.now()
    world.clock.advance(timedelta(hours=1))
    revoked = world.ca.revoke(serial, Reason.SUPERSEDED, OPERATOR)
    assert revoked.revoked_at == held_at
    assert world.ca.revoke(serial, Reason.SUPERSEDED, OPERATOR) == revoked
    for reason in (Reason.REMOVE_FROM_CRL, Reason.CERTIFICATE_HOLD, Reason.PRIVILEGE_WITHDRAWN):
        with pytest.raises(TransitionRefused):
            world.ca.revoke(serial, reason, OPERATOR)
    assert world.ca.revoke(serial, Reason.KEY_COMPROMISE, OPERATOR).reason is Reason.KEY_COMPROMISE
    assert not world.keys.get(request.key_id).enabled
    with pytest.raises(CertificateUnknown):
        world.ca.revoke("abc", Reason.SUPERSEDED, OPERATOR)


def test_a_key_is_switched_off_even_if_the_token_was_down(world: World) -> None:
    """The revocation stands, the wish stays, reconcile fulfils it; without reconcile it would stay open."""

    request = world.person()
    serial = world.ca.issue_citizen(request).serial
    world.keys.before = down("set_enabled")
    record = world.ca.revoke(serial, Reason.CESSATION_OF_OPERATION, OPERATOR)
    assert record.state is CertificateState.REVOKED
    assert record.key_wanted == "disabled"
    assert world.again().reconcile() == (serial,)
    world.keys.before = up
    assert world.keys.get(request.key_id).enabled
    assert world.again().reconcile() == ()
    assert not world.keys.get(request.key_id).enabled
    assert world.ca.certificate(serial).key_wanted is None


def test_a_crl_is_renewed_when_it_is_old_and_when_it_is_behind(world: World) -> None:
    """The same CRL is given until it is due or a status changed; the number only grows."""
    first = world.ca.lists.current("issuing")
    assert world.ca.lists.current("issuing") == first
    world.clock.advance(world.ca.settings.crl_renew_after)
    second = world.ca.lists.current("issuing")
    assert second.number == first.number + 1
    assert second.next_update - second.this_update == world.ca.settings.crl_validity
    serial = world.citizen().serial
    world.ca.revocation.revoke(serial, Reason.SUPERSEDED, OPERATOR)  # as if the process died before the new CRL
    third = world.again().lists.current("issuing")
    assert third.number == second.number + 1
    assert int(serial, 16) in {entry.serial_number for entry in x509.load_der_x509_crl(third.crl)}
    assert len(x509.load_der_x509_crl(world.ca.current_crl("tsa"))) == 0


def test_twenty_at_once_keep_numbers_unique_and_lose_nothing(world: World) -> None:
    """20 concurrent revocations, each with a CRL: numbers have no gap or repeat, and each later CRL knows more."""
    serials = [world.citizen().serial for _ in range(20)]
    services = [world.again() for _ in range(4)]

    def revoke(pair: tuple[int, str]) -> int:
        number, serial = pair
        service = services[number % len(services)]
        service.revoke(serial, Reason.CESSATION_OF_OPERATION, OPERATOR)
        return service.lists.renew("issuing", force=True).number

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(revoke, enumerate(serials)))
    assert len(set(numbers)) == 20
    with world.database.read() as connection:
        rows = connection.execute(select(crls).order_by(crls.c.number)).all()
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    counts = [len(x509.load_der_x509_crl(row.crl)) for row in rows]
    assert counts == sorted(counts)
    assert {f"{entry.serial_number:x}" for entry in crl_of(world)} == set(serials)
    world.audit.verify(world.database)


def test_issuing_many_at_once_keeps_serials_unique(world: World) -> None:
    """20 certificates from 8 threads: all different, all stored."""
    requests = [world.person() for _ in range(20)]
    with ThreadPoolExecutor(8) as pool:
        serials = [issued.serial for issued in pool.map(world.ca.issue_citizen, requests)]
    assert len(set(serials)) == 20
    first = world.ca.certificates(limit=12)
    rest = world.ca.certificates(after=first[-1].serial, limit=12)
    assert {record.serial for record in (*first, *rest)} == set(serials)


def test_install_holds_a_certificate_against_key_and_chain(world: World) -> None:
    """Each check of install refuses by its rule; init gives the same request until then, and refuses afterwards."""
    ca, root = world.ca, world.root
    subject = [("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Issuing CA 2")]
    csr = ca.init("issuing-2", subject, OPERATOR)
    assert ca.init("issuing-2", subject, OPERATOR) == csr
    good = root.sign_ca(csr)
    stranger = Root(world.clock, "Other Root")
    with pytest.raises(AuthorityNotInstalled):
        ca.authorities.get("issuing-2")
    cases = [
        ("AUTH-KEY", root.sign_ca(ca.init("issuing-3", subject, OPERATOR)), [root.certificate]),
        ("AUTH-CHAIN", good, []),
        ("AUTH-CHAIN", good, [stranger.certificate]),
        ("AUTH-CHAIN", good, [root.certificate, stranger.certificate]),
        ("AUTH-CA", root.sign_responder(csr), [root.certificate]),
        ("AUTH-ROOT", stranger.sign_ca(csr), [stranger.certificate]),
    ]
    for rule, certificate, chain in cases:
        with pytest.raises(AuthorityRefused) as refused:
            ca.install("issuing-2", certificate, chain, OPERATOR)
        assert refused.value.params["rule"] == rule
    real = world.again(ca.settings.model_copy(update={"mark": None}))
    with pytest.raises(AuthorityRefused) as refused:
        real.install("issuing-2", good, [root.certificate], OPERATOR)
    assert refused.value.params["rule"] == "AUTH-SPECIMEN"
    ca.install("issuing-2", good, [root.certificate], OPERATOR)
    for again in (
        lambda: ca.install("issuing-2", good, [root.certificate], OPERATOR),
        lambda: ca.init("issuing-2", subject, OPERATOR),
    ):
        with pytest.raises(AuthorityExists):
            again()
    with pytest.raises(AuthorityUnknown):
        ca.install("nobody", good, [root.certificate], OPERATOR)
    world.clock.advance(timedelta(days=4000))
    with pytest.raises(AuthorityRefused) as refused:
        ca.install("issuing-3", cases[0][1], [root.certificate], OPERATOR)
    assert refused.value.params["rule"] == "AUTH-VALIDITY"


def test_the_roots_crl_comes_from_a_ceremony(world: World) -> None:
    """Only a current, newer CRL of this root is taken; when it has expired, there is none."""
    with pytest.raises(AuthorityNotInstalled):
        world.ca.current_crl("root")
    second = world.root.crl(2)
    world.ca.install_root_crl(second, OPERATOR)
    world.ca.install_root_crl(second, OPERATOR)
    for wrong in (world.root.crl(1), world.root.crl(2), Root(world.clock).crl(3)):
        with pytest.raises(AuthorityRefused):
            world.ca.install_root_crl(wrong, OPERATOR)
    assert world.ca.current_crl("root") == second.public_bytes(Encoding.DER)
    world.clock.advance(timedelta(days=301))
    with pytest.raises(StatusStale):
        world.ca.current_crl("root")
    with pytest.raises(AuthorityRefused):
        world.ca.install_root_crl(second, OPERATOR)
