"""Certificates at once over HTTP, one by one or many in a call: ``POST /ca/v1/certificates`` and ``…/batch``.

What is asked for while other certificates are being committed shares the next commit (`issuing_ca.batches`).

(Annotations are not postponed here: FastAPI resolves them, and the guards are local to the functions.)
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated

from cryptography import x509
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from foundation.errors import CamTrustError, InternalError
from foundation.http.actor import Actor, ActorKind
from foundation.http.direct import direct, read_json
from foundation.http.guard import Guard
from foundation.http.problems import log_failure
from foundation.x509.pem import chain_pem, encoded_pem
from issuing_ca.batches import Batches
from issuing_ca.model import CertificateAsked, IssuedCertificate
from issuing_ca.ra.api import IssuedView, NewRequest, Strict, owner_of
from issuing_ca.service import CertificateAuthority

MOST = 250  # certificates in one call
_WAITING = 4096


class NewCertificates(Strict):
    """Up to 250 requests; each is judged by itself."""

    requests: Annotated[list[NewRequest], Field(min_length=1, max_length=MOST)]


class Refused(BaseModel):
    """Why one of many was not issued: the code of the problem, a sentence, and what to do."""

    code: str
    detail: str
    hint: str


class Outcome(BaseModel):
    """A certificate, or why there is none."""

    issued: IssuedView | None = None
    refused: Refused | None = None


class Outcomes(BaseModel):
    """One outcome for each request, in their order."""

    outcomes: list[Outcome]


def create_router(service: CertificateAuthority, guard: Guard) -> APIRouter:
    """Certificates of the profiles that no second officer has to approve."""
    router = APIRouter(prefix="/ca/v1", tags=["Issuing CA"])
    issuers = guard.any_of({ActorKind.OFFICER: "ca-issue", ActorKind.OPERATOR: "ca-issue"})
    line = Batches(service.issue_for_requests, "issue", threads=1, most=128, waiting=_WAITING)
    # A call of many is a group of its own; while one waits for the token or the database, another is drafted.
    calls = Batches(_each(service.issue_for_requests), "issue-many", threads=2, most=1, waiting=_WAITING // MOST)

    async def one(actor: Actor, body: NewRequest) -> Response:
        return _json(_view(await line.ask(_asked(actor, body))), 201)

    async def many(actor: Actor, body: NewCertificates) -> Response:
        asked = [_tried(actor, request) for request in body.requests]
        standing = [it for it in asked if isinstance(it, CertificateAsked)]
        issued = iter(await calls.ask(standing) if standing else ())
        outcomes = [next(issued) if isinstance(it, CertificateAsked) else it for it in asked]
        return _json({"outcomes": [_outcome(it) for it in outcomes]}, 200)

    async def one_directly(request: Request) -> Response:
        return await one(await issuers(request), await read_json(request, NewRequest))

    async def many_directly(request: Request) -> Response:
        return await many(await issuers(request), await read_json(request, NewCertificates))

    @router.post("/certificates", status_code=201, response_model=IssuedView)
    @direct(one_directly)
    async def issue_certificate(actor: Annotated[Actor, Depends(issuers)], body: NewRequest) -> Response:
        """A certificate at once. Refused where the profile asks for two officers: those are asked for as requests."""
        return await one(actor, body)

    @router.post("/certificates/batch", response_model=Outcomes)
    @direct(many_directly)
    async def issue_certificates(actor: Annotated[Actor, Depends(issuers)], body: NewCertificates) -> Response:
        """Up to 250 certificates, which share their commits. One that is refused does not hinder the others.

        The answer is 200 whatever became of each. Send an Idempotency-Key: the same call again then gives the same
        answer, and issues nothing twice.
        """
        return await many(actor, body)

    return router


def _each(
    work: Callable[[Sequence[CertificateAsked]], Sequence[IssuedCertificate | Exception]],
) -> Callable[[Sequence[Sequence[CertificateAsked]]], list[Sequence[IssuedCertificate | Exception]]]:
    """The work on each of several calls, one after the other."""
    return lambda calls: [work(call) for call in calls]


def _asked(actor: Actor, body: NewRequest) -> CertificateAsked:
    subject = tuple((attribute.name, attribute.value) for attribute in body.subject)
    return CertificateAsked(
        authority=body.authority,
        profile=body.profile,
        csr=body.csr.encode(),
        subject=subject,
        owner=owner_of(body, subject),
        requested_by=str(actor),
        not_after_limit=body.not_after,
        dns_names=tuple(body.dns_names),
    )


def _tried(actor: Actor, body: NewRequest) -> CertificateAsked | CamTrustError:
    try:
        return _asked(actor, body)
    except CamTrustError as error:
        return error


def _outcome(one: IssuedCertificate | Exception) -> dict[str, object]:
    if isinstance(one, IssuedCertificate):
        return {"issued": _view(one), "refused": None}
    if not isinstance(one, CamTrustError):
        log_failure(one, "", event="issuance.failed")
        one = InternalError()
    return {"issued": None, "refused": {"code": one.code, "detail": one.message(), "hint": one.hint()}}


def _view(one: IssuedCertificate) -> dict[str, str]:
    return {
        "serial": one.serial,
        "certificate": encoded_pem(one.encoded).decode(),
        "chain": _chain(one.chain),
    }


@lru_cache(maxsize=16)
def _chain(chain: tuple[x509.Certificate, ...]) -> str:
    return chain_pem(chain).decode()


def _json(value: object, status: int) -> Response:
    """What the models above describe, written without being checked again: it is ours, and there are many of them."""
    return Response(json.dumps(value, separators=(",", ":")), status, media_type="application/json")
