"""`camtrust doctor`: all is well where it is; each thing that can be wrong is found by its own check and no other."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from camtrust import backups
from camtrust.assembly import Services
from camtrust.cli.doctor import examine
from camtrust.settings import BackupSettings, LogSettings
from camtrust.witnesses import witnessed_log
from foundation.clock import SetClock
from foundation.errors import CamTrustError
from foundation.keys.errors import TokenUnavailable
from foundation.randomness import SystemRandomness
from foundation.signed_note import NoteKey, SignatureType
from issuing_ca.background_lint import BackgroundLint
from issuing_ca.model import CertificateRequest
from tests.roof.test_command_line import camtrust
from tests.story.installation import Installation, installed

OPERATOR = "operator:specimen"


def closed_port() -> int:
    """A loopback port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A sound installation with a trust bundle; each test leaves it as it was."""
    with installed(tmp_path_factory.mktemp("doctor") / "home", None) as made:
        made.services.log.integrate()
        made.bundle()
        yield made


def said(services: Services) -> dict[str, tuple[bool, str]]:
    return {str(one["check"]): (bool(one["ok"]), str(one["detail"])) for one in examine(services)}


def wrong(services: Services) -> dict[str, str]:
    """What somebody must see to."""
    return {name: detail for name, (ok, detail) in said(services).items() if not ok}


@contextmanager
def changed(services: Services, change: str, back: str, **values: Any) -> Iterator[None]:
    """The database as somebody changed it, for as long as the block runs."""
    with services.database.unit_of_work() as connection:
        connection.execute(text(change), values)
    try:
        yield
    finally:
        with services.database.unit_of_work() as connection:
            connection.execute(text(back), values)


def test_a_sound_installation(site: Installation) -> None:
    """Every check says that all is well, and what it saw; the command ends with 0."""
    assert wrong(site.services) == {}
    found = said(site.services)
    assert set(found) >= {"clock", "audit", "key store", "certificates", "pkilint", "log witnesses", "backups"}
    assert "chain unbroken" in found["audit"][1]
    assert "specimen needs none" in found["backups"][1]
    environment = {"CAMTRUST_PUBLIC_URL": site.services.settings.public_url}
    done = camtrust("doctor", "--json", "--home", site.services.home.path, **environment)
    assert (done.returncode, json.loads(done.stdout)["healthy"]) == (0, True), done.stdout


def test_the_command_ends_with_4_where_something_is_wrong(site: Installation) -> None:
    """In words and in JSON; the check is named."""
    bundle = site.services.home.bundle
    aside = bundle.rename(bundle.with_suffix(".aside"))
    environment = {"CAMTRUST_PUBLIC_URL": site.services.settings.public_url}
    try:
        done = camtrust("doctor", "--home", site.services.home.path, **environment)
        again = camtrust("doctor", "--json", "--home", site.services.home.path, **environment)
    finally:
        aside.rename(bundle)
    assert done.returncode == again.returncode == 4
    assert "LOOK  trust bundle" in done.stdout
    assert "camtrust bundle export" in done.stdout
    told = json.loads(again.stdout)
    assert [one["check"] for one in told["checks"] if not one["ok"]] == ["trust bundle"]


Broken = Callable[[Services, ExitStack], Services]


def clock(services: Services, _: ExitStack) -> Services:
    return replace(services, clock=SetClock(services.clock.now() - timedelta(days=1)))


def schema(services: Services, stack: ExitStack) -> Services:
    with services.database.read() as connection:
        now = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    move = "UPDATE alembic_version SET version_num = "
    stack.enter_context(changed(services, f"{move}'0001'", f"{move}:now", now=now))
    return services


def trail(services: Services, stack: ExitStack) -> Services:
    change = "UPDATE audit_events SET actor = {} WHERE sequence = 2"
    stack.enter_context(changed(services, change.format("actor || 'x'"), change.format("rtrim(actor, 'x')")))
    return services


def token(services: Services, _: ExitStack) -> Services:
    class Down:
        def verify_audit(self) -> int:
            raise TokenUnavailable

    down: Any = Down()
    return replace(services, token=down, keys=down)


def orphan(services: Services, stack: ExitStack) -> Services:
    key = services.ca.authorities.get("tsa").certificate.public_key()
    request = CertificateRequest(
        "issuing",
        "officer",
        (("C", "KH"), ("O", "SPECIMEN Ministry"), ("CN", "SPECIMEN officer"), ("serialNumber", "41")),
        key,  # type: ignore[arg-type]
        "officer-1",
        OPERATOR,
    )
    serial = services.ca.prepare(request).serial
    expire = "UPDATE ca_certificates SET token_expires = prepared_at WHERE serial = :serial"
    stack.enter_context(changed(services, expire, "SELECT 1 WHERE :serial = ''", serial=serial))
    stack.callback(services.ca.abandon, serial, OPERATOR)
    return services


def lint(services: Services, stack: ExitStack) -> Services:
    later = SetClock(services.clock.now() + timedelta(hours=1))
    faulty = BackgroundLint(
        services.database,
        later,
        services.trail,
        services.ca.settings,
        lambda ders: [["ERROR specimen.fault"] for _ in ders],
    )
    assert faulty.run_once() > 0
    stack.callback(services.lint.acknowledge, "ERROR specimen.fault", OPERATOR)
    return services


def pins(services: Services, _: ExitStack) -> Services:
    return replace(services, registration_authority=replace(services.registration_authority, pins=frozenset()))


def log(services: Services, stack: ExitStack) -> Services:
    with services.database.read() as connection:
        root = connection.execute(text("SELECT root FROM ca_log_head")).scalar_one()
    change = "UPDATE ca_log_head SET root = "
    stack.enter_context(changed(services, f"{change}zeroblob(32)", f"{change}:root", root=root))
    return services


def witness(services: Services, _: ExitStack) -> Services:
    key = NoteKey("witness.example/w", SignatureType.COSIGNATURE_V1, bytes(32))
    settings = services.settings.model_copy(
        update={"log": LogSettings(witnesses=(f"{key} http://127.0.0.1:{closed_port()}",), quorum=1)}
    )
    _, witnessing = witnessed_log(settings, services.database, services.keys, services.clock, SystemRandomness())
    with suppress(CamTrustError):  # that it failed is what is told
        witnessing.ask()
    return replace(services, witnessing=witnessing)


def bundle(services: Services, stack: ExitStack) -> Services:
    file = services.home.bundle
    before = file.read_bytes()
    file.write_bytes(before[:-1])
    stack.callback(file.write_bytes, before)
    return services


@pytest.mark.parametrize(
    ("breaks", "check", "told"),
    [
        (clock, "clock", "last event"),
        (schema, "database", "schema 0001"),
        (trail, "audit", "foundation.audit_chain_broken"),
        (token, "key store", "foundation.token_unavailable"),
        (orphan, "certificates", "1 serial numbers without certificate"),
        (lint, "pkilint", "issuing_ca.lint_alarm"),
        (pins, "approvals", "0 keys pinned"),
        (log, "issuance log", "issuing_ca.log_broken"),
        (witness, "log witnesses", "issuing_ca.witnesses_fail"),
        (bundle, "trust bundle", "camtrust bundle export"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_what_is_wrong_is_found_by_its_check(site: Installation, breaks: Broken, check: str, told: str) -> None:
    """One thing is broken: its check says so, with its code or what to do; all is well again once it is mended."""
    with ExitStack() as stack:
        found = wrong(breaks(site.services, stack))
    assert set(found) == {check}, found
    assert told in found[check]
    assert wrong(site.services) == {}


def test_what_stands_between_a_specimen_and_production(site: Installation) -> None:
    """Said of a specimen, which is as it should be: the settings that keep it from starting, and what is emulated."""
    fine, detail = said(site.services)["production"]
    assert fine
    for key in ("policies.arc", "registry.url", "registry.client", "ekyc.terms", "keys.uri", "notify.smtp"):
        assert key in detail


def test_a_ca_and_a_bundle_that_end(site: Installation) -> None:
    """Thirty days before a CA's certificate ends, and two before the bundle does."""
    ends = min(one.certificate.not_valid_after_utc for one in site.services.ca.authorities.all())
    found = wrong(replace(site.services, clock=SetClock(ends - timedelta(days=29))))
    assert set(found) == {"authorities", "trust bundle"}
    bundle_ends = site.services.clock.now() + timedelta(days=site.services.settings.trust.bundle_days)
    found = wrong(replace(site.services, clock=SetClock(bundle_ends - timedelta(days=1))))
    assert set(found) == {"trust bundle"}


