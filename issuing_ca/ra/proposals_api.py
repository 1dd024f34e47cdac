"""Bulk revocation by two officers over HTTP: ``/ca/v1/revocations/proposals``.

(Annotations are not postponed here: FastAPI resolves them, and the guards are local to the functions.)
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from foundation.clock import rfc3339
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard
from issuing_ca.model import Reason
from issuing_ca.ra.api import BulkRevocation, Progress, RequestId, Strict
from issuing_ca.ra.model import ProposalState, RevocationProposal
from issuing_ca.ra.proposals import RevocationProposals


class SameDigest(Strict):
    """The digest of the proposal that the officer has looked at."""

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ProposalView(BaseModel):
    """A bulk revocation that was proposed; ``done``: how many of ``count`` have been gone through."""

    id: str
    conditions: dict[str, str]
    reason: str
    count: int
    digest: str
    done: int
    state: ProposalState
    proposed_by: str
    proposed_at: str
    expires_at: str
    decided_by: str | None
    decided_at: str | None


class ProposalPage(BaseModel):
    """A page of proposals; ``next`` is the cursor of the following one."""

    proposals: list[ProposalView]
    next: str | None


def create_router(service: RevocationProposals, guard: Guard) -> APIRouter:
    """Proposing, looking, approving, refusing, withdrawing."""
    router = APIRouter(prefix="/ca/v1/revocations/proposals", tags=["Issuing CA"])
    revokers = guard.officer("ca-revoke")
    readers = guard.any_of({ActorKind.OFFICER: None, ActorKind.OPERATOR: None})

    @router.post("", status_code=201)
    def propose_revocation(actor: Annotated[Actor, Depends(revokers)], body: BulkRevocation) -> ProposalView:
        """Freeze what the dry run found; nothing is revoked before another officer has approved it."""
        return _view(service.propose(actor, body.conditions.query(), Reason.parse(body.reason), body.digest))

    @router.get("")
    def list_revocation_proposals(
        _: Annotated[Actor, Depends(readers)],
        cursor: Annotated[str | None, Query(max_length=40, pattern="^[!-~]*$")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> ProposalPage:
        """Proposals by id, whatever became of them."""
        found = service.list(cursor, limit + 1)
        page = found[:limit]
        return ProposalPage(proposals=[_view(one) for one in page], next=page[-1].id if len(found) > limit else None)

    @router.get("/{request_id}")
    def show_revocation_proposal(_: Annotated[Actor, Depends(readers)], request_id: RequestId) -> ProposalView:
        """One proposal."""
        return _view(service.show(request_id))

    @router.post("/{request_id}/approval")
    def approve_revocation(
        actor: Annotated[Actor, Depends(revokers)], request_id: RequestId, body: SameDigest
    ) -> Progress:
        """Another officer approves exactly this digest; up to 200 are revoked with each call until none remain."""
        done = service.approve(actor, request_id, body.digest)
        return Progress(revoked=done.revoked, remaining=done.remaining, digest=done.digest)

    @router.post("/{request_id}/rejection")
    def reject_revocation(actor: Annotated[Actor, Depends(revokers)], request_id: RequestId) -> ProposalView:
        """Another officer refuses; nothing is revoked."""
        return _view(service.reject(actor, request_id))

    @router.delete("/{request_id}")
    def withdraw_revocation(actor: Annotated[Actor, Depends(revokers)], request_id: RequestId) -> ProposalView:
        """Whoever proposed it takes it back."""
        return _view(service.withdraw(actor, request_id))

    return router


def _view(one: RevocationProposal) -> ProposalView:
    return ProposalView(
        id=one.id,
        conditions=dict(one.conditions),
        reason=one.reason.value,
        count=one.count,
        digest=one.digest,
        done=one.done,
        state=one.state,
        proposed_by=one.proposed_by,
        proposed_at=rfc3339(one.proposed_at),
        expires_at=rfc3339(one.expires_at),
        decided_by=one.decided_by,
        decided_at=rfc3339(one.decided_at) if one.decided_at else None,
    )
