"""What goes over the socket: frames of four octets of length (big-endian) and one JSON object.

JSON with strings, integers, booleans, null, arrays, objects with string keys, and octet strings as
``{"$bytes": "<base64>"}``. Floats, NaN, duplicate keys and anything after the object are refused. A frame is taken
whole or not at all: what is cut off is never acted on.

    request    {"op": name, "args": {...}}
    answer     {"ok": value}  or  {"error": {"code": ..., "params": {...}, "retry_after": seconds or null}}
"""

from __future__ import annotations

import base64
import json
import socket
import time
from typing import Any, NoReturn

from foundation.keys import errors
from foundation.keys.errors import KeyStoreError
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse

FRAME_BEFORE_LOGIN = 4096
LONGEST_FRAME = 64 * 1024 * 1024  # a certificate revocation list of a million entries is signed as one message
_HEADER = 4
_TAG = "$bytes"


class FrameInvalid(ValueError):
    """What came is not a frame: too long, cut off, or not our encoding. The connection is of no more use."""


def encode(value: dict[str, Any]) -> bytes:
    """The body of a frame. TypeError for what has no place in it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_bytes).encode()


def decode(body: bytes) -> dict[str, Any]:
    """The inverse of :func:`encode`; FrameInvalid."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FrameInvalid("not our encoding") from error
    if not isinstance(value, dict):
        raise FrameInvalid("not an object")
    return value


def _bytes(value: object) -> dict[str, str]:
    if isinstance(value, bytes | bytearray):
        return {_TAG: base64.b64encode(value).decode()}
    raise TypeError(f"no place for a {type(value).__name__} in a frame")


def _object(pairs: list[tuple[str, Any]]) -> Any:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key")
    if _TAG not in value:
        return value
    if len(value) != 1 or not isinstance(value[_TAG], str):
        raise ValueError("octets with something beside them")
    return base64.b64decode(value[_TAG], validate=True)


def _refuse(_: str) -> NoReturn:
    raise ValueError("no floats")


def send_frame(connection: socket.socket, body: bytes, within: float) -> None:
    """Send one frame within ``within`` seconds; OSError (TimeoutError among them) when it cannot all be sent."""
    if len(body) > LONGEST_FRAME:
        raise FrameInvalid("too long")
    deadline = time.monotonic() + within
    rest = memoryview(len(body).to_bytes(_HEADER, "big") + body)
    while rest:
        connection.settimeout(_left(deadline))
        rest = rest[connection.send(rest) :]


def receive_frame(connection: socket.socket, longest: int, within: float, idle: float | None) -> bytes | None:
    """One frame's body, or None when the other side closed between frames.

    The first octet may take ``idle`` seconds (None: for ever), the rest ``within`` seconds in all. FrameInvalid for a
    frame longer than ``longest`` or cut off; TimeoutError.
    """
    connection.settimeout(idle)
    first = connection.recv(1)
    if not first:
        return None
    deadline = time.monotonic() + within
    length = int.from_bytes(first + _exactly(connection, _HEADER - 1, deadline), "big")
    if length > longest:
        raise FrameInvalid("too long")
    return _exactly(connection, length, deadline)


def _exactly(connection: socket.socket, count: int, deadline: float) -> bytes:
    parts = []
    while count:
        connection.settimeout(_left(deadline))
        part = connection.recv(min(count, 1 << 20))
        if not part:
            raise FrameInvalid("cut off")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def error_value(error: KeyStoreError) -> dict[str, Any]:
    """An error as it crosses the socket."""
    return {"code": error.code, "params": error.params, "retry_after": error.retry_after}


def error_from(value: dict[str, Any]) -> KeyStoreError:
    """The same error on the other side: same class, parameters and ``retry_after``."""
    error_class = ERRORS.get(str(value.get("code")), KeyStoreError)
    return error_class(retry_after=value.get("retry_after"), **value.get("params", {}))


def _error_classes() -> dict[str, type[KeyStoreError]]:
    found = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, KeyStoreError)]
    return {one.code: one for one in found}


ERRORS = _error_classes()


def key_value(info: KeyInfo) -> dict[str, Any]:
    """A KeyInfo as it crosses the socket."""
    return {name: getattr(info, name) for name in KeyInfo.__dataclass_fields__}


def key_from(value: dict[str, Any]) -> KeyInfo:
    """The inverse of :func:`key_value`."""
    return KeyInfo(**{**value, "algorithm": KeyAlgorithm(value["algorithm"]), "use": KeyUse(value["use"])})
