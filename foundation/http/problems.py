"""RFC 9457 problem documents: every failure, whoever raised it, becomes one here.

    {"type": "/problems/ekyc.mrz_invalid", "title": …, "status": 422, "detail": …, "code": "ekyc.mrz_invalid",
     "hint": …, "trace_id": …}

``title`` is the sort of failure, ``detail`` what went wrong, ``hint`` what to do next, in the language of
``Accept-Language``. Invalid input adds ``errors``: which field, which rule, never the value that was sent. What nobody
expected answers 500 with the trace id and nothing else; its class and where it arose are in the log, but not its text,
which may quote personal data.
"""

from __future__ import annotations

import json
import logging
import math
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation.catalogue import Language, negotiate, text
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError, InternalError, Kind, NotImplementedYet
from foundation.http.errors import (
    BodyUnreadable,
    Carried,
    InputInvalid,
    MethodNotAllowed,
    RequestRefused,
    RouteUnknown,
)
from foundation.http.trace import route_template, trace_id_of
from foundation.storage import StorageFull, is_full

LOG = logging.getLogger("camtrust.problems")

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[Kind, int] = {
    Kind.INVALID: 422,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.THROTTLED: 429,
    Kind.UNAVAILABLE: 503,
    Kind.NOT_IMPLEMENTED: 501,
    Kind.INTERNAL: 500,
}

# RFC 9110 §11.6.1: a 401 says how to authenticate; an error class of a door with a way of its own has its `challenge`.
CHALLENGE = 'Assertion realm="camtrust", Bearer realm="camtrust"'

# What a validation rule may tell about itself. Everything else in pydantic's report can quote the input.
_RULE_FACTS = ("min_length", "max_length", "pattern", "ge", "gt", "le", "lt", "expected", "multiple_of")
_PLAIN = re.compile(r"^[A-Za-z0-9_.-]{1,64}$")


@dataclass(frozen=True)
class Refusal:
    """A refused request as the audit trail keeps it: codes and opaque ids, nothing that was sent.

    ``actor`` is ``anonymous`` where nobody was authenticated; ``rule`` is the ID of the check that
    failed, if it has one.
    """

    code: str
    status: int
    method: str
    route: str
    actor: str
    trace_id: str
    rule: str | None = None


OnRefusal = Callable[[Refusal], None]

PageOfProblem = Callable[[CamTrustError, int], Response]
"""What a page's endpoint puts into the scope (``camtrust.page``), where people look at the answer and not programs."""


def audit_refusals(database: Database, trail: AuditTrail) -> OnRefusal:
    """Writes each refusal into the audit trail, in a unit of work of its own (that of the request was rolled back)."""

    def write(refusal: Refusal) -> None:
        details: dict[str, Any] = {
            "code": refusal.code,
            "status": refusal.status,
            "method": refusal.method,
            "route": refusal.route,
        }
        if refusal.rule is not None:
            details["rule"] = refusal.rule
        with database.unit_of_work() as connection:
            trail.append(connection, refusal.actor, "http.refused", refusal.trace_id, details)

    return write


class Problems:
    """Turns failures into answers, and tells ``on_refusal`` of each one that the audit trail should know.

    Left out of the trail: addresses where nothing is, wrong methods, parts that are not built, and requests without
    any credential. They are what passers-by and scanners do, and they touch nothing; the access log counts them.
    """

    def __init__(self, on_refusal: OnRefusal | None = None) -> None:
        self._on_refusal = on_refusal

    async def answer(self, scope: Scope, error: CamTrustError, *, status: int | None = None) -> Response:
        """The response for a failure in the request ``scope``; ``status`` where it is not that of the error's kind."""
        status = STATUS[error.kind] if status is None else status
        if error.kind is Kind.INTERNAL:
            log_failure(error, trace_id_of(scope))
        await self._record(scope, error, status)
        language = negotiate(_header(scope, b"accept-language"))
        page: PageOfProblem | None = scope.get("camtrust.page")
        if page is not None:
            return page(error, status)
        response = Response(
            content=json.dumps(_document(error, status, language, trace_id_of(scope)), ensure_ascii=False).encode(),
            status_code=status,
            media_type=MEDIA_TYPE,
            headers={"Content-Language": language.value, "Vary": "Accept-Language"},
        )
        if status == 401:
            response.headers["WWW-Authenticate"] = getattr(error, "challenge", CHALLENGE)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
        return response

    def install(self, app: FastAPI) -> None:
        """Make ``app`` answer with problem documents. A mounted sub-application needs an installation of its own."""

        async def known(request: Request, error: Exception) -> Response:
            assert isinstance(error, CamTrustError)  # noqa: S101 - registered for this class alone
            return await self.answer(request.scope, error)

        async def invalid(request: Request, error: Exception) -> Response:
            assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
            found = error.errors()
            if any(item.get("type") == "json_invalid" for item in found):
                return await self.answer(request.scope, BodyUnreadable(), status=400)
            return await self.answer(request.scope, InputInvalid(errors=_fields(found)))

        async def framework(request: Request, error: Exception) -> Response:
            assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
            if isinstance(error, Carried):
                return await self.answer(request.scope, error.error)
            if error.status_code < 400:
                return Response(status_code=error.status_code, headers=error.headers)
            response = await self.answer(request.scope, _of_framework(error), status=error.status_code)
            if error.status_code == 405 and error.headers and "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response

        app.add_exception_handler(CamTrustError, known)
        app.add_exception_handler(RequestValidationError, invalid)
        app.add_exception_handler(HTTPException, framework)

    async def _record(self, scope: Scope, error: CamTrustError, status: int) -> None:
        if self._on_refusal is None or scope.get("camtrust.refusal_recorded"):
            return
        if isinstance(error, RouteUnknown | MethodNotAllowed | NotImplementedYet):
            return
        if status == 401 and _header(scope, b"authorization") is None and "rule" not in error.params:
            return
        scope["camtrust.refusal_recorded"] = True
        rule = error.params.get("rule")
        refusal = Refusal(
            code=error.code,
            status=status,
            method=scope["method"],
            route=route_template(scope),
            actor=str(scope.get("camtrust.actor", "anonymous")),
            trace_id=trace_id_of(scope),
            rule=rule if isinstance(rule, str) and _PLAIN.match(rule) else None,
        )
        try:
            await run_in_threadpool(self._on_refusal, refusal)
        except Exception as failure:  # the answer matters more than its record, whose absence the log tells
            log_failure(failure, trace_id_of(scope), event="audit.failed", code=error.code)


