"""The ACME door over HTTP: ``/acme`` (RFC 8555, RFC 9773), and the credentials that officers give out.

Requests prove by themselves who asks (a JWS with a key of the account), so that no guard stands before them.
(Annotations are not postponed here: FastAPI resolves them, and the guards are local to the functions.)
"""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from foundation.clock import rfc3339
from foundation.errors import CamTrustError
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard, public
from foundation.http.problems import OnRefusal, log_failure
from foundation.http.trace import trace_id_of
from issuing_ca.acme import renewal
from issuing_ca.acme.errors import AccountKeyInUse, Malformed, WrongContentType
from issuing_ca.acme.model import Account, Authorization, Challenge, Credential, CredentialState, OrderView, Status
from issuing_ca.acme.problems import problem, refusal
from issuing_ca.acme.service import AcmeService

Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
_PAGE = 100
_JOSE = "application/jose+json"


class Directory(BaseModel):
    """RFC 8555 §7.1.1, RFC 9773 §4."""

    newNonce: str
    newAccount: str
    newOrder: str
    revokeCert: str
    keyChange: str
    renewalInfo: str
    meta: dict[str, Any]


class NewAcmeCredential(BaseModel):
    """For one ACME account. ``subject``: verified, in the profile's order, without the CN."""

    model_config = ConfigDict(extra="forbid")

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


async def signed(request: Request) -> bytes:
    """The body of a signed request, as it came."""
    return await request.body()


Body = Annotated[bytes, Depends(signed)]


