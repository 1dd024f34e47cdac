"""When certificates end, who was reminded, and what was superseded

Revision: 0040, after 0039.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ekyc_enrolments", sa.Column("certificate_ends_at", UtcDateTime(), nullable=True))
    op.add_column("ekyc_enrolments", sa.Column("reminded_days", sa.Integer(), nullable=True))
    op.add_column("ekyc_enrolments", sa.Column("superseded_serial", sa.String(64), nullable=True))
    for name in ("certificate_ends_at", "superseded_serial"):
        op.create_index(op.f(f"ix_ekyc_enrolments_{name}"), "ekyc_enrolments", [name], unique=False)


def downgrade() -> None:
    for name in ("certificate_ends_at", "superseded_serial"):
        op.drop_index(op.f(f"ix_ekyc_enrolments_{name}"), "ekyc_enrolments")
    for name in ("certificate_ends_at", "reminded_days", "superseded_serial"):
        op.drop_column("ekyc_enrolments", name)
