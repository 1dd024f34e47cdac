"""HTTP: appeals against refusals. Parses, calls, maps.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, SecretStr

from ekyc.api import EnrolmentId, IfVersion
from ekyc.appeals.desk import ROLE, AppealDesk, Standing, Word
from ekyc.views import EnrolmentView, Input, enrolment_view
from foundation.http.actor import Actor
from foundation.http.guard import Guard


class AppealInput(Input):
    """Why the refusal was wrong, in the applicant's words."""

    statement: Annotated[SecretStr, Field(min_length=1, max_length=4000)]


class AppealWordInput(Input):
    """An officer's word on an appeal, on the evidence with this digest."""

    decision: Word
    reason: Annotated[str, Field(pattern=r"^[a-z-]{1,60}$")]
    evidence_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    signature: Annotated[str, Field(min_length=20, max_length=2000, description="JWS, see ekyc/review/statement.py")]


class AppealView(BaseModel):
    """How far an appeal is: possible (``until``), over, lodged (``due_at``), granted or upheld, with the reason."""

    enrolment_id: str
    state: str
    until: datetime | None
    due_at: datetime | None
    decided_at: datetime | None
    reason: str | None


class AppealsView(BaseModel):
    """The enrolments whose appeals wait, the one that is due first, at most a hundred."""

    items: list[str]


class AppealEvidenceView(BaseModel):
    """A record, and what it says where that is read."""

    kind: str
    outcome: str
    actor: str
    at: datetime
    facts: dict[str, str]
    content: dict[str, Any] | None


class AppealCaseView(BaseModel):
    """An appeal for an officer."""

    enrolment: EnrolmentView
    statement: str
    due_at: datetime
    evidence: list[AppealEvidenceView]
    evidence_digest: str


def create_appeal_router(desk: AppealDesk, guard: Guard) -> APIRouter:
    """The endpoints of appeals."""
    router = APIRouter(prefix="/ekyc/v1", tags=["eKYC"])
    person, officer = guard.person(), guard.officer(ROLE)

    @router.post("/enrolments/{enrolment_id}/appeal", status_code=201)
    def lodge(
        enrolment_id: EnrolmentId,
        body: AppealInput,
        actor: Annotated[Actor, Depends(person)],
        version: IfVersion,
    ) -> AppealView:
        """Appeal against a refusal, once; another officer decides."""
        return _view(desk.lodge(actor, enrolment_id, body.statement.get_secret_value(), if_version=version))

    @router.get("/enrolments/{enrolment_id}/appeal")
    def mine(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)]) -> AppealView:
        """Until when an appeal is possible, or how far it is and by when it is to be decided."""
        return _view(desk.of_person(actor, enrolment_id))

    @router.get("/appeals")
    def waiting(actor: Annotated[Actor, Depends(officer)]) -> AppealsView:  # noqa: ARG001
        """What waits for officers."""
        return AppealsView(items=list(desk.waiting()))

    @router.get("/appeals/{enrolment_id}")
    def show(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(officer)]) -> AppealCaseView:
        """The statement, the evidence, and its digest that is to be signed."""
        case = desk.show(actor, enrolment_id)
        evidence = [
            AppealEvidenceView(
                kind=one.kind.value,
                outcome=one.outcome,
                actor=one.actor,
                at=one.at,
                facts=dict(one.facts),
                content=None if content is None else dict(content),
            )
            for one, content in case.evidence
        ]
        return AppealCaseView(
            enrolment=enrolment_view(case.enrolment),
            statement=case.statement,
            due_at=case.due_at,
            evidence=evidence,
            evidence_digest=case.evidence_digest,
        )

    @router.post("/appeals/{enrolment_id}")
    def decide(
        enrolment_id: EnrolmentId, body: AppealWordInput, actor: Annotated[Actor, Depends(officer)]
    ) -> EnrolmentView:
        """Grant it, and the case goes on; or uphold the refusal."""
        said = (body.decision, body.reason, body.evidence_digest, body.signature)
        return enrolment_view(desk.decide(actor, enrolment_id, *said))

    return router


def _view(standing: Standing) -> AppealView:
    return AppealView(**vars(standing))
