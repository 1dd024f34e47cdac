"""Who proved which contact

Revision: 0038, after 0037.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ekyc_proved_contacts",
        sa.Column("address_index", sa.LargeBinary(32), nullable=False),
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey("ekyc_enrolments.id"), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("address_index", "enrolment_id"),
    )
    op.create_index(op.f("ix_ekyc_proved_contacts_enrolment_id"), "ekyc_proved_contacts", ["enrolment_id"])


def downgrade() -> None:
    op.drop_table("ekyc_proved_contacts")
