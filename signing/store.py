"""The tables of signing: credentials and documents. What is personal in them is sealed; content is in the blobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    delete,
    func,
    select,
    update,
)

from foundation.db.engine import StaleWrite, compare_and_set
from foundation.db.types import UtcDateTime
from foundation.keys.port import WrappedKey
from foundation.x509.pem import chain_pem, read_certificates
from signing.errors import DocumentBusy
from signing.forms import Form
from signing.model import (
    Approval,
    ApprovalPart,
    Credential,
    CredentialStatus,
    Document,
    DocumentState,
    Level,
    Signatory,
)

metadata = MetaData()

credentials = Table(
    "signing_credentials",
    metadata,
    Column("credential_id", String(64), primary_key=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("key_id", String(200), nullable=False, index=True),
    Column("fingerprint", LargeBinary(32), nullable=False, unique=True),
    Column("certificate", LargeBinary, nullable=False),  # DER
    Column("chain", LargeBinary, nullable=False),  # PEM, the issuer first, the root last
    Column("status", String(20), nullable=False),
    Column("registered_at", UtcDateTime, nullable=False),
)

wrapped_keys = Table(
    "signing_wrapped_keys",
    metadata,
    Column("key_id", String(200), primary_key=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("wrapped", LargeBinary, nullable=False),  # opens in the token alone, which knows whether it is good
    Column("kept_at", UtcDateTime, nullable=False),
)

documents = Table(
    "signing_documents",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("document_id", String(64), nullable=False, unique=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("name", LargeBinary, nullable=False),  # sealed
    Column("password", LargeBinary),  # sealed; gone once the document is signed
    Column("size", Integer, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("pages", Integer, nullable=False),
    Column("encrypted", Boolean, nullable=False),
    Column("form", String(30), nullable=False, server_default="pades"),
    Column("field", LargeBinary),  # sealed: names of fields are written by people
    Column("state", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    Column("uploaded_at", UtcDateTime, nullable=False),
    Column("level", String(10)),
    Column("signed_at", UtcDateTime),
    Column("signed_version", Integer),
    Column("refusal", String(100)),
    sqlite_autoincrement=True,
)


approvals = Table(
    "signing_approvals",
    metadata,
    Column("approval_id", String(64), primary_key=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("credential_id", String(64), nullable=False),
    Column("expires", UtcDateTime, nullable=False),
    Column("parts", LargeBinary, nullable=False),  # JSON: [document id, version] in the order asked
)


@dataclass(frozen=True)
class Sealed:
    """The sealed parts of a document's row."""

    name: bytes
    password: bytes | None
    field: bytes | None


# --- persons' keys ------------------------------------------------------------------------------------------------


def insert_wrapped_key(connection: Connection, key: WrappedKey, at: datetime) -> None:
    connection.execute(
        wrapped_keys.insert().values(key_id=key.info.key_id, owner=key.info.owner, wrapped=key.wrapped, kept_at=at)
    )


def wrapped_keys_of_owner(connection: Connection, owner: str) -> frozenset[str]:
    """The ids of what is kept for a person."""
    return frozenset(connection.execute(select(wrapped_keys.c.key_id).where(wrapped_keys.c.owner == owner)).scalars())


def replace_wrapped_key(connection: Connection, key_id: str, before: bytes, after: bytes) -> bool:
    """Keep a new wrapping in place of the one that was read; False when another has taken its place meanwhile."""
    same = (wrapped_keys.c.key_id == key_id) & (wrapped_keys.c.wrapped == before)
    return connection.execute(update(wrapped_keys).where(same).values(wrapped=after)).rowcount == 1


# --- credentials --------------------------------------------------------------------------------------------------


# A wrapped key is its owner's: a row that was given to somebody else is not taken for theirs.
_CREDENTIALS = select(credentials, wrapped_keys.c.wrapped).outerjoin_from(
    credentials,
    wrapped_keys,
    (credentials.c.key_id == wrapped_keys.c.key_id) & (credentials.c.owner == wrapped_keys.c.owner),
)


