"""The issuing CA's repository, the same on SQLite and PostgreSQL. Its tables stand in `issuing_ca.tables`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from foundation.db.engine import compare_and_set
from issuing_ca.crl_scopes import FULL
from issuing_ca.errors import AuthorityUnknown, CertificateUnknown
from issuing_ca.model import AuthorityKind, CertificateRecord, CertificateState, Orphan, Reason, StatusEntry
from issuing_ca.scopes import EVERYTHING, Scope
from issuing_ca.tables import (
    LAST_DIGITS,
    LISTED,
    UNFINISHED,
    authorities,
    certificates,
    crls,
    metadata,
    public_keys,
    units,
)

__all__ = ["metadata"]


@dataclass(frozen=True)
class CrlFacts:
    """What is known of a CRL without its octets; ``covers`` counts the status changes that are in it.

    ``scope``: ``full``, ``delta``, or a partition as ``COUNT-INDEX``; ``entries``: how many certificates it lists.
    """

    number: int
    this_update: datetime
    next_update: datetime
    covers: int
    scope: str = FULL
    entries: int = 0


@dataclass(frozen=True)
class StoredCrl(CrlFacts):
    """A CRL as it was published (``crl``: DER)."""

    crl: bytes = b""


@dataclass(frozen=True)
class StoredUnit:
    """A key of the service's own with its certificate."""

    generation: int
    key_id: str
    serial: str
    not_after: datetime


# --- authorities --------------------------------------------------------------------------------------------------


def authority_row(connection: Connection, name: str, *, lock: bool = False) -> Row[Any]:
    """One authority; with ``lock`` its row is held to the end of the unit of work. Raises AuthorityUnknown."""
    query = select(authorities).where(authorities.c.name == name)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise AuthorityUnknown(name=name)
    return row


def authority_names(connection: Connection) -> tuple[str, ...]:
    """Every installed authority, oldest first."""
    query = select(authorities.c.name).where(authorities.c.certificate.is_not(None)).order_by(authorities.c.created_at)
    return tuple(connection.execute(query).scalars())


def add_authority(
    connection: Connection, name: str, kind: AuthorityKind, key_id: str, request: bytes, at: datetime
) -> None:
    """A new authority that waits for its certificate."""
    connection.execute(
        insert(authorities).values(
            name=name, kind=kind.value, key_id=key_id, request=request, crl_number=0, status_changes=0, created_at=at
        )
    )


def install_authority(connection: Connection, name: str, certificate: bytes, chain: bytes, at: datetime) -> None:
    """Give a waiting authority its certificate, once."""
    compare_and_set(
        connection,
        authorities,
        and_(authorities.c.name == name, authorities.c.certificate.is_(None)),
        {"certificate": certificate, "chain": chain, "installed_at": at},
    )


# --- certificates -------------------------------------------------------------------------------------------------


def mark_compromised(connection: Connection, serial: str) -> None:
    """The public key of this certificate is never certified again."""
    digest = select(certificates.c.public_key_digest).where(certificates.c.serial == serial).scalar_subquery()
    connection.execute(update(public_keys).where(public_keys.c.digest == digest).values(compromised=True))


def certificate(connection: Connection, serial: str, *, lock: bool = False) -> CertificateRecord:
    """One record. Raises CertificateUnknown."""
    query = select(certificates).where(certificates.c.serial == serial)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise CertificateUnknown
    return _record(row)


def move(connection: Connection, serial: str, before: CertificateState, after: CertificateState, **values: Any) -> None:
    """A transition, by compare-and-set. Raises StaleWrite."""
    compare_and_set(
        connection,
        certificates,
        and_(certificates.c.serial == serial, certificates.c.state == before.value),
        {"state": after.value, **values},
    )


def statuses(
    connection: Connection, serials: Iterable[str], *, lock: bool = False
) -> dict[str, tuple[str, StatusEntry]]:
    """What OCSP tells about serial numbers: each one's authority and status. Those never reserved are left out.

    With ``lock`` their rows are held to the end of the unit of work, taken in one order by everybody.
    """
    rows = connection.execute(_STATUSES_HELD if lock else _STATUSES, {"serials": list(serials)})
    return {row.serial: (row.authority, _status(row)) for row in rows}


_STATUS = tuple(
    certificates.c[name] for name in ("serial", "authority", "state", "revoked_at", "reason", "certificate")
)
_STATUSES = select(*_STATUS).where(certificates.c.serial.in_(bindparam("serials", expanding=True)))
_STATUSES_HELD = _STATUSES.order_by(certificates.c.serial).with_for_update()


