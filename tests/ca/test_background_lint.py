"""pkilint's second opinion on what was issued: nothing is left out, a fault is an alarm until it was seen to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import update

from foundation.errors import CamTrustError
from issuing_ca.background_lint import BackgroundLint, pkilint
from issuing_ca.errors import LintAlarm
from issuing_ca.tables import certificates
from tests.ca.ca_world import OPERATOR, World

EXPLAINED = frozenset({"FATAL itu.invalid_asn1_syntax"})


class Scripted:
    """Finds what it is told to find, and remembers what it was shown."""

    def __init__(self, *finding: str) -> None:
        self.finding = list(finding)
        self.shown: list[bytes] = []

    def __call__(self, ders: Sequence[bytes]) -> list[list[str]]:
        self.shown += ders
        return [list(self.finding) for _ in ders]


def lint_of(world: World, linter: Scripted | None = None, most: int = 3) -> BackgroundLint:
    settings = world.ca.settings.model_copy(update={"lint_at_once": most, "lint_explained": EXPLAINED})
    return BackgroundLint(world.database, world.clock, world.audit, settings, linter)


def test_every_certificate_once_in_the_order_of_issuance(world: World) -> None:
    """A few at a time, over processes, none twice and none left out; what was issued just now has to settle."""
    linter = Scripted()
    made = []
    for count in (4, 3):
        made += [world.citizen().certificate.public_bytes(Encoding.DER) for _ in range(count)]
        assert lint_of(world, linter).run_once() == 0
        world.clock.advance(timedelta(minutes=3))
        while lint_of(world, linter).run_once():
            pass
    assert sorted(linter.shown) == sorted(made)
    assert lint_of(world, linter).behind() == timedelta(0)
    world.citizen()
    world.clock.advance(timedelta(hours=1))
    assert lint_of(world, linter).behind() == timedelta(hours=1)


def test_a_fault_is_an_alarm_until_it_was_seen_to(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Counted, named by its code, in the log by serial number alone; what is explained is none; then seen to."""
    certificate = world.citizen().certificate
    world.clock.advance(timedelta(minutes=3))
    lint = lint_of(world, Scripted("ERROR pkix.fault", *EXPLAINED))
    with caplog.at_level(logging.ERROR):
        assert lint.run_once() == 1
    assert f"{certificate.serial_number:x}" in caplog.text
    assert "SPECIMEN" not in caplog.text
    with pytest.raises(LintAlarm) as told:
        lint_of(world).require_clean()
    assert told.value.params == {"count": 1, "findings": "ERROR pkix.fault"}
    assert lint.acknowledge("ERROR pkix.other", OPERATOR) == 0
    assert lint.acknowledge("ERROR pkix.fault", OPERATOR) == 1
    lint.require_clean()
    assert [one.acknowledged for one in lint.findings()] == [True]


def test_the_sandbox_has_an_example_policy_where_nothing_else_has(world: World) -> None:
    """What pkilint says of the example arc is explained on the sandbox's certificates, and is a fault on others."""
    sandbox, other = world.citizen(), world.citizen()
    with world.database.unit_of_work() as connection:
        of_sandbox = update(certificates).where(certificates.c.serial == sandbox.serial)
        connection.execute(of_sandbox.values(profile="organisation-seal-sandbox"))
    world.clock.advance(timedelta(minutes=3))
    settings = world.ca.settings.model_copy(update={"lint_explained": frozenset()})
    lint = BackgroundLint(world.database, world.clock, world.audit, settings, Scripted(*EXPLAINED))
    assert lint.run_once() == 2
    assert [one.serial for one in lint.findings()] == [other.serial]


def test_a_linter_that_fails_passes_nothing(small_world: World) -> None:
    """The same certificates are looked at again."""

    class Broken(Scripted):
        def __call__(self, ders: Sequence[bytes]) -> list[list[str]]:  # noqa: ARG002
            raise OSError

    small_world.citizen()
    small_world.clock.advance(timedelta(minutes=3))
    with pytest.raises(OSError):  # noqa: PT011 - it has no words
        lint_of(small_world, Broken()).run_once()
    linter = Scripted()
    assert (lint_of(small_world, linter).run_once(), len(linter.shown)) == (1, 1)


def test_pkilint_itself(small_world: World) -> None:
    """What the CA issues has no finding but those that are explained; a certificate with a fault has; so has no DER."""
    world = small_world
    good = world.citizen().certificate.public_bytes(Encoding.DER)
    world.clock.advance(timedelta(minutes=3))
    lint = lint_of(world, None)
    assert lint.available
    assert lint.run_once() == 1
    lint.require_clean()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "KH")])
    now = world.clock.now()
    faulty = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    first, second, third = pkilint([good, faulty, b"\x30\x00"])
    assert set(first) <= EXPLAINED
    assert any(one.startswith("ERROR pkix.") for one in second)
    assert third
    assert third[0].startswith("FATAL ")
    serial = world.citizen().serial
    with world.database.unit_of_work() as connection:
        connection.execute(update(certificates).where(certificates.c.serial == serial).values(certificate=faulty))
    world.clock.advance(timedelta(minutes=3))
    assert lint.run_once() == 1
    with pytest.raises(CamTrustError):
        lint.require_clean()