def install(app: FastAPI, on_refusal: OnRefusal | None = None) -> Problems:
    """Make ``app`` answer every failure with a problem document; gives the mapping, for the middleware around it."""
    problems = Problems(on_refusal)
    problems.install(app)
    return problems


class FailureBoundary:
    """ASGI middleware: what no handler took becomes a problem document, and is logged without its text."""

    def __init__(self, app: ASGIApp, problems: Problems) -> None:
        self._app = app
        self._problems = problems

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as failure:
            if started:
                # Half an answer is out: the server has to break the connection, and learns nothing but that.
                log_failure(failure, trace_id_of(scope))
                raise RuntimeError("the answer broke off; see the log") from None
            error = failure if isinstance(failure, CamTrustError) else _unexpected(failure)
            response = await self._problems.answer(scope, error)
            await response(scope, receive, watched)


def log_failure(failure: BaseException, trace_id: str, *, event: str = "failure", code: str | None = None) -> None:
    """One line of JSON: the classes of the failure and its causes, and where each arose. Never their messages."""
    causes: list[dict[str, Any]] = []
    current: BaseException | None = failure
    while current is not None and len(causes) < 8:
        frames = traceback.extract_tb(current.__traceback__)[-12:]
        causes.append(
            {
                "class": f"{type(current).__module__}.{type(current).__qualname__}",
                "code": getattr(current, "code", None) if isinstance(current, CamTrustError) else None,
                "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
            }
        )
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    LOG.error(json.dumps({"event": event, "trace_id": trace_id, "code": code, "causes": causes}))


def _unexpected(failure: Exception) -> CamTrustError:
    error = StorageFull() if is_full(failure) else InternalError()
    error.__cause__ = failure
    return error


def _document(error: CamTrustError, status: int, language: Language, trace_id: str) -> dict[str, Any]:
    try:
        detail, hint = error.message(language), error.hint(language)
        code = error.code
    except (
        KeyError,
        IndexError,
        ValueError,
    ) as defect:  # a catalogue without this sentence, or with other placeholders
        log_failure(defect, trace_id, event="catalogue.defect", code=error.code)
        fallback = InternalError()
        detail, hint, code = fallback.message(language), fallback.hint(language), error.code
    document: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": text(f"foundation.kind_{error.kind.value.replace('-', '_')}", language),
        "status": status,
        "detail": detail,
        "code": code,
        "hint": hint,
        "trace_id": trace_id,
    }
    if isinstance(error, InputInvalid):
        document["errors"] = error.params.get("errors", [])
    return document


def _fields(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [_field(item) for item in found[:50]]


def _field(item: Mapping[str, Any]) -> dict[str, Any]:
    """Where, and which rule. Names that are not plain (a key somebody sent) are not repeated either."""
    where = [str(part) if isinstance(part, int) or _PLAIN.match(str(part)) else "?" for part in item.get("loc", ())]
    if item.get("type") == "extra_forbidden" and where:
        where[-1] = "?"
    facts = {name: value for name, value in (item.get("ctx") or {}).items() if name in _RULE_FACTS}
    field: dict[str, Any] = {"field": ".".join(where), "rule": str(item.get("type", "invalid"))}
    if facts:
        field["expects"] = {name: value if isinstance(value, int) else str(value) for name, value in facts.items()}
    return field


def _of_framework(error: HTTPException) -> CamTrustError:
    match error.status_code:
        case 404:
            return RouteUnknown()
        case 405:
            return MethodNotAllowed()
        case 400:
            return BodyUnreadable()
        case status if status >= 500:
            return InternalError()
        case _:
            return RequestRefused()


def _header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return None
