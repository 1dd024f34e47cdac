"""The hot paths as raw ASGI applications over pure functions: OCSP and timestamps. Anybody may ask."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from issuing_ca.config import IssuingCaSettings
from issuing_ca.ocsp import OcspAnswer, OcspResponder
from issuing_ca.ocsp_message import MAX_REQUEST, ResponseStatus, error_response
from issuing_ca.timestamp_message import Failure, rejected
from issuing_ca.timestamps import TimestampService

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class OcspEndpoint:
    """``POST /ocsp`` and ``GET /ocsp/{base64}`` (RFC 6960 Appendix A, RFC 5019 §5 and §6)."""

    camtrust_public = True

    def __init__(self, responder: OcspResponder, settings: IssuingCaSettings, path: str = "/ocsp") -> None:
        self._responder = responder
        self._cache = settings.ocsp_cache
        self._prefix = path.rstrip("/") + "/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method == "POST":
            body = await _body(receive)
            if body is None:
                malformed = error_response(ResponseStatus.MALFORMED_REQUEST)
                await _respond(send, 413, _OCSP, malformed, {"connection": "close"})
                return
            answer = await asyncio.to_thread(self._answer, body)
            await _respond(send, 200, _OCSP, answer.response, {"cache-control": "no-store"})
        elif method in ("GET", "HEAD"):
            answer = await asyncio.to_thread(self._answer, self._from_path(scope["path"]))
            await _respond(send, 200, _OCSP, answer.response, self._caching(answer), head=method == "HEAD")
        else:
            await _respond(send, 405, "text/plain", b"", {"allow": "GET, HEAD, POST"})

    def _answer(self, request: bytes) -> OcspAnswer:
        try:
            return self._responder.answer(request)
        except Exception:
            _log.exception("OCSP")
            return OcspAnswer(error_response(ResponseStatus.INTERNAL_ERROR), ResponseStatus.INTERNAL_ERROR)

    def _from_path(self, path: str) -> bytes:
        """The request in a GET's path, which the server has percent-decoded; nothing where there is none."""
        _, _, encoded = path.partition(self._prefix)
        if len(encoded) > MAX_REQUEST:
            return b""
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return b""

    def _caching(self, answer: OcspAnswer) -> dict[str, str]:
        """RFC 5019 §6.2. What was made for one nonce, or says nothing, is not kept."""
        if answer.this_update is None or answer.next_update is None or answer.nonce:
            return {"cache-control": "no-store"}
        seconds = int(min(self._cache, answer.next_update - answer.this_update).total_seconds())
        return {
            "cache-control": f"max-age={seconds}, public, no-transform, must-revalidate",
            "last-modified": _http_date(answer.this_update),
            "expires": _http_date(answer.next_update),
            "etag": f'"{hashlib.sha256(answer.response).hexdigest()}"',
        }


class TimestampEndpoint:
    """``POST /tsa`` (RFC 3161 §3.4)."""

    camtrust_public = True

    def __init__(self, service: TimestampService) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _respond(send, 405, "text/plain", b"", {"allow": "POST"})
            return
        body = await _body(receive)
        if body is None:
            await _respond(send, 413, _TSA, rejected(Failure.BAD_DATA_FORMAT), {"connection": "close"})
            return
        response = await asyncio.to_thread(self._answer, body)
        await _respond(send, 200, _TSA, response, {"cache-control": "no-store"})

    def _answer(self, request: bytes) -> bytes:
        try:
            return self._service.timestamp(request)
        except Exception:
            _log.exception("timestamp")
            return rejected(Failure.SYSTEM_FAILURE)


_OCSP = "application/ocsp-response"
_TSA = "application/timestamp-reply"


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or None as soon as it is longer than any request of ours."""
    parts, length = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""  # the client has gone
        part: bytes = message.get("body", b"")
        parts.append(part)
        length += len(part)
        if length > MAX_REQUEST:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


async def _respond(
    send: Send, status: int, media_type: str, body: bytes, headers: Mapping[str, str], *, head: bool = False
) -> None:
    fields = {"content-type": media_type, "content-length": str(len(body)), **headers}
    encoded = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if head else body})


def _http_date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)
