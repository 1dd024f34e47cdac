"""HTTP: recalls of evidence, by officers. Parses, calls, maps.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from ekyc.api import EnrolmentId
from ekyc.recall.desk import ROLE, Found, Origin, Progress, RecallDesk
from ekyc.recall.reinstatement import ReinstatementDesk
from ekyc.review.desk import Method
from ekyc.views import EnrolmentView, Input, enrolment_view
from foundation.http.actor import Actor
from foundation.http.guard import Guard

RecallId = Annotated[str, Path(pattern=r"^RCL-[A-Z2-7]{16}$")]
_Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class OriginInput(Input):
    """Where the evidence came from; every value that is given must fit."""

    control: Annotated[str | None, Field(pattern=r"^EKYC-[A-Z0-9-]{1,35}$")] = None
    version: Annotated[int | None, Field(ge=1, le=10_000)] = None
    officer: Annotated[str | None, Field(max_length=64)] = None
    issuer: _Hex | None = None
    exchange: Annotated[str | None, Field(max_length=200)] = None
    document: _Hex | None = None
    voucher: Annotated[str | None, Field(pattern=r"^KH-[A-Z2-7]{16}$")] = None

    def origin(self) -> Origin:
        return Origin(**self.model_dump(include=set(OriginInput.model_fields)))


class ProposalInput(OriginInput):
    """A recall, by the digest of its dry run."""

    digest: _Hex


class AffectedView(BaseModel):
    """An enrolment that does not stand without the recalled evidence."""

    enrolment_id: str
    person_id: str
    state: str
    certificate_serial: str | None


class FoundView(BaseModel):
    """What a recall would do. ``standing``: enrolments that are proved without the recalled evidence too."""

    affected: list[AffectedView]
    standing: list[str]
    digest: str


class ProgressView(BaseModel):
    """How far a recall got."""

    recall_id: str
    state: str
    affected: int
    done: int


class ReinstatementInput(Input):
    """An officer's word that a suspended enrolment should stand again, on the evidence with this digest."""

    reason: Annotated[str, Field(pattern=r"^[a-z-]{1,60}$")]
    method: Method
    evidence_digest: _Hex
    signature: Annotated[str, Field(min_length=20, max_length=2000, description="JWS, see ekyc/review/statement.py")]


class SuspendedView(BaseModel):
    """A suspended enrolment; ``proposed_by``: the officer who spoke for it on the evidence with this digest."""

    enrolment: EnrolmentView
    evidence_digest: str
    proposed_by: str | None
    proposed_at: datetime | None


def create_reinstatement_router(desk: ReinstatementDesk, guard: Guard) -> APIRouter:
    """The way back from SUSPENDED, for the officers who can call evidence back."""
    router = APIRouter(prefix="/ekyc/v1/reinstatements", tags=["eKYC"])
    officer = guard.officer(ROLE)

    @router.get("/{enrolment_id}")
    def show(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(officer)]) -> SuspendedView:
        """Why it is suspended, and the digest of the evidence that is to be signed."""
        found = desk.show(actor, enrolment_id)
        return SuspendedView(**{**vars(found), "enrolment": enrolment_view(found.enrolment)})

    @router.post("/{enrolment_id}")
    def decide(
        enrolment_id: EnrolmentId, body: ReinstatementInput, actor: Annotated[Actor, Depends(officer)]
    ) -> EnrolmentView:
        """The first officer's word is kept; another officer's brings the enrolment and its certificates back."""
        return enrolment_view(
            desk.decide(actor, enrolment_id, body.reason, body.method, body.evidence_digest, body.signature)
        )

    return router


def create_recall_router(desk: RecallDesk, guard: Guard) -> APIRouter:
    """The endpoints of recalls."""
    router = APIRouter(prefix="/ekyc/v1/recalls", tags=["eKYC"])
    officer = guard.officer(ROLE)

    @router.post("/preview")
    def preview(body: OriginInput, actor: Annotated[Actor, Depends(officer)]) -> FoundView:  # noqa: ARG001
        """A dry run: who does not stand without this evidence. Changes nothing."""
        return found_view(desk.look(body.origin()))

    @router.post("", status_code=201)
    def propose(body: ProposalInput, actor: Annotated[Actor, Depends(officer)]) -> ProgressView:
        """The first officer: propose exactly what a dry run gave."""
        return _progress(desk.propose(actor, body.origin(), body.digest))

    @router.post("/{recall_id}/confirmation")
    def confirm(recall_id: RecallId, actor: Annotated[Actor, Depends(officer)]) -> ProgressView:
        """The second officer: suspend exactly the affected. Asked again, it goes on where it was cut off."""
        return _progress(desk.confirm(actor, recall_id))

    return router


def found_view(found: Found) -> FoundView:
    """The view of a dry run."""
    affected = [AffectedView(**asdict(one)) for one in found.affected]
    return FoundView(affected=affected, standing=list(found.standing), digest=found.digest)


def _progress(progress: Progress) -> ProgressView:
    return ProgressView(**asdict(progress))
