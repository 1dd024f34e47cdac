"""ACME's problem documents (RFC 8555 §6.7), and what the audit trail keeps of a refusal."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request, Response

from foundation.catalogue import negotiate
from foundation.errors import CamTrustError
from foundation.http.problems import MEDIA_TYPE, STATUS, Refusal, log_failure
from foundation.http.trace import route_template, trace_id_of
from issuing_ca.acme import jose
from issuing_ca.acme.errors import URN, AcmeRefused, BadSignatureAlgorithm


def problem(request: Request, error: CamTrustError) -> Response:
    """A problem document with an error type of the protocol (RFC 8555 §6.7)."""
    acme = isinstance(error, AcmeRefused)
    status = error.status if isinstance(error, AcmeRefused) else STATUS[error.kind]
    if status >= 500 and not acme:
        log_failure(error, trace_id_of(request.scope))
    language = negotiate(request.headers.get("accept-language"))
    document: dict[str, Any] = {
        "type": URN + (error.type if isinstance(error, AcmeRefused) else _type_of(status)),
        "detail": error.message(language),
        "status": status,
        "code": error.code,
        "hint": error.hint(language),
        "trace_id": trace_id_of(request.scope),
    }
    if isinstance(error, BadSignatureAlgorithm):
        document["algorithms"] = list(jose.ALGORITHMS)
    response = Response(json.dumps(document, ensure_ascii=False), status_code=status)
    response.headers["Content-Type"] = MEDIA_TYPE
    response.headers["Content-Language"] = language.value
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(int(error.retry_after))
    return response


def _type_of(status: int) -> str:
    return "serverInternal" if status >= 500 else "malformed"


def refusal(request: Request, error: CamTrustError, status: int) -> Refusal:
    """Codes and opaque ids. Who asked is not told: a signature that is not theirs says nothing about an account."""
    return Refusal(
        code=error.code,
        status=status,
        method=request.method,
        route=route_template(request.scope),
        actor="anonymous",
        trace_id=trace_id_of(request.scope),
    )
