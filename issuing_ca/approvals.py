"""No citizen's certificate without the registration authority's statement about just this one (`foundation.approval`).

The key that may sign statements is pinned in the settings: nothing of it is read from the database. A statement is
redeemed in the unit of work that stores the intent, under its nonce: of two that bring the same, one finds it used.
What was prepared is held against its statement again when its token is redeemed, because it was in the database since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection, select

from foundation.approval import Approval, ApprovalRefused, check_bound, check_time, verify
from foundation.clock import Clock
from foundation.db.rows import insert_new_rows
from issuing_ca.config import IssuingCaSettings
from issuing_ca.model import CertificateRequest
from issuing_ca.tables import approvals

APPROVED = frozenset({"citizen-sign", "citizen-auth"})


@dataclass(frozen=True)
class Approved:
    """A statement that was checked, and the document it stands in."""

    statement: Approval
    document: bytes


class Approvals:
    """Holds what is to be issued against what was approved."""

    def __init__(self, clock: Clock, settings: IssuingCaSettings) -> None:
        self._clock = clock
        self._pins = settings.registration_authority
        self._policies = settings.policies

    def check(self, request: CertificateRequest, row: Mapping[str, Any]) -> Approved | None:
        """Whether what is to be issued (``row``, as it is stored) is what was approved; None for other profiles.

        Raises ApprovalRefused.
        """
        if request.profile not in APPROVED:
            return None
        if request.approval is None:
            raise ApprovalRefused(rule="APPROVAL-MISSING")
        statement = verify(request.approval, self._pins)
        check_time(statement, self._clock.now())
        check_bound(
            statement,
            authority=row["authority"],
            profile=row["profile"],
            person=row["owner"],
            subject=row["subject_digest"],
            public_key=row["public_key_digest"],
            key_id=row["key_id"],
            evidence=row["evidence"],
        )
        if request.policies != (self._policies.get(statement.level),):
            raise ApprovalRefused(rule="APPROVAL-BOUND", field="level")
        if statement.not_after is not None and row["not_after"] > statement.not_after:
            raise ApprovalRefused(rule="APPROVAL-BOUND", field="not_after")
        return Approved(statement, request.approval)

    def hold(self, connection: Connection, serial: str, tbs: x509.Certificate) -> None:
        """What comes out of the database to be signed: with a citizen's policy in it, only as it was approved.

        ``tbs`` stands under no signature yet. Raises ApprovalRefused.
        """
        levels = {level for level, oid in self._policies.items() if oid in _policies(tbs)}
        if not levels:
            return
        found = connection.execute(select(approvals.c.document).where(approvals.c.serial == serial)).scalar()
        if found is None:
            raise ApprovalRefused(rule="APPROVAL-MISSING")
        statement = verify(found, self._pins)
        check_time(statement, self._clock.now())
        key = tbs.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        check_bound(
            statement,
            subject=sha256(tbs.subject.public_bytes()).hexdigest(),
            public_key=sha256(key).hexdigest(),
        )
        if levels != {statement.level}:
            raise ApprovalRefused(rule="APPROVAL-BOUND", field="level")
        if statement.not_after is not None and tbs.not_valid_after_utc > statement.not_after:
            raise ApprovalRefused(rule="APPROVAL-BOUND", field="not_after")


class ToBeIssued(Protocol):
    """A draft: the serial number it gets, and the statement it rests on."""

    @property
    def serial(self) -> str: ...

    @property
    def approved(self) -> Approved | None: ...


def redeem(connection: Connection, drafts: Sequence[ToBeIssued], now: datetime) -> frozenset[str]:
    """Use statements up, in the unit of work that stores the intents; gives the serial numbers of drafts whose
    statement was used before, by others or by one of these."""
    rows = [
        {"nonce": one.approved.statement.nonce, "serial": one.serial, "document": one.approved.document}
        | {"redeemed_at": now}
        for one in drafts
        if one.approved is not None
    ]
    first = {str(row["nonce"]): row for row in reversed(rows)}
    if insert_new_rows(connection, approvals, [first[nonce] for nonce in sorted(first)]) == len(rows):
        return frozenset()
    wanted = {str(row["serial"]) for row in rows}
    mine = connection.execute(select(approvals.c.serial).where(approvals.c.serial.in_(wanted))).scalars()
    return frozenset(wanted - set(mine))


def _policies(tbs: x509.Certificate) -> frozenset[str]:
    try:
        value = tbs.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(one.policy_identifier.dotted_string for one in value)
