"""Evidence of eKYC: authorities that sign chips, their CRLs, challenges, lost documents

Revision: 0014, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ekyc_trust_imports",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("imported_by", sa.String(length=200), nullable=False),
        sa.Column("imported_at", UtcDateTime(), nullable=False),
        sa.Column("decided_by", sa.String(length=200), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_ekyc_trust_imports_state"), "ekyc_trust_imports", ["state"], unique=False)
    op.create_table(
        "ekyc_csca",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("country", sa.String(length=10), nullable=True),
        sa.Column("import_id", sa.String(length=40), nullable=False),
        sa.Column("withdrawn_by", sa.String(length=200), nullable=True),
        sa.Column("withdrawn_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["import_id"], ["ekyc_trust_imports.id"]),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_index(op.f("ix_ekyc_csca_subject"), "ekyc_csca", ["subject"], unique=False)
    op.create_table(
        "ekyc_csca_crls",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.String(length=64), nullable=False),
        sa.Column("crl", sa.LargeBinary(), nullable=False),
        sa.Column("this_update", UtcDateTime(), nullable=False),
        sa.Column("imported_by", sa.String(length=200), nullable=False),
        sa.Column("imported_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_index(op.f("ix_ekyc_csca_crls_issuer"), "ekyc_csca_crls", ["issuer"], unique=False)
    op.create_table(
        "ekyc_evidence_challenges",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("enrolment_id", sa.String(length=40), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["enrolment_id"], ["ekyc_enrolments.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_ekyc_evidence_challenges_enrolment_id"), "ekyc_evidence_challenges", ["enrolment_id"], unique=False
    )
    op.create_table(
        "ekyc_lost_documents",
        sa.Column("index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("reported_by", sa.String(length=200), nullable=False),
        sa.Column("reported_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("index"),
    )


def downgrade() -> None:
    op.drop_table("ekyc_lost_documents")
    op.drop_table("ekyc_evidence_challenges")
    op.drop_table("ekyc_csca_crls")
    op.drop_table("ekyc_csca")
    op.drop_table("ekyc_trust_imports")
