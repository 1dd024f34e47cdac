"""Requests for seal credentials, and successors of those that end

Revision: 0051, after 0050.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_credential_requests",
        sa.Column("request_id", sa.String(32), primary_key=True),
        sa.Column("agency_id", sa.String(32), nullable=False),
        sa.Column("client_id", sa.String(200), nullable=False),
        sa.Column("replaces", sa.String(64), nullable=True, unique=True),
        sa.Column("open_for", sa.String(200), nullable=True, unique=True),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("asked_by", sa.String(200), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("approvals", sa.Integer(), nullable=False),
        sa.Column("working_until", UtcDateTime(), nullable=True),
        sa.Column("credential_id", sa.String(64), nullable=True),
        sa.Column("problem", sa.String(100), nullable=True),
    )
    for column in ("agency_id", "client_id", "credential_id", "state"):
        name = op.f(f"ix_signing_credential_requests_{column}")
        op.create_index(name, "signing_credential_requests", [column], unique=False)
    op.create_table(
        "signing_credential_request_acts",
        sa.Column("request_id", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
    )


def downgrade() -> None:
    op.drop_table("signing_credential_request_acts")
    op.drop_table("signing_credential_requests")
