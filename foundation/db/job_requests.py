"""What is to be done later: rows that are written in the transition they belong to, and handed to the job engine.

A request is named by its kind and subject: asking twice for the same is one request. Its row is the truth and stays
until the work is done; the engine only runs it. Each run has a number, so that the same run can be handed on any
number of times and is taken once:

    WAITING ──handed on──▶ HANDED ──done──▶ (gone)
       ▲                     │
       └─ again: next run, at its time

Numbers of runs begin with the time of the request and grow: no two runs of the same name ever have the same one, also
after a database was put back from a copy. What was handed on to an engine that lost its memory is asked for again when
it starts: no work is lost with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from foundation.db.types import UtcDateTime

metadata = MetaData()

requests = Table(
    "job_requests",
    metadata,
    Column("kind", String(50), primary_key=True),
    Column("subject", String(200), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("due", UtcDateTime, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),  # runs in a row that failed
    Column("requested_at", UtcDateTime, nullable=False),
    Index("job_requests_due", "state", "due"),
)


class RequestState(StrEnum):
    WAITING = "waiting"
    HANDED = "handed"


@dataclass(frozen=True)
class JobRequest:
    """One run of one request. ``failures``: how many runs before this one failed, in a row."""

    kind: str
    subject: str
    run: int
    failures: int

    @property
    def name(self) -> str:
        """The same for the same run, however often it is handed on."""
        return f"{self.kind}/{self.subject}/{self.run}"


def request_job(connection: Connection, kind: str, subject: str, now: datetime, *, due: datetime | None = None) -> bool:
    """Ask for work in the caller's transaction, at ``due`` or at once; False where it is asked for already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = {
        "kind": kind,
        "subject": subject,
        "state": RequestState.WAITING.value,
        "due": due or now,
        "run": _run_at(now),
        "failures": 0,
        "requested_at": now,
    }
    statement = dialect.insert(requests).values(values).on_conflict_do_nothing()
    return connection.execute(statement.execution_options(preserve_rowcount=True)).rowcount == 1


def due_requests(connection: Connection, now: datetime, most: int) -> tuple[JobRequest, ...]:
    """What waits and whose time has come, the longest due first."""
    here = (requests.c.state == RequestState.WAITING.value) & (requests.c.due <= now)
    columns = (requests.c.kind, requests.c.subject, requests.c.run, requests.c.failures)
    rows = connection.execute(select(*columns).where(here).order_by(requests.c.due).limit(most))
    return tuple(JobRequest(*row) for row in rows)


def handed_on(connection: Connection, one: JobRequest) -> None:
    """The engine has this run."""
    connection.execute(update(requests).where(_same(one)).values(state=RequestState.HANDED.value))


def current_run(connection: Connection, kind: str, subject: str, run: int) -> JobRequest | None:
    """The request, where this run of it is still to be done; None where it was done, or another run came after."""
    query = select(requests.c.failures).where(
        requests.c.kind == kind, requests.c.subject == subject, requests.c.run == run
    )
    failures = connection.execute(query).scalar()
    return None if failures is None else JobRequest(kind, subject, run, failures)


def done(connection: Connection, one: JobRequest) -> None:
    """This run was the last: the request goes."""
    connection.execute(delete(requests).where(_same(one)))


def handed(connection: Connection) -> tuple[JobRequest, ...]:
    """What the engine has, or had."""
    columns = (requests.c.kind, requests.c.subject, requests.c.run, requests.c.failures)
    rows = connection.execute(select(*columns).where(requests.c.state == RequestState.HANDED.value))
    return tuple(JobRequest(*row) for row in rows)


def again(connection: Connection, one: JobRequest, due: datetime, *, failed: bool = False) -> None:
    """Another run is wanted, at ``due``; ``failed``: because this one did not come to its end."""
    run = max(one.run + 1, _run_at(due))
    values = {"run": run, "due": due, "failures": one.failures + 1 if failed else 0}
    connection.execute(update(requests).where(_same(one)).values(state=RequestState.WAITING.value, **values))


def counts(connection: Connection) -> Mapping[str, int]:
    """How many are asked for (``all``), and how many of them failed when they were last run (``failing``)."""
    failing = func.count().filter(requests.c.failures > 0)
    found = connection.execute(select(func.count(), failing).select_from(requests)).one()
    return {"all": found[0], "failing": found[1]}


def _same(one: JobRequest) -> ColumnElement[bool]:
    return (requests.c.kind == one.kind) & (requests.c.subject == one.subject) & (requests.c.run == one.run)


def _run_at(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)
