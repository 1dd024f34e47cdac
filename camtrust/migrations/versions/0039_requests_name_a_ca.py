"""Requests for certificates name the CA that they go to

Revision: 0039, after 0038.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ra_requests", sa.Column("authority", sa.String(40), server_default="issuing", nullable=False))


def downgrade() -> None:
    op.drop_column("ra_requests", "authority")
