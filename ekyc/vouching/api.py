"""HTTP: a person without a document, their vouchers, and the commune's officer. Parses, calls, maps.

Annotations are not postponed here either (see `ekyc.api`).
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, SecretStr

from ekyc.api import EnrolmentId, IfVersion
from ekyc.review.desk import Verdict
from ekyc.views import CaseView, EnrolmentView, Input, case_view, enrolment_view
from ekyc.vouching.commune import ROLE, CommuneDesk
from ekyc.vouching.desk import Asked, Declaration, VouchDesk
from foundation.http.actor import Actor
from foundation.http.guard import Guard

_Latin = Annotated[SecretStr, Field(min_length=1, max_length=60)]
_Khmer = Annotated[SecretStr, Field(min_length=1, max_length=120)]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DeclarationInput(Input):
    """Name in Latin letters and in Khmer, birth, and the commune by its six digits in the gazetteer."""

    surname: _Latin
    given_names: _Latin
    surname_km: _Khmer
    given_names_km: _Khmer
    date_of_birth: date
    commune: Annotated[str, Field(pattern=r"^[0-9]{6}$")]

    def declared(self) -> Declaration:
        return Declaration(
            self.surname.get_secret_value(),
            self.given_names.get_secret_value(),
            self.surname_km.get_secret_value(),
            self.given_names_km.get_secret_value(),
            self.date_of_birth,
            self.commune,
        )


class VouchCodeInput(Input):
    """The code that the person handed over."""

    invitation: Annotated[SecretStr, Field(min_length=10, max_length=40)]


class VouchInput(VouchCodeInput):
    """That the caller vouches for exactly the evidence with this digest, with the caller's PIN and one-time code."""

    evidence_digest: _Digest
    pin: Annotated[SecretStr, Field(min_length=6, max_length=12)]
    totp: Annotated[SecretStr, Field(min_length=6, max_length=8)]


class CommuneWordInput(Input):
    """The officer's word on the evidence with this digest, signed like a review (`in-person`)."""

    decision: Literal[Verdict.BIND, Verdict.REJECT]
    reason: Annotated[str, Field(pattern=r"^[a-z-]{1,60}$")]
    evidence_digest: _Digest
    signature: Annotated[str, Field(min_length=20, max_length=2000, description="JWS, see ekyc/review/statement.py")]


class VouchInvitationView(BaseModel):
    """A code for one voucher, shown once."""

    invitation: str
    expires_at: datetime


class AskedView(BaseModel):
    """Whom the caller is asked to vouch for, as they declared it."""

    enrolment_id: str
    evidence_digest: str
    surname: str
    given_names: str
    surname_km: str
    given_names_km: str
    date_of_birth: date
    commune: str


class VouchedView(BaseModel):
    """The caller vouched for this enrolment."""

    enrolment_id: str


def create_vouch_router(vouching: VouchDesk, commune: CommuneDesk, guard: Guard) -> APIRouter:
    """Endpoints of the provisional level."""
    router = APIRouter(prefix="/ekyc/v1", tags=["eKYC"])
    person = guard.person()
    officer = guard.officer(ROLE)

    @router.post("/enrolments/{enrolment_id}/declaration")
    def declare(
        enrolment_id: EnrolmentId, body: DeclarationInput, actor: Annotated[Actor, Depends(person)], version: IfVersion
    ) -> EnrolmentView:
        """Name, birth and commune of somebody without a document. Declared anew, it has to be vouched for anew."""
        return enrolment_view(vouching.declare(actor, enrolment_id, body.declared(), if_version=version))

    @router.post("/enrolments/{enrolment_id}/vouch-invitations", status_code=201)
    def invite(
        enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)], version: IfVersion
    ) -> VouchInvitationView:
        """A code for one voucher, good once and for seven days."""
        made = vouching.invite(actor, enrolment_id, if_version=version)
        return VouchInvitationView(invitation=made.code, expires_at=made.expires_at)

    @router.post("/vouchings/preview")
    def look(body: VouchCodeInput, actor: Annotated[Actor, Depends(person)]) -> AskedView:
        """What the caller, who holds a certificate, is asked to vouch for. Looking is written down."""
        return _asked(vouching.look(actor, body.invitation.get_secret_value()))

    @router.post("/vouchings", status_code=201)
    def vouch(body: VouchInput, actor: Annotated[Actor, Depends(person)]) -> VouchedView:
        """The caller vouches, with both factors, for the person whose evidence they were shown."""
        pin, totp = body.pin.get_secret_value(), body.totp.get_secret_value()
        ward = vouching.vouch(actor, body.invitation.get_secret_value(), body.evidence_digest, pin, totp)
        return VouchedView(enrolment_id=ward.id)

    @router.get("/commune-reviews/{enrolment_id}")
    def case(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(officer)]) -> CaseView:
        """The declaration and who vouched, for an officer of that commune. Looking is written down."""
        return case_view(commune.show(actor, enrolment_id))

    @router.post("/commune-reviews/{enrolment_id}")
    def decide(
        enrolment_id: EnrolmentId, body: CommuneWordInput, actor: Annotated[Actor, Depends(officer)]
    ) -> EnrolmentView:
        """The officer saw the person: bind or reject, with the officer's signature; then the policy decides."""
        return enrolment_view(
            commune.decide(actor, enrolment_id, body.decision, body.reason, body.evidence_digest, body.signature)
        )

    return router


def _asked(asked: Asked) -> AskedView:
    said: Any = asked.declared
    names = {field: said[field]["canonical"] for field in ("surname_km", "given_names_km")}
    plain = {field: said[field] for field in ("surname", "given_names", "date_of_birth", "commune")}
    return AskedView(enrolment_id=asked.enrolment_id, evidence_digest=asked.evidence_digest, **names, **plain)
