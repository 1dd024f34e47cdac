"""The first schema

Revision: 0001, after .
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.audit import create_head
from foundation.db.types import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index(op.f("ix_audit_events_action"), "audit_events", ["action"], unique=False)
    op.create_index(op.f("ix_audit_events_subject"), "audit_events", ["subject"], unique=False)
    op.create_table(
        "audit_head",
        sa.Column("one", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("one"),
    )
    op.create_table(
        "idempotency_requests",
        sa.Column("place", sa.LargeBinary(length=32), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempt", sa.LargeBinary(length=16), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("place"),
    )
    op.create_index(op.f("ix_idempotency_requests_expires_at"), "idempotency_requests", ["expires_at"], unique=False)
    op.create_index(op.f("ix_idempotency_requests_owner"), "idempotency_requests", ["owner"], unique=False)
    op.create_table(
        "identity_actors",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("registered_by", sa.String(length=200), nullable=False),
        sa.Column("registered_at", UtcDateTime(), nullable=False),
        sa.Column("person_id", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_key"),
    )
    op.create_table(
        "identity_assertions",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index(op.f("ix_identity_assertions_expires_at"), "identity_assertions", ["expires_at"], unique=False)
    op.create_table(
        "identity_sessions",
        sa.Column("token_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=200), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("idle_until", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("token_digest"),
    )
    op.create_index(op.f("ix_identity_sessions_expires_at"), "identity_sessions", ["expires_at"], unique=False)
    op.create_index(op.f("ix_identity_sessions_person_id"), "identity_sessions", ["person_id"], unique=False)
    op.create_table(
        "ca_authorities",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("key_id", sa.String(length=200), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.Column("chain", sa.LargeBinary(), nullable=True),
        sa.Column("crl_number", sa.BigInteger(), nullable=False),
        sa.Column("status_changes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("installed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "ca_certificates",
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("authority", sa.String(length=40), nullable=False),
        sa.Column("profile", sa.String(length=60), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("key_id", sa.String(length=200), nullable=True),
        sa.Column("public_key_digest", sa.String(length=64), nullable=False),
        sa.Column("subject_digest", sa.String(length=64), nullable=False),
        sa.Column("tbs", sa.LargeBinary(), nullable=True),
        sa.Column("tbs_digest", sa.String(length=64), nullable=False),
        sa.Column("token_digest", sa.String(length=64), nullable=True),
        sa.Column("token_expires", UtcDateTime(), nullable=True),
        sa.Column("evidence", sa.String(length=64), nullable=True),
        sa.Column("requested_by", sa.String(length=200), nullable=False),
        sa.Column("prepared_at", UtcDateTime(), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=True),
        sa.Column("not_before", UtcDateTime(), nullable=False),
        sa.Column("not_after", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(length=24), nullable=True),
        sa.Column("invalidity_at", UtcDateTime(), nullable=True),
        sa.Column("key_wanted", sa.String(length=8), nullable=True),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.create_index("ca_certificates_key_wanted", "ca_certificates", ["key_wanted"], unique=False)
    op.create_index("ca_certificates_state", "ca_certificates", ["authority", "state"], unique=False)
    op.create_index("ca_certificates_token", "ca_certificates", ["token_digest"], unique=True)
    op.create_index(op.f("ix_ca_certificates_key_id"), "ca_certificates", ["key_id"], unique=False)
    op.create_index(op.f("ix_ca_certificates_owner"), "ca_certificates", ["owner"], unique=False)
    op.create_table(
        "ca_crls",
        sa.Column("authority", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("this_update", UtcDateTime(), nullable=False),
        sa.Column("next_update", UtcDateTime(), nullable=False),
        sa.Column("covers", sa.BigInteger(), nullable=False),
        sa.Column("crl", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("authority", "number"),
    )
    op.create_table(
        "ca_log_entries",
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("label", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("blinding", sa.LargeBinary(length=32), nullable=False),
        sa.Column("entry", sa.LargeBinary(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "digest"),
        sa.UniqueConstraint("entry"),
        sa.UniqueConstraint("position"),
    )
    op.create_index(op.f("ix_ca_log_entries_label"), "ca_log_entries", ["label"], unique=False)
    op.create_table(
        "ca_log_head",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=True),
        sa.Column("checkpoint_size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("one"),
    )
    op.create_table(
        "ca_log_tiles",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number"),
    )
    op.create_table(
        "ca_public_keys",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("compromised", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "ca_units",
        sa.Column("authority", sa.String(length=40), nullable=False),
        sa.Column("profile", sa.String(length=60), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key_id", sa.String(length=200), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("not_after", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("authority", "profile", "generation"),
    )
    op.create_table(
        "ekyc_enrolments",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("level", sa.String(length=20), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("state", sa.String(length=30), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=100), nullable=True),
        sa.Column("retry_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("subject_index", sa.LargeBinary(length=32), nullable=True),
        sa.Column("claimed_index", sa.LargeBinary(length=32), nullable=True),
        sa.Column("key_id", sa.String(length=100), nullable=True),
        sa.Column("certificate_serial", sa.String(length=64), nullable=True),
        sa.Column("credential_id", sa.String(length=100), nullable=True),
        sa.Column("erased_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("claimed_index"),
        sa.UniqueConstraint("person_id"),
    )
    op.create_index(op.f("ix_ekyc_enrolments_expires_at"), "ekyc_enrolments", ["expires_at"], unique=False)
    op.create_index(op.f("ix_ekyc_enrolments_state"), "ekyc_enrolments", ["state"], unique=False)
    op.create_index(op.f("ix_ekyc_enrolments_subject_index"), "ekyc_enrolments", ["subject_index"], unique=False)
    op.create_table(
        "ekyc_outbox",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("template", sa.String(length=60), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index(op.f("ix_ekyc_outbox_person_id"), "ekyc_outbox", ["person_id"], unique=False)
    op.create_table(
        "ekyc_policies",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "ekyc_service_keys",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "ekyc_contact_challenges",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("enrolment_id", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("address_index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("address_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["enrolment_id"],
            ["ekyc_enrolments.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_ekyc_contact_challenges_address_index"), "ekyc_contact_challenges", ["address_index"], unique=False
    )
    op.create_index(
        op.f("ix_ekyc_contact_challenges_enrolment_id"), "ekyc_contact_challenges", ["enrolment_id"], unique=False
    )
    op.create_table(
        "ekyc_decisions",
        sa.Column("enrolment_id", sa.String(length=40), nullable=False),
        sa.Column("evidence_count", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("policy_digest", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["enrolment_id"],
            ["ekyc_enrolments.id"],
        ),
        sa.PrimaryKeyConstraint("enrolment_id", "evidence_count"),
    )
    op.create_table(
        "ekyc_evidence",
        sa.Column("enrolment_id", sa.String(length=40), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("control", sa.String(length=40), nullable=False),
        sa.Column("control_version", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=30), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["enrolment_id"],
            ["ekyc_enrolments.id"],
        ),
        sa.PrimaryKeyConstraint("enrolment_id", "sequence"),
    )
    op.create_index(op.f("ix_ekyc_evidence_control_version"), "ekyc_evidence", ["control_version"], unique=False)
    op.create_table(
        "signing_credentials",
        sa.Column("credential_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("key_id", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("registered_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("credential_id"),
        sa.UniqueConstraint("fingerprint"),
    )
    op.create_index(op.f("ix_signing_credentials_key_id"), "signing_credentials", ["key_id"], unique=False)
    op.create_index(op.f("ix_signing_credentials_owner"), "signing_credentials", ["owner"], unique=False)
    op.create_table(
        "signing_documents",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("document_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("password", sa.LargeBinary(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("encrypted", sa.Boolean(), nullable=False),
        sa.Column("field", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("uploaded_at", UtcDateTime(), nullable=False),
        sa.Column("level", sa.String(length=10), nullable=True),
        sa.Column("signed_at", UtcDateTime(), nullable=True),
        sa.Column("signed_version", sa.Integer(), nullable=True),
        sa.Column("refusal", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("document_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_signing_documents_owner"), "signing_documents", ["owner"], unique=False)
    create_head(op.get_bind())


def downgrade() -> None:
    op.drop_index(op.f("ix_signing_documents_owner"), table_name="signing_documents")
    op.drop_table("signing_documents")
    op.drop_index(op.f("ix_signing_credentials_owner"), table_name="signing_credentials")
    op.drop_index(op.f("ix_signing_credentials_key_id"), table_name="signing_credentials")
    op.drop_table("signing_credentials")
    op.drop_index(op.f("ix_ekyc_evidence_control_version"), table_name="ekyc_evidence")
    op.drop_table("ekyc_evidence")
    op.drop_table("ekyc_decisions")
    op.drop_index(op.f("ix_ekyc_contact_challenges_enrolment_id"), table_name="ekyc_contact_challenges")
    op.drop_index(op.f("ix_ekyc_contact_challenges_address_index"), table_name="ekyc_contact_challenges")
    op.drop_table("ekyc_contact_challenges")
    op.drop_table("ekyc_service_keys")
    op.drop_table("ekyc_policies")
    op.drop_index(op.f("ix_ekyc_outbox_person_id"), table_name="ekyc_outbox")
    op.drop_table("ekyc_outbox")
    op.drop_index(op.f("ix_ekyc_enrolments_subject_index"), table_name="ekyc_enrolments")
    op.drop_index(op.f("ix_ekyc_enrolments_state"), table_name="ekyc_enrolments")
    op.drop_index(op.f("ix_ekyc_enrolments_expires_at"), table_name="ekyc_enrolments")
    op.drop_table("ekyc_enrolments")
    op.drop_table("ca_units")
    op.drop_table("ca_public_keys")
    op.drop_table("ca_log_tiles")
    op.drop_table("ca_log_head")
    op.drop_index(op.f("ix_ca_log_entries_label"), table_name="ca_log_entries")
    op.drop_table("ca_log_entries")
    op.drop_table("ca_crls")
    op.drop_index(op.f("ix_ca_certificates_owner"), table_name="ca_certificates")
    op.drop_index(op.f("ix_ca_certificates_key_id"), table_name="ca_certificates")
    op.drop_index("ca_certificates_token", table_name="ca_certificates")
    op.drop_index("ca_certificates_state", table_name="ca_certificates")
    op.drop_index("ca_certificates_key_wanted", table_name="ca_certificates")
    op.drop_table("ca_certificates")
    op.drop_table("ca_authorities")
    op.drop_index(op.f("ix_identity_sessions_person_id"), table_name="identity_sessions")
    op.drop_index(op.f("ix_identity_sessions_expires_at"), table_name="identity_sessions")
    op.drop_table("identity_sessions")
    op.drop_index(op.f("ix_identity_assertions_expires_at"), table_name="identity_assertions")
    op.drop_table("identity_assertions")
    op.drop_table("identity_actors")
    op.drop_index(op.f("ix_idempotency_requests_owner"), table_name="idempotency_requests")
    op.drop_index(op.f("ix_idempotency_requests_expires_at"), table_name="idempotency_requests")
    op.drop_table("idempotency_requests")
    op.drop_table("audit_head")
    op.drop_index(op.f("ix_audit_events_subject"), table_name="audit_events")
    op.drop_index(op.f("ix_audit_events_action"), table_name="audit_events")
    op.drop_table("audit_events")
