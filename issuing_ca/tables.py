"""The issuing CA's tables."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TextClause,
    literal_column,
    text,
)

from foundation.db.types import UtcDateTime

metadata = MetaData()

# Conditions and an expression that indexes below are made of. A query has to say them in these words: neither database
# uses such an index for a condition with parameters in it.
LISTED = text("state IN ('revoked', 'held')")  # what CRLs list
UNFINISHED = text("state IN ('prepared', 'signing')")
LAST_DIGITS = literal_column("substr(serial, length(serial) - 1)", String)  # two hexadecimal ones: CRL partitions


def _of_few(name: str, *columns: str | object, where: TextClause, unique: bool = False) -> Index:
    """An index of those rows alone for which ``where`` holds: it stays small whatever the table becomes."""
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)  # type: ignore[arg-type]


authorities = Table(
    "ca_authorities",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("key_id", String(200), nullable=False),
    Column("request", LargeBinary, nullable=False),  # CSR, PEM
    Column("certificate", LargeBinary),  # DER; null until installed
    Column("chain", LargeBinary),  # DER certificates one after the other, nearest first, the root last
    Column("crl_number", BigInteger, nullable=False),
    Column("status_changes", BigInteger, nullable=False),  # counts revocations and releases; a CRL says which it covers
    Column("status_frontier", LargeBinary),  # right edge of the Merkle tree over them; null while there is none
    Column("created_at", UtcDateTime, nullable=False),
    Column("installed_at", UtcDateTime),
)

root_updates = Table(
    "ca_root_updates",
    metadata,
    Column("old_root", String(64), primary_key=True),  # SHA-256 of its certificate
    Column("new_with_new", LargeBinary, nullable=False),
    Column("new_with_old", LargeBinary, nullable=False),
    Column("old_with_new", LargeBinary, nullable=False),
    Column("installed_at", UtcDateTime, nullable=False),
)

certificates = Table(
    "ca_certificates",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("authority", String(40), nullable=False),
    Column("profile", String(60), nullable=False),
    Column("state", String(12), nullable=False),
    Column("owner", String(200), nullable=False, index=True),
    Column("key_id", String(200), index=True),
    Column("public_key_digest", String(64), nullable=False),
    Column("subject_digest", String(64), nullable=False),
    Column("tbs", LargeBinary),  # what was linted; dropped once the certificate is there
    Column("tbs_digest", String(64), nullable=False),
    Column("token_digest", String(64)),
    Column("token_expires", UtcDateTime),
    Column("evidence", String(64)),
    Column("requested_by", String(200), nullable=False),
    Column("prepared_at", UtcDateTime, nullable=False),
    Column("issued_at", UtcDateTime),
    Column("not_before", UtcDateTime, nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("reason", String(24)),
    Column("invalidity_at", UtcDateTime),
    Column("key_wanted", String(8)),
    Column("certificate", LargeBinary),
    Index("ca_certificates_state", "state", "serial"),
    Index("ca_certificates_issued", "issued_at"),
    _of_few("ca_certificates_listed", "authority", LAST_DIGITS, "serial", where=LISTED),
    Index(
        "ca_certificates_in_crl",  # a full CRL in its order, out of the index alone
        "authority",
        "serial",
        sqlite_where=LISTED,
        postgresql_where=LISTED,
        postgresql_include=["revoked_at", "reason", "invalidity_at"],
    ),
    _of_few("ca_certificates_unfinished", "token_expires", where=UNFINISHED),
    _of_few("ca_certificates_key_wanted", "key_wanted", where=text("key_wanted IS NOT NULL")),
    _of_few("ca_certificates_token", "token_digest", where=text("token_digest IS NOT NULL"), unique=True),
)

status_changes = Table(
    "ca_status_changes",
    metadata,
    Column("authority", String(40), primary_key=True),
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("serial", String(40), nullable=False),
    Column("state", String(12), nullable=False),
    Column("reason", String(24)),
    Column("at", UtcDateTime, nullable=False),
    Column("root", LargeBinary(32), nullable=False),  # of the tree with this entry as its last
)

ocsp_responses = Table(
    "ca_ocsp_responses",
    metadata,
    Column("cert_id", LargeBinary(32), primary_key=True),  # SHA-256 of the CertID as it is asked
    Column("authority", String(40), nullable=False),
    Column("serial", String(40), nullable=False),
    Column("asked", LargeBinary, nullable=False),  # the CertID, to make the next response to it
    Column("this_update", UtcDateTime, nullable=False),
    Column("next_update", UtcDateTime, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Index("ca_ocsp_responses_serial", "authority", "serial"),
    Index("ca_ocsp_responses_due", "next_update"),
)

approvals = Table(
    "ca_approvals",
    metadata,
    Column("nonce", String(200), primary_key=True),  # of a statement that was redeemed; it is never good again
    Column("serial", String(40), nullable=False, index=True),
    Column("document", LargeBinary, nullable=False),  # as the registration authority signed it
    Column("redeemed_at", UtcDateTime, nullable=False),
)

public_keys = Table(
    "ca_public_keys",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the SubjectPublicKeyInfo
    Column("owner", String(200), nullable=False),
    Column("compromised", Boolean, nullable=False),
)

crls = Table(
    "ca_crls",
    metadata,
    Column("authority", String(40), primary_key=True),
    Column("scope", String(16), primary_key=True),  # full, delta, or the partition as COUNT-INDEX
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("this_update", UtcDateTime, nullable=False),
    Column("next_update", UtcDateTime, nullable=False),
    Column("covers", BigInteger, nullable=False),  # the authority's status_changes when it was made
    Column("entries", BigInteger, nullable=False),
    Column("crl", LargeBinary, nullable=False),
)

units = Table(
    "ca_units",
    metadata,
    Column("authority", String(40), primary_key=True),
    Column("profile", String(60), primary_key=True),  # ocsp-responder or tsa
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("key_id", String(200), nullable=False),
    Column("serial", String(40), nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
)

log_entries = Table(
    "ca_log_entries",
    metadata,
    Column("kind", String(12), primary_key=True),
    Column("digest", LargeBinary(32), primary_key=True),  # SHA-256 of what is logged
    Column("label", LargeBinary(32), nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("blinding", LargeBinary(32), nullable=False),
    Column("entry", LargeBinary(32), nullable=False, unique=True),  # the commitment, which alone is public
    Column("position", BigInteger, unique=True),  # null until it is sequenced; fixed from then on
)

log_tiles = Table(
    "ca_log_tiles",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),  # 32 octets each, up to 256 of them
)

registry_events = Table(
    "ca_registry_events",
    metadata,
    Column("id", String(100), primary_key=True),  # the registry's own
    Column("kind", String(20), nullable=False),
    Column("told", String(64), nullable=False),  # SHA-256 of kind, time and whom it concerned
    Column("state", String(8), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("serials", Integer, nullable=False),
)

lint_position = Table(
    "ca_lint_position",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("issued_at", UtcDateTime, nullable=False),  # of the certificate that was linted last, with its serial number
    Column("serial", String(40), nullable=False),
)

lint_findings = Table(
    "ca_lint_findings",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("finding", String(120), primary_key=True),  # SEVERITY code
    Column("found_at", UtcDateTime, nullable=False),
    Column("acknowledged_at", UtcDateTime),
)

log_witnesses = Table(
    "ca_log_witnesses",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("size", BigInteger, nullable=False),  # of the checkpoint that it cosigned last
    Column("cosigned_at", UtcDateTime),
    Column("failing_since", UtcDateTime),  # null while it cosigns
    Column("tried_at", UtcDateTime),
    Column("failure", String(40)),
)

log_head = Table(
    "ca_log_head",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("checkpoint", LargeBinary),  # the newest signed note
    Column("checkpoint_size", BigInteger, nullable=False),
)
