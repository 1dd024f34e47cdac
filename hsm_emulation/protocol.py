"""What goes over the socket: frames of four octets of length (big-endian) and one JSON object.

JSON with strings, integers, booleans, null, arrays, objects with string keys, and octet strings as
``{"$bytes": "<base64>"}``. Floats, NaN, duplicate keys and anything after the object are refused. A frame is taken
whole or not at all: what is cut off is never acted on.

    request    {"op": name, "args": {...}}
    answer     {"ok": value}  or  {"error": {"code": ..., "params": {...}, "retry_after": seconds or null}}

What is asked often has a second form without JSON, a first octet of 1 (no JSON begins so), the operation's code, the
number of its values, their lengths (all ones for null), and the values one after another. The answer to it is either
such a frame with code 0, or an error as above.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from foundation.keys import errors
from foundation.keys.errors import DataInvalid, KeyStoreError
from foundation.keys.exposed import SocketExposed
from foundation.keys.marks import MarkBehind
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse

FRAME_BEFORE_LOGIN = 8192  # sixteen SLIP-39 cards of 33 words, and more
LONGEST_FRAME = 64 * 1024 * 1024  # a certificate revocation list of a million entries is signed as one message
HEADER = 4
_TAG = "$bytes"
_PLAIN, _PLAIN_MARK, _PLAIN_HEAD = 1, b"\1", struct.Struct("!BBH")
_MOST_VALUES, _NULL = 0xFFFF, 0xFFFFFFFF


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


@dataclass(frozen=True)
class Frame:
    """An operation without JSON: its code, which arguments are text and which octets, in this order, and the one that
    is a list of octets and has all the values that follow.
    """

    code: int
    text: tuple[str, ...]
    octets: tuple[str, ...]
    many: str


SIGN = Frame(1, ("key_id", "mechanism", "audience"), ("activation",), "inputs")
STAMP = Frame(3, ("key_id", "mechanism", "audience"), ("activation",), "inputs")
SIGN_WRAPPED = Frame(2, ("mechanism", "audience"), ("wrapped", "activation"), "inputs")
ANSWER = 0


def encode_values(code: int, values: Sequence[bytes | None]) -> bytes:
    """The body of a frame without JSON. DataInvalid for more values than it can have."""
    count = len(values)
    if count > _MOST_VALUES:
        raise DataInvalid
    lengths = [_NULL if value is None else len(value) for value in values]
    return struct.pack(f"!BBH{count}I", _PLAIN, code, count, *lengths) + b"".join([one for one in values if one])


def decode_values(body: bytes) -> tuple[int, list[bytes | None]]:
    """The inverse: code and values; FrameInvalid."""
    try:
        plain, code, count = _PLAIN_HEAD.unpack_from(body)
        lengths = struct.unpack_from(f"!{count}I", body, _PLAIN_HEAD.size)
    except struct.error as error:
        raise FrameInvalid("cut off") from error
    values: list[bytes | None] = []
    at = _PLAIN_HEAD.size + 4 * count
    for length in lengths:
        if length == _NULL:
            values.append(None)
        else:
            values.append(body[at : at + length])
            at += length
    if plain != _PLAIN or at != len(body):
        raise FrameInvalid("not as long as it says")
    return code, values


def is_plain(body: bytes) -> bool:
    """Whether a body is one without JSON."""
    return body[:1] == _PLAIN_MARK


def encode_plain(frame: Frame, args: Mapping[str, Any]) -> bytes:
    """A request without JSON. DataInvalid for an argument of another kind."""
    try:
        text = [None if args[name] is None else args[name].encode() for name in frame.text]
        return encode_values(frame.code, [*text, *[args[name] for name in frame.octets], *args[frame.many]])
    except (TypeError, AttributeError, UnicodeEncodeError):
        raise DataInvalid from None


def decode_plain(frame: Frame, values: Sequence[bytes | None]) -> dict[str, Any]:
    """Its arguments; FrameInvalid."""
    texts, single = len(frame.text), len(frame.text) + len(frame.octets)
    if len(values) < single:
        raise FrameInvalid("too few values")
    args: dict[str, Any] = {}
    try:
        for name, value in zip(frame.text, values, strict=False):
            args[name] = None if value is None else str(value, "utf-8")
    except UnicodeDecodeError as error:
        raise FrameInvalid("no text") from error
    for at, name in enumerate(frame.octets, texts):
        args[name] = values[at]
    args[frame.many] = list(values[single:])
    return args


def send_frame(connection: socket.socket, body: bytes, within: float) -> None:
    """Send one frame within ``within`` seconds; OSError (TimeoutError among them) when it cannot all be sent."""
    if len(body) > LONGEST_FRAME:
        raise FrameInvalid("too long")
    deadline = time.monotonic() + within
    rest = memoryview(len(body).to_bytes(HEADER, "big") + body)
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
    length = int.from_bytes(first + _exactly(connection, HEADER - 1, deadline), "big")
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
    named = [*vars(errors).values(), SocketExposed, MarkBehind]
    found = [one for one in named if isinstance(one, type) and issubclass(one, KeyStoreError)]
    return {one.code: one for one in found}


ERRORS = _error_classes()


def key_value(info: KeyInfo) -> dict[str, Any]:
    """A KeyInfo as it crosses the socket."""
    return {name: getattr(info, name) for name in KeyInfo.__dataclass_fields__}


def key_from(value: dict[str, Any]) -> KeyInfo:
    """The inverse of :func:`key_value`."""
    return KeyInfo(**{**value, "algorithm": KeyAlgorithm(value["algorithm"]), "use": KeyUse(value["use"])})
