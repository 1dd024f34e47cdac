"""Evidence records of kept documents, and what each night did

Revision: 0034, after 0033.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_evidence_records",
        sa.Column("document_id", sa.String(64), primary_key=True),
        sa.Column("token", sa.LargeBinary(32), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("renewed_at", UtcDateTime(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
    )
    for column in ("token", "ends_at"):
        op.create_index(f"ix_signing_evidence_records_{column}", "signing_evidence_records", [column])
    op.create_table(
        "signing_archive_nights",
        sa.Column("night", sa.String(10), primary_key=True),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime()),
        sa.Column("recorded", sa.Integer(), nullable=False),
        sa.Column("renewed", sa.Integer(), nullable=False),
        sa.Column("unreadable", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("signing_archive_nights")
    op.drop_table("signing_evidence_records")