def _status(row: Any) -> StatusEntry:
    reason = Reason(row.reason) if row.reason else None
    return StatusEntry(CertificateState(row.state), row.revoked_at, reason, row.certificate)


def revoked(
    connection: Connection, authority: str, ending: str = ""
) -> Iterator[tuple[int, datetime, str, datetime | None]]:
    """The entries of an authority's CRL, in the order of their serial numbers, read as they are needed.

    ``ending``: of those alone whose serial numbers end in these hexadecimal digits.
    """
    table = certificates.c
    query = (
        select(table.serial, table.revoked_at, table.reason, table.invalidity_at)
        .where(table.authority == authority, LISTED)
        .order_by(table.serial)
        .execution_options(yield_per=5000)
    )
    if ending:
        query = query.where(ends_with(ending))
    for serial, revoked_at, reason, invalidity_at in connection.execute(query):
        yield int(serial, 16), revoked_at, reason, invalidity_at


def ends_with(ending: str) -> ColumnElement[bool]:
    """That a serial number ends in one or two hexadecimal digits, in the words of the index."""
    endings = [ending] if len(ending) > 1 else [f"{before:x}{ending}" for before in range(16)]
    return LAST_DIGITS.in_(endings)


def revoked_among(
    connection: Connection, authority: str, serials: Iterable[str]
) -> Iterator[tuple[int, datetime, str, datetime | None]]:
    """The same for those of these serial numbers that are revoked or held."""
    table, wanted = certificates.c, sorted(serials)
    for start in range(0, len(wanted), 500):
        query = select(table.serial, table.revoked_at, table.reason, table.invalidity_at).where(
            table.serial.in_(wanted[start : start + 500]), table.authority == authority, LISTED
        )
        for serial, revoked_at, reason, invalidity_at in connection.execute(query.order_by(table.serial)):
            yield int(serial, 16), revoked_at, reason, invalidity_at


def page(
    connection: Connection,
    after: str | None,
    limit: int,
    state: CertificateState | None,
    owner: str | None,
    scope: Scope = EVERYTHING,
) -> tuple[CertificateRecord, ...]:
    """Records in the order of their serial numbers, from behind ``after``; those alone that the scope reaches."""
    query = select(certificates).order_by(certificates.c.serial).limit(limit)
    if after is not None:
        query = query.where(certificates.c.serial > after)
    if state is not None:
        query = query.where(certificates.c.state == state.value)
    if owner is not None:
        query = query.where(certificates.c.owner == owner)
    for column, names in ((certificates.c.authority, scope.authorities), (certificates.c.profile, scope.profiles)):
        if names is not None:
            query = query.where(column.in_(names))
    return tuple(_record(row) for row in connection.execute(query))


def orphans(connection: Connection, now: datetime) -> tuple[Orphan, ...]:
    """Reserved serial numbers whose permission has run out without a certificate."""
    query = (
        select(certificates)
        .where(UNFINISHED, certificates.c.token_expires <= now)
        .order_by(certificates.c.prepared_at, certificates.c.serial)
    )
    return tuple(
        Orphan(row.serial, row.authority, row.profile, row.prepared_at, row.state == CertificateState.SIGNING.value)
        for row in connection.execute(query)
    )


def keys_wanted(connection: Connection) -> tuple[CertificateRecord, ...]:
    """Records whose key has still to be switched in the token."""
    rows = connection.execute(select(certificates).where(certificates.c.key_wanted.is_not(None)))
    return tuple(_record(row) for row in rows)


def key_blocked_elsewhere(connection: Connection, key_id: str, serial: str) -> bool:
    """Whether another certificate of the same key is held or revoked."""
    blocked = (CertificateState.HELD.value, CertificateState.REVOKED.value)
    query = select(certificates.c.serial).where(
        certificates.c.key_id == key_id, certificates.c.serial != serial, certificates.c.state.in_(blocked)
    )
    return connection.execute(query.limit(1)).first() is not None


def key_switched(connection: Connection, serial: str, wanted: str) -> None:
    """The token was told; a newer wish stays."""
    connection.execute(
        update(certificates)
        .where(certificates.c.serial == serial, certificates.c.key_wanted == wanted)
        .values(key_wanted=None)
    )


