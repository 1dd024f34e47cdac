"""Stations without a network, and their packets

Revision: 0046, after 0045.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ekyc_stations",
        sa.Column("id", sa.String(20), primary_key=True),
        sa.Column("officer_id", sa.String(64), nullable=False),
        sa.Column("public_key", sa.LargeBinary(32), nullable=False),
        sa.Column("private_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("last_closed_at", UtcDateTime(), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("withdrawn_at", UtcDateTime(), nullable=True),
    )
    op.create_table(
        "ekyc_packets",
        sa.Column("station_id", sa.String(20), sa.ForeignKey("ekyc_stations.id"), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("officer_id", sa.String(64), nullable=False),
        sa.Column("brought_by", sa.String(80), nullable=False),
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey("ekyc_enrolments.id"), nullable=True),
        sa.Column("claim_index", sa.LargeBinary(32), nullable=True),
        sa.Column("contact_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("station_id", "sequence"),
        sa.UniqueConstraint("station_id", "case_id"),
        sa.UniqueConstraint("enrolment_id"),
        sa.UniqueConstraint("claim_index"),
    )


def downgrade() -> None:
    op.drop_table("ekyc_packets")
    op.drop_table("ekyc_stations")
