"""Indexes of the certificates that stay small, and those that keep a table of millions from being read whole

Revision: 0011, after 0010.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TABLE = "ca_certificates"


def upgrade() -> None:
    for name in ("ca_certificates_state", "ca_certificates_key_wanted", "ca_certificates_token"):
        op.drop_index(name, table_name=_TABLE)
    op.create_index("ca_certificates_state", _TABLE, ["state", "serial"])
    op.create_index("ca_certificates_issued", _TABLE, ["issued_at"])
    last_digits = sa.text("substr(serial, length(serial) - 1)")
    _of_few("ca_certificates_listed", ["authority", last_digits, "serial"], "state IN ('revoked', 'held')")
    _of_few("ca_certificates_unfinished", ["token_expires"], "state IN ('prepared', 'signing')")
    _of_few("ca_certificates_key_wanted", ["key_wanted"], "key_wanted IS NOT NULL")
    _of_few("ca_certificates_token", ["token_digest"], "token_digest IS NOT NULL", unique=True)


def downgrade() -> None:
    for name in ("state", "issued", "listed", "unfinished", "key_wanted", "token"):
        op.drop_index(f"ca_certificates_{name}", table_name=_TABLE)
    op.create_index("ca_certificates_state", _TABLE, ["authority", "state"])
    op.create_index("ca_certificates_key_wanted", _TABLE, ["key_wanted"])
    op.create_index("ca_certificates_token", _TABLE, ["token_digest"], unique=True)


def _of_few(name: str, columns: list[str | sa.TextClause], where: str, *, unique: bool = False) -> None:
    rows = sa.text(where)
    op.create_index(name, _TABLE, columns, unique=unique, sqlite_where=rows, postgresql_where=rows)
