"""Who proved which contact: a phone can be that of several persons, who say so, up to a number.

Addresses stand as keyed indexes. Nothing of it is told before somebody has shown the code that arrived there: until
then nobody learns that a number is known here. Check: EKYC-SHARED-CONTACT.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, Column, Connection, ForeignKey, LargeBinary, PrimaryKeyConstraint, String, Table, select

from ekyc.errors import EkycError
from ekyc.model import CLOSED
from ekyc.store import enrolments, metadata
from foundation.db.once import insert_once
from foundation.db.types import UtcDateTime
from foundation.errors import Kind

proved_contacts = Table(
    "ekyc_proved_contacts",
    metadata,
    Column("address_index", LargeBinary(32), nullable=False),
    Column("enrolment_id", String(40), ForeignKey(enrolments.c.id), nullable=False, index=True),
    Column("shared", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("address_index", "enrolment_id"),
)


class ContactShared(EkycError):
    """Somebody else proved this contact too, and it was not said that it is shared. The code is still good."""

    code = "ekyc.contact_shared"
    kind = Kind.CONFLICT


class ContactFull(EkycError):
    """As many persons as may have this contact: ``limit``."""

    code = "ekyc.contact_full"
    kind = Kind.CONFLICT


def others(connection: Connection, address_index: bytes, enrolment_id: str) -> tuple[str, ...]:
    """The other enrolments that proved this contact and have not ended."""
    query = (
        select(proved_contacts.c.enrolment_id)
        .join(enrolments, enrolments.c.id == proved_contacts.c.enrolment_id)
        .where((proved_contacts.c.address_index == address_index) & (proved_contacts.c.enrolment_id != enrolment_id))
        .where(enrolments.c.state.not_in([state.value for state in CLOSED]) & enrolments.c.erased_at.is_(None))
        .order_by(proved_contacts.c.at, proved_contacts.c.enrolment_id)
    )
    return tuple(str(one) for one in connection.execute(query).scalars())


def note(connection: Connection, address_index: bytes, enrolment_id: str, *, shared: bool, at: datetime) -> None:
    """This enrolment proved it too; once more changes nothing."""
    row = {"address_index": address_index, "enrolment_id": enrolment_id, "shared": shared, "at": at}
    insert_once(connection, proved_contacts, row)
