"""After every factor was lost: for a time the new ones do not sign, and a contact of before can put an end to it.

Whoever passes for the person at an officer's desk has new factors and a new certificate, and cannot use them before the
person was told, by every contact that was ever proved, with a code that stops it without a login. What was stopped
signs nothing until an officer has the person before them once more. How long: `cool_off.toml`. Check: EKYC-COOL-OFF.
"""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Column, Connection, ForeignKey, LargeBinary, Row, String, Table, select

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.contacts.telling import Telling
from ekyc.errors import EkycError
from ekyc.model import Enrolment
from ekyc.ports import CertificateIssuer, Notice, Sessions
from ekyc.store import enrolments, metadata
from foundation.clock import Clock, rfc3339
from foundation.db.engine import Database, compare_and_set
from foundation.db.types import UtcDateTime
from foundation.errors import Kind

TEMPLATE = "notice_recovered"
_OCTETS = 10  # of a code: sixteen characters
_ACTOR = "service:ekyc"

cool_offs = Table(
    "ekyc_cool_offs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("enrolment_id", String(40), ForeignKey(enrolments.c.id), nullable=False),
    Column("person_id", String(40), nullable=False, index=True),
    Column("began_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("stop_index", LargeBinary(32), nullable=False, unique=True),
    Column("stopped_at", UtcDateTime, nullable=True),
)


class StopUnknown(EkycError):
    """There is nothing that this code stops, or not any more."""

    code = "ekyc.stop_unknown"
    kind = Kind.NOT_FOUND


class CoolOffRules(BaseModel):
    """One version of the rules: hours by level."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    other_levels_hours: Annotated[int, Field(ge=1, le=720)]
    hours: Mapping[str, Annotated[int, Field(ge=1, le=720)]]

    def lasts(self, level: str) -> timedelta:
        """How long new factors of this level do not sign."""
        return timedelta(hours=self.hours.get(level, self.other_levels_hours))


@cache
def default_rules() -> CoolOffRules:
    """The rules that this build brings."""
    return CoolOffRules.model_validate(tomllib.loads(files("ekyc").joinpath("cool_off.toml").read_text("utf-8")))


@dataclass(frozen=True)
class Held:
    """A person whose keys do not sign now; ``until``: when that ends by itself, None where it was stopped."""

    until: datetime | None


class CoolOffs:
    """Who is held: read by signing each time somebody wants to sign."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def held(self, person_id: str) -> Held | None:
        """None: nothing speaks against it."""
        with self._database.read() as connection:
            row = _latest(connection, person_id)
        if row is None:
            return None
        if row.stopped_at is not None:
            return Held(None)
        return Held(row.ends_at) if self._clock.now() < row.ends_at else None


@dataclass(frozen=True)
class Beginning:
    """A cool-off that is to begin with a recovery, and the notices about it."""

    row: Mapping[str, Any]
    notices: tuple[Notice, ...]


class CoolOffDesk:
    """Begins and stops them."""

    def __init__(
        self,
        casefiles: CaseFiles,
        telling: Telling,
        issuer: CertificateIssuer,
        sessions: Sessions,
        rules: CoolOffRules | None = None,
    ) -> None:
        self._files, self._telling, self._issuer, self._sessions = casefiles, telling, issuer, sessions
        self.rules = rules or default_rules()

    def prepare(self, enrolment: Enrolment) -> Beginning:
        """What begins with a recovery of this enrolment; changes nothing yet."""
        casefiles = self._files
        now, code = casefiles.clock.now(), base64.b32encode(casefiles.randomness.bytes(_OCTETS)).decode()
        ends_at = now + self.rules.lasts(enrolment.level)
        row = {
            "id": casefiles.new_id("COO-"),
            "enrolment_id": enrolment.id,
            "person_id": enrolment.person_id,
            "began_at": now,
            "ends_at": ends_at,
            "stop_index": self._index(code),
            "stopped_at": None,
        }
        grouped = "-".join(code[at : at + 4] for at in range(0, len(code), 4))
        params = {"code": grouped, "until": rfc3339(ends_at)}
        return Beginning(row, self._telling.everyone(enrolment, TEMPLATE, params, expires_at=ends_at))

    def begin(self, connection: Connection, beginning: Beginning) -> None:
        """In the transaction of the recovery."""
        connection.execute(cool_offs.insert().values(**beginning.row))
        self._telling.post(connection, beginning.notices)

    def stop(self, code: str) -> None:
        """Whoever has the code of a notice ends it: certificates on hold, sessions closed, nothing signs any more.

        Repeating it is safe. Raises StopUnknown for a code of nothing, of before a later recovery, or too late.
        """
        casefiles = self._files
        index, now = self._index("".join(code.upper().replace("-", " ").split())), casefiles.clock.now()
        with casefiles.database.read() as connection:
            row = connection.execute(select(cool_offs).where(cool_offs.c.stop_index == index)).first()
            latest = None if row is None else _latest(connection, row.person_id)
        if row is None or latest is None or latest.id != row.id or (row.stopped_at is None and now >= row.ends_at):
            raise StopUnknown
        if row.stopped_at is None:
            with casefiles.database.unit_of_work() as connection:
                unstopped = (cool_offs.c.id == row.id) & cool_offs.c.stopped_at.is_(None)
                compare_and_set(connection, cool_offs, unstopped, {"stopped_at": now})
                casefiles.audit.append(connection, _ACTOR, "ekyc.recovery_stopped", row.enrolment_id, {"id": row.id})
        self._sessions.close_all(row.person_id)
        self._issuer.suspend_citizens([row.person_id], "ekyc:stopped")
        with casefiles.database.read() as connection:
            enrolment = store.load(connection, row.enrolment_id)
        self._telling.tell_everyone(enrolment, "notice_stopped")

    def _index(self, code: str) -> bytes:
        return self._files.index.of("stop", code.encode())


def _latest(connection: Connection, person_id: str) -> Row[Any] | None:
    query = select(cool_offs).where(cool_offs.c.person_id == person_id)
    return connection.execute(query.order_by(cool_offs.c.began_at.desc(), cool_offs.c.id).limit(1)).first()
