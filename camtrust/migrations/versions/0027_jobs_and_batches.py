"""What is to be done later, and agencies' batches

Revision: 0027, after 0026.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_requests",
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("due", UtcDateTime(), nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject"),
    )
    op.create_index("job_requests_due", "job_requests", ["state", "due"])
    op.create_table(
        "signing_batches",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("batch_id", sa.String(64), nullable=False, unique=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("credential_id", sa.String(64), nullable=False),
        sa.Column("form", sa.String(30), nullable=False),
        sa.Column("level", sa.String(10), nullable=False),
        sa.Column("options", sa.LargeBinary()),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("kept_until", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime()),
        sa.Column("finished_at", UtcDateTime()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_signing_batches_owner", "signing_batches", ["owner"])
    op.create_index("ix_signing_batches_kept_until", "signing_batches", ["kept_until"])
    op.create_table(
        "signing_batch_documents",
        sa.Column("batch_id", sa.String(64), nullable=False),
        sa.Column("document_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("blob", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("refusal", sa.String(100)),
        sa.Column("told", sa.Text()),
        sa.Column("sealed_sha256", sa.LargeBinary(32)),
        sa.Column("settled_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("batch_id", "document_id"),
    )
    for name, columns, unique in (
        ("signing_batch_documents_number", ["batch_id", "number"], True),
        ("signing_batch_documents_state", ["batch_id", "state", "number"], False),
    ):
        op.create_index(name, "signing_batch_documents", columns, unique=unique)


def downgrade() -> None:
    for table in ("signing_batch_documents", "signing_batches", "job_requests"):
        op.drop_table(table)
