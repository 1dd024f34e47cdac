"""The guard at each endpoint: which actors may enter.

Every endpoint declares its guard; the guard marks the endpoint, so that a test can walk all routes and try every
other actor's credential on each. An endpoint without a guard must say :func:`public`. Both also claim the request's
``Idempotency-Key``, if it brought one: that needs to know who asks, and comes before anything is done.

A module that declares guards as local names (inside ``create_router``) must not postpone its annotations: leave out
``from __future__ import annotations`` there, or FastAPI cannot see the guard. The web assembly refuses such a router.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from foundation.http.actor import Actor, ActorKind, Authenticator, Credential, Forbidden, Unauthenticated
from foundation.http.client_certificate import CertificateDisbelieved, shown_certificate, thumbprint
from foundation.http.idempotency import claim

GuardDependency = Callable[[Request], Awaitable[Actor]]


class Guard:
    """Makes what endpoints declare: ``actor: Annotated[Actor, Depends(guard.officer("ekyc-review"))]``.

    ``public_url`` is what assertions must name: the origin as clients know it, whatever the Host header says.
    ``proxy_secret``: by which the certificate of a TLS client is believed; None: none is.
    """

    def __init__(self, authenticator: Authenticator, public_url: str, proxy_secret: bytes | None = None) -> None:
        self._authenticator = authenticator
        self._public_url = public_url.rstrip("/")
        self._proxy_secret = proxy_secret

    def person(self, *scopes: str) -> GuardDependency:
        """A citizen with a session; with ``scopes``, also a client whom the citizen let do what one of them names."""
        return self._allow({ActorKind.PERSON: None}, frozenset(scopes))

    def officer(self, role: str) -> GuardDependency:
        """An officer who holds ``role``."""
        return self._allow({ActorKind.OFFICER: role})

    def client(self, role: str) -> GuardDependency:
        """An agency's API client that holds ``role``."""
        return self._allow({ActorKind.CLIENT: role})

    def operator(self, role: str) -> GuardDependency:
        """An operator who holds ``role``."""
        return self._allow({ActorKind.OPERATOR: role})

    def any_of(self, allowed: dict[ActorKind, str | None]) -> GuardDependency:
        """Any of these kinds, each with the role named (None: no role is asked)."""
        return self._allow(allowed)

    def _allow(self, allowed: dict[ActorKind, str | None], scopes: frozenset[str] = frozenset()) -> GuardDependency:
        async def guard(request: Request) -> Actor:
            actor = await self._authenticate(request)
            if actor.kind not in allowed:
                raise Forbidden
            role = allowed[actor.kind]
            if role is not None and role not in actor.roles:
                raise Forbidden
            if actor.delegation is not None and not scopes & actor.delegation.scopes:
                raise Forbidden(rule="AT-04")
            await claim(request, actor)
            return actor

        guard.camtrust_allows = {kind.value: role for kind, role in allowed.items()}  # type: ignore[attr-defined]
        return guard

    async def _authenticate(self, request: Request) -> Actor:
        """Once a request, since an assertion is good once: a second guard on it meets the same actor."""
        known = request.scope.get("camtrust.actor")
        if isinstance(known, Actor):
            return known
        given = request.headers.getlist("authorization")
        if not given:
            raise Unauthenticated
        if len(given) != 1:  # which of them a proxy looked at, nobody knows
            raise Unauthenticated(rule="AS-01")
        credential = Credential(
            authorization=given[0],
            method=request.method,
            url=self._public_url + _path_as_asked(request),
            body_digest=hashlib.sha256(await request.body()).digest(),
            certificate=self._certificate(request),
        )
        actor = await run_in_threadpool(self._authenticator.authenticate, credential)
        request.scope["camtrust.actor"] = request.state.actor = actor
        return actor

    def _certificate(self, request: Request) -> bytes | None:
        try:
            certificate = shown_certificate(request, self._proxy_secret)
        except CertificateDisbelieved:
            raise Unauthenticated(rule="AT-03") from None
        return None if certificate is None else thumbprint(certificate)


async def public(request: Request) -> None:
    """Declared by endpoints that anybody may call (status, trust bundle, the start of an enrolment)."""
    await claim(request, None)


async def public_unkept(request: Request) -> None:
    """Like :func:`public`, for answers that are secrets told once: an ``Idempotency-Key`` keeps none of them."""


public.camtrust_public = True  # type: ignore[attr-defined]
public_unkept.camtrust_public = public_unkept.camtrust_unkept = True  # type: ignore[attr-defined]


def _path_as_asked(request: Request) -> str:
    raw: bytes | None = request.scope.get("raw_path")
    return request.scope["path"] if not raw else raw.split(b"?", 1)[0].decode("latin-1")
