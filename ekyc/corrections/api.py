"""HTTP: corrections of name and birth. Parses, calls, maps.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from ekyc.api import EnrolmentId, IfVersion
from ekyc.corrections.checks import Standing
from ekyc.corrections.desk import Asked, CorrectionDesk
from ekyc.corrections.review import ROLE, CorrectionReviewDesk, Word
from ekyc.renewal.api import RenewalInput
from ekyc.review.desk import Method
from ekyc.terms import Acceptance
from ekyc.views import ConsentInput, DocumentInput, Input
from foundation.http.actor import Actor
from foundation.http.guard import Guard


class CorrectionInput(RenewalInput):
    """What the card says now, the terms that are accepted, and the caller's PIN and one-time code."""

    document: DocumentInput
    consent: ConsentInput


class CorrectionWordInput(Input):
    """An officer's word on a correction, on the evidence with this digest."""

    decision: Word
    reason: Annotated[str, Field(pattern=r"^[a-z-]{1,60}$")]
    method: Method
    evidence_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    signature: Annotated[str, Field(min_length=20, max_length=2000, description="JWS, see ekyc/review/statement.py")]


class CorrectionView(BaseModel):
    """How far a correction is: waiting, corrected, refused or replaced by a later one; ``fields``: names of fields."""

    enrolment_id: str
    state: str
    fields: list[str]
    requested_at: datetime
    decided_at: datetime | None
    certificate_serial: str | None


class CorrectionsView(BaseModel):
    """The enrolments whose corrections wait for officers, oldest first, at most a hundred."""

    items: list[str]


class CorrectionCaseView(BaseModel):
    """A correction for an officer: before and after. ``namesake``: somebody of that name and birth is enrolled."""

    correction: CorrectionView
    before: dict[str, Any]
    after: dict[str, Any]
    namesake: bool
    evidence_digest: str
    first_by: str | None


def create_correction_router(desk: CorrectionDesk, reviews: CorrectionReviewDesk, guard: Guard) -> APIRouter:
    """The endpoints of corrections."""
    router = APIRouter(prefix="/ekyc/v1", tags=["eKYC"])
    person, officer = guard.person(), guard.officer(ROLE)

    @router.post("/enrolments/{enrolment_id}/correction", status_code=201)
    def request(
        enrolment_id: EnrolmentId,
        body: CorrectionInput,
        actor: Annotated[Actor, Depends(person)],
        version: IfVersion,
    ) -> CorrectionView:
        """Ask for name or birth to be corrected, as card and base registry have it now; two officers decide."""
        given = body.document
        asked = Asked(
            given.lines,
            given.surname_km.get_secret_value() if given.surname_km else None,
            given.given_names_km.get_secret_value() if given.given_names_km else None,
            given.printed.opened() if given.printed else None,
        )
        acceptance = Acceptance(**body.consent.model_dump())
        pin, totp = body.pin.get_secret_value(), body.totp.get_secret_value()
        return _view(desk.request(actor, enrolment_id, asked, acceptance, pin, totp, if_version=version))

    @router.get("/enrolments/{enrolment_id}/correction")
    def mine(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)]) -> CorrectionView:
        """How far the caller's correction is."""
        return _view(desk.of_person(actor, enrolment_id))

    @router.get("/corrections")
    def waiting(actor: Annotated[Actor, Depends(officer)]) -> CorrectionsView:  # noqa: ARG001
        """What waits for officers."""
        return CorrectionsView(items=list(reviews.waiting()))

    @router.get("/corrections/{enrolment_id}")
    def show(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(officer)]) -> CorrectionCaseView:
        """What was and what would be, and the digest of the evidence that is to be signed."""
        case = reviews.show(actor, enrolment_id)
        return CorrectionCaseView(
            correction=_view(case.standing),
            before=dict(case.before),
            after=dict(case.after),
            namesake=case.namesake,
            evidence_digest=case.evidence_digest,
            first_by=case.first_by,
        )

    @router.post("/corrections/{enrolment_id}")
    def decide(
        enrolment_id: EnrolmentId, body: CorrectionWordInput, actor: Annotated[Actor, Depends(officer)]
    ) -> CorrectionView:
        """The first officer's word is kept; another officer's corrects, and replaces the certificate."""
        said = (body.decision, body.reason, body.method, body.evidence_digest, body.signature)
        return _view(reviews.decide(actor, enrolment_id, *said))

    return router


def _view(standing: Standing) -> CorrectionView:
    return CorrectionView(**{**vars(standing), "fields": list(standing.fields)})
