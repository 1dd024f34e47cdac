"""What issuance writes: whose keys, reserved serial numbers with their intents, and what came of them; many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from foundation.db.engine import StaleWrite
from foundation.db.rows import insert_new_rows, insert_rows, unnested
from issuing_ca.model import CertificateState
from issuing_ca.tables import certificates, public_keys

# One of many certificates, by its serial number; on PostgreSQL all of them in one statement.
_GIVEN = unnested([certificates.c.serial, certificates.c.certificate])
_STORED = {"state": CertificateState.ISSUED.value, "tbs": None, "token_expires": None}
_SIGNING = certificates.c.state == CertificateState.SIGNING.value
_ISSUED_MANY = (
    update(certificates)
    .where(certificates.c.serial == _GIVEN.c.serial, _SIGNING)
    .values(**_STORED, certificate=_GIVEN.c.certificate, issued_at=bindparam("at"))
    .execution_options(preserve_rowcount=True)
)
_ISSUED_EACH = (
    update(certificates)
    .where(certificates.c.serial == bindparam("which"), _SIGNING)
    .values(**_STORED, certificate=bindparam("der"), issued_at=bindparam("at"))
    .execution_options(preserve_rowcount=True)
)


def claim_public_keys(connection: Connection, claims: Sequence[tuple[str, str]]) -> frozenset[int]:
    """Note whose public keys these are (digest and owner); gives the positions of those that may not be certified.

    They are another owner's, or compromised. A race for the same key waits for the other unit of work to end, and then
    finds its row. Digests are claimed in one order, so that no two units of work wait for each other.
    """
    first = dict(reversed(claims))
    rows = [{"digest": digest, "owner": first[digest], "compromised": False} for digest in sorted(first)]
    if insert_new_rows(connection, public_keys, rows) == len(claims):
        return frozenset()
    found = connection.execute(select(public_keys).where(public_keys.c.digest.in_(tuple(first))))
    known = {row.digest: row for row in found}
    return frozenset(
        at for at, (digest, owner) in enumerate(claims) if known[digest].owner != owner or known[digest].compromised
    )


def add_certificates(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Reserve serial numbers with their intents."""
    insert_rows(connection, certificates, rows)


def prepared_row(connection: Connection, serial: str) -> Row[Any] | None:
    """The row that an issuance token names, held to the end of the unit of work."""
    query = select(certificates).where(certificates.c.serial == serial).with_for_update()
    return connection.execute(query).one_or_none()


def issued(connection: Connection, made: Sequence[tuple[str, bytes]], at: datetime) -> None:
    """The certificates (DER) that were signed under these serial numbers. Raises StaleWrite where one waits no more."""
    if not made:
        return
    if connection.dialect.name == "postgresql":
        given = {"serial_s": [serial for serial, _ in made], "certificate_s": [der for _, der in made]}
        moved = connection.execute(_ISSUED_MANY, {**given, "at": at}).rowcount
    else:
        moved = connection.execute(
            _ISSUED_EACH, [{"which": serial, "der": der, "at": at} for serial, der in made]
        ).rowcount
    if moved != len(made):
        raise StaleWrite