def create_credential_router(service: AcmeService, guard: Guard) -> APIRouter:
    """``/ca/v1/acme-credentials``: who may open an ACME account, and for whom it asks."""
    router = APIRouter(prefix="/ca/v1/acme-credentials", tags=["Issuing CA"])
    issuers = guard.any_of({ActorKind.OFFICER: "ca-issue", ActorKind.OPERATOR: "ca-issue"})

    @router.post("", status_code=201)
    def make_credential(actor: Annotated[Actor, Depends(issuers)], body: NewAcmeCredential) -> AcmeCredentialView:
        made = service.accounts.new_credential(
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


def create_router(service: AcmeService, on_refusal: OnRefusal | None = None) -> APIRouter:
    """``/acme``. ``on_refusal`` is told of each request of somebody who may not make it, for the audit trail."""
    router = APIRouter(prefix="/acme", tags=["ACME"], dependencies=[Depends(public)])
    at = service.accounts.url

    def _record(request: Request, error: CamTrustError, status: int) -> None:
        if on_refusal is None or status not in (401, 403):
            return
        try:
            on_refusal(refusal(request, error, status))
        except Exception as failure:  # the answer matters more than its record, whose absence the log tells
            log_failure(failure, trace_id_of(request.scope), event="audit.failed", code=error.code)

    def answer(request: Request, act: Callable[[], Response]) -> Response:
        """Run one request; every answer has a nonce and the way to the directory (RFC 8555 §6.5, §7.1)."""
        try:
            if request.method == "POST" and request.headers.get("content-type") != _JOSE:
                raise WrongContentType
            response = act()
        except CamTrustError as error:
            response = problem(request, error)
            _record(request, error, response.status_code)
            if isinstance(error, AccountKeyInUse):
                response.headers["Location"] = at(f"accounts/{error.account}")
        response.headers["Replay-Nonce"] = service.nonces.new()
        response.headers["Cache-Control"] = "no-store"
        response.headers.append("Link", f'<{at("directory")}>;rel="index"')
        return response

    @router.get("/directory")
    def directory() -> Directory:
        return Directory(
            newNonce=at("new-nonce"),
            newAccount=at("new-account"),
            newOrder=at("new-order"),
            revokeCert=at("revoke-cert"),
            keyChange=at("key-change"),
            renewalInfo=at("renewal-info"),
            meta={"externalAccountRequired": True},
        )

    # Two operations: OpenAPI gives each an id of its own.
    @router.get("/new-nonce", response_class=Response, status_code=200)
    @router.head("/new-nonce", response_class=Response, status_code=200, include_in_schema=False)
    def new_nonce(request: Request) -> Response:
        """A nonce in Replay-Nonce: 200 to HEAD, 204 to GET."""
        return answer(request, lambda: Response(status_code=200 if request.method == "HEAD" else 204))

    @router.post("/new-account", response_class=Response, status_code=201)
    def new_account(request: Request, body: Body) -> Response:
        """A new account, or the one that this key has."""

        def act() -> Response:
            account, new = service.accounts.new_account(body)
            response = _json(_account(account, at), 201 if new else 200)
            response.headers["Location"] = at(f"accounts/{account.id}")
            return response

        return answer(request, act)

    @router.post("/accounts/{account_id}", response_class=Response)
    def account(request: Request, body: Body, account_id: Id) -> Response:
        """The account itself; ``{"status": "deactivated"}`` ends it."""

        def act() -> Response:
            asked = service.accounts.asked(body, f"accounts/{account_id}")
            return _json(_account(service.accounts.update(asked, account_id), at))

        return answer(request, act)

    @router.post("/accounts/{account_id}/orders", response_class=Response)
    def orders(
        request: Request,
        body: Body,
        account_id: Id,
        cursor: Annotated[str, Query(max_length=40, pattern="^[!-~]*$")] = "",
    ) -> Response:
        """The account's orders (RFC 8555 §7.1.2.1)."""

        def act() -> Response:
            path = f"accounts/{account_id}/orders"
            asked = service.accounts.asked(body, f"{path}?cursor={cursor}" if cursor else path)
            if asked.account.id != account_id:
                raise Malformed(what="kid")
            found = service.orders.list(asked.account, cursor, _PAGE + 1)
            response = _json({"orders": [at(f"orders/{one}") for one in found[:_PAGE]]})
            if len(found) > _PAGE:
                response.headers.append("Link", f'<{at(f"{path}?cursor={found[_PAGE - 1]}")}>;rel="next"')
            return response

        return answer(request, act)

    @router.post("/key-change", response_class=Response)
    def key_change(request: Request, body: Body) -> Response:
        """Give the account another key."""
        return answer(
            request,
            lambda: _json(_account(service.accounts.change_key(service.accounts.asked(body, "key-change")), at)),
        )

    @router.post("/new-order", response_class=Response, status_code=201)
    def new_order(request: Request, body: Body) -> Response:
        """Order a certificate for one or more DNS names; ``notAfter`` is kept."""

        def act() -> Response:
            made = service.orders.new(service.accounts.asked(body, "new-order"))
            return _order_answer(made, at, 201)

        return answer(request, act)

    @router.post("/orders/{order_id}", response_class=Response)
    def order(request: Request, body: Body, order_id: Id) -> Response:
        def act() -> Response:
            asked = service.accounts.asked(body, f"orders/{order_id}")
            return _order_answer(service.orders.view(asked.account, order_id), at)

        return answer(request, act)

    @router.post("/orders/{order_id}/finalize", response_class=Response)
    def finalize(request: Request, body: Body, order_id: Id) -> Response:
        """The CSR: its key is certified, its names must be the order's, everything else in it is ignored."""

        def act() -> Response:
            asked = service.accounts.asked(body, f"orders/{order_id}/finalize")
            return _order_answer(service.orders.finalize(asked, order_id), at)

        return answer(request, act)

    @router.post("/authorizations/{authorization_id}", response_class=Response)
    def authorization(request: Request, body: Body, authorization_id: Id) -> Response:
        def act() -> Response:
            asked = service.accounts.asked(body, f"authorizations/{authorization_id}")
            return _json(_authorization(service.control.authorization(asked, authorization_id), at))

        return answer(request, act)

    @router.post("/challenges/{challenge_id}", response_class=Response)
    def challenge(request: Request, body: Body, challenge_id: Id) -> Response:
        """Look whether the name is under control: http-01 or dns-01. An empty payload only shows the challenge."""

        def act() -> Response:
            asked = service.accounts.asked(body, f"challenges/{challenge_id}")
            if asked.request.payload:
                asked.request.json()
                found, above = service.control.respond(asked.account, challenge_id)
            else:
                found, above = service.control.challenge(asked.account, challenge_id)
            response = _json(_challenge(found, at))
            response.headers.append("Link", f'<{at(f"authorizations/{above.id}")}>;rel="up"')
            return response

        return answer(request, act)

    @router.post("/certificates/{serial}", response_class=Response)
    def certificate(
        request: Request, body: Body, serial: Annotated[str, Path(pattern=r"^[0-9a-f]{1,40}$")]
    ) -> Response:
        """The certificate with its chain, PEM."""

        def act() -> Response:
            asked = service.accounts.asked(body, f"certificates/{serial}")
            pem = service.orders.certificate(asked.account, serial)
            return Response(pem, media_type="application/pem-certificate-chain")

        return answer(request, act)

    @router.post("/revoke-cert", response_class=Response)
    def revoke_cert(request: Request, body: Body) -> Response:
        """Revoke, signed by the account or by the certificate's own key."""

        def act() -> Response:
            service.revoke(body)
            return Response(status_code=200)

        return answer(request, act)

    @router.get("/renewal-info/{identifier}", response_class=Response)
    def renewal_info(request: Request, identifier: Annotated[str, Path(max_length=120)]) -> Response:
        """When to renew (RFC 9773)."""

        def act() -> Response:
            window = service.renewal_info(identifier)
            response = _json({"suggestedWindow": {"start": rfc3339(window.start), "end": rfc3339(window.end)}})
            response.headers["Retry-After"] = str(int(renewal.ASK_AGAIN.total_seconds()))
            return response

        return answer(request, act)

    return router


Address = Callable[[str], str]


def _json(value: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), status_code=status, media_type="application/json")


