"""The ACME door over HTTP: ``/acme``, and ``/acme/ca/NAME`` for another issuing CA (RFC 8555, RFC 9773).

Requests prove by themselves who asks (a JWS with a key of the account), so that no guard stands before them.
(Annotations are not postponed here: FastAPI resolves them, and the guards are local to the functions.)
"""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel

from foundation.clock import rfc3339
from foundation.errors import CamTrustError
from foundation.http.guard import public
from foundation.http.problems import OnRefusal, log_failure
from foundation.http.trace import trace_id_of
from issuing_ca.acme import renewal
from issuing_ca.acme.errors import AccountKeyInUse, Malformed, WrongContentType
from issuing_ca.acme.model import Account, Authorization, Challenge, OrderView, Status
from issuing_ca.acme.problems import problem, refusal
from issuing_ca.acme.service import AcmeService
from issuing_ca.named_authority import authority_of, declared

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


async def signed(request: Request) -> bytes:
    """The body of a signed request, as it came."""
    return await request.body()


Body = Annotated[bytes, Depends(signed)]


def create_router(service: AcmeService, on_refusal: OnRefusal | None = None) -> APIRouter:
    """``/acme``, and ``/acme/ca/NAME`` for an issuing CA other than ``issuing``.

    ``on_refusal`` is told of each request of somebody who may not make it, for the audit trail.
    """
    router = APIRouter(tags=["ACME"], dependencies=[Depends(public)])
    router.include_router(_of_one(service, on_refusal), prefix="/acme")
    named = _of_one(service, on_refusal)
    router.include_router(named, prefix="/acme/ca/{authority}", dependencies=[Depends(declared)])
    return router


