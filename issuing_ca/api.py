"""The issuing CA over HTTP: ``/ca/v1`` for officers and operators; CRLs and issuer certificates for everybody.

(Annotations are not postponed here: FastAPI resolves them, and the guards are local to the functions.)
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from cryptography import x509
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from foundation.clock import rfc3339
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard, public
from foundation.x509.pem import certificate_pem
from issuing_ca.errors import CrlUnknown, HolderReasonRefused
from issuing_ca.model import CertificateRecord, CertificateState, Reason
from issuing_ca.scopes import scope_of
from issuing_ca.service import BY_REQUEST, CertificateAuthority
from issuing_ca.store import StoredCrl

Serial = Annotated[str, Path(pattern=r"^[0-9a-f]{1,40}$", description="hexadecimal, lower case")]
IssuerName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$")]

CrlScopeName = Annotated[str, Path(pattern=r"^(delta|(16|256)-(0|[1-9][0-9]{0,2}))$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewRevocation(Strict):
    """A status change: any reason of RFC 5280; ``certificateHold`` suspends, ``removeFromCRL`` releases."""

    reason: Annotated[str, Field(max_length=40)]
    invalidity_date: AwareDatetime | None = None


class CertificateView(BaseModel):
    """What officers see of a certificate."""

    serial: str
    authority: str
    profile: str
    state: CertificateState
    owner: str
    not_before: str
    not_after: str
    issued_at: str | None
    revoked_at: str | None
    reason: str | None
    key_switch_pending: bool
    certificate: str | None = None


class CertificatePage(BaseModel):
    """A page of certificates; ``next`` is the cursor of the following one."""

    certificates: list[CertificateView]
    next: str | None


class RevocationHeadView(BaseModel):
    """``statement``: canonical JSON, as it is in the log; ``proof``: a C2SP tlog-proof of its SHA-256."""

    statement: str
    proof: str


class ProfileView(BaseModel):
    """A profile that this CA knows."""

    name: str
    title: str
    by_request: bool
    policies: list[str]
    max_days: int
    definition: dict[str, Any]


def create_router(service: CertificateAuthority, guard: Guard) -> APIRouter:
    """``/ca/v1``: certificates, revocation, profiles. Requests stand in `issuing_ca.ra.api`."""
    router = APIRouter(prefix="/ca/v1", tags=["Issuing CA"])
    staff = guard.any_of({ActorKind.OFFICER: None, ActorKind.OPERATOR: None})
    readers = guard.any_of({ActorKind.OFFICER: None, ActorKind.OPERATOR: None, ActorKind.CLIENT: "ca-read"})
    revokers = guard.any_of({ActorKind.OFFICER: "ca-revoke", ActorKind.CLIENT: "ca-revoke"})

    @router.get("/certificates")
    def list_certificates(
        actor: Annotated[Actor, Depends(readers)],
        cursor: Annotated[str | None, Query(pattern=r"^[0-9a-f]{1,40}$")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        state: CertificateState | None = None,
        owner: Annotated[str | None, Query(max_length=200, pattern="^[!-~]*$")] = None,
    ) -> CertificatePage:
        """Those that the caller's scope reaches."""
        records = service.certificates(cursor, limit + 1, state, owner, scope_of(actor))
        page = records[:limit]
        following = page[-1].serial if len(records) > limit else None
        return CertificatePage(certificates=[_view(record) for record in page], next=following)

    @router.get("/certificates/{serial}")
    def show_certificate(actor: Annotated[Actor, Depends(readers)], serial: Serial) -> CertificateView:
        record = scope_of(actor).require(service.certificate(serial))
        view = _view(record)
        if record.certificate is not None:
            view.certificate = certificate_pem(x509.load_der_x509_certificate(record.certificate)).decode()
        return view

    @router.post("/certificates/{serial}/revocation")
    def change_status(
        actor: Annotated[Actor, Depends(revokers)], serial: Serial, body: NewRevocation
    ) -> CertificateView:
        reason = Reason.parse(body.reason)
        scope_of(actor).require(service.certificate(serial))
        if actor.kind is ActorKind.CLIENT and reason is Reason.REMOVE_FROM_CRL:
            raise HolderReasonRefused  # a release is an officer's to give
        return _view(service.revoke(serial, reason, str(actor), body.invalidity_date))

    @router.get("/profiles")
    def list_profiles(_: Annotated[Actor, Depends(staff)]) -> list[ProfileView]:
        return [
            ProfileView(
                name=profile.name,
                title=profile.title,
                by_request=profile.name in BY_REQUEST,
                policies=list(profile.policies.oids) if profile.policies else [],
                max_days=profile.validity.max_days,
                definition=profile.data(),
            )
            for profile in service.profiles.values()
        ]

    return router


def create_public_router(service: CertificateAuthority) -> APIRouter:
    """What certificates point to: ``/crl/{issuer}.crl`` and ``/aia/{issuer}.cer``."""
    router = APIRouter(tags=["Certificate status"])

    @router.get("/crl/{issuer}.crl", dependencies=[Depends(public)], response_class=Response)
    def crl(issuer: IssuerName) -> Response:
        return _crl(issuer, service.lists.current(issuer))

    @router.get("/crl/{issuer}/head", dependencies=[Depends(public)])
    def revocation_head(issuer: IssuerName) -> RevocationHeadView:
        """How many status changes there were and the Merkle root over them, with the proof that the log has that."""
        if service.heads is None:
            raise CrlUnknown
        head = service.heads.newest(issuer)
        return RevocationHeadView(statement=head.statement.decode(), proof=bytes(head.proof).decode())

    @router.get("/crl/{issuer}/{scope}.crl", dependencies=[Depends(public)], response_class=Response)
    def crl_of_scope(issuer: IssuerName, scope: CrlScopeName) -> Response:
        """``delta``, or a partition as COUNT-INDEX: certificates that point to it name the whole address."""
        return _crl(issuer, service.lists.current(issuer, scope))

    @router.get("/aia/{issuer}.cer", dependencies=[Depends(public)], response_class=Response)
    def issuer_certificate(issuer: IssuerName) -> Response:
        certificate = service.issuer_certificate(issuer)
        headers = {"cache-control": "public, max-age=86400"}
        return Response(certificate, media_type="application/pkix-cert", headers=headers)

    return router


def _crl(issuer: str, current: StoredCrl) -> Response:
    etag = f'"{issuer}-{current.scope}-{current.number}"'
    return Response(current.crl, media_type="application/pkix-crl", headers=_cached(current.this_update, etag))


def _cached(modified: datetime, etag: str) -> Mapping[str, str]:
    return {
        "cache-control": "public, max-age=300",
        "last-modified": modified.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "etag": etag,
    }


def _view(record: CertificateRecord) -> CertificateView:
    return CertificateView(
        serial=record.serial,
        authority=record.authority,
        profile=record.profile,
        state=record.state,
        owner=record.owner,
        not_before=rfc3339(record.not_before),
        not_after=rfc3339(record.not_after),
        issued_at=rfc3339(record.issued_at) if record.issued_at else None,
        revoked_at=rfc3339(record.revoked_at) if record.revoked_at else None,
        reason=record.reason.value if record.reason else None,
        key_switch_pending=record.key_wanted is not None,
    )
