"""``camtrust doctor``: is everything as it should be, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import typer

from camtrust.cli.context import Context
from camtrust.cli.services import services_of
from foundation.errors import CamTrustError
from foundation.keys.port import KeyUse

if TYPE_CHECKING:
    from camtrust.assembly import Services

_SOON = timedelta(days=30)
_BUNDLE_SOON = timedelta(days=2)


def create(context: Context) -> typer.Typer:
    """The command, bound to the global options."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def doctor() -> None:
        """Check clock, database, audit chain, keys, authorities, orphans, trust bundle, backups. Exit 4: see to it."""
        findings = not_ready(context) or _opened(context)
        lines = [f"{'ok  ' if one['ok'] else 'LOOK'}  {one['check']:<14} {one['detail']}" for one in findings]
        context.terminal.result({"healthy": all(one["ok"] for one in findings), "checks": findings}, lines)
        if not all(one["ok"] for one in findings):
            raise typer.Exit(4)

    return app


def not_ready(context: Context) -> list[dict[str, object]]:
    """What keeps a production home from starting at all, as a finding; nothing where it starts, or is a specimen."""
    from camtrust import production
    from camtrust.errors import ProductionNotReady
    from camtrust.settings import load_settings

    settings = load_settings(context.home().settings_file)
    try:
        production.require(settings)
    except ProductionNotReady as error:
        return [{"check": "production", "ok": False, "detail": f"{error.code}: {error.message()} {error.hint()}"}]
    return []


def _opened(context: Context) -> list[dict[str, object]]:
    with services_of(context) as services:
        return examine(services)


Check = Callable[["Services"], tuple[bool, str]]


def examine(services: Services) -> list[dict[str, object]]:
    """Every check by its name, whether all is well, and what there is to say: where it is not, what to do."""
    return [_examined(name, check, services) for name, check in _CHECKS.items()]


def _examined(name: str, check: Check, services: Services) -> dict[str, object]:
    try:
        ok, detail = check(services)
    except CamTrustError as error:
        ok, detail = False, f"{error.code}: {error.message()} {error.hint()}"
    return {"check": name, "ok": ok, "detail": detail}


def _clock(services: Services) -> tuple[bool, str]:
    """The clock may not be before anything that was already written down."""
    from sqlalchemy import func, select

    from foundation.db.audit import events

    with services.database.read() as connection:
        last = connection.execute(select(func.max(events.c.at))).scalar()
    now = services.clock.now()
    return (
        last is None or last <= now,
        f"{now:%Y-%m-%d %H:%M:%S} UTC; last event {last:%Y-%m-%d %H:%M:%S}" if last else "",
    )


def _database(services: Services) -> tuple[bool, str]:
    from camtrust.database import revisions

    current, newest = revisions(services.database)
    return current == newest, f"{services.database.dialect}, schema {current} of {newest}"


def _audit(services: Services) -> tuple[bool, str]:
    walked = services.audit_heads.verify()
    return True, f"{walked.events} events, chain unbroken, {walked.heads} published heads met"


def _token(services: Services) -> tuple[bool, str]:
    own = f"emulated; {services.token.verify_audit()} rows of its own trail, chain unbroken"
    if services.keys is services.token:
        return True, own
    services.keys.find(label="readiness", use=KeyUse.ISSUING_CA)
    return True, f"services' keys in a PKCS#11 module, which answers; persons' keys {own}"


def _authorities(services: Services) -> tuple[bool, str]:
    now, parts, fine = services.clock.now(), [], True
    for authority in services.ca.authorities.all():
        ends = authority.certificate.not_valid_after_utc
        fine = fine and ends - now > _SOON
        parts.append(f"{authority.name} until {ends:%Y-%m-%d}")
    return fine and bool(parts), ", ".join(parts) or "none installed: hold a root ceremony, then camtrust ca install"


