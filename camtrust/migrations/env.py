"""Alembic's entry: runs in the connection that `camtrust.database` passes in."""

from __future__ import annotations

from alembic import context

from camtrust.database import all_metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=list(all_metadata()), render_as_batch=False)
with context.begin_transaction():
    context.run_migrations()
