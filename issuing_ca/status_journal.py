"""The journal of status changes: per authority a list that only grows, with a Merkle tree over it (RFC 9162 §2.1).

An entry is written in the unit of work that changes the status, so that neither exists without the other. Delta CRLs,
the OCSP responder's memory, and the check that the database was not rolled back all read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, insert, select

from foundation.canonical import canonical_json
from foundation.clock import rfc3339
from foundation.db.engine import compare_and_set
from foundation.merkle import EMPTY_ROOT, Frontier, leaf_hash
from issuing_ca.model import CertificateState, Reason
from issuing_ca.store import authority_row
from issuing_ca.tables import authorities, certificates, status_changes

LEAF_FORM = "camtrust.ca.status-change/v1"


@dataclass(frozen=True)
class StatusChange:
    """What became of a certificate. ``number`` counts from 1 within the authority."""

    authority: str
    number: int
    serial: str
    state: CertificateState
    reason: Reason | None
    at: datetime

    @property
    def leaf(self) -> bytes:
        """The leaf hash of this entry: over its canonical JSON (RFC 8785)."""
        return leaf_hash(
            canonical_json(
                {
                    "form": LEAF_FORM,
                    "authority": self.authority,
                    "number": self.number,
                    "serial": self.serial,
                    "state": self.state.value,
                    "reason": self.reason.value if self.reason else None,
                    "at": rfc3339(self.at),
                }
            )
        )


@dataclass(frozen=True)
class TreeHead:
    """How far an authority's journal goes, and the root of the tree over it."""

    authority: str
    size: int
    root: bytes


def record(
    connection: Connection, authority: str, serial: str, state: CertificateState, reason: Reason | None, at: datetime
) -> TreeHead:
    """Write down a status change; the authority's row is held to the end of the unit of work."""
    row = authority_row(connection, authority, lock=True)
    change = StatusChange(authority, row.status_changes + 1, serial, state, reason, at.replace(microsecond=0))
    frontier = Frontier.from_bytes(row.status_changes, bytes(row.status_frontier or b""))
    frontier.append(change.leaf)
    compare_and_set(
        connection,
        authorities,
        and_(authorities.c.name == authority, authorities.c.status_changes == row.status_changes),
        {"status_changes": change.number, "status_frontier": frontier.to_bytes()},
    )
    connection.execute(
        insert(status_changes).values(
            authority=authority,
            number=change.number,
            serial=serial,
            state=state.value,
            reason=reason.value if reason else None,
            at=change.at,
            root=frontier.root,
        )
    )
    return TreeHead(authority, change.number, frontier.root)


def heads(connection: Connection) -> tuple[TreeHead, ...]:
    """The newest head of every authority, by name."""
    query = select(authorities.c.name, authorities.c.status_changes, authorities.c.status_frontier)
    return tuple(
        TreeHead(row.name, row.status_changes, _root(row.status_changes, row.status_frontier))
        for row in connection.execute(query.order_by(authorities.c.name))
    )


def root_at(connection: Connection, authority: str, size: int) -> bytes | None:
    """The root that the tree had at this size; None where it never was so large."""
    if size == 0:
        return EMPTY_ROOT
    where = and_(status_changes.c.authority == authority, status_changes.c.number == size)
    root: bytes | None = connection.execute(select(status_changes.c.root).where(where)).scalar_one_or_none()
    return None if root is None else bytes(root)


def sizes(connection: Connection) -> dict[str, int]:
    """How many status changes every authority has had."""
    return {
        row.name: row.status_changes
        for row in connection.execute(select(authorities.c.name, authorities.c.status_changes))
    }


def since(connection: Connection, authority: str, number: int) -> tuple[StatusChange, ...]:
    """The changes after ``number``, oldest first."""
    return tuple(change for change, _ in with_roots(connection, authority, number))


def with_roots(connection: Connection, authority: str, number: int) -> Iterator[tuple[StatusChange, bytes]]:
    """The same, each with the root of the tree whose last entry it is; read as they are needed."""
    where = and_(status_changes.c.authority == authority, status_changes.c.number > number)
    query = select(status_changes).where(where).order_by(status_changes.c.number)
    with connection.execute(query.execution_options(yield_per=1000)) as rows:
        for row in rows:
            reason = Reason(row.reason) if row.reason else None
            change = StatusChange(row.authority, row.number, row.serial, CertificateState(row.state), reason, row.at)
            yield change, bytes(row.root)


def any_since(connection: Connection, authority: str, number: int, where: ColumnElement[bool]) -> bool:
    """Whether any change after ``number`` is like this (a condition on the journal's columns)."""
    later = and_(status_changes.c.authority == authority, status_changes.c.number > number, where)
    return connection.execute(select(status_changes.c.number).where(later).limit(1)).first() is not None


def of_profile(connection: Connection, serials: Iterable[str], profile: str) -> bool:
    """Whether any of these certificates has this profile."""
    where = and_(certificates.c.serial.in_(tuple(serials)), certificates.c.profile == profile)
    return connection.execute(select(certificates.c.serial).where(where).limit(1)).first() is not None


def verify(connection: Connection, authority: str) -> TreeHead | None:
    """Rebuild an authority's tree from its entries; its head, or None where any stored root is another one."""
    frontier = Frontier()
    for change, root in with_roots(connection, authority, 0):
        frontier.append(change.leaf)
        if change.number != frontier.size or root != frontier.root:
            return None
    row = authority_row(connection, authority)
    if row.status_changes != frontier.size or _root(row.status_changes, row.status_frontier) != frontier.root:
        return None
    return TreeHead(authority, frontier.size, frontier.root)


def _root(size: int, frontier: bytes | None) -> bytes:
    return Frontier.from_bytes(size, bytes(frontier or b"")).root
