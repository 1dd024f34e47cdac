"""The journal of status changes, kept OCSP responses, and CRLs by scope

What was revoked or held before is written into the journal in the order of its dates; CRLs that were made before cover
none of it by number, so that new ones are made.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.canonical import canonical_json
from foundation.clock import rfc3339
from foundation.db.types import UtcDateTime
from foundation.merkle import Frontier, leaf_hash

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "ca_status_changes",
        sa.Column("authority", sa.String(length=40), nullable=False),
        sa.Column("number", _BIG, autoincrement=False, nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=24), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("authority", "number"),
    )
    op.create_table(
        "ca_ocsp_responses",
        sa.Column("cert_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("authority", sa.String(length=40), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("asked", sa.LargeBinary(), nullable=False),
        sa.Column("this_update", UtcDateTime(), nullable=False),
        sa.Column("next_update", UtcDateTime(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("cert_id"),
    )
    op.create_index("ca_ocsp_responses_serial", "ca_ocsp_responses", ["authority", "serial"])
    op.create_index("ca_ocsp_responses_due", "ca_ocsp_responses", ["next_update"])
    op.add_column("ca_authorities", sa.Column("status_frontier", sa.LargeBinary(), nullable=True))
    op.rename_table("ca_crls", "ca_crls_before")
    if op.get_bind().dialect.name == "postgresql":  # the name of the key goes with the table
        op.execute("ALTER INDEX ca_crls_pkey RENAME TO ca_crls_before_pkey")
    op.create_table(
        "ca_crls",
        sa.Column("authority", sa.String(length=40), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("number", _BIG, autoincrement=False, nullable=False),
        sa.Column("this_update", UtcDateTime(), nullable=False),
        sa.Column("next_update", UtcDateTime(), nullable=False),
        sa.Column("covers", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("crl", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("authority", "scope", "number"),
    )
    op.execute(
        "INSERT INTO ca_crls (authority, scope, number, this_update, next_update, covers, entries, crl) "
        "SELECT authority, 'full', number, this_update, next_update, 0, 0, crl FROM ca_crls_before"
    )
    op.drop_table("ca_crls_before")
    _write_journal()


def _write_journal() -> None:
    """Written with the tables as they were then, and with nothing of the rooms, whose tables go on."""
    connection = op.get_bind()
    connection.execute(sa.text("UPDATE ca_authorities SET status_changes = 0"))
    rows = connection.execute(
        sa.text(
            "SELECT authority, serial, state, reason, revoked_at FROM ca_certificates "
            "WHERE state IN ('revoked', 'held') ORDER BY revoked_at, serial"
        ).columns(revoked_at=UtcDateTime())
    ).all()
    changes = sa.table(
        "ca_status_changes",
        *(sa.column(name) for name in ("authority", "number", "serial", "state", "reason", "root")),
        sa.column("at", UtcDateTime()),
    )
    frontiers: dict[str, Frontier] = {}
    for row in rows:
        frontier = frontiers.setdefault(row.authority, Frontier())
        at = row.revoked_at.replace(microsecond=0)
        change = {
            "authority": row.authority,
            "number": frontier.size + 1,
            "serial": row.serial,
            "state": row.state,
            "reason": row.reason,
        }
        leaf = {"form": "camtrust.ca.status-change/v1", **change, "at": rfc3339(at)}
        frontier.append(leaf_hash(canonical_json(leaf)))
        connection.execute(changes.insert().values(**change, at=at, root=frontier.root))
    for authority, frontier in frontiers.items():
        connection.execute(
            sa.text("UPDATE ca_authorities SET status_changes = :size, status_frontier = :edge WHERE name = :name"),
            {"size": frontier.size, "edge": frontier.to_bytes(), "name": authority},
        )
