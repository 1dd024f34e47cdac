"""Requests of machines that wait for two officers

Revision: 0050, after 0049.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ra_requests", sa.Column("public_key", sa.LargeBinary(), nullable=True))
    op.add_column("ra_requests", sa.Column("introduced_by", sa.String(200), nullable=True))
    op.add_column("cmp_transactions", sa.Column("signer", sa.String(40), nullable=True))
    op.add_column("cmp_transactions", sa.Column("request", sa.String(40), nullable=True))
    op.add_column("cmp_transactions", sa.Column("answer", sa.Integer(), nullable=True))
    op.add_column("cmp_transactions", sa.Column("number", sa.Integer(), nullable=True))
    op.add_column("cmp_transactions", sa.Column("implicit", sa.Boolean(), nullable=True))
    op.create_table(
        "enrol_requests",
        sa.Column("request", sa.String(40), primary_key=True),
        sa.Column("reference", sa.String(40), nullable=False),
        sa.Column("evidence", sa.String(64), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
    )
    op.create_index(op.f("ix_enrol_requests_reference"), "enrol_requests", ["reference"], unique=False)


def downgrade() -> None:
    op.drop_table("enrol_requests")
    with op.batch_alter_table("cmp_transactions") as table:
        for name in ("implicit", "number", "answer", "request", "signer"):
            table.drop_column(name)
    with op.batch_alter_table("ra_requests") as table:
        table.drop_column("introduced_by")
        table.drop_column("public_key")
