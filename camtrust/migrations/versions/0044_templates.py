"""How organisations' seals look

Revision: 0044, after 0043.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_templates",
        sa.Column("template_id", sa.String(32), primary_key=True),
        sa.Column("agency_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("approved_name", sa.String(80), nullable=True, unique=True),
        sa.Column("appearance", sa.Text(), nullable=False),
        sa.Column("picture", sa.LargeBinary(), nullable=True),
        sa.Column("picture_sha256", sa.String(64), nullable=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("proposed_by", sa.String(200), nullable=False),
        sa.Column("proposed_at", UtcDateTime(), nullable=False),
        sa.Column("decided_by", sa.String(200), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
    )
    op.create_index(op.f("ix_signing_templates_agency_id"), "signing_templates", ["agency_id"], unique=False)
    op.create_index(op.f("ix_signing_templates_picture_sha256"), "signing_templates", ["picture_sha256"], unique=False)


def downgrade() -> None:
    op.drop_table("signing_templates")