def insert_credential(connection: Connection, credential: Credential, at: datetime) -> None:
    signatory = credential.signatory
    connection.execute(
        credentials.insert().values(
            credential_id=credential.credential_id,
            owner=credential.owner,
            key_id=signatory.key_id,
            fingerprint=signatory.certificate.fingerprint(hashes.SHA256()),
            certificate=signatory.certificate.public_bytes(Encoding.DER),
            chain=chain_pem(signatory.chain),
            status=credential.status.value,
            registered_at=at,
        )
    )


def credential_of_certificate(connection: Connection, certificate: x509.Certificate) -> Credential | None:
    """The credential that was registered for exactly this certificate."""
    fingerprint = certificate.fingerprint(hashes.SHA256())
    row = connection.execute(_CREDENTIALS.where(credentials.c.fingerprint == fingerprint)).one_or_none()
    return _credential(row) if row else None


def credential_of_owner(connection: Connection, owner: str, credential_id: str) -> Credential | None:
    """One credential, of this owner; another's is as absent as one that never was."""
    row = connection.execute(
        _CREDENTIALS.where(credentials.c.owner == owner, credentials.c.credential_id == credential_id)
    ).one_or_none()
    return _credential(row) if row else None


def owner_of_credential(connection: Connection, credential_id: str) -> str | None:
    """The owner of a credential; None where there is none."""
    query = select(credentials.c.owner).where(credentials.c.credential_id == credential_id)
    owner: str | None = connection.execute(query).scalar()
    return owner


def credentials_of_owner(connection: Connection, owner: str) -> tuple[Credential, ...]:
    """All of an owner's, the oldest first."""
    query = _CREDENTIALS.where(credentials.c.owner == owner)
    rows = connection.execute(query.order_by(credentials.c.registered_at, credentials.c.credential_id))
    return tuple(_credential(row) for row in rows)


def withdraw_credentials(connection: Connection, column: str, value: str) -> tuple[str, ...]:
    """Withdraw the active credentials whose ``column`` has ``value``; gives their ids."""
    where = (credentials.c[column] == value) & (credentials.c.status == CredentialStatus.ACTIVE.value)
    found = tuple(connection.execute(select(credentials.c.credential_id).where(where)).scalars())
    connection.execute(update(credentials).where(where).values(status=CredentialStatus.WITHDRAWN.value))
    return found


def _credential(row: Row[Any]) -> Credential:
    signatory = Signatory(row.key_id, *_certificates(row.certificate, row.chain), row.wrapped)
    return Credential(row.credential_id, row.owner, signatory, CredentialStatus(row.status))


@lru_cache(maxsize=256)  # an agency that seals asks for the same ones each time
def _certificates(certificate: bytes, chain: bytes) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    return x509.load_der_x509_certificate(certificate), read_certificates(chain)


# --- documents ----------------------------------------------------------------------------------------------------


def insert_document(connection: Connection, document: Document, sealed: Sealed) -> None:
    """Store a new document; ``sequence`` and everything about signing is left to the table."""
    connection.execute(
        documents.insert().values(
            document_id=document.document_id,
            owner=document.owner,
            name=sealed.name,
            password=sealed.password,
            field=sealed.field,
            size=document.size,
            sha256=document.sha256,
            pages=document.pages,
            encrypted=document.encrypted,
            form=str(document.form),
            state=document.state.value,
            version=document.version,
            uploaded_at=document.uploaded_at,
        )
    )


def count_documents(connection: Connection, owner: str) -> int:
    return connection.execute(select(func.count()).where(documents.c.owner == owner)).scalar_one()


