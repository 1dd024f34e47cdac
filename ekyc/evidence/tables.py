"""Tables around evidence: what officers trust (country signing authorities, their CRLs), challenges, lost documents.

Nothing here is personal data but the lost documents, which stand as keyed indexes.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, LargeBinary, String, Table

from ekyc.store import enrolments, metadata
from foundation.db.types import UtcDateTime

# A file that one officer brought; what it holds counts once another officer has approved it.
trust_imports = Table(
    "ekyc_trust_imports",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("state", String(10), nullable=False, index=True),
    Column("imported_by", String(200), nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
    Column("decided_by", String(200), nullable=True),
    Column("decided_at", UtcDateTime, nullable=True),
)

authorities = Table(
    "ekyc_csca",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
    Column("subject", String(64), nullable=False, index=True),  # digest of the name prepared for comparison
    Column("country", String(10), nullable=True),
    Column("import_id", String(40), ForeignKey(trust_imports.c.id), nullable=False),
    Column("withdrawn_by", String(200), nullable=True),
    Column("withdrawn_at", UtcDateTime, nullable=True),
)

authority_crls = Table(
    "ekyc_csca_crls",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("issuer", String(64), nullable=False, index=True),
    Column("crl", LargeBinary, nullable=False),
    Column("this_update", UtcDateTime, nullable=False),
    Column("imported_by", String(200), nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
)

evidence_challenges = Table(
    "ekyc_evidence_challenges",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("enrolment_id", String(40), ForeignKey(enrolments.c.id), nullable=False, index=True),
    Column("purpose", String(20), nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime, nullable=True),
)

lost_documents = Table(
    "ekyc_lost_documents",
    metadata,
    Column("index", LargeBinary(32), primary_key=True),
    Column("reported_by", String(200), nullable=False),
    Column("reported_at", UtcDateTime, nullable=False),
)
