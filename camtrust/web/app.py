"""One application: the rooms' routers, the hot paths, the pages, and the rules at the edge around all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Lifespan, Scope

from camtrust.web import absent, operations, pages
from camtrust.web.at_hand import AtHand
from camtrust.web.guarded import require_guards
from camtrust.web.openapi import describe
from camtrust.web.raw import HotPaths, Raw, RawRoute
from camtrust.web.signposts import Signpost
from foundation.http.body import DEFAULT_LIMIT, BodyLimit
from foundation.http.direct import DirectRoute
from foundation.http.headers import SecurityHeaders
from foundation.http.idempotency import IdempotentPosts
from foundation.http.idempotency_store import IdempotencyStore
from foundation.http.metrics import RequestMetrics
from foundation.http.problems import FailureBoundary, OnRefusal, Problems, log_failure
from foundation.http.trace import Trace

STATIC = Path(__file__).with_name("static")
FONTS = Path(__file__).parent.with_name("fonts")


@dataclass(frozen=True)
class WebSettings:
    """What the web assembly needs to know.

    ``emulated``: parts that stand in for real ones, by their names in this package's catalogue (key_store, registry,
    notifications). ``larger_bodies``: octets allowed below a path, where it is not ``body_limit``. ``crl_paths``:
    where the CRLs are, for the portal.
    """

    public_url: str
    version: str
    specimen: bool = True
    emulated: tuple[str, ...] = ()
    body_limit: int = DEFAULT_LIMIT
    larger_bodies: Mapping[str, int] = field(default_factory=dict)
    crl_paths: tuple[str, ...] = ()


def create_app(
    settings: WebSettings,
    *,
    routers: Sequence[APIRouter],
    raw: Sequence[Raw] = (),
    checks: Mapping[str, operations.Check] | None = None,
    advisories: Mapping[str, operations.Check] | None = None,
    gauges: Mapping[str, operations.Gauge] | None = None,
    on_refusal: OnRefusal | None = None,
    idempotency: IdempotencyStore | None = None,
    lifespan: Lifespan[FastAPI] | None = None,
) -> FastAPI:
    """The application, ready to be served. Everything it works with is passed in. Raises EndpointUnguarded."""
    metrics, problems = RequestMetrics(), Problems(on_refusal)
    middleware = [
        Middleware(HotPaths, raw=raw, counter=metrics),
        Middleware(Trace, counter=metrics),
        Middleware(SecurityHeaders, https=settings.public_url.startswith("https://")),
        Middleware(FailureBoundary, problems=problems),
        Middleware(BodyLimit, problems=problems, limit=settings.body_limit, larger=settings.larger_bodies),
    ]
    if idempotency is not None:
        middleware.append(Middleware(IdempotentPosts, store=idempotency, on_failure=_not_kept))
    app = FastAPI(
        title="CamTrust",
        summary="Digital trust for Cambodia: certificates, eKYC, signatures, verification",
        version=settings.version,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=middleware,
        lifespan=lifespan,
    )
    problems.install(app)
    app.state.at_hand = AtHand({one.path: one.app for one in raw if one.hot}, metrics)
    for hot in raw:
        app.router.routes.append(RawRoute(hot))
    app.router.routes.extend(_direct(routers))
    for router in routers:
        app.include_router(Signpost(router))
    app.include_router(Signpost(pages.create_router(settings.specimen, settings.emulated, settings.crl_paths)))
    emulated, specimen = settings.emulated, settings.specimen
    parts = operations.Parts(checks or {}, advisories or {}, gauges or {})
    app.include_router(operations.create_router(parts, emulated, specimen, metrics))
    app.include_router(absent.create_router())
    require_guards(app)
    app.mount("/static/fonts", _Files(directory=FONTS, check_dir=False))
    app.mount("/static", _Files(directory=STATIC))
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


def _direct(routers: Sequence[APIRouter]) -> Iterator[DirectRoute]:
    """The endpoints that are answered before the routers are asked."""
    for router in routers:
        for route in router.routes:
            answer = getattr(route.endpoint, "camtrust_direct", None) if isinstance(route, APIRoute) else None
            if answer is not None:
                yield DirectRoute(route.path, *answer)  # type: ignore[attr-defined]


def _not_kept(failure: Exception, trace_id: str) -> None:
    log_failure(failure, trace_id, event="idempotency.not_kept")


class _Files(StaticFiles):
    """Our own files: the same for everybody, so they may be kept for an hour."""

    camtrust_public = True

    async def get_response(self, path: str, scope: Scope) -> Response:
        scope["camtrust.route"] = "/static"
        response = await super().get_response(path, scope)
        if response.status_code in (200, 304):
            response.headers["Cache-Control"] = "public, max-age=3600"
        return response
