"""Requests to one service, bounded in time and size; what comes back is an answer or a failure with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2

from signing.remote.errors import ServiceRefused, ServiceUnreachable

LARGEST = 32 * 1024 * 1024  # octets of an answer: a complete CRL of a large CA
_SECONDS = 60.0

Credentials = Callable[[str, str, bytes], dict[str, str]]
"""Headers that say who asks, for a method, a path and a body."""


class Link:
    """One service, for as long as the block runs. ``credentials``: what authenticates the requests that need it."""

    def __init__(self, url: str, credentials: Credentials, client: httpx2.Client | None = None) -> None:
        self.url = url.rstrip("/")
        self._credentials = credentials
        self._http = client or httpx2.Client(timeout=_SECONDS, trust_env=False, follow_redirects=False)

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST JSON as the caller; gives the JSON of the answer. Raises ServiceRefused, ServiceUnreachable."""
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | self._credentials("POST", path, content)
        said = self._json(self._fetch("POST", path, content, headers))
        if not isinstance(said, dict):
            raise ServiceUnreachable
        return said

    def look(self, path: str) -> Any:
        """GET JSON as the caller. Raises ServiceRefused, ServiceUnreachable."""
        return self._json(self._fetch("GET", path, b"", self._credentials("GET", path, b"")))

    def octets(self, path: str, body: bytes | None = None, media_type: str = "") -> bytes:
        """What anybody may fetch, or POST octets for. Raises ServiceRefused, ServiceUnreachable."""
        if body is None:
            return self._fetch("GET", path, b"", {})
        return self._fetch("POST", path, body, {"Content-Type": media_type})

    def _fetch(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> bytes:
        try:
            with self._http.stream(method, self.url + path, content=content, headers=headers) as answer:
                found = b""
                for part in answer.iter_bytes():
                    found += part
                    if len(found) > LARGEST:
                        raise ServiceUnreachable
                status = answer.status_code
        except httpx2.HTTPError as error:
            raise ServiceUnreachable from error
        if status != 200:
            raise _refusal(status, found)
        return found

    @staticmethod
    def _json(octets: bytes) -> Any:
        try:
            return json.loads(octets)
        except ValueError as error:
            raise ServiceUnreachable from error


def _refusal(status: int, body: bytes) -> ServiceRefused:
    """From a problem document (RFC 9457), or an error of the CSC API; whatever else it is, its status."""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    code = str(said.get("code") or said.get("error") or status)[:100]
    detail = str(said.get("detail") or said.get("error_description") or "")[:300]
    return ServiceRefused(code=code, detail=detail)
