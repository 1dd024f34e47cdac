"""Bulk revocations on two officers' word: one proposes exactly what a dry run found, another approves exactly that.

pending ─approved by another officer─▶ approved ─▶ done
   ├─ refused by another officer ─▶ rejected        ├─ withdrawn by whoever proposed ─▶ withdrawn
   └─ three days ─▶ expired

RA-OTHER    whoever proposed does not approve or refuse, under no actor of theirs; nobody else withdraws

The list of serial numbers is frozen when it is proposed, and the digest over it is what the second officer repeats: a
list that was changed in the database is not what anybody approved. What was revoked meanwhile stays as it is, and what
the conditions would find since then is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from foundation.base64url import typable
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor
from foundation.randomness import Randomness
from issuing_ca import store as certificates
from issuing_ca.errors import (
    DecisionRefused,
    HolderReasonRefused,
    ProposalUnknown,
    QueryChanged,
    QueryEmpty,
    TransitionRefused,
)
from issuing_ca.model import CertificateState, Reason
from issuing_ca.ra import proposals_store as store
from issuing_ca.ra.model import BulkProgress, CertificateQuery, ProposalState, RevocationProposal, serials_digest
from issuing_ca.ra.service import Registration

LIFETIME = timedelta(days=3)
_AT_ONCE = 200
_FOR_GOOD = frozenset(Reason) - {Reason.CERTIFICATE_HOLD, Reason.REMOVE_FROM_CRL}


class RevocationProposals:
    """The use cases of bulk revocation by two officers."""

    def __init__(
        self, registration: Registration, database: Database, clock: Clock, randomness: Randomness, audit: AuditTrail
    ) -> None:
        self._registration = registration
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._audit = audit

    def propose(self, actor: Actor, query: CertificateQuery, reason: Reason, digest: str) -> RevocationProposal:
        """Freeze what a dry run found, as ``digest`` says; nothing is revoked.

        Raises QueryEmpty (no condition, or nothing found), QueryChanged, HolderReasonRefused.
        """
        if query.empty:
            raise QueryEmpty
        if reason not in _FOR_GOOD:
            raise HolderReasonRefused
        now = self._clock.now()
        with self._database.unit_of_work() as connection:
            found = store.serials(connection, query)
            if not found:
                raise QueryEmpty
            if serials_digest(found) != digest:
                raise QueryChanged
            one = RevocationProposal(
                id=typable(self._randomness, 15),
                conditions=query.told,
                reason=reason,
                count=len(found),
                digest=digest,
                done=0,
                proposed_by=str(actor),
                proposed_at=now,
                expires_at=now + LIFETIME,
                state=ProposalState.PENDING,
                decided_by=None,
                decided_at=None,
            )
            store.add(connection, one, found)
            self._tell(connection, actor, "proposed", one)
        return one

    def show(self, proposal_id: str) -> RevocationProposal:
        """One proposal. Raises ProposalUnknown."""
        with self._database.read() as connection:
            one = store.proposal(connection, proposal_id)
        if one is None:
            raise ProposalUnknown
        return one.at(self._clock.now())

    def list(self, after: str | None = None, limit: int = 50) -> tuple[RevocationProposal, ...]:
        """Proposals in the order of their ids, from behind ``after``."""
        now = self._clock.now()
        with self._database.read() as connection:
            return tuple(one.at(now) for one in store.page(connection, after, limit))

    def approve(self, actor: Actor, proposal_id: str, digest: str, most: int = _AT_ONCE) -> BulkProgress:
        """Another officer's approval, and the first ``most`` revocations; asked again with the digest, by either of the
        two, as many more, until none remain. The CRLs are made anew once for all of them.

        Raises ProposalUnknown, DecisionRefused (RA-OTHER), QueryChanged (another digest, or another list than was
        proposed), TransitionRefused (expired, rejected, withdrawn), and what revoking raises.
        """
        now = self._clock.now()
        with self._database.unit_of_work() as connection:
            one, listed = self._open(connection, proposal_id, now)
            if digest != one.digest or serials_digest(listed) != digest:
                raise QueryChanged
            if one.state is ProposalState.PENDING:
                self._require_other(actor, one)
                store.move(connection, one, ProposalState.APPROVED, decided_by=str(actor), decided_at=now)
                self._tell(connection, actor, "approved", one)
            elif one.state is not ProposalState.APPROVED:
                raise TransitionRefused(state=one.state.value, wanted=ProposalState.APPROVED.value)
            elif str(actor) not in (one.proposed_by, one.decided_by):
                raise DecisionRefused(rule="RA-OTHER")
        return self._revoke(actor, one, listed, most)

    def reject(self, actor: Actor, proposal_id: str) -> RevocationProposal:
        """Another officer refuses. Raises ProposalUnknown, DecisionRefused, TransitionRefused."""
        return self._end(actor, proposal_id, ProposalState.REJECTED)

    def withdraw(self, actor: Actor, proposal_id: str) -> RevocationProposal:
        """Whoever proposed takes it back. Raises ProposalUnknown, DecisionRefused, TransitionRefused."""
        return self._end(actor, proposal_id, ProposalState.WITHDRAWN)

    def _end(self, actor: Actor, proposal_id: str, state: ProposalState) -> RevocationProposal:
        now = self._clock.now()
        with self._database.unit_of_work() as connection:
            one, _ = self._open(connection, proposal_id, now)
            if one.state is not ProposalState.PENDING:
                raise TransitionRefused(state=one.state.value, wanted=state.value)
            if state is ProposalState.REJECTED:
                self._require_other(actor, one)
            elif str(actor) != one.proposed_by:
                raise DecisionRefused(rule="RA-OTHER")
            store.move(connection, one, state, decided_by=str(actor), decided_at=now)
            self._tell(connection, actor, state.value, one)
        return self.show(proposal_id)

    def _open(
        self, connection: Connection, proposal_id: str, now: datetime
    ) -> tuple[RevocationProposal, tuple[str, ...]]:
        one = store.proposal(connection, proposal_id, lock=True)
        if one is None:
            raise ProposalUnknown
        return one.at(now), store.listed(connection, proposal_id)

    def _require_other(self, actor: Actor, one: RevocationProposal) -> None:
        if self._registration.same_person(str(actor), one.proposed_by):
            raise DecisionRefused(rule="RA-OTHER")

    def _revoke(self, actor: Actor, one: RevocationProposal, listed: tuple[str, ...], most: int) -> BulkProgress:
        ca = self._registration.ca
        part, authorities, revoked = listed[one.done : one.done + most], set[str](), 0
        for serial in part:
            if ca.certificate(serial).state is CertificateState.REVOKED:
                continue  # by somebody else meanwhile, or by a call that ended before it could say so
            try:
                authorities.add(ca.revocation.revoke(serial, one.reason, str(actor)).authority)
                revoked += 1
            except TransitionRefused:  # by somebody else just now
                with self._database.read() as connection:
                    if certificates.certificate(connection, serial).state is not CertificateState.REVOKED:
                        raise
        for name in sorted(authorities):
            ca.lists.current(name)
        done = one.done + len(part)
        with self._database.unit_of_work() as connection:
            store.advance(connection, one.id, done)
            if done == len(listed) and store.finish(connection, one.id):
                self._tell(connection, actor, "done", one)
        return BulkProgress(revoked, len(listed) - done, one.digest)

    def _tell(self, connection: Connection, actor: Actor, what: str, one: RevocationProposal) -> None:
        details: Mapping[str, Any] = {"reason": one.reason.value, "count": one.count, "digest": one.digest}
        self._audit.append(connection, str(actor), f"issuing_ca.revocations_{what}", one.id, dict(details))
