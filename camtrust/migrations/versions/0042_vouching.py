"""Vouching for people without a document

Revision: 0042, after 0041.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

_ENROLMENT = "ekyc_enrolments.id"


def upgrade() -> None:
    op.create_table(
        "ekyc_vouch_invitations",
        sa.Column("index", sa.LargeBinary(32), primary_key=True),
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey(_ENROLMENT), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
    )
    op.create_index(
        op.f("ix_ekyc_vouch_invitations_enrolment_id"), "ekyc_vouch_invitations", ["enrolment_id"], unique=False
    )
    op.create_table(
        "ekyc_vouchings",
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey(_ENROLMENT), nullable=False),
        sa.Column("voucher_id", sa.String(40), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", "voucher_id"),
    )
    op.create_index(op.f("ix_ekyc_vouchings_voucher_id"), "ekyc_vouchings", ["voucher_id"], unique=False)
    op.create_table(
        "ekyc_communes",
        sa.Column("code", sa.String(6), primary_key=True),
        sa.Column("words", sa.Integer(), nullable=False),
    )
    op.create_table(
        "ekyc_commune_words",
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey(_ENROLMENT), primary_key=True),
        sa.Column("commune", sa.String(6), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
    )
    op.create_index(op.f("ix_ekyc_commune_words_commune"), "ekyc_commune_words", ["commune"], unique=False)


def downgrade() -> None:
    for table in ("ekyc_commune_words", "ekyc_communes", "ekyc_vouchings", "ekyc_vouch_invitations"):
        op.drop_table(table)
