"""Alembic's entry: runs in the connection that `camtrust.database` passes in."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from camtrust.database import all_metadata
from foundation.db.types import UtcDateTime


def render_item(kind: str, item: Any, autogen: Any) -> str | Literal[False]:
    """How our column types stand in a generated revision."""
    if kind == "type" and isinstance(item, UtcDateTime):
        autogen.imports.add("from foundation.db.types import UtcDateTime")
        return "UtcDateTime()"
    return False


connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=list(all_metadata()), render_item=render_item)
with context.begin_transaction():
    context.run_migrations()
