"""External account credentials over HTTP: ``/ca/v1/acme-credentials``, for officers.

(Annotations are not postponed here: FastAPI resolves them, and the guards are local to the functions.)
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from foundation.clock import rfc3339
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard
from issuing_ca.acme.model import Credential, CredentialState
from issuing_ca.acme.service import AcmeService
from issuing_ca.model import ISSUING
from issuing_ca.named_authority import AuthorityNamed

Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class NewAcmeCredential(BaseModel):
    """For one ACME account. ``subject``: verified, in the profile's order, without the CN."""

    model_config = ConfigDict(extra="forbid")

    authority: AuthorityNamed = ISSUING
    profile: Annotated[str, Field(max_length=60)]
    subject: Annotated[list[tuple[str, str]], Field(min_length=1, max_length=10)]
    domains: Annotated[
        list[Annotated[str, Field(max_length=253)]],
        Field(max_length=100, description="names that may be asked for, each with all below it; none: any"),
    ] = []
    owner: Annotated[str, Field(pattern=r"^[A-Za-z0-9:._-]{1,100}$", description="opaque id of the organisation")]
    days: Annotated[int, Field(ge=1, le=365, description="until when it must be used")] = 30


class AcmeCredentialView(BaseModel):
    """A credential. ``hmac_key`` (base64url, HS256) is there once, when it is made."""

    kid: str
    authority: str
    profile: str
    subject: list[tuple[str, str]]
    domains: list[str]
    owner: str
    state: CredentialState
    account: str | None
    created_by: str
    created_at: str
    expires_at: str
    hmac_key: str | None = None


class AcmeCredentialPage(BaseModel):
    """A page of credentials; ``next`` is the cursor of the following one."""

    credentials: list[AcmeCredentialView]
    next: str | None


def create_credential_router(service: AcmeService, guard: Guard) -> APIRouter:
    """``/ca/v1/acme-credentials``: who may open an ACME account, and for whom it asks."""
    router = APIRouter(prefix="/ca/v1/acme-credentials", tags=["Issuing CA"])
    issuers = guard.any_of({ActorKind.OFFICER: "ca-issue", ActorKind.OPERATOR: "ca-issue"})

    @router.post("", status_code=201)
    def make_credential(actor: Annotated[Actor, Depends(issuers)], body: NewAcmeCredential) -> AcmeCredentialView:
        made = service.of(body.authority).accounts.new_credential(
            body.profile, body.subject, body.domains, body.owner, str(actor), body.days
        )
        return _credential(made.credential, made.hmac_key)

    @router.get("")
    def list_credentials(
        _: Annotated[Actor, Depends(issuers)],
        cursor: Annotated[str | None, Query(max_length=40, pattern="^[!-~]*$")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> AcmeCredentialPage:
        found = service.accounts.credentials(cursor, limit + 1)
        page = found[:limit]
        following = page[-1].kid if len(found) > limit else None
        return AcmeCredentialPage(credentials=[_credential(one) for one in page], next=following)

    @router.delete("/{kid}")
    def withdraw_credential(actor: Annotated[Actor, Depends(issuers)], kid: Id) -> AcmeCredentialView:
        """Its account may do nothing more; certificates stay as they are."""
        return _credential(service.accounts.withdraw(kid, str(actor)))

    return router


def _credential(one: Credential, hmac_key: str | None = None) -> AcmeCredentialView:
    return AcmeCredentialView(
        kid=one.kid,
        authority=one.authority,
        profile=one.profile,
        subject=list(one.subject),
        domains=list(one.domains),
        owner=one.owner,
        state=one.state,
        account=one.account,
        created_by=one.created_by,
        created_at=rfc3339(one.created_at),
        expires_at=rfc3339(one.expires_at),
        hmac_key=hmac_key,
    )
