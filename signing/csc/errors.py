"""Refusals in the words of the CSC API (v1.0.4 §10.1): ``error`` is one of its names, for programs."""

from __future__ import annotations

from collections.abc import Mapping

from foundation.errors import CamTrustError, Kind


class CscRefused(Exception):
    """A refusal that the API has a name for; ``description`` is for the developer at the other end, in English."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error, self.description, self.status = error, description, status


_NAMES: Mapping[str, str] = {
    "foundation.pin_incorrect": "invalid_pin",
    "foundation.pin_invalid": "invalid_pin",
    "foundation.code_used": "invalid_otp",
    "foundation.pin_locked": "invalid_pin",
    "foundation.activation_invalid": "invalid_request",
    "signing.credential_not_found": "invalid_request",
    "signing.credential_not_usable": "invalid_request",
}
_STATUS = {Kind.THROTTLED: 429, Kind.UNAVAILABLE: 503, Kind.INTERNAL: 500, Kind.NOT_IMPLEMENTED: 501}


def refusal_of(error: CamTrustError) -> CscRefused:
    """The same failure in the API's words; the code of ours stands in the description."""
    name = _NAMES.get(error.code, "server_error" if error.kind in _STATUS else "invalid_request")
    return CscRefused(name, f"{error.message()} [{error.code}]", _STATUS.get(error.kind, 400))
