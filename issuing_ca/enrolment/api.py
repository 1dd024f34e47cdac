"""Enrolment credentials over HTTP: ``/ca/v1/enrolment-credentials``, for officers.

(Annotations are not postponed here: FastAPI resolves them, and the guards are local to the functions.)
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from foundation.clock import rfc3339
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard
from issuing_ca.enrolment.model import CredentialState, EnrolmentCredential
from issuing_ca.enrolment.service import Enrolment
from issuing_ca.model import ISSUING
from issuing_ca.named_authority import AuthorityNamed

Reference = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class NewEnrolment(BaseModel):
    """For one machine. ``subject`` and ``dns_names``: all that its certificate will say, as the officer verified it."""

    model_config = ConfigDict(extra="forbid")

    authority: AuthorityNamed = ISSUING
    profile: Annotated[str, Field(max_length=60)]
    subject: Annotated[list[tuple[str, str]], Field(min_length=1, max_length=10)]
    dns_names: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=100)] = []
    owner: Annotated[str, Field(pattern=r"^[A-Za-z0-9:._-]{1,100}$", description="opaque id of whom it names")]
    days: Annotated[int, Field(ge=1, le=365, description="until when it must be used")] = 30


class EnrolmentView(BaseModel):
    """A credential. ``secret`` is there once, when it is made: password of EST, shared secret of CMP."""

    reference: str
    authority: str
    profile: str
    subject: list[tuple[str, str]]
    dns_names: list[str]
    owner: str
    state: CredentialState
    created_by: str
    created_at: str
    expires_at: str
    secret: str | None = None


class EnrolmentPage(BaseModel):
    """A page of credentials; ``next`` is the cursor of the following one."""

    credentials: list[EnrolmentView]
    next: str | None


def create_router(service: Enrolment, guard: Guard) -> APIRouter:
    """Credentials for EST and CMP."""
    router = APIRouter(prefix="/ca/v1/enrolment-credentials", tags=["Issuing CA"])
    issuers = guard.any_of({ActorKind.OFFICER: "ca-issue", ActorKind.OPERATOR: "ca-issue"})

    @router.post("", status_code=201)
    def make_enrolment_credential(actor: Annotated[Actor, Depends(issuers)], body: NewEnrolment) -> EnrolmentView:
        made = service.new_credential(
            body.profile, body.subject, body.dns_names, body.owner, str(actor), body.days, body.authority
        )
        return _view(made.credential, made.secret)

    @router.get("")
    def list_enrolment_credentials(
        _: Annotated[Actor, Depends(issuers)],
        cursor: Annotated[str | None, Query(max_length=40, pattern="^[!-~]*$")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> EnrolmentPage:
        found = service.credentials(cursor, limit + 1)
        page = found[:limit]
        following = page[-1].reference if len(found) > limit else None
        return EnrolmentPage(credentials=[_view(one) for one in page], next=following)

    @router.delete("/{reference}")
    def withdraw_enrolment_credential(actor: Annotated[Actor, Depends(issuers)], reference: Reference) -> EnrolmentView:
        """No enrolment and no renewal any more; certificates stay as they are."""
        return _view(service.withdraw(reference, str(actor)))

    return router


def _view(one: EnrolmentCredential, secret: str | None = None) -> EnrolmentView:
    return EnrolmentView(
        reference=one.reference,
        authority=one.authority,
        profile=one.profile,
        subject=list(one.subject),
        dns_names=list(one.dns_names),
        owner=one.owner,
        state=one.state,
        created_by=one.created_by,
        created_at=rfc3339(one.created_at),
        expires_at=rfc3339(one.expires_at),
        secret=secret,
    )
