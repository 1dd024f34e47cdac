"""What SADs of the CSC API stand for, and answers that clients come back for

Revision: 0032, after 0031.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_csc_authorisations",
        sa.Column("authorisation_id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("credential_id", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("sad", sa.String(64), nullable=True),
        sa.Column("digests", sa.Text(), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.Column("documents", sa.Text(), nullable=True),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.UniqueConstraint("sad"),
    )
    op.create_index("ix_signing_csc_authorisations_owner", "signing_csc_authorisations", ["owner"])
    op.create_index("ix_signing_csc_authorisations_expires", "signing_csc_authorisations", ["expires"])
    op.create_table(
        "signing_csc_responses",
        sa.Column("response_id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("claimed_at", UtcDateTime(), nullable=True),
        sa.Column("expires", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_signing_csc_responses_state", "signing_csc_responses", ["state"])
    op.create_index("ix_signing_csc_responses_expires", "signing_csc_responses", ["expires"])


def downgrade() -> None:
    op.drop_table("signing_csc_responses")
    op.drop_table("signing_csc_authorisations")
