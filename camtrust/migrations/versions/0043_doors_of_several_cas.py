"""Credentials of ACME, EST and CMP name their CA; an account key has one account at each

Revision: 0043, after 0042.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

# What PostgreSQL called the constraint of 0003; SQLite gave it no name, and alembic finds it by this rule.
_NAMES = {"uq": "%(table_name)s_%(column_0_name)s_key"}
_BY_KEY, _BY_BOTH = "acme_accounts_thumbprint_key", "acme_accounts_authority_thumbprint_key"


def _authority() -> sa.Column[str]:
    return sa.Column("authority", sa.String(40), server_default="issuing", nullable=False)


def upgrade() -> None:
    op.add_column("acme_credentials", _authority())
    op.add_column("enrol_credentials", _authority())
    with op.batch_alter_table("acme_accounts", naming_convention=_NAMES) as table:
        table.drop_constraint(_BY_KEY, type_="unique")
        table.add_column(_authority())
        table.create_unique_constraint(_BY_BOTH, ["authority", "thumbprint"])


def downgrade() -> None:
    with op.batch_alter_table("acme_accounts", naming_convention=_NAMES) as table:
        table.drop_constraint(_BY_BOTH, type_="unique")
        table.drop_column("authority")
        table.create_unique_constraint(_BY_KEY, ["thumbprint"])
    op.drop_column("enrol_credentials", "authority")
    op.drop_column("acme_credentials", "authority")