def document_of_owner(connection: Connection, owner: str, document_id: str) -> tuple[Document, Sealed] | None:
    """One document, of this owner; another's is as absent as one that never was."""
    row = connection.execute(
        select(documents).where(documents.c.owner == owner, documents.c.document_id == document_id)
    ).one_or_none()
    return (_document(row), Sealed(row.name, row.password, row.field)) if row else None


def documents_of_owner(
    connection: Connection, owner: str, before: int | None, limit: int
) -> Sequence[tuple[Document, Sealed]]:
    """A page of an owner's documents, the newest first; ``before``: the sequence where the last page ended."""
    query = select(documents).where(documents.c.owner == owner).order_by(documents.c.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(documents.c.sequence < before)
    return [(_document(row), Sealed(row.name, row.password, row.field)) for row in connection.execute(query)]


def change(connection: Connection, document: Document, state: DocumentState, **values: Any) -> int:
    """Move a document that still is as it was read; gives its new version. Raises DocumentBusy when it is not."""
    same = (documents.c.document_id == document.document_id) & (documents.c.version == document.version)
    try:
        compare_and_set(connection, documents, same, {"state": state.value, "version": document.version + 1, **values})
    except StaleWrite:
        raise DocumentBusy from None
    return document.version + 1


def remove(connection: Connection, document: Document) -> None:
    """Delete the row of a document that still is as it was read; DocumentBusy when it is not."""
    same = (documents.c.document_id == document.document_id) & (documents.c.version == document.version)
    if connection.execute(delete(documents).where(same)).rowcount != 1:
        raise DocumentBusy


def remove_unsigned(connection: Connection, owner: str, document_id: str) -> int | None:
    """Delete the row of a document that is not signed, whoever works on it; gives the version that it had come to."""
    here = (documents.c.owner == owner) & (documents.c.document_id == document_id)
    gone = delete(documents).where(here, documents.c.state != DocumentState.SIGNED.value)
    version: int | None = connection.execute(gone.returning(documents.c.version)).scalar()
    return version


def _document(row: Row[Any]) -> Document:
    return Document(
        sequence=row.sequence,
        document_id=row.document_id,
        owner=row.owner,
        size=row.size,
        sha256=row.sha256,
        pages=row.pages,
        encrypted=row.encrypted,
        form=Form.parse(row.form),
        state=DocumentState(row.state),
        version=row.version,
        uploaded_at=row.uploaded_at,
        level=Level(row.level) if row.level else None,
        signed_at=row.signed_at,
        signed_version=row.signed_version,
        refusal=row.refusal,
    )


# --- approvals ----------------------------------------------------------------------------------------------------


def insert_approval(connection: Connection, approval: Approval) -> None:
    connection.execute(
        approvals.insert().values(
            approval_id=approval.approval_id,
            owner=approval.owner,
            credential_id=approval.credential_id,
            expires=approval.expires,
            parts=json.dumps([[part.document_id, part.version] for part in approval.parts]).encode(),
        )
    )


def approval_of_owner(connection: Connection, owner: str, approval_id: str) -> Approval | None:
    """One question, of this owner; another's is as absent as one that never was."""
    row = connection.execute(
        select(approvals).where(approvals.c.owner == owner, approvals.c.approval_id == approval_id)
    ).one_or_none()
    return _approval(row) if row else None


def expired_approvals(connection: Connection, owner: str, now: datetime) -> tuple[Approval, ...]:
    """An owner's questions that were not answered in time."""
    rows = connection.execute(select(approvals).where(approvals.c.owner == owner, approvals.c.expires <= now))
    return tuple(_approval(row) for row in rows)


def remove_approval(connection: Connection, approval_id: str) -> None:
    connection.execute(delete(approvals).where(approvals.c.approval_id == approval_id))


def _approval(row: Row[Any]) -> Approval:
    parts = tuple(ApprovalPart(document_id, version) for document_id, version in json.loads(row.parts))
    return Approval(row.approval_id, row.owner, row.credential_id, row.expires, parts)
