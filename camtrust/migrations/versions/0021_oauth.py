"""The authorisation server: clients, pushed requests, codes, access tokens, subjects

Revision: 0021, after 0020.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identity_oauth_clients",
        sa.Column("client_id", sa.String(64), primary_key=True),
        sa.Column("grants", sa.Text(), nullable=False),
        sa.Column("redirect_uris", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("certificate_bound", sa.Boolean(), nullable=False),
        sa.Column("registered_by", sa.String(200), nullable=False),
        sa.Column("registered_at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "identity_oauth_requests",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("browser", sa.LargeBinary(32), nullable=True),
        sa.Column("person_id", sa.String(200), nullable=True),
        sa.Column("question", sa.String(64), nullable=True),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
    )
    op.create_index(op.f("ix_identity_oauth_requests_expires_at"), "identity_oauth_requests", ["expires_at"])
    op.create_table(
        "identity_oauth_codes",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("person_id", sa.String(200), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("activation", sa.LargeBinary(), nullable=True),
        sa.Column("activation_expires", UtcDateTime(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
    )
    op.create_index(op.f("ix_identity_oauth_codes_person_id"), "identity_oauth_codes", ["person_id"])
    op.create_index(op.f("ix_identity_oauth_codes_expires_at"), "identity_oauth_codes", ["expires_at"])
    op.create_table(
        "identity_oauth_tokens",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("person_id", sa.String(200), nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(32), nullable=True),
        sa.Column("credential_id", sa.String(100), nullable=True),
        sa.Column("digests", sa.Text(), nullable=True),
        sa.Column("activation", sa.LargeBinary(), nullable=True),
        sa.Column("code", sa.LargeBinary(32), nullable=True),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
    )
    for column in ("client_id", "person_id", "code", "expires_at"):
        op.create_index(op.f(f"ix_identity_oauth_tokens_{column}"), "identity_oauth_tokens", [column])
    op.create_table(
        "identity_oauth_subjects",
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("person_id", sa.String(200), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "person_id"),
        sa.UniqueConstraint("subject"),
    )


def downgrade() -> None:
    for table in ("subjects", "tokens", "codes", "requests", "clients"):
        op.drop_table(f"identity_oauth_{table}")