def _account(account: Account, at: Address) -> dict[str, Any]:
    return {"status": account.status.value, "orders": at(f"accounts/{account.id}/orders")}


def _order_answer(found: OrderView, at: Address, status: int = 200) -> Response:
    order = found.order
    value: dict[str, Any] = {
        "status": order.status.value,
        "expires": rfc3339(order.expires),
        "identifiers": [{"type": "dns", "value": name} for name in order.names],
        "authorizations": [at(f"authorizations/{one}") for one in found.authorizations],
        "finalize": at(f"orders/{order.id}/finalize"),
    }
    if order.not_after is not None:
        value["notAfter"] = rfc3339(order.not_after)
    if order.replaces is not None:
        value["replaces"] = order.replaces
    if order.error is not None:
        value["error"] = order.error
    if order.serial is not None:
        value["certificate"] = at(f"certificates/{order.serial}")
    response = _json(value, status)
    response.headers["Location"] = at(f"orders/{order.id}")
    if order.status is Status.PROCESSING:
        response.headers["Retry-After"] = "3"
    return response


def _authorization(found: Authorization, at: Address) -> dict[str, Any]:
    shown = found.challenges
    if found.status is Status.VALID:
        shown = tuple(one for one in shown if one.status is Status.VALID)
    return {
        "status": found.status.value,
        "expires": rfc3339(found.expires),
        "identifier": {"type": "dns", "value": found.name},
        "challenges": [_challenge(one, at) for one in shown],
    }


def _challenge(found: Challenge, at: Address) -> dict[str, Any]:
    value: dict[str, Any] = {
        "type": found.kind.value,
        "url": at(f"challenges/{found.id}"),
        "status": found.status.value,
        "token": found.token,
    }
    if found.validated_at is not None:
        value["validated"] = rfc3339(found.validated_at)
    if found.error is not None:
        value["error"] = found.error
    return value


def _credential(one: Credential, hmac_key: str | None = None) -> AcmeCredentialView:
    return AcmeCredentialView(
        kid=one.kid,
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
