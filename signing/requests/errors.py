"""What is refused about signing requests.

CamTrustError
├── RequestNotFound          no such request of yours, or to you
├── RequestClosed            answered, withdrawn or run out already
├── RequestInvalid           a purpose, time or document that cannot be
├── RequestNotDeliverable    the person takes no request of this client's: unknown, cannot sign, or blocked it
├── RequestsTooMany          more than one client, or all together, may ask of one person
├── RequesterStopped         too many people did not expect its requests, or an operator stopped it
├── RequestersStopped        for operators: people's reports have stopped clients, and nobody has looked yet
└── RequestNeedsPasskey      the client or the policy asks for an approval bound to the documents by the device
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class RequestNotFound(CamTrustError):
    code = "signing.request_not_found"
    kind = Kind.NOT_FOUND


class RequestClosed(CamTrustError):
    code = "signing.request_closed"
    kind = Kind.CONFLICT


class RequestInvalid(CamTrustError):
    """``field`` is what cannot be."""

    code = "signing.request_invalid"
    kind = Kind.INVALID


class RequestNotDeliverable(CamTrustError):
    """One answer for three reasons, so that a client does not learn who has blocked it, or who is known here."""

    code = "signing.request_not_deliverable"
    kind = Kind.FORBIDDEN


class RequestsTooMany(CamTrustError):
    """``limit`` is what is allowed."""

    code = "signing.requests_too_many"
    kind = Kind.THROTTLED


class RequesterStopped(CamTrustError):
    code = "signing.requester_stopped"
    kind = Kind.FORBIDDEN


class RequestersStopped(CamTrustError):
    """``count`` clients; ``clients``: the ids of the first."""

    code = "signing.requesters_stopped"
    kind = Kind.CONFLICT


class RequestNeedsPasskey(CamTrustError):
    code = "signing.request_needs_passkey"
    kind = Kind.FORBIDDEN
