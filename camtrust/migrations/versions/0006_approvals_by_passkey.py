"""Questions to persons' devices that wait for their answer

Revision: 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_approvals",
        sa.Column("approval_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("credential_id", sa.String(length=64), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.Column("parts", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("approval_id"),
    )
    op.create_index(op.f("ix_signing_approvals_owner"), "signing_approvals", ["owner"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_signing_approvals_owner"), table_name="signing_approvals")
    op.drop_table("signing_approvals")
