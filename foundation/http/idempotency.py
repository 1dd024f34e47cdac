"""``Idempotency-Key``: asking twice makes one thing (draft-ietf-httpapi-idempotency-key-header).

Every POST takes the header; no endpoint writes code for it. The middleware (:class:`IdempotentPosts`) holds the
answer back until it is stored; the guard, which knows who asks, claims the key before anything is done
(:func:`claim`). A key belongs to one actor, method and path. Coming again, it meets:

    the same request, answered       that answer, with ``Idempotency-Replayed: true``
    the same request, still running  409 with ``Retry-After``
    another request                  422
    nothing (refused, or 24 h ago)   it is done as if for the first time: a refusal made nothing, so it keeps nothing

A key has 16 to 128 visible characters. It should be a random UUID, and must be where nobody is authenticated (the
start of an enrolment): there it is all that keeps others from reading the answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation.canonical import digest
from foundation.errors import CamTrustError
from foundation.http.actor import Actor, ActorKind
from foundation.http.errors import IdempotencyKeyInvalid
from foundation.http.idempotency_store import Answer, Claim, IdempotencyStore
from foundation.http.idempotency_store import metadata as metadata
from foundation.http.trace import trace_id_of

SERVICE_OWNER = "service:idempotency"

_KEY = re.compile(r"^[\x21\x23-\x5b\x5d-\x7e]{16,128}$")
_SCOPE_KEY = "camtrust.idempotency"
_KEPT_HEADERS = ("content-type", "location", "etag", "content-disposition", "content-language")

OnStoreFailure = Callable[[CamTrustError | Exception, str], None]


class _Replay(Exception):
    """Leaves the endpoint before it runs: the answer is known."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class _Attempt:
    """What one request does about its key. Sealed for the person who asks, so that erasing them destroys the answer;
    for the service where an officer, a client or nobody asks: then the 24 hours end it."""

    def __init__(self, store: IdempotencyStore, key: str, scope: Scope) -> None:
        self._store = store
        self._key = key
        self._scope = scope
        self.claimed: Claim | None = None

    def claim(self, actor: Actor | None, body: bytes) -> None:
        method, path, query = self._scope["method"], self._scope["path"], self._scope.get("query_string", b"")
        owner = actor.id if actor is not None and actor.kind is ActorKind.PERSON else SERVICE_OWNER
        outcome = self._store.claim(
            place=digest([str(actor or "anonymous"), method, path, self._key]),
            owner=owner,
            request=digest([method, path, query.decode("latin-1"), hashlib.sha256(body).hexdigest()]),
        )
        if isinstance(outcome, Answer):
            raise _Replay(outcome)
        self.claimed = outcome


async def claim(request: Request, actor: Actor | None) -> None:
    """Claim the request's key for ``actor``, once; called by guards. Without a key, or a store, nothing happens.

    Raises IdempotencyKeyReused, IdempotencyInFlight, IdempotencyAnswerLost, or what the vault raises (fail closed).
    """
    attempt = request.scope.get(_SCOPE_KEY)
    if isinstance(attempt, _Attempt) and attempt.claimed is None:
        await run_in_threadpool(attempt.claim, actor, await request.body())


class IdempotentPosts:
    """ASGI middleware, innermost. ``on_failure(failure, trace_id)`` is told when an answer could not be kept."""

    def __init__(self, app: ASGIApp, store: IdempotencyStore, on_failure: OnStoreFailure) -> None:
        self._app = app
        self._store = store
        self._on_failure = on_failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not (key := _key(Headers(scope=scope))):
            await self._app(scope, receive, send)
            return
        attempt = scope[_SCOPE_KEY] = _Attempt(self._store, key, scope)
        held: list[Message] = []

        async def hold(message: Message) -> None:
            if attempt.claimed is None:
                await send(message)
            else:
                held.append(message)

        try:
            await self._app(scope, receive, hold)
        except _Replay as replay:
            await _send_again(replay.answer, send)
            return
        except BaseException:
            if attempt.claimed is not None:
                await self._settle(attempt.claimed, None, trace_id_of(scope))
            raise
        if attempt.claimed is not None:
            await self._settle(attempt.claimed, _answer(held), trace_id_of(scope))
            for message in held:
                await send(message)

    async def _settle(self, claimed: Claim, answer: Answer | None, trace_id: str) -> None:
        """Keep an answer that made something; let go of the key after a refusal or a failure."""
        try:
            if answer is not None and answer.status < 400:
                await run_in_threadpool(self._store.keep, claimed, answer)
            else:
                await run_in_threadpool(self._store.release, claimed)
        except Exception as failure:  # what was done is done: whoever asked gets the answer, the log the failure
            self._on_failure(failure, trace_id)


def _key(headers: Headers) -> str:
    """The key, with or without the quotes of a structured field string; empty where there is none."""
    given = headers.getlist("idempotency-key")
    if not given:
        return ""
    key = given[0].strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if len(given) != 1 or not _KEY.match(key):
        raise IdempotencyKeyInvalid
    return key


def _answer(held: list[Message]) -> Answer | None:
    start = next((message for message in held if message["type"] == "http.response.start"), None)
    if start is None:
        return None
    headers = Headers(raw=start["headers"])
    kept = tuple((name, headers[name]) for name in _KEPT_HEADERS if name in headers)
    return Answer(start["status"], kept, b"".join(message.get("body", b"") for message in held))


async def _send_again(answer: Answer, send: Send) -> None:
    start: Message = {"type": "http.response.start", "status": answer.status, "headers": []}
    headers = MutableHeaders(scope=start)
    for name, value in answer.headers:
        headers[name] = value
    if answer.status != 204:
        headers["content-length"] = str(len(answer.body))
    headers["idempotency-replayed"] = "true"
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})
