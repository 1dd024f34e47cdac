"""A second opinion on every certificate that was issued: pkilint, in the background, by a process of its own.

What is issued has passed our own lint before it was signed; this pass finds where that one is wrong. It goes through
the certificates in the order in which they were issued, a few at a time, and remembers how far it came; a finding is an
alarm until an operator has acknowledged it. Findings that are known and right are ``lint_explained`` of the settings.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec

from sqlalchemy import Connection, and_, func, or_, select, update

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite, compare_and_set
from foundation.db.once import insert_once
from issuing_ca.config import IssuingCaSettings
from issuing_ca.drafts import ORGANISATION_SEAL_SANDBOX
from issuing_ca.errors import LintAlarm
from issuing_ca.tables import certificates, lint_findings, lint_position

_log = logging.getLogger(__name__)

EXAMPLE_ARC = "FATAL itu.invalid_asn1_syntax"
"""What pkilint says of every policy below 2.999: its decoder takes none (tests/ca/pkilint-findings.toml)."""

_SECONDS = 120
_SETTLED = timedelta(minutes=2)  # issued within a unit of work that is not committed yet: not overtaken
_BEGINNING = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

Linter = Callable[[Sequence[bytes]], Sequence[Sequence[str]]]
"""Certificates (DER) in, the findings on each out, in order."""


@dataclass(frozen=True)
class LintFinding:
    """What pkilint found in a certificate, as ``SEVERITY code``."""

    serial: str
    finding: str
    found_at: datetime
    acknowledged: bool


class BackgroundLint:
    """Runs the pass, and tells what it found."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        audit: AuditTrail,
        settings: IssuingCaSettings,
        linter: Linter | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._most = settings.lint_at_once
        self._explained = settings.lint_explained
        self._linter = linter or (pkilint if find_spec("pkilint") is not None else None)

    @property
    def available(self) -> bool:
        """Whether there is anything to lint with."""
        return self._linter is not None

    def run_once(self) -> int:
        """Lint the next certificates; gives how many. Raises OSError or subprocess errors; then nothing was passed."""
        if self._linter is None:
            return 0
        with self._database.read() as connection:
            before = _position(connection)
            rows = connection.execute(_after(before, self._clock.now() - _SETTLED).limit(self._most)).all()
        if not rows:
            return 0
        found = [
            (row.serial, one)
            for row, findings in zip(rows, self._linter([row.certificate for row in rows]), strict=True)
            for one in findings
            if one not in self._explained_on(row.profile)
        ]
        try:
            with self._database.unit_of_work() as connection:
                _move(connection, before, (rows[-1].issued_at, rows[-1].serial))
                for serial, one in found:
                    values = {"serial": serial, "finding": one[:120], "found_at": self._clock.now()}
                    insert_once(connection, lint_findings, values)
        except StaleWrite:
            return 0  # another process linted the same
        for serial, one in found:
            _log.error("certificate %s was issued with a fault that pkilint finds: %s", serial, one)
        return len(rows)

    def _explained_on(self, profile: str) -> frozenset[str]:
        """The sandbox has a policy of the example arc in every installation."""
        return self._explained | {EXAMPLE_ARC} if profile == ORGANISATION_SEAL_SANDBOX else self._explained

    def findings(self, limit: int = 100) -> tuple[LintFinding, ...]:
        """The newest findings."""
        query = select(lint_findings).order_by(lint_findings.c.found_at.desc()).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return tuple(
            LintFinding(row.serial, row.finding, row.found_at, row.acknowledged_at is not None) for row in rows
        )

    def open_findings(self) -> int:
        """How many nobody has acknowledged."""
        query = select(func.count()).select_from(lint_findings).where(lint_findings.c.acknowledged_at.is_(None))
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def behind(self) -> timedelta:
        """How old the oldest certificate is that was not linted yet; zero where none is."""
        with self._database.read() as connection:
            row = connection.execute(_after(_position(connection), self._clock.now()).limit(1)).one_or_none()
        return timedelta(0) if row is None else self._clock.now() - row.issued_at

    def acknowledge(self, finding: str, actor: str) -> int:
        """An operator has seen to a finding, wherever it was found so far; gives on how many certificates."""
        same = and_(lint_findings.c.finding == finding, lint_findings.c.acknowledged_at.is_(None))
        with self._database.unit_of_work() as connection:
            seen = connection.execute(update(lint_findings).where(same).values(acknowledged_at=self._clock.now()))
            details = {"finding": finding, "count": seen.rowcount}
            self._audit.append(connection, actor, "issuing_ca.lint_acknowledged", "pkilint", details)
        return int(seen.rowcount)

    def require_clean(self) -> None:
        """Raises LintAlarm while there are findings that nobody has acknowledged."""
        count = self.open_findings()
        if count:
            kinds = {one.finding for one in self.findings() if not one.acknowledged}
            raise LintAlarm(count=count, findings=", ".join(sorted(kinds)))


def pkilint(ders: Sequence[bytes]) -> Sequence[Sequence[str]]:
    """pkilint's findings. Raises OSError, subprocess.SubprocessError, or ValueError for answers that are none."""
    done = subprocess.run(
        [sys.executable, "-m", "issuing_ca.pkilint_worker"],
        input="".join(f"{der.hex()}\n" for der in ders),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(ders):
        raise ValueError("pkilint answered for another number of certificates")
    return answers


Position = tuple[datetime, str]


def _position(connection: Connection) -> Position:
    row = connection.execute(select(lint_position).where(lint_position.c.one == 1)).one_or_none()
    return (_BEGINNING, "") if row is None else (row.issued_at, row.serial)


def _after(position: Position, until: datetime):  # type: ignore[no-untyped-def]
    at, serial = position
    table = certificates.c
    later = or_(table.issued_at > at, and_(table.issued_at == at, table.serial > serial))
    return (
        select(table.serial, table.issued_at, table.certificate, table.profile)
        .where(table.issued_at >= at, later, table.issued_at <= until, table.certificate.is_not(None))
        .order_by(table.issued_at, table.serial)
    )


def _move(connection: Connection, before: Position, after: Position) -> None:
    """Raises StaleWrite where another process moved on meanwhile."""
    values = {"issued_at": after[0], "serial": after[1]}
    if before == (_BEGINNING, ""):
        if not insert_once(connection, lint_position, {"one": 1, **values}):
            raise StaleWrite
        return
    same = and_(lint_position.c.issued_at == before[0], lint_position.c.serial == before[1])
    compare_and_set(connection, lint_position, and_(lint_position.c.one == 1, same), values)
