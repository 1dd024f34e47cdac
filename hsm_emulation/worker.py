"""A worker: one process's loop over its connections.

In each round it takes every request that is there, does the work of all in one transaction, then uses the keys, then
answers. What takes long runs in threads. A client that stalls, goes, floods or sends garbage costs the others nothing:
frames have a length, a deadline and an order, and one request of a connection is under way at a time.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from foundation.keys.errors import DataInvalid, TokenUnavailable
from hsm_emulation.connections import Connection
from hsm_emulation.conversation import Conversation, Later, Together, commit, error_answer, finish
from hsm_emulation.peers import roles_of
from hsm_emulation.protocol import FrameInvalid
from hsm_emulation.syncing import Syncing
from hsm_emulation.token import Token

_log = logging.getLogger("camtrust.hsm")

WITHIN = 10.0  # seconds for one frame, in or out
STRANGER_IDLE = 10.0  # seconds for a connection to say something while nobody is logged in on it
_LOOK = 0.1  # seconds between two looks at the deadlines
_TEND = 5.0  # seconds between two looks at the sessions
_SETTLE = 0.02  # seconds that what was submitted waits for a transaction that it can share
_HEAVY = 32  # private-key operations of one request above which it finishes in a thread
_THREADS = 4


class Worker:
    """``intake``: where connections come from, a descriptor a message; at its end the worker ends."""

    def __init__(
        self, token: Token, status: Mapping[str, Any], intake: socket.socket, syncing: Syncing, number: int = 0
    ) -> None:
        self._token, self._status, self._intake, self._number = token, status, intake, number
        self._syncing, self._told = syncing, syncing.told[number]
        self._store = token.store
        self._poll = select.epoll()
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._connections: dict[int, Connection] = {}
        self._ready: deque[Connection] = deque()  # those with a whole frame that was not taken yet
        self._done: deque[tuple[Connection, bytes]] = deque()  # from the threads
        self._committed: deque[tuple[int, list[tuple[Connection, Together]]]] = deque()  # and not known to be kept
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="hsm-slow")
        self._logins = ThreadPoolExecutor(1, thread_name_prefix="hsm-login")
        self._under_way = 0  # in threads
        self._ending = False
        self._looked = self._tended = self._settled = time.monotonic()

    def run(self) -> None:
        """Serve until the intake ends; then answer what was asked, write what is waiting, and close."""
        self._intake.setblocking(False)
        self._poll.register(self._intake, select.EPOLLIN)
        self._poll.register(self._woken, select.EPOLLIN)
        self._poll.register(self._told, select.EPOLLIN)
        try:
            while not self._ending:
                self._round()
            deadline = time.monotonic() + WITHIN
            while (self._under_way or self._committed or self._unsent()) and time.monotonic() < deadline:
                self._round()
        finally:
            self._end()

    def _round(self) -> None:
        batch: list[tuple[Connection, Together]] = []
        for descriptor, event in self._poll.poll(self._patience()):
            if descriptor in (self._woken, self._told):
                with suppress(BlockingIOError):
                    os.eventfd_read(descriptor)
            elif descriptor == self._intake.fileno():
                self._take_in()
            else:
                self._look_at(self._connections.get(descriptor), event)
        while self._done:
            connection, answer = self._done.popleft()
            self._under_way -= 1
            self._answer(connection, answer)
        for _ in range(len(self._ready)):
            self._begin(self._ready.popleft(), batch)
        if batch:
            self._commit(batch)
        if self._committed:
            self._finish()
        self._look_around(bool(batch))

    def _patience(self) -> float:
        if self._ready or self._done:
            return 0
        if self._store.waiting:
            return _SETTLE
        return _LOOK if self._connections else _TEND / 2

    def _take_in(self) -> None:
        """New connections, handed over by the process that accepts them, with the roles they may take."""
        for _ in range(16):
            try:
                message, descriptors, _, _ = socket.recv_fds(self._intake, 16, 1)
            except BlockingIOError:
                return
            except OSError:
                message, descriptors = b"", []
            if not descriptors:
                self._ending = True
                return
            self._welcome(socket.socket(fileno=descriptors[0]), message)

    def _welcome(self, plug: socket.socket, message: bytes) -> None:
        conversation = Conversation(self._token, self._status, roles_of(message[0]))
        connection = Connection(plug, conversation, time.monotonic() + STRANGER_IDLE)
        self._connections[plug.fileno()] = connection
        self._poll.register(plug, select.EPOLLIN)

    def _look_at(self, connection: Connection | None, event: int) -> None:
        if connection is None:
            return
        if event & select.EPOLLOUT:
            self._send(connection, b"")
        elif event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            if connection.parked:
                self._drop(connection)  # it is not being read: this says that it is gone
            elif connection.waiting:
                connection.parked = True  # it sends more than it is answered
                self._poll.modify(connection.plug, 0)
            elif not connection.read():
                self._drop(connection)
            elif connection.started:
                self._ready.append(connection)

    def _begin(self, connection: Connection, batch: list[tuple[Connection, Together]]) -> None:
        """Take one frame of a connection, if a whole one is there."""
        if connection.closed or connection.busy:
            return
        try:
            body = connection.frame()
            if body is None:
                if connection.deadline is None:
                    connection.deadline = time.monotonic() + WITHIN
                return
            connection.deadline = None
            begun = connection.conversation.begin(body)
        except FrameInvalid:
            self._answer(connection, error_answer(DataInvalid()))
            self._drop(connection)
            return
        if isinstance(begun, Together):
            connection.busy = True
            batch.append((connection, begun))
        elif isinstance(begun, Later):
            self._run_later(connection, begun.run, self._logins if begun.derives else self._threads)
        else:
            self._answer(connection, begun)

    def _commit(self, batch: list[tuple[Connection, Together]]) -> None:
        """Do the work of all of them, and have the disk asked to keep it."""
        answers, number = commit(self._store, [one for _, one in batch])
        going_on = []
        for (connection, one), refused in zip(batch, answers, strict=True):
            if refused is None:
                going_on.append((connection, one))
            else:
                self._answer(connection, refused)
        if going_on:
            self._committed.append((number, going_on))
        self._want(number)

    def _finish(self) -> None:
        """Use the keys of those whose intents are on the disk, and answer."""
        try:
            while self._committed and self._store.kept(self._committed[0][0]):
                for connection, one in self._committed.popleft()[1]:
                    if one.staged.weight > _HEAVY:
                        self._run_later(connection, partial(finish, self._store, one), self._threads)
                    else:
                        self._answer(connection, finish(self._store, one))
        except TokenUnavailable as error:  # the disk has failed
            while self._committed:
                for connection, _ in self._committed.popleft()[1]:
                    self._answer(connection, error_answer(error))

    def _want(self, number: int) -> None:
        if self._store.shared.synced < number:
            self._syncing.want()

    def _run_later(self, connection: Connection, run: Callable[[], bytes], threads: ThreadPoolExecutor) -> None:
        connection.busy = connection.parked = True
        self._poll.modify(connection.plug, 0)
        self._under_way += 1

        def done(future: Future[bytes]) -> None:
            self._done.append((connection, future.result()))
            os.eventfd_write(self._woken, 1)

        threads.submit(run).add_done_callback(done)

    def _answer(self, connection: Connection, body: bytes) -> None:
        if connection.closed:
            return
        connection.busy = False
        if not connection.conversation.logged_in:
            connection.deadline = time.monotonic() + STRANGER_IDLE
        self._send(connection, len(body).to_bytes(4, "big") + body)

    def _send(self, connection: Connection, octets: bytes) -> None:
        """Send what is to be sent; go on reading once it is."""
        try:
            left = connection.send(octets)
        except OSError:
            self._drop(connection)
            return
        if left:
            if connection.send_by is None:
                connection.send_by = time.monotonic() + WITHIN
            self._poll.modify(connection.plug, select.EPOLLOUT)
            return
        if connection.parked or connection.send_by is not None:
            connection.parked, connection.send_by = False, None
            self._poll.modify(connection.plug, select.EPOLLIN)
        if connection.started:
            self._ready.append(connection)

    def _drop(self, connection: Connection) -> None:
        if not connection.closed:
            descriptor = connection.plug.fileno()
            with suppress(OSError):
                self._poll.unregister(descriptor)
            self._connections.pop(descriptor, None)
            connection.close()
            self._store.shared.connection_closed(self._number)

    def _look_around(self, busy: bool) -> None:
        """Deadlines, sessions, and what was submitted and found no transaction to share."""
        now = time.monotonic()
        if self._store.waiting and not busy and now - self._settled >= _SETTLE:
            self._want(self._store.commit([])[1])
        if busy:
            self._settled = now
        if now - self._looked >= _LOOK:
            self._looked = now
            self._token.sessions.refresh()
            for connection in [one for one in self._connections.values() if one.late(now)]:
                self._drop(connection)
        if now - self._tended >= _TEND:
            self._tended = now
            self._token.sessions.tend()

    def _unsent(self) -> bool:
        return any(connection.unsent for connection in self._connections.values())

    def _end(self) -> None:
        self._threads.shutdown(wait=True)
        self._logins.shutdown(wait=True)
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._poll.close()
        os.close(self._woken)
        self._intake.close()


def prepare_process() -> None:
    """Let the loop get the interpreter back soon from a thread that computes."""
    sys.setswitchinterval(0.0005)
