"""Whom chips are believed: country signing authorities, imported under dual control, and their CRLs.

One officer brings a master list or a certificate, another one verifies the same file by its digest and approves it;
until then it counts for nothing. A list's signature shows who made it, not that it is trusted. Taking trust away needs
one officer. CRLs show themselves who signed them, and one officer brings them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Row, select

from ekyc.casefile import CaseFiles
from ekyc.chip.certificates import ChipCertificate, read_certificate
from ekyc.chip.issuer import MAX_CRL, issuer_of_crl, read_crl
from ekyc.chip.master_list import (
    MAX_LIST,
    ListRefused,
    digest_of,
    is_master_list,
    read_authority,
    read_master_list,
)
from ekyc.evidence.errors import (
    AuthorityUnknown,
    CrlNotAnchored,
    SecondOfficerNeeded,
    TrustDigestDiffers,
    TrustFileInvalid,
    TrustImportDecided,
    TrustImportUnknown,
)
from ekyc.evidence.tables import authorities, authority_crls, trust_imports
from ekyc.ports import Officers
from foundation.db.engine import StaleWrite, compare_and_set
from foundation.db.once import insert_once
from foundation.errors import CamTrustError
from foundation.http.actor import Actor
from foundation.x509 import pem

ROLE = "ekyc-trust"
PENDING, APPROVED, REJECTED = "pending", "approved", "rejected"
_KEPT_CRLS = 20  # of one issuer


@dataclass(frozen=True)
class TrustImport:
    """A file that was brought. ``authorities`` are what it holds; ``signer`` is the fingerprint of a list's signer."""

    id: str
    kind: str
    digest: str
    state: str
    imported_by: str
    imported_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    authorities: tuple[ChipCertificate, ...]
    unreadable: int
    signer: ChipCertificate | None
    known: frozenset[str]


@dataclass(frozen=True)
class Anchor:
    """An authority that chips are believed by; ``withdrawn_at`` where that is over."""

    certificate: ChipCertificate
    import_id: str
    withdrawn_at: datetime | None