def _record(row: Row[Any]) -> CertificateRecord:
    return CertificateRecord(
        serial=row.serial,
        authority=row.authority,
        profile=row.profile,
        state=CertificateState(row.state),
        owner=row.owner,
        key_id=row.key_id,
        subject_digest=row.subject_digest,
        tbs_digest=row.tbs_digest,
        evidence=row.evidence,
        requested_by=row.requested_by,
        prepared_at=row.prepared_at,
        issued_at=row.issued_at,
        not_before=row.not_before,
        not_after=row.not_after,
        revoked_at=row.revoked_at,
        reason=Reason(row.reason) if row.reason else None,
        invalidity_at=row.invalidity_at,
        key_wanted=row.key_wanted,
        certificate=row.certificate,
    )


# --- CRLs and units -----------------------------------------------------------------------------------------------


_CRL_FACTS = tuple(crls.c[name] for name in ("number", "this_update", "next_update", "covers", "scope", "entries"))


def latest_crl_facts(connection: Connection, authority: str, scope: str = FULL) -> CrlFacts | None:
    """What is known of the CRL of this scope with the highest number; its octets, which may be many, are not read."""
    row = connection.execute(_latest(_CRL_FACTS, authority, scope)).one_or_none()
    return CrlFacts(*row) if row is not None else None


def latest_crl(connection: Connection, authority: str, scope: str = FULL) -> StoredCrl | None:
    """The CRL of this scope with the highest number."""
    row = connection.execute(_latest((*_CRL_FACTS, crls.c.crl), authority, scope)).one_or_none()
    return StoredCrl(*row) if row is not None else None


def _latest(columns: Sequence[ColumnElement[Any]], authority: str, scope: str) -> Select[Any]:
    where = and_(crls.c.authority == authority, crls.c.scope == scope)
    return select(*columns).where(where).order_by(crls.c.number.desc()).limit(1)


def oldest_current_crl(connection: Connection, authority: str, now: datetime) -> tuple[int, int] | None:
    """Number and coverage of the oldest full CRL that has not run out: what somebody may still hold."""
    query = (
        select(crls.c.number, crls.c.covers)
        .where(crls.c.authority == authority, crls.c.scope == FULL, crls.c.next_update > now)
        .order_by(crls.c.number)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return (row.number, row.covers) if row is not None else None


def add_crl(connection: Connection, authority: str, crl: StoredCrl) -> None:
    """Keep a CRL; every CRL that was ever published stays."""
    connection.execute(
        insert(crls).values(
            authority=authority,
            scope=crl.scope,
            number=crl.number,
            this_update=crl.this_update,
            next_update=crl.next_update,
            covers=crl.covers,
            entries=crl.entries,
            crl=crl.crl,
        )
    )


def next_crl_number(connection: Connection, authority: str, previous: int) -> None:
    """Take the number after ``previous``, by compare-and-set."""
    compare_and_set(
        connection,
        authorities,
        and_(authorities.c.name == authority, authorities.c.crl_number == previous),
        {"crl_number": previous + 1},
    )


def crl_numbers(connection: Connection) -> dict[str, int]:
    """The number of the newest CRL of every authority."""
    rows = connection.execute(select(authorities.c.name, authorities.c.crl_number))
    return {row.name: row.crl_number for row in rows}


def raise_crl_number(connection: Connection, authority: str, number: int) -> None:
    """Numbers up to this one were given already."""
    connection.execute(
        update(authorities)
        .where(authorities.c.name == authority, authorities.c.crl_number < number)
        .values(crl_number=number)
    )


def latest_unit(connection: Connection, authority: str, profile: str) -> StoredUnit | None:
    """The newest unit of this kind."""
    return next(iter(newest_units(connection, authority, profile, 1)), None)


def newest_units(connection: Connection, authority: str, profile: str, limit: int = 4) -> tuple[StoredUnit, ...]:
    """The newest units of this kind, the newest first."""
    query = (
        select(units)
        .where(units.c.authority == authority, units.c.profile == profile)
        .order_by(units.c.generation.desc())
        .limit(limit)
    )
    return tuple(StoredUnit(row.generation, row.key_id, row.serial, row.not_after) for row in connection.execute(query))


def add_unit(connection: Connection, authority: str, profile: str, unit: StoredUnit) -> bool:
    """Keep a new unit; False where another process made this generation first."""
    try:
        with connection.begin_nested():
            connection.execute(
                insert(units).values(
                    authority=authority,
                    profile=profile,
                    generation=unit.generation,
                    key_id=unit.key_id,
                    serial=unit.serial,
                    not_after=unit.not_after,
                )
            )
    except IntegrityError:
        return False
    return True
