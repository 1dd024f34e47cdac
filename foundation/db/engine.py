"""Engines and the unit of work, the same for SQLite and PostgreSQL.

A unit of work is one transaction: all of it is stored, or nothing. On SQLite it begins IMMEDIATE, so that what it
reads cannot be changed by another writer before it writes; on PostgreSQL it runs at READ COMMITTED and relies on
compare-and-set and row locks, which both backends have.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ClauseElement, ColumnElement, Connection, Engine, Table, create_engine, event, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from foundation.errors import CamTrustError, Kind
from foundation.storage import StorageFull, is_full

_PATIENCE = 30  # seconds for a writer of SQLite to wait for its turn
_LOOKED_AGAIN = 0.0005  # seconds
_BUSY_TIMEOUT = f"PRAGMA busy_timeout={_PATIENCE * 1000}"
# What SQLite reports as "operational" and is a defect of ours or of the schema.
_DEFECTS = ("no such table", "no such column", "syntax error", "has no column")


class StaleWrite(CamTrustError):
    """A compare-and-set met a row that is no longer as it was read."""

    code = "foundation.stale_write"
    kind = Kind.CONFLICT


class DatabaseUnavailable(CamTrustError):
    """The database does not answer, or is locked for longer than we wait."""

    code = "foundation.database_unavailable"
    kind = Kind.UNAVAILABLE


class Database:
    """A database: reading and units of work."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._turns = threading.Lock() if engine.dialect.name == "sqlite" else None

    @property
    def dialect(self) -> str:
        return self.engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with: one consistent snapshot on SQLite, statement by statement on PostgreSQL."""
        with _told(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def unit_of_work(self) -> Iterator[Connection]:
        """A transaction to write with: committed at the end of the block, rolled back by any exception."""
        with (
            self._turn(),
            _told(),
            self.engine.connect().execution_options(camtrust_writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """SQLite has one writer, and whoever waits for it sleeps and looks again, longer each time. Threads of one
        process wait for each other here instead, and are woken; so what waits in SQLite is one a process."""
        if self._turns is None:
            yield
            return
        if not self._turns.acquire(timeout=_PATIENCE):
            raise DatabaseUnavailable
        try:
            yield
        finally:
            self._turns.release()

    def close(self) -> None:
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Open the database at an SQLAlchemy URL. Called by assembly (and tests), never at import."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return Database(create_engine(parsed, pool_pre_ping=True, pool_size=10, max_overflow=20))
    engine = create_engine(parsed, connect_args={"timeout": _PATIENCE, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Database(engine)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own transactions read outside of them
    for pragma in (_BUSY_TIMEOUT, "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON"):
        connection.execute(pragma).close()


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("camtrust_writes", False):
        _begin_writing(connection)
    else:
        connection.exec_driver_sql("BEGIN")


def _begin_writing(connection: Connection) -> None:
    """BEGIN IMMEDIATE, as soon as no other process writes. SQLite itself would look again after 1, 2, 5 and up to 100
    milliseconds, and another process, whose units of work take two, would be first each time: asked often, it is
    nobody's for long. Raises what SQLite raises, when it was busy for too long too."""
    driver: Any = connection.connection.driver_connection
    end = time.monotonic() + _PATIENCE
    driver.execute("PRAGMA busy_timeout=0").close()
    try:
        while time.monotonic() < end:
            try:
                driver.execute("BEGIN IMMEDIATE").close()
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
            time.sleep(_LOOKED_AGAIN)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        driver.execute(_BUSY_TIMEOUT).close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if any(defect in str(error.orig).lower() for defect in _DEFECTS):
            raise  # waiting does not cure it: the schema is not the one this build knows
        if error.orig is not None and is_full(error.orig):
            raise StorageFull from error
        raise DatabaseUnavailable from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable from error
        raise


def compare_and_set(
    connection: Connection, table: Table, where: ColumnElement[bool], values: Mapping[str, Any]
) -> None:
    """Update exactly one row, the one that still is as ``where`` says; raise StaleWrite when there is none.

    Values may be SQL expressions; plain ones go as parameters, which costs a third of building them into the statement.
    """
    expressions = {name: value for name, value in values.items() if isinstance(value, ClauseElement)}
    plain = {name: value for name, value in values.items() if name not in expressions}
    statement = update(table).where(where)
    if expressions:
        statement = statement.values(expressions)
    if connection.execute(statement, plain or None).rowcount != 1:
        raise StaleWrite
