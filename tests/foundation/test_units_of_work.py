"""Units of work and compare-and-set, on both databases."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, select
from sqlalchemy.exc import StatementError

from foundation.db import engine
from foundation.db.engine import Database, DatabaseUnavailable, StaleWrite, compare_and_set, open_database
from foundation.db.once import insert_once
from foundation.db.types import UtcDateTime

metadata = MetaData()
counters = Table(
    "test_counters",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("value", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=True),
)

WRITERS, EACH = 8, 50


@pytest.fixture
def counting(database: Database) -> Database:
    """One counter at 0."""
    metadata.create_all(database.engine)
    with database.unit_of_work() as connection:
        connection.execute(counters.insert().values(name="a", value=0))
    return database


def value(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(counters.c.value).where(counters.c.name == "a")).scalar_one())


def raise_by_one(database: Database) -> None:
    with database.unit_of_work() as connection:
        seen = connection.execute(select(counters.c.value).where(counters.c.name == "a")).scalar_one()
        where = (counters.c.name == "a") & (counters.c.value == seen)
        compare_and_set(connection, counters, where, {"value": seen + 1})


def test_no_compare_and_set_is_lost(counting: Database) -> None:
    """Eight writers do 400 compare-and-sets at once: each that says it was done was done. One that met a changed row
    says so (StaleWrite) and is tried again; none is lost without an error."""
    failures: list[BaseException] = []
    done: list[int] = []

    def write() -> None:
        try:
            for _ in range(EACH):
                for _ in range(1000):
                    try:
                        raise_by_one(counting)
                    except StaleWrite:
                        continue
                    done.append(1)
                    break
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert failures == []
    assert len(done) == WRITERS * EACH == value(counting)


def test_a_compare_and_set_of_a_changed_row_is_refused(counting: Database) -> None:
    """The row is no longer as it was read: StaleWrite, and the whole unit of work is undone."""

    def act() -> None:
        with counting.unit_of_work() as connection:
            insert_once(connection, counters, {"name": "b", "value": 1})
            compare_and_set(connection, counters, counters.c.value == 7, {"value": 8})

    with pytest.raises(StaleWrite):
        act()
    with counting.read() as connection:
        assert len(connection.execute(select(counters)).all()) == 1


def test_insert_once_tells_whether_it_did(counting: Database) -> None:
    """The second insert of a key changes nothing and says so."""
    with counting.unit_of_work() as connection:
        assert insert_once(connection, counters, {"name": "b", "value": 1})
        assert not insert_once(connection, counters, {"name": "b", "value": 2})
        assert connection.execute(select(counters.c.value).where(counters.c.name == "b")).scalar_one() == 1


def test_times_come_back_as_they_went_in(counting: Database) -> None:
    """Aware, in UTC, to the microsecond; a time without a zone is refused."""
    at = datetime(2030, 6, 1, 19, 0, 0, 123456, timezone(timedelta(hours=7)))
    with counting.unit_of_work() as connection:
        connection.execute(counters.insert().values(name="t", value=1, at=at))
    with counting.read() as connection:
        back = connection.execute(select(counters.c.at).where(counters.c.name == "t")).scalar_one()
    assert back == at
    assert back.tzinfo is UTC
    with pytest.raises(StatementError), counting.unit_of_work() as connection:
        connection.execute(counters.insert().values(name="u", value=1, at=datetime(2030, 1, 1)))  # noqa: DTZ001


def test_a_database_that_does_not_answer_is_told() -> None:
    """A server that is not there is DatabaseUnavailable, which the edge answers with 503."""
    gone = open_database("postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=2")
    with pytest.raises(DatabaseUnavailable), gone.read():
        pass
    gone.close()


def test_writers_of_sqlite_wait_for_each_other_and_not_in_it(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one writes, the others of its process take no connection; each comes to its turn, also after a failure.
    One that waits for too long is told, and wrote nothing."""
    metadata.create_all(sqlite_database.engine)
    done: list[str] = []

    def write(name: str) -> None:
        with sqlite_database.unit_of_work() as connection:
            connection.execute(counters.insert().values(name=name, value=0))
        done.append(name)

    waiting = [threading.Thread(target=write, args=(str(number),)) for number in range(4)]
    with pytest.raises(ZeroDivisionError), sqlite_database.unit_of_work():  # noqa: PT012
        for one in waiting:
            one.start()
        time.sleep(0.2)  # longer than they need to come to the place where they wait
        pool: Any = sqlite_database.engine.pool
        assert (pool.checkedout(), done) == (1, [])
        raise ZeroDivisionError
    for one in waiting:
        one.join(20)
    assert sorted(done) == ["0", "1", "2", "3"]
    with sqlite_database.read() as connection:
        assert len(connection.execute(select(counters)).all()) == 4
    monkeypatch.setattr(engine, "_PATIENCE", 0.05)
    with sqlite_database.unit_of_work(), pytest.raises(DatabaseUnavailable), sqlite_database.unit_of_work():
        pytest.fail("two at once")


def test_another_process_that_writes_is_waited_for(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer of another process (here: another pool) comes to its turn when the first ends; after its patience it is
    told. What it set aside to wait in its own way stands again."""
    first, second = open_database(sqlite_url), open_database(sqlite_url)
    metadata.create_all(first.engine)
    done: list[int] = []

    def write(name: str = "b") -> None:
        with second.unit_of_work() as connection:
            connection.execute(counters.insert().values(name=name, value=0))
            done.append(connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one())

    waiting = threading.Thread(target=write)
    with first.unit_of_work() as connection:
        connection.execute(counters.insert().values(name="a", value=0))
        waiting.start()
        time.sleep(0.2)
        assert not done
    waiting.join(20)
    assert done == [30_000]
    monkeypatch.setattr(engine, "_PATIENCE", 0.05)
    with first.unit_of_work(), pytest.raises(DatabaseUnavailable), second.unit_of_work():
        pytest.fail("two at once")
    write("c")
    for one in (first, second):
        one.close()
