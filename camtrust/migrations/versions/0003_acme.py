"""ACME: credentials, accounts, orders, and the proofs of control

Revision: 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "acme_accounts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("thumbprint", sa.String(length=64), nullable=False),
        sa.Column("jwk", sa.Text(), nullable=False),
        sa.Column("credential", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("thumbprint"),
    )
    op.create_index(op.f("ix_acme_accounts_credential"), "acme_accounts", ["credential"], unique=False)
    op.create_table(
        "acme_authorizations",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("order", sa.String(length=40), nullable=False),
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_acme_authorizations_account"), "acme_authorizations", ["account"], unique=False)
    op.create_index(op.f("ix_acme_authorizations_order"), "acme_authorizations", ["order"], unique=False)
    op.create_table(
        "acme_challenges",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("authorization", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("validated_at", UtcDateTime(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_acme_challenges_authorization"), "acme_challenges", ["authorization"], unique=False)
    op.create_table(
        "acme_credentials",
        sa.Column("kid", sa.String(length=40), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("profile", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("domains", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("account", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.create_index(op.f("ix_acme_credentials_owner"), "acme_credentials", ["owner"], unique=False)
    op.create_table(
        "acme_nonce_key",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("one"),
    )
    op.create_table(
        "acme_orders",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("not_after", UtcDateTime(), nullable=True),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.Column("replaces", sa.String(length=120), nullable=True),
        sa.Column("serial", sa.String(length=40), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_acme_orders_account"), "acme_orders", ["account"], unique=False)
    op.create_index(op.f("ix_acme_orders_replaces"), "acme_orders", ["replaces"], unique=False)
    op.create_index(op.f("ix_acme_orders_serial"), "acme_orders", ["serial"], unique=False)
    op.create_table(
        "acme_used_nonces",
        sa.Column("nonce", sa.String(length=80), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("nonce"),
    )
    op.create_index(op.f("ix_acme_used_nonces_expires"), "acme_used_nonces", ["expires"], unique=False)


def downgrade() -> None:
    for table in (
        "acme_used_nonces",
        "acme_orders",
        "acme_nonce_key",
        "acme_credentials",
        "acme_challenges",
        "acme_authorizations",
        "acme_accounts",
    ):
        op.drop_table(table)
