"""Answers that are in memory, written as soon as their request has arrived: no task, no ASGI messages.

One answer of a hot path costs less than starting and ending an ASGI call. So the protocol of the web server asks the
application first (:class:`AtHand`, as ``app.state.at_hand``); where it has nothing, or where the connection is not in
its usual state, everything goes on as if this was not there, and the ASGI application says the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from foundation.http.trace import RequestCounter

_log = logging.getLogger(__name__)

_OK = b"HTTP/1.1 200 OK\r\n"
_END = b"x-content-type-options: nosniff\r\n\r\n"


@runtime_checkable
class AnswersAtHand(Protocol):
    """A hot path that has answers in memory.

    ``at_hand``: header fields, as lines, and content of one with status 200; None where the application has to work.
    ``most_octets``: how long a body may be that is asked about.
    """

    most_octets: int

    def at_hand(self, method: str, path: str, body: bytes) -> tuple[bytes, bytes] | None: ...


class AtHand:
    """The hot paths of an application, by their first segment; those that have no answers at hand are left out."""

    def __init__(self, paths: Mapping[str, object], counter: RequestCounter) -> None:
        self._paths = {path: app for path, app in paths.items() if isinstance(app, AnswersAtHand)}
        self._counter = counter

    def place(self, path: str) -> str | None:
        """The hot path below which ``path`` lies."""
        end = path.find("/", 1)
        place = path if end < 0 else path[:end]
        return place if place in self._paths else None

    def most_octets(self, place: str) -> int:
        """How long a body may be that is asked about there."""
        return self._paths[place].most_octets

    def answer(self, place: str, method: str, path: str, body: bytes) -> tuple[bytes, bytes] | None:
        """Header fields and content of an answer with status 200, which is counted; or None."""
        started = time.perf_counter()
        try:
            found = self._paths[place].at_hand(method, path, body)
        except Exception:  # a defect of ours, whose text may quote what was asked; the application can try
            _log.error("answers at hand of %s failed", place)
            return None
        if found is not None:
            self._counter.count(method, place, 200, time.perf_counter() - started)
        return found


class AtHandProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which asks ``app.state.at_hand`` before it starts the application for a request.

    It asks once the whole request has come. Whatever is not usual goes to the application as ever: a body that is long
    or announced with Expect, requests behind one that is not answered yet, a connection that is about to be closed or
    does not take more just now.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._at_hand: AtHand | None = getattr(getattr(config.app, "state", None), "at_hand", None)
        self._held: tuple[str, Any] | None = None  # a hot path and the application, until self.cycle has its body

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._at_hand is not None and cycle.more_body and not cycle.access_log:
            scope = cycle.scope
            place = self._at_hand.place(scope["path"]) if scope["method"] in ("GET", "POST") else None
            if place is not None and cycle.keep_alive and not cycle.waiting_for_100_continue:
                self._held = place, app
                return
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self._held is not None and self._at_hand is not None:
            place, app = self._held
            if len(self.cycle.body) > self._at_hand.most_octets(place):
                self._held = None
                super()._start_asgi_task(self.cycle, app)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._held is not None:
            place, app = self._held
            self._held = None
            if not self._answered(place):
                super()._start_asgi_task(self.cycle, app)

    def _answered(self, place: str) -> bool:
        cycle = self.cycle
        if self._at_hand is None or not cycle.keep_alive or self.flow.write_paused or self.transport.is_closing():
            return False
        scope = cycle.scope
        found = self._at_hand.answer(place, scope["method"], scope["path"], bytes(cycle.body))
        if found is None:
            return False
        fields, content = found
        always = [b"%b: %b\r\n" % field for field in cycle.default_headers]
        cycle.response_started = cycle.response_complete = True
        self.transport.write(b"".join((_OK, *always, fields, _END, content)))
        cycle.on_response()
        return True
