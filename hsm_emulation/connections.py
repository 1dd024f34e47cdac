"""A connection as a worker's loop sees it: octets that came, octets to be sent, and until when."""

from __future__ import annotations

import socket
from contextlib import suppress

from hsm_emulation.conversation import Conversation
from hsm_emulation.protocol import FRAME_BEFORE_LOGIN, HEADER, LONGEST_FRAME, FrameInvalid

_AT_ONCE = 1 << 18


class Connection:
    """``busy``: a request of it is under way; ``parked``: for so long that nobody waits for octets of it meanwhile.
    ``deadline``: when it must have sent the rest of its frame, or a word; ``send_by``: when it must have read."""

    __slots__ = ("_came", "_to_send", "busy", "closed", "conversation", "deadline", "parked", "plug", "send_by")

    def __init__(self, plug: socket.socket, conversation: Conversation, deadline: float | None) -> None:
        plug.setblocking(False)
        self.plug, self.conversation = plug, conversation
        self.deadline: float | None = deadline
        self.send_by: float | None = None
        self.busy = self.parked = self.closed = False
        self._came: bytes | bytearray = b""
        self._to_send = b""

    def read(self) -> bool:
        """Take what has come; False when the other side is gone."""
        try:
            octets = self.plug.recv(_AT_ONCE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not octets:
            return False
        if not self._came:
            self._came = octets
        elif isinstance(self._came, bytearray):
            self._came += octets
        else:
            self._came = bytearray(self._came + octets)
        return True

    @property
    def started(self) -> bool:
        """Whether something has come that was not taken."""
        return bool(self._came)

    @property
    def waiting(self) -> bool:
        """Whether a whole frame of it waits for its turn: no more is read then, or its buffer would grow for ever."""
        came = self._came
        return len(came) >= HEADER and len(came) >= HEADER + int.from_bytes(came[:HEADER], "big")

    def frame(self) -> bytes | None:
        """The next whole frame's body, or None while there is none. FrameInvalid when it says that it is too long."""
        came = self._came
        if len(came) < HEADER:
            return None
        end = HEADER + int.from_bytes(came[:HEADER], "big")
        if end > FRAME_BEFORE_LOGIN + HEADER:
            longest = LONGEST_FRAME if self.conversation.logged_in else FRAME_BEFORE_LOGIN
            if end > longest + HEADER:
                raise FrameInvalid("too long")
        if len(came) < end:
            return None
        body = bytes(came[HEADER:end])
        self._came = came[end:] if len(came) > end else b""
        return body

    def send(self, octets: bytes) -> bool:
        """Send as much as goes now; True while something is left. OSError when the other side is gone."""
        rest = self._to_send + octets if self._to_send else octets
        try:
            sent = self.plug.send(rest) if rest else 0
        except BlockingIOError:
            sent = 0
        self._to_send = rest[sent:] if sent < len(rest) else b""
        return bool(self._to_send)

    @property
    def unsent(self) -> bool:
        """Whether an answer is not all sent."""
        return bool(self._to_send)

    def late(self, now: float) -> bool:
        """Whether the other side has taken too long, to send or to read."""
        due = self.send_by if self.send_by is not None else self.deadline
        return due is not None and due < now and not self.busy

    def close(self) -> None:
        self.closed = True
        self.conversation.close()
        with suppress(OSError):
            self.plug.close()
