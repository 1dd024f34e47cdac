"""Devices with a button

Revision: 0037, after 0036.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ekyc_otp_devices",
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("imported_by", sa.String(200), nullable=False),
        sa.Column("imported_at", UtcDateTime(), nullable=False),
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey("ekyc_enrolments.id"), nullable=True),
        sa.Column("allotted_by", sa.String(200), nullable=True),
        sa.Column("allotted_at", UtcDateTime(), nullable=True),
    )
    op.create_index(op.f("ix_ekyc_otp_devices_enrolment_id"), "ekyc_otp_devices", ["enrolment_id"])


def downgrade() -> None:
    op.drop_table("ekyc_otp_devices")