def _of_one(acme: AcmeService, on_refusal: OnRefusal | None) -> APIRouter:
    """The operations, at the CA that the address names."""
    router = APIRouter()

    def served(request: Request) -> AcmeService:
        return acme.of(authority_of(request))

    Served = Annotated[AcmeService, Depends(served)]

    def _record(request: Request, error: CamTrustError, status: int) -> None:
        if on_refusal is None or status not in (401, 403):
            return
        try:
            on_refusal(refusal(request, error, status))
        except Exception as failure:  # the answer matters more than its record, whose absence the log tells
            log_failure(failure, trace_id_of(request.scope), event="audit.failed", code=error.code)

    def answer(service: AcmeService, request: Request, act: Callable[[], Response]) -> Response:
        """Run one request; every answer has a nonce and the way to the directory (RFC 8555 §6.5, §7.1)."""
        try:
            if request.method == "POST" and request.headers.get("content-type") != _JOSE:
                raise WrongContentType
            response = act()
        except CamTrustError as error:
            response = problem(request, error)
            _record(request, error, response.status_code)
            if isinstance(error, AccountKeyInUse):
                response.headers["Location"] = service.at(f"accounts/{error.account}")
        response.headers["Replay-Nonce"] = service.nonces.new()
        response.headers["Cache-Control"] = "no-store"
        response.headers.append("Link", f'<{service.at("directory")}>;rel="index"')
        return response

    @router.get("/directory")
    def directory(service: Served) -> Directory:
        return Directory(
            newNonce=service.at("new-nonce"),
            newAccount=service.at("new-account"),
            newOrder=service.at("new-order"),
            revokeCert=service.at("revoke-cert"),
            keyChange=service.at("key-change"),
            renewalInfo=service.at("renewal-info"),
            meta={"externalAccountRequired": True},
        )

    # Two operations: OpenAPI gives each an id of its own.
    @router.get("/new-nonce", response_class=Response, status_code=200)
    @router.head("/new-nonce", response_class=Response, status_code=200, include_in_schema=False)
    def new_nonce(service: Served, request: Request) -> Response:
        """A nonce in Replay-Nonce: 200 to HEAD, 204 to GET."""
        return answer(service, request, lambda: Response(status_code=200 if request.method == "HEAD" else 204))

    @router.post("/new-account", response_class=Response, status_code=201)
    def new_account(service: Served, request: Request, body: Body) -> Response:
        """A new account, or the one that this key has."""

        def act() -> Response:
            account, new = service.accounts.new_account(body)
            response = _json(_account(account, service.at), 201 if new else 200)
            response.headers["Location"] = service.at(f"accounts/{account.id}")
            return response

        return answer(service, request, act)

    @router.post("/accounts/{account_id}", response_class=Response)
    def account(service: Served, request: Request, body: Body, account_id: Id) -> Response:
        """The account itself; ``{"status": "deactivated"}`` ends it."""

        def act() -> Response:
            asked = service.accounts.asked(body, f"accounts/{account_id}")
            return _json(_account(service.accounts.update(asked, account_id), service.at))

        return answer(service, request, act)

    @router.post("/accounts/{account_id}/orders", response_class=Response)
    def orders(
        service: Served,
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
            response = _json({"orders": [service.at(f"orders/{one}") for one in found[:_PAGE]]})
            if len(found) > _PAGE:
                response.headers.append("Link", f'<{service.at(f"{path}?cursor={found[_PAGE - 1]}")}>;rel="next"')
            return response

        return answer(service, request, act)

    @router.post("/key-change", response_class=Response)
    def key_change(service: Served, request: Request, body: Body) -> Response:
        """Give the account another key."""
        return answer(
            service,
            request,
            lambda: _json(
                _account(service.accounts.change_key(service.accounts.asked(body, "key-change")), service.at)
            ),
        )

    @router.post("/new-order", response_class=Response, status_code=201)
    def new_order(service: Served, request: Request, body: Body) -> Response:
        """Order a certificate for one or more DNS names; ``notAfter`` is kept."""

        def act() -> Response:
            made = service.orders.new(service.accounts.asked(body, "new-order"))
            return _order_answer(made, service.at, 201)

        return answer(service, request, act)

    @router.post("/orders/{order_id}", response_class=Response)
    def order(service: Served, request: Request, body: Body, order_id: Id) -> Response:
        def act() -> Response:
            asked = service.accounts.asked(body, f"orders/{order_id}")
            return _order_answer(service.orders.view(asked.account, order_id), service.at)

        return answer(service, request, act)

    @router.post("/orders/{order_id}/finalize", response_class=Response)
    def finalize(service: Served, request: Request, body: Body, order_id: Id) -> Response:
        """The CSR: its key is certified, its names must be the order's, everything else in it is ignored."""

        def act() -> Response:
            asked = service.accounts.asked(body, f"orders/{order_id}/finalize")
            return _order_answer(service.orders.finalize(asked, order_id), service.at)

        return answer(service, request, act)

    @router.post("/authorizations/{authorization_id}", response_class=Response)
    def authorization(service: Served, request: Request, body: Body, authorization_id: Id) -> Response:
        def act() -> Response:
            asked = service.accounts.asked(body, f"authorizations/{authorization_id}")
            return _json(_authorization(service.control.authorization(asked, authorization_id), service.at))

        return answer(service, request, act)

    @router.post("/challenges/{challenge_id}", response_class=Response)
    def challenge(service: Served, request: Request, body: Body, challenge_id: Id) -> Response:
        """Look whether the name is under control: http-01 or dns-01. An empty payload only shows the challenge."""

        def act() -> Response:
            asked = service.accounts.asked(body, f"challenges/{challenge_id}")
            if asked.request.payload:
                asked.request.json()
                found, above = service.control.respond(asked.account, challenge_id)
            else:
                found, above = service.control.challenge(asked.account, challenge_id)
            response = _json(_challenge(found, service.at))
            response.headers.append("Link", f'<{service.at(f"authorizations/{above.id}")}>;rel="up"')
            return response

        return answer(service, request, act)

    @router.post("/certificates/{serial}", response_class=Response)
    def certificate(
        service: Served, request: Request, body: Body, serial: Annotated[str, Path(pattern=r"^[0-9a-f]{1,40}$")]
    ) -> Response:
        """The certificate with its chain, PEM."""

        def act() -> Response:
            asked = service.accounts.asked(body, f"certificates/{serial}")
            pem = service.orders.certificate(asked.account, serial)
            return Response(pem, media_type="application/pem-certificate-chain")

        return answer(service, request, act)

    @router.post("/revoke-cert", response_class=Response)
    def revoke_cert(service: Served, request: Request, body: Body) -> Response:
        """Revoke, signed by the account or by the certificate's own key."""

        def act() -> Response:
            service.revoke(body)
            return Response(status_code=200)

        return answer(service, request, act)

    @router.get("/renewal-info/{identifier}", response_class=Response)
    def renewal_info(service: Served, request: Request, identifier: Annotated[str, Path(max_length=120)]) -> Response:
        """When to renew (RFC 9773)."""

        def act() -> Response:
            window = service.renewal_info(identifier)
            response = _json({"suggestedWindow": {"start": rfc3339(window.start), "end": rfc3339(window.end)}})
            response.headers["Retry-After"] = str(int(renewal.ASK_AGAIN.total_seconds()))
            return response

        return answer(service, request, act)

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
