"""Whether the database is the one that we left: no older, and not another one.

Every authority's status changes, its CRL numbers and the issuance log only grow. A witness outside of the database
(`issuing_ca.ports.StatusWitness`) remembers how far they had come, and so does the token, where it can
(`foundation.keys.marks`), for the day on which the whole disk is put back. A database that has come less far, or to
something else, was restored from a backup or changed; with it revoked certificates would be good again and CRL numbers
would come twice, so nothing starts on it. Two officers may reconcile it: what the witness remembers is done again,
numbers go on from where they had been, and both names stand in the audit trail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from foundation.canonical import canonical_json
from foundation.clock import Clock, parse_rfc3339, rfc3339
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.keys.marks import Marks
from foundation.merkle import root as tree_root
from issuing_ca import log_store, status_journal, store
from issuing_ca.errors import CertificateUnknown, DatabaseRolledBack, ReconciliationRefused
from issuing_ca.model import CertificateState, Reason
from issuing_ca.ports import StatusWitness, Witnessed
from issuing_ca.revocation import replay
from issuing_ca.status_marks import heads_of, marks_of

LOG = "@log"  # how the issuance log stands among the authorities
FORM = "camtrust.ca.reconciliation/v1"
OFFICERS = 2


@dataclass(frozen=True)
class Reconciled:
    """What a reconciliation did again, and which certificates it could not find."""

    again: tuple[str, ...]
    missing: tuple[str, ...]


class RollbackGuard:
    """Holds the database against the witness and the token's marks, and brings both up to date."""

    def __init__(
        self, database: Database, witness: StatusWitness, clock: Clock, audit: AuditTrail, marks: Marks | None = None
    ) -> None:
        self._database = database
        self._marks = marks
        self._witness = witness
        self._clock = clock
        self._audit = audit

    def check(self) -> None:
        """Raises DatabaseRolledBack (naming authority and sizes), StatusWitnessUnreadable, and the token's errors."""
        seen = self._seen()
        with self._database.read() as connection:
            self._check(connection, seen)

    def advance(self) -> None:
        """Check, and write down what has come since. Raises what :meth:`check` raises, and OSError."""
        with self._witness.held():
            seen = self._seen()
            with self._database.read() as connection:
                self._check(connection, seen)
                self._witness.add(self._news(connection, self._witness.newest()))
                self._mark(_heads(connection))

    def statement(self) -> bytes:
        """What officers agree to, as canonical JSON: what is remembered, what is there, and what will be done again."""
        seen = {(one.authority, one.size, one.crl_number, one.root): one for one in reversed(self._seen())}
        with self._database.read() as connection:
            there = {one.authority: one for one in _heads(connection)}
            lost = self._lost(connection)
        return canonical_json(
            {
                "form": FORM,
                "remembered": [_told(seen[key]) for key in sorted(seen)],
                "database": [_told(there[name]) for name in sorted(there)],
                "again": [_told(one) for one in lost],
            }
        )

    def reconcile(self, statement: bytes, officers: Sequence[str]) -> Reconciled:
        """Go on with this database, as two different officers agreed who signed ``statement``.

        Whoever calls has checked their signatures. Raises ReconciliationRefused for fewer than two, for a statement
        that is not (any more) about this database, and where there is nothing to reconcile.
        """
        if len(set(officers)) < OFFICERS:
            raise ReconciliationRefused(rule="two different officers")
        with self._witness.held():
            try:
                self.check()
            except DatabaseRolledBack:
                pass
            else:
                raise ReconciliationRefused(rule="a database that is behind")
            if self.statement() != statement:
                raise ReconciliationRefused(rule="the statement of this moment")
            seen = self._seen()
            again: list[str] = []
            missing: list[str] = []
            with self._database.unit_of_work() as connection:
                for one in self._lost(connection):
                    (again if self._replay(connection, one) else missing).append(str(one.serial))
                for one in seen:
                    if one.authority != LOG:
                        store.raise_crl_number(connection, one.authority, one.crl_number)
                details = {
                    "officers": sorted(set(officers)),
                    "statement": hashlib.sha256(statement).hexdigest(),
                    "again": len(again),
                    "missing": len(missing),
                }
                self._audit.append(connection, "officers", "issuing_ca.database_reconciled", "database", details)
            with self._database.read() as connection:
                heads = _heads(connection)
            self._witness.add(heads, again=True)
            if self._marks is not None:
                self._marks.set_marks(marks_of(heads), again=True)
        return Reconciled(tuple(again), tuple(missing))

    # --- steps ----------------------------------------------------------------------------------------------------

    def _seen(self) -> list[Witnessed]:
        """The last of every authority that the witness remembers, and that the token does."""
        marked = heads_of(self._marks.marks()) if self._marks is not None else {}
        return [*self._witness.newest().values(), *marked.values()]

    def _mark(self, heads: Sequence[Witnessed]) -> None:
        """Have the token remember the heads, unless it does."""
        if self._marks is not None and not set(wanted := marks_of(heads)) <= set(self._marks.marks()):
            self._marks.set_marks(wanted)

    def _check(self, connection: Connection, seen: Sequence[Witnessed]) -> None:
        numbers = store.crl_numbers(connection)
        for one in seen:
            if one.authority == LOG:
                sound = _log_root(connection, one.size) == one.root
            else:
                root = status_journal.root_at(connection, one.authority, one.size)
                sound = root == one.root and numbers.get(one.authority, -1) >= one.crl_number
            if not sound:
                raise DatabaseRolledBack(authority=one.authority, size=one.size)

    def _news(self, connection: Connection, newest: Mapping[str, Witnessed]) -> list[Witnessed]:
        """What the database knows and the witness does not."""
        news = []
        for head in _heads(connection):
            seen = newest.get(head.authority)
            if head.authority != LOG:
                covered = seen.size if seen is not None else 0
                for change, root in status_journal.with_roots(connection, head.authority, covered):
                    news.append(
                        Witnessed(
                            head.authority,
                            change.number,
                            root,
                            head.crl_number,
                            change.serial,
                            change.state.value,
                            change.reason.value if change.reason else None,
                            rfc3339(change.at),
                        )
                    )
            last = news[-1] if news and news[-1].authority == head.authority else seen
            if last is None or (last.size, last.crl_number) != (head.size, head.crl_number):
                news.append(head)
        return news

    def _lost(self, connection: Connection) -> list[Witnessed]:
        """The changes that the witness remembers and the database does not have at their place."""
        return [
            one
            for one in self._witness.all()
            if one.serial is not None and status_journal.root_at(connection, one.authority, one.size) != one.root
        ]

    def _replay(self, connection: Connection, one: Witnessed) -> bool:
        reason = Reason(one.reason) if one.reason else None
        try:
            replay(connection, str(one.serial), CertificateState(str(one.state)), reason, parse_rfc3339(str(one.at)))
        except CertificateUnknown:
            return False
        return True


