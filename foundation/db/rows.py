"""Many rows in one statement, the same on SQLite and PostgreSQL.

PostgreSQL parses and plans a statement for each row it is given one by one; a column's values as an array cost it one
statement however many rows there are, and the text of the statement is always the same. SQLite takes rows one by one
in the same process, where that costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Column, Connection, Executable, FromClause, Table, bindparam, column, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY

Rows = Sequence[Mapping[str, Any]]


def insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows that all have the same columns; all of them, or the database's error."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        names = tuple(rows[0])
        connection.execute(_insert_unnested(table, names), arrays(rows, names))
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
        return connection.execute(_insert_new_unnested(table, names), arrays(rows, names)).rowcount
    statement = sqlite.insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return connection.execute(statement, [dict(row) for row in rows]).rowcount


def arrays(rows: Rows, names: Sequence[str]) -> dict[str, list[Any]]:
    """The columns of rows, as :func:`unnested` takes them."""
    return {f"{name}_s": [row[name] for row in rows] for name in names}


def unnested(columns: Sequence[Column[Any]]) -> FromClause:
    """PostgreSQL: the rows of :func:`arrays` as something to select from, in their order."""
    given = (bindparam(f"{one.name}_s", type_=ARRAY(one.type)) for one in columns)
    return (
        func.unnest(*given)
        .table_valued(*(column(one.name, one.type) for one in columns), name="given")
        .render_derived()
    )


@cache
def _insert_unnested(table: Table, names: tuple[str, ...]) -> Executable:
    given = unnested([table.c[name] for name in names])
    return postgresql.insert(table).from_select(list(names), select(given))


@cache
def _insert_new_unnested(table: Table, names: tuple[str, ...]) -> Executable:
    given = unnested([table.c[name] for name in names])
    statement = postgresql.insert(table).from_select(list(names), select(given)).on_conflict_do_nothing()
    return statement.execution_options(preserve_rowcount=True)
