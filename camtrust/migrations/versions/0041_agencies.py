"""Organisations that seal, their representatives and clients

Revision: 0041, after 0040.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_agencies",
        sa.Column("agency_id", sa.String(32), primary_key=True),
        sa.Column("name_km", sa.String(200), nullable=False),
        sa.Column("name_latin", sa.String(200), nullable=False),
        sa.Column("number", sa.String(100), nullable=False),
        sa.Column("approved_number", sa.String(100), unique=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("proposed_by", sa.String(200), nullable=False),
        sa.Column("proposed_at", UtcDateTime(), nullable=False),
        sa.Column("decided_by", sa.String(200)),
        sa.Column("decided_at", UtcDateTime()),
    )
    op.create_index("ix_signing_agencies_state", "signing_agencies", ["state"])
    op.create_table(
        "signing_agency_representatives",
        sa.Column("agency_id", sa.String(32), primary_key=True),
        sa.Column("person_id", sa.String(200), primary_key=True),
        sa.Column("signature", sa.LargeBinary()),
        sa.Column("certificate", sa.String(64)),
        sa.Column("signed_at", UtcDateTime()),
        sa.Column("withdrawn_at", UtcDateTime()),
    )
    op.create_index("ix_signing_agency_representatives_person_id", "signing_agency_representatives", ["person_id"])
    op.create_table(
        "signing_agency_clients",
        sa.Column("client_id", sa.String(200), primary_key=True),
        sa.Column("agency_id", sa.String(32), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("added_by", sa.String(200), nullable=False),
        sa.Column("added_at", UtcDateTime(), nullable=False),
        sa.Column("credential_id", sa.String(64)),
        sa.Column("stage", sa.String(20)),
        sa.Column("withdrawn_at", UtcDateTime()),
    )
    op.create_index("ix_signing_agency_clients_agency_id", "signing_agency_clients", ["agency_id"])


def downgrade() -> None:
    for table in ("signing_agency_clients", "signing_agency_representatives", "signing_agencies"):
        op.drop_table(table)
