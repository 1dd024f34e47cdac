"""What clients of the CSC API ask persons to authorise in their own sessions

Revision: 0035, after 0034.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_csc_prompts",
        sa.Column("handle", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("credential_id", sa.String(64), nullable=False),
        sa.Column("client", sa.String(200), nullable=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("digests", sa.Text(), nullable=False),
        sa.Column("description", sa.LargeBinary(), nullable=False),
        sa.Column("sad", sa.LargeBinary(), nullable=True),
        sa.Column("sad_expires", UtcDateTime(), nullable=True),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_signing_csc_prompts_owner", "signing_csc_prompts", ["owner"])
    op.create_index("ix_signing_csc_prompts_expires", "signing_csc_prompts", ["expires"])


def downgrade() -> None:
    op.drop_table("signing_csc_prompts")
