"""What the edge itself refuses, before any room is asked.

CamTrustError
├── RouteUnknown             404  nothing is at this address
├── MethodNotAllowed         405  something is, but not for this method
├── BodyTooLarge             413  longer than this address takes
├── BodyUnreadable           400  not JSON, or not what Content-Type says
├── InputInvalid             422  readable, but not as the OpenAPI document says
├── RequestRefused           4xx  any other refusal by the web framework
├── IdempotencyKeyInvalid    422
├── IdempotencyKeyReused     422  the key came before with another request
├── IdempotencyInFlight      409  the first request with this key is still running
└── IdempotencyAnswerLost    409  done, but its answer could not be kept
"""

from __future__ import annotations

from starlette.exceptions import HTTPException

from foundation.errors import CamTrustError, Kind


class Carried(HTTPException):
    """A failure that arises while the framework reads a body: it lets nothing but HTTPException through."""

    def __init__(self, error: CamTrustError, status: int) -> None:
        super().__init__(status)
        self.error = error


class RouteUnknown(CamTrustError):
    code = "foundation.route_unknown"
    kind = Kind.NOT_FOUND


class MethodNotAllowed(CamTrustError):
    code = "foundation.method_not_allowed"
    kind = Kind.INVALID


class BodyTooLarge(CamTrustError):
    """``limit`` is in octets."""

    code = "foundation.body_too_large"
    kind = Kind.TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit)


class BodyUnreadable(CamTrustError):
    code = "foundation.body_unreadable"
    kind = Kind.INVALID


class InputInvalid(CamTrustError):
    """The fields are named in the problem document's ``errors``; their values never are."""

    code = "foundation.input_invalid"
    kind = Kind.INVALID


class RequestRefused(CamTrustError):
    code = "foundation.request_refused"
    kind = Kind.INVALID


class IdempotencyKeyInvalid(CamTrustError):
    code = "foundation.idempotency_key_invalid"
    kind = Kind.INVALID


class IdempotencyKeyReused(CamTrustError):
    code = "foundation.idempotency_key_reused"
    kind = Kind.INVALID


class IdempotencyInFlight(CamTrustError):
    code = "foundation.idempotency_in_flight"
    kind = Kind.CONFLICT


class IdempotencyAnswerLost(CamTrustError):
    code = "foundation.idempotency_answer_lost"
    kind = Kind.CONFLICT
