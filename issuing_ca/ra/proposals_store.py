"""The repository of proposed bulk revocations."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, select, update

from foundation.db.engine import compare_and_set
from issuing_ca.model import Reason
from issuing_ca.ra.model import ProposalState, RevocationProposal
from issuing_ca.ra.store import serials
from issuing_ca.ra.tables import bulk_revocations

__all__ = ["serials"]

_COLUMNS = [column for column in bulk_revocations.c if column.name != "serials"]


def add(connection: Connection, one: RevocationProposal, listed: tuple[str, ...]) -> None:
    connection.execute(
        insert(bulk_revocations).values(
            id=one.id,
            conditions=json.dumps(one.conditions, ensure_ascii=False),
            reason=one.reason.value,
            serials="\n".join(listed),
            found=one.count,
            digest=one.digest,
            done=one.done,
            proposed_by=one.proposed_by,
            proposed_at=one.proposed_at,
            expires_at=one.expires_at,
            state=one.state.value,
        )
    )


def proposal(connection: Connection, proposal_id: str, *, lock: bool = False) -> RevocationProposal | None:
    query = select(*_COLUMNS).where(bulk_revocations.c.id == proposal_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return _proposal(row) if row is not None else None


def page(connection: Connection, after: str | None, limit: int) -> tuple[RevocationProposal, ...]:
    query = select(*_COLUMNS).order_by(bulk_revocations.c.id).limit(limit)
    if after is not None:
        query = query.where(bulk_revocations.c.id > after)
    return tuple(_proposal(row) for row in connection.execute(query))


def listed(connection: Connection, proposal_id: str) -> tuple[str, ...]:
    """The serial numbers that were proposed, in their order."""
    query = select(bulk_revocations.c.serials).where(bulk_revocations.c.id == proposal_id)
    return tuple(connection.execute(query).scalar_one().split("\n"))


def move(connection: Connection, one: RevocationProposal, after: ProposalState, **values: Any) -> None:
    """Raises StaleWrite."""
    same = and_(bulk_revocations.c.id == one.id, bulk_revocations.c.state == one.state.value)
    compare_and_set(connection, bulk_revocations, same, {"state": after.value, **values})


def advance(connection: Connection, proposal_id: str, done: int) -> None:
    """Keep how far it has come; another call may have come further."""
    further = and_(bulk_revocations.c.id == proposal_id, bulk_revocations.c.done < done)
    connection.execute(update(bulk_revocations).where(further).values(done=done))


def finish(connection: Connection, proposal_id: str) -> bool:
    """Whether it ended with this call."""
    approved = and_(bulk_revocations.c.id == proposal_id, bulk_revocations.c.state == ProposalState.APPROVED.value)
    done = connection.execute(update(bulk_revocations).where(approved).values(state=ProposalState.DONE.value))
    return done.rowcount == 1


def _proposal(row: Row[Any]) -> RevocationProposal:
    return RevocationProposal(
        id=row.id,
        conditions=json.loads(row.conditions),
        reason=Reason(row.reason),
        count=row.found,
        digest=row.digest,
        done=row.done,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        expires_at=row.expires_at,
        state=ProposalState(row.state),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )
