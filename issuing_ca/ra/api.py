"""The registration authority over HTTP: ``/ca/v1/requests``, renewal, holders' own certificates, many at once.

(Annotations are not postponed here: FastAPI resolves them, and the guards are local to the functions.)
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr

from foundation.clock import rfc3339
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard
from foundation.x509.names import subject_name
from foundation.x509.pem import certificate_pem, chain_pem
from issuing_ca.errors import RequestRefused
from issuing_ca.model import ISSUING, CertificateRecord, CertificateState, IssuedCertificate, Reason
from issuing_ca.ra.model import (
    ApprovalReason,
    CertificateApplication,
    CertificateQuery,
    Decision,
    RejectionReason,
    RequestState,
)
from issuing_ca.ra.service import Registration
from issuing_ca.scopes import scope_of

_STAFF = (ActorKind.OFFICER, ActorKind.OPERATOR)
Serial = Annotated[str, Path(pattern=r"^[0-9a-f]{1,40}$", description="hexadecimal, lower case")]
RequestId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
Comment = Annotated[str | None, Field(max_length=1000, description="for other officers; sealed")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SubjectAttribute(Strict):
    """One attribute of the subject, in the profile's order."""

    name: Annotated[str, Field(max_length=40)]
    value: Annotated[str, Field(min_length=1, max_length=200)]


class NewRequest(Strict):
    """A certificate asked for by an officer. ``subject`` is what the officer verified; the CSR gives the key alone."""

    authority: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="the CA")] = ISSUING
    profile: Annotated[str, Field(max_length=60)]
    csr: Annotated[str, Field(max_length=20_000, description="PKCS#10, PEM")]
    subject: Annotated[list[SubjectAttribute], Field(min_length=1, max_length=10)]
    owner: Annotated[
        str | None, Field(pattern=r"^[A-Za-z0-9:._-]{1,100}$", description="opaque id of whom it names")
    ] = None
    dns_names: Annotated[
        list[Annotated[str, Field(max_length=253)]],
        Field(max_length=100, description="names whose control the officer verified"),
    ] = []
    not_after: AwareDatetime | None = None


class Renewal(Strict):
    """The key of the next certificate: the old one, or another."""

    csr: Annotated[str, Field(max_length=20_000, description="PKCS#10, PEM")]
    not_after: AwareDatetime | None = None


class Approval(Strict):
    reason: ApprovalReason
    comment: Comment = None


class Rejection(Strict):
    reason: RejectionReason
    comment: Comment = None


class HolderRevocation(Strict):
    """A holder revokes or suspends (``certificateHold``), with both factors."""

    reason: Annotated[str, Field(max_length=40)]
    pin: SecretStr = Field(max_length=64)
    totp: SecretStr = Field(max_length=16)


class NewOwnCertificate(Strict):
    """A key that the person's own device holds, and both factors."""

    csr: Annotated[str, Field(max_length=20_000, description="PKCS#10, PEM")]
    pin: SecretStr = Field(max_length=64)
    totp: SecretStr = Field(max_length=16)


class Conditions(Strict):
    """Which certificates; every condition that is given must hold."""

    profile: Annotated[str | None, Field(max_length=60)] = None
    owner: Annotated[str | None, Field(max_length=200)] = None
    evidence: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$", description="what they were issued on")] = None
    evidences: Annotated[
        list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]],
        Field(max_length=1000, description="any of these: the decisions that used a control, as eKYC tells them"),
    ] = []
    requested_by: Annotated[str | None, Field(max_length=200)] = None
    issued_from: AwareDatetime | None = None
    issued_until: AwareDatetime | None = None

    def query(self) -> CertificateQuery:
        return CertificateQuery(
            self.profile,
            self.owner,
            self.evidence,
            self.requested_by,
            self.issued_from,
            self.issued_until,
            tuple(self.evidences),
        )


