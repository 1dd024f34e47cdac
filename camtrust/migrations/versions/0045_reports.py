"""Reports of people who did not expect to be asked, of every kind; documents of prompts

Revision: 0045, after 0044.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_reports",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(200), nullable=False),
        sa.Column("person", sa.String(200), nullable=True),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("reported_at", UtcDateTime(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_signing_reports_client_id", "signing_reports", ["client_id"])
    op.execute(
        "INSERT INTO signing_reports (kind, subject, client_id, person, asked_at, reported_at)"
        " SELECT 'request', request_id, client_id, person, created_at, decided_at FROM signing_requests"
        " WHERE state = 'reported' AND decided_at IS NOT NULL ORDER BY sequence"
    )
    op.add_column("signing_csc_prompts", sa.Column("subject", sa.String(64), nullable=True))
    op.add_column("signing_csc_prompts", sa.Column("documents", sa.Text(), nullable=True))
    op.add_column("signing_csc_prompts", sa.Column("level", sa.String(10), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("signing_csc_prompts") as table:
        for column in ("subject", "documents", "level"):
            table.drop_column(column)
    op.drop_table("signing_reports")
