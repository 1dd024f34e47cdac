"""The form of a document's signature: PDF was the only one

Revision: 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("signing_documents", sa.Column("form", sa.String(length=30), server_default="pades", nullable=False))


def downgrade() -> None:
    op.drop_column("signing_documents", "form")
