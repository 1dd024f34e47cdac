"""The other side of p11-kit's remote protocol, as far as tests need what no program sends: written from the protocol,
without the door's own code; only what is altered at random begins with the door's table of calls.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path
from types import TracebackType

from hsm_emulation.pkcs11_door.names import CALLS

HANDSHAKE = b"PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1"
OK = 0


def u(number: int) -> bytes:
    """A number."""
    return number.to_bytes(8, "big")


def count(number: int) -> bytes:
    """How many of something, or room for them."""
    return number.to_bytes(4, "big")


def octets(value: bytes) -> bytes:
    """A string of octets, as an argument."""
    return b"\1" + count(len(value)) + value


def message(call: int, letters: bytes, arguments: bytes = b"") -> bytes:
    """A request."""
    return count(call) + count(len(letters)) + letters + arguments


class P11KitClient:
    """A connection that has said what version it speaks, and called C_Initialize unless told otherwise."""

    def __init__(self, path: Path, *, initialize: bool = True) -> None:
        self.plug = socket.socket(socket.AF_UNIX)
        self.plug.settimeout(20)
        try:
            self.plug.connect(str(path))
            self.plug.sendall(b"\0")
            self.greeting = self.plug.recv(1)
            if initialize:
                assert self.call(1, b"ayyay", octets(HANDSHAKE) + b"\0" + octets(b"\0"))[0] == OK
        except BaseException:
            self.plug.close()
            raise

    def call(self, number: int, letters: bytes, arguments: bytes = b"") -> tuple[int, bytes]:
        """The return value, and what the answer holds. ConnectionError when there is none."""
        return self.send(message(number, letters, arguments))

    def send(self, request: bytes) -> tuple[int, bytes]:
        """The same, for any octets."""
        self.plug.sendall(count(7) + count(0) + count(len(request)) + request)
        code, options, length = (int.from_bytes(self._take(4), "big") for _ in range(3))
        assert (code, options) == (7, 0)
        answer = self._take(length)
        letters = int.from_bytes(answer[4:8], "big")
        held = answer[8 + letters :]
        return (int.from_bytes(held, "big"), b"") if answer[:4] == count(0) else (OK, held)

    def number(self, call: int, letters: bytes, arguments: bytes = b"") -> int:
        """A call that succeeds and gives a number."""
        value, held = self.call(call, letters, arguments)
        assert (value, len(held)) == (OK, 8)
        return int.from_bytes(held, "big")

    def session(self) -> int:
        """C_OpenSession."""
        return self.number(10, b"uu", u(1) + u(4))

    def login(self, session: int, pin: str) -> int:
        """C_Login as CKU_USER."""
        return self.call(18, b"uuay", u(session) + u(1) + octets(pin.encode()))[0]

    def find(self, session: int, **text: bytes) -> list[int]:
        """The handles with this CKA_LABEL (``label``) and CKO number (``kind``, one octet)."""
        template = b""
        if "label" in text:
            template += count(0x3) + b"\1" + count(len(text["label"])) + count(len(text["label"])) + text["label"]
        if "kind" in text:
            template += count(0x0) + b"\1" + count(8) + u(text["kind"][0])
        assert self.call(26, b"uaA", u(session) + count(len(text)) + template)[0] == OK
        value, held = self.call(27, b"ufu", u(session) + count(200))
        assert value == OK
        assert self.call(28, b"u", u(session))[0] == OK
        return [int.from_bytes(held[at : at + 8], "big") for at in range(5, len(held), 8)]

    def sign_init(self, session: int, mechanism: int, key: int, parameters: bytes = b"\xff\xff\xff\xff") -> int:
        """C_SignInit."""
        return self.call(42, b"uMu", u(session) + count(mechanism) + parameters + u(key))[0]

    def sign(self, session: int, data: bytes, room: int = 1024) -> tuple[int, bytes]:
        """C_Sign: the return value, and the signature behind its five octets of form and length."""
        value, held = self.call(43, b"uayfy", u(session) + octets(data) + count(room))
        return value, held[5:]

    def close(self) -> None:
        """As a program that was killed."""
        self.plug.close()

    def __enter__(self) -> P11KitClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, length: int) -> bytes:
        taken = b""
        while len(taken) < length:
            part = self.plug.recv(length - len(taken))
            if not part:
                raise ConnectionResetError
            taken += part
        return taken


def altered(chance: random.Random, session: int) -> bytes:
    """A request, mostly of the right form, changed in one of several ways. None of them tries a PIN."""
    number = chance.choice([one for one in CALLS if one not in (2, 18)])
    letters = CALLS[number][1].encode()
    some = [u(session), u(1), u(2), u(1 << 63), count(0), count(1), count(1 << 31), b"\0", b"\1", b"\xff\xff\xff\xff"]
    body = u(session) + b"".join(chance.choices(some, k=chance.randrange(6)))
    request = message(number, letters, body)
    way = chance.randrange(5)
    if way == 0:
        request = request[: chance.randrange(len(request) + 1)]
    elif way == 1:
        request = chance.randbytes(chance.randrange(200))
    elif way == 2:
        place = chance.randrange(len(request))
        request = request[:place] + chance.randbytes(1) + request[place + 1 :]
    return b"\0\0\0\7" if request[:4] == count(18) else request