def test_copies_of_database_and_token(site: Installation, tmp_path: Path) -> None:
    """Both are wanted: missing, made by the commands, gone, changed and too old."""
    home = site.services.home
    asked = site.services.settings.model_copy(update={"backup": BackupSettings(days=2)})
    services = replace(site.services, settings=asked)
    assert wrong(services)["backups"].startswith("the copy of the database was never made; the copy of the token was")
    real = site.services.settings.model_copy(update={"specimen": False})
    assert "backups" in wrong(replace(services, settings=real))
    files = {"db": tmp_path / "copy.sqlite", "hsm": tmp_path / "token.backup"}
    environment = {"CAMTRUST_PUBLIC_URL": site.services.settings.public_url}
    for group, file in files.items():
        done = camtrust(group, "backup", file, "--home", home.path, **environment)
        assert done.returncode == 0, done.stderr
    assert wrong(services) == {}
    made = {part: datetime.fromisoformat(one.at) for part, one in backups.newest(home).items()}
    assert set(made) == {"database", "token"}
    late = replace(services, clock=SetClock(max(made.values()) + timedelta(days=2, minutes=1)))
    assert wrong(late)["backups"].startswith("the copy of the database is old; the copy of the token is old")
    files["db"].write_bytes(files["db"].read_bytes() + b"x")
    files["hsm"].unlink()
    found = wrong(services)
    assert found["backups"].startswith("the copy of the database was changed; the copy of the token is gone")
    assert "camtrust db backup" in found["backups"]
    (home.path / "backups.json").write_text("nonsense", encoding="utf-8")
    assert "never made" in wrong(services)["backups"]
    (home.path / "backups.json").unlink()