def _orphans(services: Services) -> tuple[bool, str]:
    orphans, waiting = services.ca.orphans(), services.ca.reconcile()
    refused = services.ca.issuance.templates.refused
    if orphans or waiting or refused:
        named = ", ".join(one.serial for one in orphans[:5]) + (", …" if len(orphans) > 5 else "")
        counted = f"{len(orphans)} serial numbers without certificate"
        counted += f" ({named})" if orphans else ""
        counted += f", {len(waiting)} keys wait for their switch"
        return False, f"{counted}, templates refused: {', '.join(sorted(refused)) or 'none'}"
    return True, "no orphaned serial numbers, every key switched as its certificate says"


def _log(services: Services) -> tuple[bool, str]:
    return True, f"{services.log.verify()} entries, rebuilt and as signed"


def _bundle(services: Services) -> tuple[bool, str]:
    from signing.verify.bundle import Bundle, read_bundle, read_pin

    home = services.home
    if not home.bundle.exists() or not home.bundle_signer.exists():
        return False, "none exported: camtrust bundle export"
    pin = read_pin(home.bundle_signer.read_text(encoding="ascii"))
    read = read_bundle(home.bundle.read_bytes(), frozenset({pin} if pin else ()))
    if not isinstance(read, Bundle):
        return False, f"{read.reason.rule}: export a new one: camtrust bundle export"
    left: timedelta = read.contents.expires - services.clock.now()
    ends: datetime = read.contents.expires
    return left > _BUNDLE_SOON, f"sequence {read.contents.sequence}, good until {ends:%Y-%m-%d %H:%M}"


def _registration_authority(services: Services) -> tuple[bool, str]:
    """Without the pinned key no citizen gets a certificate."""
    return services.registration_authority.pinned, f"{len(services.registration_authority.pins)} keys pinned"


def _witnesses(services: Services) -> tuple[bool, str]:
    services.witnessing.require_well()
    states = services.witnessing.states()
    said = ", ".join(f"{one.name} up to {one.size}" for one in states)
    return True, said or "nobody is asked to cosign the log: log.witnesses in camtrust.toml"


def _lint(services: Services) -> tuple[bool, str]:
    services.lint.require_clean()
    if not services.lint.available:
        return False, "pkilint is not installed: the extra `lint`"
    behind = services.lint.behind()
    return True, f"no open finding; {f'{behind} behind' if behind else 'every certificate was looked at'}"


def _backups(services: Services) -> tuple[bool, str]:
    """Copies of what cannot be made again; a database server's are its own operators'."""
    from camtrust.backups import DATABASE, TOKEN, findings, newest

    embedded = services.database.dialect == "sqlite"
    parts = ([DATABASE] if embedded else []) + [TOKEN]
    days = services.settings.backup.days
    wanted = days is not None or not services.settings.specimen
    faults = findings(services.home, parts, services.clock.now(), timedelta(days=days or 1))
    said = ", ".join(f"{part} {one.at}" for part, one in newest(services.home).items()) or "none was ever made"
    if not embedded:
        said += "; copies of the database server are not looked at"
    if faults and wanted:
        return False, f"{'; '.join(faults)}: camtrust db backup, camtrust hsm backup"
    return True, said + ("" if wanted else " (a specimen needs none)")


def _requesters(services: Services) -> tuple[bool, str]:
    """Clients that people's reports have stopped, until an operator has looked."""
    services.reports.require_none_stopped()
    return True, "no client is stopped by people's reports"


def _production(services: Services) -> tuple[bool, str]:
    """Whether what is made here is real, and what stands between it and real use."""
    from camtrust import production

    settings = services.settings
    emulated = production.emulated(settings)
    if settings.specimen:
        wanting = ", ".join((*production.missing(settings), *emulated))
        return True, f"a specimen; before specimen = false, to be set: {wanting or 'nothing'}"
    said = f"policies below {settings.policies.arc}; persons' keys are emulated"
    return not emulated, said + (f"; emulated, so not for real use: {', '.join(emulated)}" if emulated else "")


_CHECKS: dict[str, Check] = {
    "clock": _clock,
    "database": _database,
    "audit": _audit,
    "key store": _token,
    "authorities": _authorities,
    "certificates": _orphans,
    "pkilint": _lint,
    "approvals": _registration_authority,
    "issuance log": _log,
    "log witnesses": _witnesses,
    "trust bundle": _bundle,
    "backups": _backups,
    "requesters": _requesters,
    "production": _production,
}
