"""The hot paths as raw ASGI applications over pure functions: OCSP and timestamps. Anybody may ask."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import Clock
from foundation.errors import CamTrustError
from issuing_ca.batches import Batches
from issuing_ca.errors import Overloaded
from issuing_ca.ocsp import OcspAnswer
from issuing_ca.ocsp_kept import KeptResponses
from issuing_ca.ocsp_message import MAX_REQUEST, ResponseStatus, error_response
from issuing_ca.timestamp_message import Failure, rejected
from issuing_ca.timestamps import TimestampService

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]


class OcspEndpoint:
    """``POST /ocsp`` and ``GET /ocsp/{base64}`` (RFC 6960 Appendix A, RFC 5019 §5 and §6).

    What this process has in memory is answered on the event loop; everything else in batches on threads.
    """

    camtrust_public = True
    most_octets = MAX_REQUEST

    def __init__(self, kept: KeptResponses, clock: Clock, path: str = "/ocsp") -> None:
        self._kept = kept
        self._clock = clock
        self._prefix = path.rstrip("/") + "/"
        self._begin = len(self._prefix)
        self._batches = Batches(kept.answer_many, "ocsp")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method == "POST":
            body = await _body(receive)
            if body is None:
                malformed = error_response(ResponseStatus.MALFORMED_REQUEST)
                await _respond(send, 413, _OCSP, malformed, ((b"connection", b"close"),))
                return
            kept = self._kept.remembered(body)
            answer = kept.answer if kept is not None else await self._ask(body)
            await _respond(send, 200, _OCSP, answer.response, _NOT_KEPT)
        elif method in ("GET", "HEAD"):
            request = self._from_path(scope["path"])
            kept = self._kept.remembered(request)
            answer = kept.answer if kept is not None else await self._ask(request)
            await _respond(send, 200, _OCSP, answer.response, self._caching(answer), head=method == "HEAD")
        else:
            await _respond(send, 405, b"text/plain", b"", ((b"allow", b"GET, HEAD, POST"),))

    def at_hand(self, method: str, path: str, body: bytes) -> tuple[bytes, bytes] | None:
        """Header fields, as lines, and content of what this process has in memory; None where it has to work.

        What :meth:`__call__` would answer to the same GET or POST, for a server that does not need a call for it.
        """
        kept = self._kept.remembered(body if method == "POST" else self._from_path(path))
        if kept is None:
            return None
        response = kept.answer.response
        if method == "POST":
            return _lines(_fields(_OCSP, response, _NOT_KEPT)), response
        if kept.lines is None:  # it lasts for longer than anybody may keep it, so they stay as they are
            kept.lines = _lines(_fields(_OCSP, response, self._caching(kept.answer)))
        return kept.lines, response

    async def _ask(self, request: bytes) -> OcspAnswer:
        try:
            return await self._batches.ask(request)
        except Overloaded:
            return OcspAnswer(error_response(ResponseStatus.TRY_LATER), ResponseStatus.TRY_LATER)
        except Exception:
            _log.exception("OCSP")
            return OcspAnswer(error_response(ResponseStatus.INTERNAL_ERROR), ResponseStatus.INTERNAL_ERROR)

    def _from_path(self, path: str) -> bytes:
        """The request in a GET's path, which the server has percent-decoded; nothing where there is none."""
        encoded = path[self._begin :]
        if len(encoded) > MAX_REQUEST or not path.startswith(self._prefix):
            return b""
        try:
            return binascii.a2b_base64(encoded, strict_mode=True)
        except ValueError:  # binascii.Error, or a path beyond ASCII
            return b""

    def _caching(self, answer: OcspAnswer) -> Headers:
        """RFC 5019 §6.2. What was made for one nonce, or says nothing, is not kept."""
        if answer.this_update is None or answer.next_update is None or answer.nonce:
            return _NOT_KEPT
        left = answer.next_update - self._clock.now()
        seconds = max(0, int(min(self._kept.cache, left).total_seconds()))
        return (
            (b"cache-control", b"max-age=%d, public, no-transform, must-revalidate" % seconds),
            (b"last-modified", _http_date(answer.this_update)),
            (b"expires", _http_date(answer.next_update)),
            (b"etag", b'"' + hashlib.sha256(answer.response).hexdigest().encode() + b'"'),
        )


class TimestampEndpoint:
    """``POST /tsa`` (RFC 3161 §3.4), and ``GET /tsa/certificates``: the unit that works, and the one that will."""

    camtrust_public = True

    def __init__(self, service: TimestampService, path: str = "/tsa") -> None:
        self._service = service
        self._certificates = path.rstrip("/") + "/certificates"
        self._batches = Batches(service.timestamp_many, "tsa")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == self._certificates:
            await self._publish(scope["method"], send)
            return
        if scope["method"] != "POST":
            await _respond(send, 405, b"text/plain", b"", ((b"allow", b"POST"),))
            return
        body = await _body(receive)
        if body is None:
            await _respond(send, 413, _TSA, rejected(Failure.BAD_DATA_FORMAT), ((b"connection", b"close"),))
            return
        try:
            response = await self._batches.ask(body)
        except Overloaded:
            response = rejected(Failure.SYSTEM_FAILURE)
        except Exception:
            _log.exception("timestamp")
            response = rejected(Failure.SYSTEM_FAILURE)
        await _respond(send, 200, _TSA, response, _NOT_KEPT)

    async def _publish(self, method: str, send: Send) -> None:
        if method not in ("GET", "HEAD"):
            await _respond(send, 405, b"text/plain", b"", ((b"allow", b"GET, HEAD"),))
            return
        try:
            certificates = await asyncio.to_thread(self._service.certificates)
        except CamTrustError as error:
            _log.error("no timestamping certificates: %s", error.code)
            await _respond(send, 503, b"text/plain", b"", _NOT_KEPT)
            return
        body = b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
        kept = ((b"cache-control", b"public, max-age=3600"),)
        await _respond(send, 200, b"application/pem-certificate-chain", body, kept, head=method == "HEAD")


_OCSP = b"application/ocsp-response"
_TSA = b"application/timestamp-reply"
_NOT_KEPT: Headers = ((b"cache-control", b"no-store"),)


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or None as soon as it is longer than any request of ours."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""  # the client has gone
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > MAX_REQUEST:
            return None
        if not message.get("more_body", False):
            return body


async def _respond(
    send: Send, status: int, media_type: bytes, body: bytes, headers: Headers, *, head: bool = False
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _fields(media_type, body, headers)})
    await send({"type": "http.response.body", "body": b"" if head else body})


def _fields(media_type: bytes, body: bytes, headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", media_type), (b"content-length", b"%d" % len(body)), *headers]


def _lines(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])


@lru_cache(maxsize=1024)
def _http_date(at: datetime) -> bytes:
    return format_datetime(at, usegmt=True).encode()