def verify_journal(database: Database) -> Mapping[str, int]:
    """Rebuild every authority's tree from its entries; sizes by name. Raises DatabaseRolledBack for one that is not."""
    sizes = {}
    with database.read() as connection:
        for head in status_journal.heads(connection):
            if status_journal.verify(connection, head.authority) is None:
                raise DatabaseRolledBack(authority=head.authority, size=head.size)
            sizes[head.authority] = head.size
    return sizes


def _heads(connection: Connection) -> list[Witnessed]:
    numbers = store.crl_numbers(connection)
    heads = [
        Witnessed(one.authority, one.size, one.root, numbers[one.authority]) for one in status_journal.heads(connection)
    ]
    log = log_store.head(connection)
    return [*heads, Witnessed(LOG, log.size, log.root, 0)]


def _log_root(connection: Connection, size: int) -> bytes | None:
    """The root that the log had at this size; None where it is shorter, or its tiles are not all there."""
    if log_store.head(connection).size < size:
        return None
    try:
        return tree_root(log_store.tile_reader(connection), size)
    except (ValueError, CamTrustError):
        return None


def _told(one: Witnessed) -> dict[str, Any]:
    value: dict[str, Any] = {"authority": one.authority, "size": one.size, "root": one.root.hex()}
    value["crl_number"] = one.crl_number
    if one.serial is not None:
        value |= {"serial": one.serial, "state": one.state, "reason": one.reason, "at": one.at}
    return value
