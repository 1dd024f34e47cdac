"""An index that full CRLs are read from, in their order

Revision: 0019, after 0018.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    listed = sa.text("state IN ('revoked', 'held')")
    op.create_index(
        "ca_certificates_in_crl",
        "ca_certificates",
        ["authority", "serial"],
        sqlite_where=listed,
        postgresql_where=listed,
        postgresql_include=["revoked_at", "reason", "invalidity_at"],
    )


def downgrade() -> None:
    op.drop_index("ca_certificates_in_crl", table_name="ca_certificates")
