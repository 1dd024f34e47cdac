"""Delta and partitioned CRLs: what they list, which numbers they have, when they are made, and what they cost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select

from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.keys.port import KeyStore
from issuing_ca.config import IssuingCaSettings
from issuing_ca.crl_scopes import DELTA, FULL, ending, partition_of
from issuing_ca.errors import CrlUnknown
from issuing_ca.model import ROOT, Reason
from issuing_ca.tables import crls
from tests.ca.ca_world import OPERATOR, World, make_world
from tests.programs import run


def crl_of(world: World, scope: str = FULL) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(world.ca.lists.current("issuing", scope).crl)


def listed(crl: x509.CertificateRevocationList) -> dict[str, x509.ReasonFlags | None]:
    found: dict[str, x509.ReasonFlags | None] = {}
    for entry in crl:
        try:
            reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
        except x509.ExtensionNotFound:
            reason = None
        found[f"{entry.serial_number:x}"] = reason
    return found


def number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_a_delta_and_its_base_make_the_newest_full_list(world: World) -> None:
    """Held, revoked and released since the base; applied to the base they give exactly what the full CRL lists."""
    held, revoked, both, before = (world.citizen().serial for _ in range(4))
    world.ca.revoke(held, Reason.CERTIFICATE_HOLD, OPERATOR)
    world.ca.revoke(before, Reason.SUPERSEDED, OPERATOR)
    base = crl_of(world)
    world.clock.advance(timedelta(hours=1))
    world.ca.revoke(held, Reason.REMOVE_FROM_CRL, OPERATOR)
    world.ca.revoke(revoked, Reason.KEY_COMPROMISE, OPERATOR)
    world.ca.revoke(both, Reason.CERTIFICATE_HOLD, OPERATOR)
    world.ca.revoke(both, Reason.CESSATION_OF_OPERATION, OPERATOR)
    full, delta = crl_of(world), crl_of(world, DELTA)
    indicator = delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert indicator.critical
    assert indicator.value.crl_number <= number(base)
    assert number(delta) == number(full)
    assert (delta.last_update_utc, delta.next_update_utc) == (full.last_update_utc, full.next_update_utc)
    assert listed(delta)[held] is x509.ReasonFlags.remove_from_crl
    applied = {**listed(base), **listed(delta)}
    applied = {serial: reason for serial, reason in applied.items() if reason is not x509.ReasonFlags.remove_from_crl}
    assert applied == listed(full)
    with pytest.raises(x509.ExtensionNotFound):  # it tells all: whoever has it needs no other
        full.extensions.get_extension_for_class(x509.FreshestCRL)
    assert delta.is_signature_valid(world.ca.authorities.get("issuing").certificate.public_key())  # type: ignore[arg-type]


def test_a_long_full_list_waits_and_the_delta_does_not(
    database: Database, clock: SetClock, token: KeyStore, tmp_path: Path
) -> None:
    """Above the bound a revocation is in the delta at once, in the full CRL after a compromise or when due."""
    settings = IssuingCaSettings(crl_full_at_once_up_to=1)
    world = make_world(database, clock, token, tmp_path, settings)
    one, two, three, four = (world.citizen().serial for _ in range(4))
    for serial in (one, two):
        world.ca.revoke(serial, Reason.SUPERSEDED, OPERATOR)
    first = crl_of(world)
    assert set(listed(first)) == {one, two}
    world.ca.revoke(three, Reason.SUPERSEDED, OPERATOR)
    assert number(crl_of(world)) == number(first)
    delta = crl_of(world, DELTA)
    assert three in listed(delta)
    assert number(delta) == number(first) + 1
    world.ca.revoke(four, Reason.KEY_COMPROMISE, OPERATOR)
    second = crl_of(world)
    assert set(listed(second)) == {one, two, three, four}
    assert number(second) > number(delta)
    freshest = second.extensions.get_extension_for_class(x509.FreshestCRL).value
    assert freshest[0].full_name[0].value == "http://127.0.0.1:8440/crl/issuing/delta.crl"  # type: ignore[index]
    assert number(crl_of(world, DELTA)) == number(second)
    world.clock.advance(settings.crl_renew_after)
    assert number(crl_of(world)) > number(second)


def test_partitions_list_their_own_and_certificates_point_to_them(
    database: Database, clock: SetClock, token: KeyStore, tmp_path: Path
) -> None:
    """Every certificate names one partition by the URL in its critical IDP; it is listed there once revoked."""
    world = make_world(database, clock, token, tmp_path, IssuingCaSettings(crl_partitions=16))
    issued = [world.citizen() for _ in range(6)]
    for one in issued[:3]:
        world.ca.revoke(one.serial, Reason.SUPERSEDED, OPERATOR)
    for one in issued:
        scope = partition_of(int(one.serial, 16), 16)
        assert one.serial.endswith(ending(scope))
        points = one.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        crl = crl_of(world, scope)
        idp = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
        assert idp.critical
        assert idp.value.full_name == points[0].full_name
        assert (one.serial in listed(crl)) == (one in issued[:3])
    world.ca.lists.upkeep("issuing")
    together = {serial for index in range(16) for serial in listed(crl_of(world, f"16-{index}"))}
    assert together == set(listed(crl_of(world)))
    # a partition that a change is not in stays as it is
    scope = partition_of(int(issued[3].serial, 16), 16)
    others = [f"16-{index}" for index in range(16) if f"16-{index}" != scope]
    before = {one: number(crl_of(world, one)) for one in [scope, *others]}
    world.ca.revoke(issued[3].serial, Reason.SUPERSEDED, OPERATOR)
    assert number(crl_of(world, scope)) > before[scope]
    assert {one: number(crl_of(world, one)) for one in others} == {one: before[one] for one in others}


def test_openssl_takes_partitions_and_deltas(
    sqlite_database: Database, clock: SetClock, token: KeyStore, tmp_path: Path
) -> None:
    """`openssl verify -crl_check -extended_crl` with a partition; `-use_deltas` with an older full CRL and a delta."""
    settings = IssuingCaSettings(crl_partitions=16, crl_full_at_once_up_to=1)
    world = make_world(sqlite_database, clock, token, tmp_path, settings)
    good, bad, *others = (world.citizen() for _ in range(4))
    for other in others:  # so long a list names its deltas, from the next one on
        world.ca.revoke(other.serial, Reason.SUPERSEDED, OPERATOR)
    crl_of(world)
    world.clock.advance(settings.crl_renew_after)
    issuing = world.write("issuing.pem", world.ca.authorities.get("issuing").certificate)
    root = world.write("root.pem", world.root.certificate)
    base = world.write("base.crl", crl_of(world).public_bytes(Encoding.PEM))
    world.ca.revoke(bad.serial, Reason.KEY_COMPROMISE, OPERATOR)
    delta = world.write("delta.crl", crl_of(world, DELTA).public_bytes(Encoding.PEM))
    at = str(int(world.clock.now().timestamp()))
    trust = ("-CAfile", root, "-untrusted", issuing, "-crl_check", "-extended_crl", "-attime", at)
    for one, expected in ((good, 0), (bad, 2)):
        leaf = world.write("leaf.pem", one.certificate)
        scope = partition_of(int(one.serial, 16), 16)
        part = world.write("part.crl", crl_of(world, scope).public_bytes(Encoding.PEM))
        said = run("openssl", "verify", *trust, "-CRLfile", part, leaf, check=False)
        assert said.returncode == expected, said.stderr
        said = run("openssl", "verify", *trust, "-use_deltas", "-CRLfile", base, "-CRLfile", delta, leaf, check=False)
        assert said.returncode == expected, said.stderr
        if expected:
            assert "certificate revoked" in said.stderr
            older = run("openssl", "verify", *trust, "-CRLfile", base, leaf, check=False)
            assert older.returncode == 0  # it is the delta that tells it


def test_numbers_never_repeat_over_scopes_processes_and_restarts(
    database: Database, clock: SetClock, token: KeyStore, tmp_path: Path
) -> None:
    """Four services in eight threads make every kind of CRL while certificates are revoked: numbers of a scope only
    grow, and what a higher number knows is never less."""
    world = make_world(database, clock, token, tmp_path, IssuingCaSettings(crl_partitions=16))
    serials = [world.citizen().serial for _ in range(8)]
    services = [world.again() for _ in range(4)]
    scopes = (FULL, DELTA, "16-3", "16-9")

    def work(pair: tuple[int, str]) -> None:
        at, serial = pair
        services[at % 4].revoke(serial, Reason.SUPERSEDED, OPERATOR)
        for scope in scopes:
            services[(at + 1) % 4].lists.renew("issuing", scope, force=scope != DELTA)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, enumerate(serials)))
    world.again().lists.renew("issuing", force=True)
    with world.database.read() as connection:
        rows = connection.execute(select(crls).where(crls.c.authority == "issuing").order_by(crls.c.number)).all()
    for scope in scopes:
        mine = [row for row in rows if row.scope == scope]
        assert mine
        assert [row.number for row in mine] == sorted({row.number for row in mine})
        assert [row.covers for row in mine] == sorted(row.covers for row in mine)
    by_number: dict[int, set[int]] = {}
    for row in rows:
        by_number.setdefault(row.number, set()).add(row.covers)
    assert all(len(covers) == 1 for covers in by_number.values())  # one number, one state of things
    assert set(listed(crl_of(world))) == set(serials)


def test_what_is_not_published_is_not_found(world: World) -> None:
    """A partition of a count that was never set, and a delta of the root."""
    for name, scope in (("issuing", "16-1"), ("issuing", "256-3"), (ROOT, DELTA)):
        with pytest.raises(CrlUnknown):
            world.ca.lists.current(name, scope)
