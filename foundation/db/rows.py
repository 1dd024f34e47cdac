"""Many rows at once, the same on SQLite and PostgreSQL.

PostgreSQL takes many rows by COPY, in its binary format: it plans nothing for each of them, and nobody writes a value
as text to read it back. SQLite takes rows one by one in the same process, where that costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

import psycopg
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    bindparam,
    column,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.selectable import TableValuedAlias

from foundation.db.types import UtcDateTime

Rows = Sequence[Mapping[str, Any]]

_TYPES: dict[type[Any], str] = {
    BigInteger: "int8",
    Boolean: "bool",
    Integer: "int4",
    LargeBinary: "bytea",
    String: "varchar",
    UtcDateTime: "timestamptz",
}


def insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows that all have the same columns; all of them, or the database's error."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, table, rows)
    else:
        connection.execute(insert(table), [dict(row) for row in rows])


def insert_new_rows(connection: Connection, table: Table, rows: Rows) -> int:
    """Insert those whose primary key is not taken; gives how many. No two of the rows have the same key.

    Of two transactions that insert the same key at once, the later waits for the earlier to end. Rows are inserted in
    the order given: where every transaction keeps to one order, no two wait for each other.
    """
    if not rows:
        return 0
    if connection.dialect.name == "postgresql":
        names = tuple(rows[0])
        statement = _insert_new(table, names)
        return connection.execute(statement, {f"{name}_s": [row[name] for row in rows] for name in names}).rowcount
    each = sqlite.insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return connection.execute(each, [dict(row) for row in rows]).rowcount


def unnested(columns: Sequence[Column[Any]]) -> TableValuedAlias:
    """PostgreSQL: rows to select from, whose columns are given as arrays, parameters ``{column}_s``."""
    arrays = (bindparam(f"{one.name}_s", type_=ARRAY(one.type)) for one in columns)
    made = func.unnest(*arrays).table_valued(*(column(one.name, one.type) for one in columns), name="given")
    return made.render_derived()


def _copy(connection: Connection, table: Table, rows: Rows) -> None:
    names = tuple(rows[0])
    statement, types = _copying(table, names)
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row([row[name] for name in names])
    except psycopg.Error as error:  # told as if the engine had run the statement
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, connection_invalidated=driver.closed, dialect=connection.dialect
        ) from error


@cache
def _copying(table: Table, names: tuple[str, ...]) -> tuple[str, list[str]]:
    quote = postgresql.dialect().identifier_preparer.quote  # type: ignore[no-untyped-call]
    columns = ", ".join(quote(name) for name in names)
    types = [next(_TYPES[kind] for kind in type(table.c[name].type).__mro__ if kind in _TYPES) for name in names]
    return f"COPY {quote(table.name)} ({columns}) FROM STDIN (FORMAT BINARY)", types


@cache
def _insert_new(table: Table, names: tuple[str, ...]) -> Any:
    given = unnested([table.c[name] for name in names])
    statement = postgresql.insert(table).from_select(list(names), select(given)).on_conflict_do_nothing()
    return statement.execution_options(preserve_rowcount=True)
