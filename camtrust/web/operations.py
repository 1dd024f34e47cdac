"""For whoever keeps the service running: alive, ready, and how much it does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from foundation.errors import CamTrustError
from foundation.http.guard import public
from foundation.http.metrics import CONTENT_TYPE, RequestMetrics
from foundation.http.problems import log_failure
from foundation.http.trace import current_trace_id

LOG = logging.getLogger("camtrust.readiness")

Check = Callable[[], None]
"""Returns when its part works; raises when it does not."""


Gauge = Callable[[], float]
"""A number that is read when it is asked for."""


@dataclass(frozen=True)
class Parts:
    """What is told of: what must work, what somebody has to look at, and numbers by their Prometheus names."""

    checks: Mapping[str, Check]
    advisories: Mapping[str, Check]
    gauges: Mapping[str, Gauge]


class Health(BaseModel):
    """The process answers."""

    status: str


class Readiness(BaseModel):
    """Each part: ``ok``, or the code of what is wrong with it. ``advisories`` are told in the same way and do not make
    the service unready: somebody has to look. ``emulated`` parts stand in for real ones."""

    status: str
    checks: dict[str, str]
    advisories: dict[str, str]
    emulated: list[str]
    specimen: bool


def create_router(parts: Parts, emulated: Sequence[str], specimen: bool, metrics: RequestMetrics) -> APIRouter:
    """``/healthz``, ``/readyz``, ``/metrics``."""
    router = APIRouter(tags=["Operations"], dependencies=[Depends(public)])

    @router.get("/healthz")
    def healthz() -> Health:
        """The process is up. Says nothing about what it needs."""
        return Health(status="ok")

    @router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
    def readyz() -> JSONResponse:
        """Everything that the service needs works: 200, or else 503 with what does not."""
        outcome = {name: _outcome(check) for name, check in parts.checks.items()}
        ready = all(result == "ok" for result in outcome.values())
        readiness = Readiness(
            status="ready" if ready else "not-ready",
            checks=outcome,
            advisories={name: _outcome(check) for name, check in parts.advisories.items()},
            emulated=list(emulated),
            specimen=specimen,
        )
        return JSONResponse(readiness.model_dump(), status_code=200 if ready else 503)

    @router.get("/metrics", response_class=Response, responses={200: {"content": {CONTENT_TYPE: {}}}})
    def read_metrics() -> Response:
        """Requests by method, route and status since this process began, and what the parts count, for Prometheus."""
        lines = [line for name, gauge in parts.gauges.items() for line in _gauge(name, gauge)]
        return Response(metrics.text() + "".join(f"{line}\n" for line in lines), media_type=CONTENT_TYPE)

    return router


def _gauge(name: str, gauge: Gauge) -> list[str]:
    try:
        return [f"# TYPE {name} gauge", f"{name} {gauge():g}"]
    except Exception as failure:  # the other numbers are told, whatever is broken
        log_failure(failure, current_trace_id.get(), event="metrics.failed")
        return []


def _outcome(check: Check) -> str:
    try:
        check()
    except CamTrustError as error:
        return error.code
    except Exception as failure:  # a readiness probe answers, whatever is broken
        log_failure(failure, current_trace_id.get(), event="readiness.failed")
        return "failed"
    return "ok"
