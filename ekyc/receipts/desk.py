"""Giving a person the receipt of their proofing: made when the certificate is there, kept sealed, logged, timestamped.

One a certificate, and one more with the name where the person asks for it. Making it can fail without the enrolment
failing: then it is made when it is asked for.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass

from sqlalchemy import Boolean, Column, ForeignKey, LargeBinary, PrimaryKeyConstraint, String, Table, select

from ekyc import store
from ekyc.approval import VerifiedName
from ekyc.casefile import CaseFiles
from ekyc.model import Enrolment, State
from ekyc.ports import ReceiptAuthority
from ekyc.receipts import receipt
from ekyc.store import enrolments, metadata
from foundation.canonical import canonical_json
from foundation.db.once import insert_once
from foundation.db.types import UtcDateTime
from foundation.http.actor import Actor

_PURPOSE = "receipt"

receipts = Table(
    "ekyc_receipts",
    metadata,
    Column("enrolment_id", String(40), ForeignKey(enrolments.c.id), nullable=False),
    Column("serial", String(80), nullable=False),
    Column("named", Boolean, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("enrolment_id", "serial", "named"),
)


@dataclass(frozen=True)
class Receipt:
    """``receipt``: the JWS; ``timestamp``: an RFC 3161 token (DER) over it; ``log_proof``: that the log of
    ``log_key`` has it; ``public_key``: the signer's SubjectPublicKeyInfo (DER), to be compared with the pin."""

    receipt: str
    timestamp: bytes
    log_proof: bytes
    log_key: str
    public_key: bytes


class ReceiptDesk:
    """Makes and gives receipts."""

    def __init__(self, files: CaseFiles, authority: ReceiptAuthority) -> None:
        self._files, self._authority = files, authority

    def of(self, actor: Actor, enrolment_id: str, *, named: bool = False) -> Receipt:
        """The caller's receipt. Raises WrongState before the certificate is active, and what key store, timestamping
        and log raise: then it can be asked for again.
        """
        enrolment = self._files.of_person(actor, enrolment_id)
        enrolment.expect(State.ACTIVATED)
        kept = self.make(str(actor), enrolment, named=named)
        text = str(kept["receipt"])
        return Receipt(
            text,
            base64.b64decode(kept["timestamp"]),
            self._authority.proof(hashlib.sha256(text.encode()).digest()),
            self._authority.log_key(),
            self._authority.public_key(),
        )

    def make(self, actor: str, enrolment: Enrolment, *, named: bool = False) -> dict[str, str]:
        """As far as it is not made yet; of two at once, the first is kept, and both are given it."""
        kept = self._kept(enrolment, named)
        if kept is not None:
            return kept
        files, authority = self._files, self._authority
        now = files.clock.now()
        with files.database.read() as connection:
            ledger = store.ledger(connection, enrolment.id)
            document = files.open_identity(connection, enrolment) if named else {}
        facts = receipt.Facts(
            issuer=authority.issuer,
            person_id=enrolment.person_id,
            enrolment_id=enrolment.id,
            level=enrolment.level,
            serial=enrolment.certificate_serial or "",
            receipt_id=files.randomness.bytes(16).hex(),
            at=now,
            name=_claims(VerifiedName.of(document)) if named else {},
        )
        made = authority.sign(receipt.claims(facts, ledger))
        digest = hashlib.sha256(made.encode()).digest()
        token = base64.b64encode(authority.timestamp(digest)).decode()
        content = canonical_json({"receipt": made, "timestamp": token})
        row = {
            "enrolment_id": enrolment.id,
            "serial": facts.serial,
            "named": named,
            "digest": digest,
            "sealed": files.vault.seal(enrolment.person_id, _PURPOSE, content),
            "at": now,
        }
        with files.database.unit_of_work() as connection:
            if insert_once(connection, receipts, row):
                authority.record(connection, digest, receipt.subject(authority.issuer, enrolment.person_id))
                details = {"sha256": digest.hex(), "named": named}
                files.audit.append(connection, actor, "ekyc.receipt_made", enrolment.id, details)
        return self._kept(enrolment, named) or {}

    def _kept(self, enrolment: Enrolment, named: bool) -> dict[str, str] | None:
        query = select(receipts.c.sealed).where(
            (receipts.c.enrolment_id == enrolment.id)
            & (receipts.c.serial == (enrolment.certificate_serial or ""))
            & (receipts.c.named == named)
        )
        with self._files.database.read() as connection:
            sealed = connection.execute(query).scalar()
        if sealed is None:
            return None
        found: dict[str, str] = json.loads(self._files.vault.open(enrolment.person_id, _PURPOSE, bytes(sealed)))
        return found


def _claims(name: VerifiedName) -> dict[str, str]:
    """OIDC Core §5.1, with the language tag of §5.2 for the name in Khmer."""
    found = {"family_name": name.surname, "given_name": name.given_names, "name#km": name.khmer}
    return {claim: value for claim, value in found.items() if value}
