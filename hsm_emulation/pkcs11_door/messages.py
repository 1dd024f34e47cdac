"""The messages of p11-kit's remote protocol, version 0: what is between the two lengths of a frame.

A message is the number of the call, the letters that say what it holds, and that. Numbers are big-endian.

    u   a number, 64 bits                   v   a version: two octets
    y   an octet                            s   text padded with spaces to its length
    ay  octets, or how many there would be  au  numbers, or how many there would be
    fy  room for octets                     fu  room for numbers
    fA  room for attributes                 aA  attributes
    M   a mechanism
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hsm_emulation.pkcs11_door.mechanisms import OFFERED, WITH_PSS_PARAMETERS
from hsm_emulation.pkcs11_door.names import ARRAY_ATTRIBUTE, CALLS, CKR, FLAG_ATTRIBUTES, NUMBER_ATTRIBUTES

ERROR = 0  # the number of an answer that is nothing but a return value
_NOTHING = 0xFFFFFFFF
_MOST_ITEMS = 256  # attributes in one call
_PARTS = re.compile("a[yuA]|f[yuA]|[uysvM]")

Value = bool | int | bytes
"""Of an attribute: a flag, a number or octets, as its type has it."""


class MessageInvalid(Exception):
    """Not what the protocol says; the connection ends."""


class Refused(Exception):
    """A return value that is not CKR_OK, by its name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Length:
    """Instead of octets or numbers: how many there would be."""

    count: int


@dataclass(frozen=True)
class MechanismAsked:
    """``parameters``: hash, mask function and salt length, where the mechanism has them."""

    number: int
    parameters: tuple[int, ...] | None


def call_number(message: bytes) -> int:
    """Which call a request is. MessageInvalid."""
    return _Reader(message).number(4)


def decode_request(message: bytes) -> list[Any]:
    """The arguments of a request for one of CALLS. MessageInvalid; Refused where it cannot be read to its end.

    Room is given as a number, or None where only the length is asked for; attributes as (type, room) or (type, value).
    """
    reader = _Reader(message)
    letters = CALLS[reader.number(4)][1]
    if reader.octets() != letters.encode():
        raise MessageInvalid
    values = [reader.value(part) for part in _PARTS.findall(letters)]
    reader.end()
    return values


def encode_response(number: int, values: Sequence[Any]) -> bytes:
    """The answer to a call of CALLS that succeeded."""
    letters = CALLS[number][2]
    parts = [number.to_bytes(4, "big"), _counted(letters.encode())]
    parts += [_written(part, value) for part, value in zip(_PARTS.findall(letters), values, strict=True)]
    return b"".join(parts)


def encode_error(name: str) -> bytes:
    """The answer that is a return value."""
    return ERROR.to_bytes(4, "big") + _counted(b"u") + CKR[name].to_bytes(8, "big")


class _Reader:
    def __init__(self, message: bytes) -> None:
        self._message, self._at = message, 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._message):
            raise MessageInvalid
        taken, self._at = self._message[self._at : end], end
        return taken

    def end(self) -> None:
        if self._at != len(self._message):
            raise MessageInvalid

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def octets(self) -> bytes:
        count = self.number(4)
        return b"" if count == _NOTHING else self.take(count)

    def value(self, part: str) -> Any:
        if part == "u":
            return self.number(8)
        if part == "y":
            return self.number(1)
        if part == "ay":
            return self._array()
        if part in ("fy", "fu"):
            room = self.number(4)
            return {0: None, _NOTHING: 0}.get(room, room)
        if part == "fA":
            return [(self.number(4), self.number(4) or None) for _ in range(self._count())]
        if part == "aA":
            return [self._attribute() for _ in range(self._count())]
        return self._mechanism()

    def _array(self) -> bytes:
        if self.number(1):
            return self.octets()
        self.number(4)
        return b""

    def _count(self) -> int:
        count = self.number(4)
        if count > _MOST_ITEMS:
            raise MessageInvalid
        return count

    def _attribute(self) -> tuple[int, Value | None]:
        kind = self.number(4)
        if not self.number(1):
            return kind, None
        self.number(4)  # the length in the program's memory; the value has its own
        if kind in FLAG_ATTRIBUTES:
            return kind, bool(self.number(1))
        if kind in NUMBER_ATTRIBUTES:
            return kind, self.number(8)
        if kind & ARRAY_ATTRIBUTE:
            raise Refused("CKR_ATTRIBUTE_TYPE_INVALID")
        return kind, self.octets()

    def _mechanism(self) -> MechanismAsked:
        number = self.number(4)
        if number in WITH_PSS_PARAMETERS:
            return MechanismAsked(number, (self.number(8), self.number(8), self.number(8)))
        if number not in OFFERED:
            raise Refused("CKR_MECHANISM_INVALID")  # how its parameters are written depends on the mechanism
        self.octets()
        return MechanismAsked(number, None)


def _counted(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets


def _written(part: str, value: Any) -> bytes:
    if part == "u":
        return int(value).to_bytes(8, "big")
    if part == "v":
        return bytes(value)
    if part == "s":
        return _counted(value)
    if part == "aA":
        return len(value).to_bytes(4, "big") + b"".join(_attribute_written(*one) for one in value)
    if isinstance(value, Length):
        return b"\0" + value.count.to_bytes(4, "big")
    if part == "au":
        return b"\1" + len(value).to_bytes(4, "big") + b"".join(one.to_bytes(8, "big") for one in value)
    return b"\1" + _counted(value)


def _attribute_written(kind: int, value: Value | None) -> bytes:
    head = kind.to_bytes(4, "big")
    if value is None:
        return head + b"\0"
    if isinstance(value, bool):
        return head + b"\1" + (1).to_bytes(4, "big") + bytes([value])
    if isinstance(value, int):
        return head + b"\1" + (8).to_bytes(4, "big") + value.to_bytes(8, "big")
    return head + b"\1" + len(value).to_bytes(4, "big") + _counted(value)


def size_of(value: Value) -> int:
    """How much room an attribute's value takes in the program's memory."""
    if isinstance(value, bool):
        return 1
    return 8 if isinstance(value, int) else len(value)