class BulkRevocation(Strict):
    """``digest``: from the dry run, and then from each answer."""

    conditions: Conditions
    reason: Annotated[str, Field(max_length=40)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class IssuedView(BaseModel):
    """A certificate that was just issued, with the chain below the root; PEM."""

    serial: str
    certificate: str
    chain: str


class DecisionView(BaseModel):
    """What an officer said."""

    officer: str
    approves: bool
    reason: str
    comment: str | None
    at: str


class RequestView(BaseModel):
    """A request, and how far it is. ``public_key_sha256``: of the SubjectPublicKeyInfo that is to be certified;
    ``introduced_by``: who made the credential of the machine that asks."""

    id: str
    authority: str
    profile: str
    subject: list[tuple[str, str]]
    dns_names: list[str]
    owner: str
    public_key_sha256: str
    state: RequestState
    requested_by: str
    introduced_by: str | None
    requested_at: str
    expires_at: str
    not_after: str | None
    serial: str | None
    failure: str | None
    decisions: list[DecisionView]


class RequestPage(BaseModel):
    """A page of requests; ``next`` is the cursor of the following one."""

    requests: list[RequestView]
    next: str | None


class OwnCertificate(BaseModel):
    """A certificate of the person who asks."""

    serial: str
    profile: str
    state: CertificateState
    not_before: str
    not_after: str
    reason: str | None


class DryRun(BaseModel):
    """What would be revoked: how many, the first ones, and the digest that stands for all of them."""

    count: int
    digest: str
    first: list[str]


class Progress(BaseModel):
    """How many were revoked now, how many remain, and the digest of those."""

    revoked: int
    remaining: int
    digest: str


def create_router(service: Registration, guard: Guard) -> APIRouter:
    """Requests, renewal, holders, many at once."""
    router = APIRouter(prefix="/ca/v1", tags=["Issuing CA"])
    issuers = guard.any_of({ActorKind.OFFICER: "ca-issue", ActorKind.OPERATOR: "ca-issue"})
    machines_too = guard.any_of(dict.fromkeys((*_STAFF, ActorKind.CLIENT), "ca-issue"))
    readers = guard.any_of({ActorKind.OFFICER: None, ActorKind.OPERATOR: None})
    approvers, revokers, person = guard.officer("ca-approve"), guard.officer("ca-revoke"), guard.person()

    @router.post("/requests", status_code=201, responses={202: {"model": RequestView}})
    def request_certificate(
        actor: Annotated[Actor, Depends(machines_too)], body: NewRequest, response: Response
    ) -> IssuedView | RequestView:
        """The certificate, or 202 and a request that two officers have still to approve, as the profile asks."""
        scope_of(actor).require_new(body.authority, body.profile)
        subject = tuple((attribute.name, attribute.value) for attribute in body.subject)
        owner = owner_of(body, subject)
        made = service.request(
            actor, body.profile, body.csr.encode(), subject, owner, body.not_after, body.dns_names, body.authority
        )
        return _made(made, response)

    @router.get("/requests")
    def list_requests(
        _: Annotated[Actor, Depends(readers)],
        cursor: Annotated[str | None, Query(max_length=40, pattern="^[!-~]*$")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        state: RequestState | None = None,
    ) -> RequestPage:
        """Requests by id, without their history."""
        found = service.list(cursor, limit + 1, state)
        page = found[:limit]
        return RequestPage(requests=[_view(one) for one in page], next=page[-1].id if len(found) > limit else None)

    @router.get("/requests/{request_id}")
    def show_request(_: Annotated[Actor, Depends(readers)], request_id: RequestId) -> RequestView:
        """A request with every decision about it."""
        return _view(service.show(request_id))

    @router.post("/requests/{request_id}/approvals")
    def approve_request(
        actor: Annotated[Actor, Depends(approvers)], request_id: RequestId, body: Approval
    ) -> RequestView:
        """One approval; the second one, by another person, has the certificate issued. Never by whoever asked."""
        return _view(service.approve(actor, request_id, body.reason, body.comment))

    @router.post("/requests/{request_id}/rejections")
    def reject_request(
        actor: Annotated[Actor, Depends(approvers)], request_id: RequestId, body: Rejection
    ) -> RequestView:
        """One rejection ends the request."""
        return _view(service.reject(actor, request_id, body.reason, body.comment))

    @router.delete("/requests/{request_id}")
    def withdraw_request(actor: Annotated[Actor, Depends(issuers)], request_id: RequestId) -> RequestView:
        """Whoever asked takes it back."""
        return _view(service.reject(actor, request_id, RejectionReason.WITHDRAWN))

    @router.post("/certificates/{serial}/renewal", status_code=201, responses={202: {"model": RequestView}})
    def renew_certificate(
        actor: Annotated[Actor, Depends(machines_too)], serial: Serial, body: Renewal, response: Response
    ) -> IssuedView | RequestView:
        """The same names and profile for the key of the CSR, which may be the old one."""
        scope_of(actor).require(service.ca.certificate(serial))
        return _made(service.renew(actor, serial, body.csr.encode(), body.not_after), response)

    @router.get("/own-certificates")
    def own_certificates(actor: Annotated[Actor, Depends(person)]) -> list[OwnCertificate]:
        """The certificates of the person who asks."""
        return [_own(record) for record in service.own(actor)]

    @router.post("/own-certificates", status_code=201)
    def issue_own_certificate(actor: Annotated[Actor, Depends(person)], body: NewOwnCertificate) -> IssuedView:
        """A certificate to log in with (citizen-auth), under the names of the person's signing certificate."""
        pin, totp = body.pin.get_secret_value(), body.totp.get_secret_value()
        return _issued(service.issue_own(actor, body.csr.encode(), pin, totp))

    @router.post("/own-certificates/{serial}/revocation")
    def revoke_own_certificate(
        actor: Annotated[Actor, Depends(person)], serial: Serial, body: HolderRevocation
    ) -> OwnCertificate:
        """Revoke or suspend one's own certificate, with PIN and code. Officers alone release it again."""
        reason = Reason.parse(body.reason)
        pin, totp = body.pin.get_secret_value(), body.totp.get_secret_value()
        return _own(service.revoke_own(actor, serial, reason, pin, totp))

    @router.post("/revocations/dry-run")
    def find_certificates(_: Annotated[Actor, Depends(revokers)], body: Conditions) -> DryRun:
        """What a bulk revocation would revoke; nothing is changed."""
        found = service.matching(body.query())
        return DryRun(count=found.count, digest=found.digest, first=[one.serial for one in found.first])

    @router.post("/revocations")
    def revoke_certificates(actor: Annotated[Actor, Depends(revokers)], body: BulkRevocation) -> Progress:
        """Revoke what the dry run found, up to 200 at a time: ask again with each answer's digest."""
        done = service.revoke_matching(actor, body.conditions.query(), Reason.parse(body.reason), body.digest)
        return Progress(revoked=done.revoked, remaining=done.remaining, digest=done.digest)

    return router


def owner_of(body: NewRequest, subject: Sequence[tuple[str, str]]) -> str:
    """The opaque id of whom a certificate names: as the officer says, or made of the subject.

    Raises RequestRefused, and NameInvalid where it is made of the subject.
    """
    if body.owner is None:
        return f"subject:{hashlib.sha256(subject_name(subject).public_bytes()).hexdigest()}"
    if body.owner.startswith(("authority:", "subject:")):
        raise RequestRefused(field="owner")  # names that the service gives itself
    return body.owner


def _made(made: IssuedCertificate | CertificateApplication, response: Response) -> IssuedView | RequestView:
    if isinstance(made, CertificateApplication):
        response.status_code = 202
        return _view(made)
    return _issued(made)


def _issued(made: IssuedCertificate) -> IssuedView:
    return IssuedView(
        serial=made.serial,
        certificate=certificate_pem(made.certificate).decode(),
        chain=chain_pem(made.chain).decode(),
    )


def _view(one: CertificateApplication) -> RequestView:
    return RequestView(
        id=one.id,
        authority=one.authority,
        profile=one.profile,
        subject=list(one.subject),
        dns_names=list(one.dns_names),
        owner=one.owner,
        state=one.state,
        public_key_sha256=hashlib.sha256(
            one.key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest(),
        requested_by=one.requested_by,
        introduced_by=one.introduced_by,
        requested_at=rfc3339(one.requested_at),
        expires_at=rfc3339(one.expires_at),
        not_after=rfc3339(one.not_after) if one.not_after else None,
        serial=one.serial,
        failure=one.failure,
        decisions=[_decision(said) for said in one.decisions],
    )


def _decision(said: Decision) -> DecisionView:
    return DecisionView(
        officer=said.officer, approves=said.approves, reason=said.reason, comment=said.comment, at=rfc3339(said.at)
    )


def _own(record: CertificateRecord) -> OwnCertificate:
    return OwnCertificate(
        serial=record.serial,
        profile=record.profile,
        state=record.state,
        not_before=rfc3339(record.not_before),
        not_after=rfc3339(record.not_after),
        reason=record.reason.value if record.reason else None,
    )