class ChipTrust:
    """The store of authorities and CRLs, and the officers' way to change it."""

    def __init__(self, files: CaseFiles, officers: Officers) -> None:
        self._files = files
        self._officers = officers

    def bring(self, officer: Actor, data: bytes) -> TrustImport:
        """Bring a file: a master list (CMS), or one certificate (DER or PEM). It counts for nothing yet.

        Raises TrustFileInvalid for what cannot be read or was not signed by its signer.
        """
        kind, content = _opened(data)
        files, digest = self._files, digest_of(data)
        row = {
            "id": files.new_id("TRU-"),
            "kind": kind,
            "digest": digest,
            "content": content,
            "state": PENDING,
            "imported_by": str(officer),
            "imported_at": files.clock.now(),
            "decided_by": None,
            "decided_at": None,
        }
        with files.database.unit_of_work() as connection:
            connection.execute(trust_imports.insert().values(**row))
            details = {"kind": kind, "digest": digest}
            files.audit.append(connection, str(officer), "ekyc.trust_brought", str(row["id"]), details)
        return self.show(str(row["id"]))

    def decide(self, officer: Actor, import_id: str, digest: str, *, approve: bool) -> TrustImport:
        """Approve or reject a file, by the digest of the officer's own copy. On approval, its authorities count.

        Raises TrustImportUnknown, TrustImportDecided, TrustDigestDiffers, and SecondOfficerNeeded when whoever brought
        it approves it, as this officer or as another one who is the same person. They may reject it.
        """
        files = self._files
        found = self.show(import_id)
        if found.state != PENDING:
            raise TrustImportDecided
        if digest != found.digest:
            raise TrustDigestDiffers
        if approve and self._same(officer, found.imported_by):
            raise SecondOfficerNeeded
        state = APPROVED if approve else REJECTED
        pending = (trust_imports.c.id == import_id) & (trust_imports.c.state == PENDING)
        values = {"state": state, "decided_by": str(officer), "decided_at": files.clock.now()}
        try:
            with files.database.unit_of_work() as connection:
                compare_and_set(connection, trust_imports, pending, values)
                for one in found.authorities if approve else ():
                    insert_once(connection, authorities, _row(one, import_id))
                details = {"digest": digest, "authorities": len(found.authorities)}
                files.audit.append(connection, str(officer), f"ekyc.trust_{state}", import_id, details)
        except StaleWrite:
            raise TrustImportDecided from None
        return self.show(import_id)

    def withdraw(self, officer: Actor, sha256: str) -> None:
        """Believe an authority no more, at once and for good. Repeating it is safe. Raises AuthorityUnknown."""
        files = self._files
        this = authorities.c.sha256 == sha256
        with files.database.unit_of_work() as connection:
            row = connection.execute(select(authorities.c.withdrawn_at).where(this)).first()
            if row is None:
                raise AuthorityUnknown
            if row.withdrawn_at is None:
                values = {"withdrawn_by": str(officer), "withdrawn_at": files.clock.now()}
                connection.execute(authorities.update().where(this).values(**values))
                files.audit.append(connection, str(officer), "ekyc.trust_withdrawn", sha256, {})

    def bring_crl(self, officer: Actor, data: bytes) -> str:
        """Keep a full CRL (DER or PEM) that an approved authority signed; gives its SHA-256. Raises CrlNotAnchored."""
        files = self._files
        try:
            der = data if data[:1] == b"\x30" else pem.read_crl(data).public_bytes(Encoding.DER)
            issuer = issuer_of_crl(der)
            crl = read_crl(der, issuer, [read_certificate(one) for one in self.anchors(issuer)])
        except Exception as error:  # the libraries raise several kinds for what is no CRL
            raise CrlNotAnchored from error
        if crl is None or len(der) > MAX_CRL:
            raise CrlNotAnchored
        row = {
            "sha256": digest_of(der),
            "issuer": _name(issuer),
            "crl": der,
            "this_update": crl.last_update_utc,
            "imported_by": str(officer),
            "imported_at": files.clock.now(),
        }
        with files.database.unit_of_work() as connection:
            if insert_once(connection, authority_crls, row):
                details = {"issuer": str(row["issuer"])}
                files.audit.append(connection, str(officer), "ekyc.crl_brought", str(row["sha256"]), details)
                mine = authority_crls.c.issuer == row["issuer"]
                newest = select(authority_crls.c.sha256).where(mine).order_by(authority_crls.c.this_update.desc())
                old = [str(one) for one in connection.execute(newest.offset(_KEPT_CRLS)).scalars()]
                connection.execute(authority_crls.delete().where(authority_crls.c.sha256.in_(old)))
        return str(row["sha256"])

    def anchors(self, issuer: str) -> tuple[bytes, ...]:
        """The approved authorities of a name (prepared for comparison), DER."""
        query = select(authorities.c.certificate).where(
            (authorities.c.subject == _name(issuer)) & authorities.c.withdrawn_at.is_(None)
        )
        with self._files.database.read() as connection:
            return tuple(bytes(one) for one in connection.execute(query).scalars())

    def crls(self, issuer: str) -> tuple[bytes, ...]:
        """The CRLs that are kept of an issuer of this name, DER."""
        query = select(authority_crls.c.crl).where(authority_crls.c.issuer == _name(issuer))
        with self._files.database.read() as connection:
            return tuple(bytes(one) for one in connection.execute(query).scalars())

    def trusted(self, after: str | None, limit: int) -> tuple[Anchor, ...]:
        """Every authority that was approved, withdrawn ones too, by fingerprint."""
        query = select(authorities).order_by(authorities.c.sha256).limit(limit)
        if after is not None:
            query = query.where(authorities.c.sha256 > after)
        with self._files.database.read() as connection:
            rows = connection.execute(query).all()
        return tuple(Anchor(read_certificate(bytes(one.certificate)), one.import_id, one.withdrawn_at) for one in rows)

    def imports(self, state: str | None, limit: int) -> tuple[str, ...]:
        """Ids of imports, newest first."""
        query = select(trust_imports.c.id).order_by(trust_imports.c.imported_at.desc(), trust_imports.c.id).limit(limit)
        if state is not None:
            query = query.where(trust_imports.c.state == state)
        with self._files.database.read() as connection:
            return tuple(connection.execute(query).scalars())

    def show(self, import_id: str) -> TrustImport:
        """One import with what it holds. Raises TrustImportUnknown."""
        with self._files.database.read() as connection:
            row = connection.execute(select(trust_imports).where(trust_imports.c.id == import_id)).first()
            if row is None:
                raise TrustImportUnknown
            found = _contents(row)
            fingerprints = [one.sha256 for one in found.authorities]
            known = connection.execute(select(authorities.c.sha256).where(authorities.c.sha256.in_(fingerprints)))
            return TrustImport(**{**vars(found), "known": frozenset(known.scalars())})

    def _same(self, officer: Actor, other: str) -> bool:
        """Whether both are one officer, or one person."""
        if str(officer) == other:
            return True
        mine, theirs = (self._officers.person_of(one) for one in (officer.id, other.partition(":")[2]))
        return mine is not None and mine == theirs


def _opened(data: bytes) -> tuple[str, bytes]:
    """Kind and DER of a file."""
    try:
        if len(data) > MAX_LIST:
            raise ListRefused("too large")
        if is_master_list(data):
            read_master_list(data)
            return "master-list", data
        if data.lstrip()[:10] == b"-----BEGIN":
            data = pem.read_certificate(data).public_bytes(Encoding.DER)
        read_authority(data)
    except (ListRefused, CamTrustError) as error:
        raise TrustFileInvalid(problem=str(error)[:80]) from error
    return "certificate", data


def _contents(row: Row[Any]) -> TrustImport:
    held: Sequence[ChipCertificate]
    if row.kind == "master-list":
        read = read_master_list(bytes(row.content))
        held, unreadable, signer = read.authorities, read.unreadable, read.signer
    else:
        held, unreadable, signer = (read_authority(bytes(row.content)),), 0, None
    return TrustImport(
        row.id,
        row.kind,
        row.digest,
        row.state,
        row.imported_by,
        row.imported_at,
        row.decided_by,
        row.decided_at,
        tuple(held),
        unreadable,
        signer,
        frozenset(),
    )


def _row(certificate: ChipCertificate, import_id: str) -> dict[str, Any]:
    return {
        "sha256": certificate.sha256,
        "certificate": certificate.raw,
        "subject": _name(certificate.subject.key),
        "country": certificate.subject.country,
        "import_id": import_id,
        "withdrawn_by": None,
        "withdrawn_at": None,
    }


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
