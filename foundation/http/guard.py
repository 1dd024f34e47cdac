"""The guard at each endpoint: which actors may enter.

Every endpoint declares its guard; the guard marks the endpoint, so that a test can walk all routes and try every
other actor's credential on each. An endpoint without a guard must say :func:`public`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from foundation.http.actor import Actor, ActorKind, Authenticator, Credential, Forbidden, Unauthenticated

GuardDependency = Callable[[Request], Awaitable[Actor]]


class Guard:
    """Makes the dependencies that endpoints declare: ``actor: Annotated[Actor, Depends(guard.officer("ekyc-review"))]``."""

    def __init__(self, authenticator: Authenticator, public_url: str) -> None:
        self._authenticator = authenticator
        self._public_url = public_url.rstrip("/")

    def person(self) -> GuardDependency:
        """A citizen with a session."""
        return self._allow({ActorKind.PERSON: None})

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

    def _allow(self, allowed: dict[ActorKind, str | None]) -> GuardDependency:
        async def guard(request: Request) -> Actor:
            authorization = request.headers.get("authorization")
            if not authorization:
                raise Unauthenticated
            credential = Credential(
                authorization=authorization,
                method=request.method,
                url=self._public_url + request.scope["path"],
                body_digest=hashlib.sha256(await request.body()).digest(),
            )
            actor = await run_in_threadpool(self._authenticator.authenticate, credential)
            if actor.kind not in allowed:
                raise Forbidden
            role = allowed[actor.kind]
            if role is not None and role not in actor.roles:
                raise Forbidden
            request.state.actor = actor
            return actor

        guard.camtrust_allows = {kind.value: role for kind, role in allowed.items()}  # type: ignore[attr-defined]
        return guard


async def public() -> None:
    """Declared by endpoints that anybody may call (status, trust bundle, the start of an enrolment)."""


public.camtrust_public = True  # type: ignore[attr-defined]
