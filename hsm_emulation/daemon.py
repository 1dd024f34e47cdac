"""The key daemon: accepts connections, asks the kernel who they are, and hands them to its workers.

The accepting process holds no key. Each worker is a process with its own loop (:mod:`hsm_emulation.worker`), forked
here; one that dies is replaced at once, and its connections are the only thing lost. When the accepting process dies,
the kernel ends the workers.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from foundation.clock import Clock
from foundation.keys.errors import TokenNotInitialised, TokenUnavailable
from foundation.randomness import Randomness
from hsm_emulation.conversation import error_answer
from hsm_emulation.gateway import Gateway
from hsm_emulation.hardening import harden
from hsm_emulation.listening import listen, listen_for_tls, socket_path, take_lock
from hsm_emulation.peers import Peers, mask_of, peer
from hsm_emulation.protocol import send_frame
from hsm_emulation.shared import MOST_WORKERS, Shared
from hsm_emulation.store import FILE, Store
from hsm_emulation.syncing import Syncing
from hsm_emulation.tls import TlsServer
from hsm_emulation.token import Token
from hsm_emulation.worker import WITHIN, Worker, prepare_process

_log = logging.getLogger("camtrust.hsm")

CONNECTIONS = 256
_TICK = 30.0
_SOON = 1.0  # a worker that ends within this time is replaced only after it
_PR_SET_PDEATHSIG = 1
_SYNC, _GATEWAY = -1, -2  # numbers of the process that waits for the disk, and of the one that speaks TLS


@dataclass
class _Hand:
    """A worker, seen from here: where connections are handed to, and what runs it."""

    number: int
    intake: socket.socket
    pid: int
    thread: threading.Thread | None
    since: float


class Daemon:
    """Serves one token. ``serve`` runs until ``stop``; both may be called from any thread.

    ``workers``: processes; 0 serves in this process, for tests and programs that keep the token themselves.
    ``peers``: who may come, beside this user and root. ``path``, ``group``: another place for the socket, and the
    group that may connect to it. ``until``: a descriptor at whose end the daemon stops. ``tls``: a door for other
    machines, which needs workers.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        randomness: Randomness | None = None,
        hardening: Mapping[str, bool] | None = None,
        *,
        workers: int = 0,
        peers: Peers | None = None,
        path: Path | None = None,
        group: str | None = None,
        until: int | None = None,
        tls: TlsServer | None = None,
    ) -> None:
        """Take the token: TokenNotInitialised where there is none, TokenInUse when another daemon has it."""
        if not (directory / FILE).exists():
            raise TokenNotInitialised
        self._directory, self._clock, self._randomness = directory, clock, randomness
        self._peers, self._until, self._tls = peers or Peers(), until, tls
        self._processes = min(workers, MOST_WORKERS)
        self._lock = take_lock(directory)
        self._shared, self._syncing = Shared(), Syncing(max(1, self._processes))
        token: Token | None = None
        try:
            token = Token(Store(directory, self._shared), clock, randomness)  # what is no token is told now
            self._status: dict[str, Any] = {
                "emulated": True,
                "serial": token.serial,
                "pid": os.getpid(),
                "workers": max(1, self._processes),
                **(hardening or {}),
            }
            if self._processes:
                token.close()  # nothing of SQLite's may be carried over a fork
            else:
                self.token = token
            self.socket_path = path or socket_path(directory)
            self._listener = listen(self.socket_path, private=path is None, group=group)
            self._tls_listener = listen_for_tls(tls) if tls else None
        except BaseException:
            if token is not None:
                token.close()
            self._syncing.close()
            os.close(self._lock)
            raise
        self._stopping = False
        self._wake, self._woken = socket.socketpair()
        self._sync_thread: threading.Thread | None = None
        self._hands: dict[int, _Hand] = {}  # by the descriptor of the intake

    def serve(self) -> None:
        """Accept connections until :meth:`stop`; then let the workers end, and the token go."""
        wait = select.poll()
        for one in (self._listener.fileno(), self._woken.fileno(), self._until):
            if one is not None:
                wait.register(one, select.POLLIN)
        try:
            if self._processes:
                self._start(_SYNC, wait)
                if self._tls:
                    self._start(_GATEWAY, wait)
            else:
                run = partial(self._syncing.run, self.token.store)
                self._sync_thread = threading.Thread(target=run, name="hsm-sync", daemon=True)
                self._sync_thread.start()
            for number in range(self._processes or 1):
                self._start(number, wait)
            while not self._stopping:
                for descriptor, event in wait.poll(_TICK * 1000):
                    if descriptor == self._listener.fileno():
                        self._accept()
                    elif descriptor in self._hands and event & (select.POLLHUP | select.POLLERR):
                        self._replace(descriptor, wait)
                    elif descriptor in self._hands:
                        self._accept_from_gateway(self._hands[descriptor])
                    elif descriptor == self._until and not os.read(descriptor, 1024):
                        self._stopping = True
        finally:
            self._end()

    def stop(self) -> None:
        """Ask :meth:`serve` to come back. May be called by a signal handler."""
        self._stopping = True
        with suppress(OSError):
            self._wake.send(b"\0")

    @property
    def open_connections(self) -> int:
        """How many connections the workers have."""
        return sum(self._shared.connections(number) for number in range(self._processes or 1))

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return  # gone again
        except OSError:
            time.sleep(0.1)  # out of descriptors, say: others will close theirs
            return
        with connection:
            self._let_in(connection, mask_of(self._peers.roles(peer(connection))))

    def _accept_from_gateway(self, gateway: _Hand) -> None:
        message, descriptors, _, _ = socket.recv_fds(gateway.intake, 16, 1)
        if descriptors:
            with socket.socket(fileno=descriptors[0]) as connection:
                self._let_in(connection, message[0])

    def _let_in(self, connection: socket.socket, mask: int) -> None:
        if mask and (self.open_connections >= CONNECTIONS or not self._hand_over(connection, mask)):
            with suppress(OSError):
                send_frame(connection, error_answer(TokenUnavailable(retry_after=1)), 1.0)

    def _hand_over(self, connection: socket.socket, mask: int) -> bool:
        """Give it to the worker with the fewest."""
        workers = [one for one in self._hands.values() if one.number >= 0]
        for hand in sorted(workers, key=lambda one: self._shared.connections(one.number)):
            try:
                socket.send_fds(hand.intake, [bytes([mask])], [connection.fileno()])
            except OSError:
                continue  # it is about to be replaced
            self._shared.connection_handed(hand.number)
            return True
        return False

    def _start(self, number: int, wait: select.poll) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if number >= 0:
            self._shared.forget_connections(number)
        hand = _Hand(number, ours, 0, None, time.monotonic())
        if self._processes:
            parent = os.getpid()
            hand.pid = os.fork()
            if hand.pid == 0:
                self._work(number, theirs, ours, parent)
            theirs.close()
        else:
            worker = Worker(self.token, self._status, theirs, self._syncing, number)
            hand.thread = threading.Thread(target=worker.run, name="hsm-worker", daemon=True)
            hand.thread.start()
        self._hands[ours.fileno()] = hand
        wait.register(ours, select.POLLIN if number == _GATEWAY else 0)  # that it is gone is always told

    def _replace(self, descriptor: int, wait: select.poll) -> None:
        """A worker is gone."""
        hand = self._hands.pop(descriptor)
        wait.unregister(descriptor)
        hand.intake.close()
        if hand.pid:
            _, status = os.waitpid(hand.pid, 0)
            _log.error("worker %d (process %d) ended: %d; it is replaced", hand.number, hand.pid, status)
        if time.monotonic() - hand.since < _SOON:
            time.sleep(_SOON)
        if not self._stopping:
            self._start(hand.number, wait)

    def _work(self, number: int, intake: socket.socket, ours: socket.socket, parent: int) -> NoReturn:
        """In the new process: serve, and never come back."""
        code = 1
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
            for one in (signal.SIGTERM, signal.SIGINT):
                signal.signal(one, signal.SIG_IGN)  # the parent tells us, by closing the intake
            for plug in (self._listener, self._wake, self._woken, ours, *(one.intake for one in self._hands.values())):
                plug.close()
            harden()
            prepare_process()
            gc.freeze()
            if number == _GATEWAY and self._tls and self._tls_listener:
                Gateway(self._tls, self._tls_listener, intake).run()
                os._exit(0)
            if self._tls_listener:
                self._tls_listener.close()
            store = Store(self._directory, self._shared)
            if number == _SYNC:
                self._syncing.run(store)
            token = Token(store, self._clock, self._randomness)
            Worker(token, self._status, intake, self._syncing, number).run()
            token.close()
            code = 0
        except BaseException as error:
            _log.error("worker %d failed: %s", number, type(error).__name__)
        finally:
            os._exit(code)

    def _end(self) -> None:
        self._stopping = True
        for one in (self._listener, self._wake, self._woken):
            one.close()
        if self._tls_listener:
            self._tls_listener.close()
        self.socket_path.unlink(missing_ok=True)
        workers = sorted(self._hands.values(), key=lambda one: one.number == _SYNC)  # they need it to the end
        for hand in workers:
            hand.intake.close()  # what was asked is still answered
        deadline = time.monotonic() + WITHIN + _SOON
        for hand in workers:
            if hand.thread is not None:
                hand.thread.join(WITHIN + _SOON)
            else:
                _await(hand.pid, deadline if hand.number != _SYNC else 0)
        if self._sync_thread is not None:
            self._syncing.stop()
            self._sync_thread.join(WITHIN + _SOON)
        if not self._processes:
            self.token.close()
        self._syncing.close()
        os.close(self._lock)

    def __enter__(self) -> Daemon:
        """Serve in a thread of this process (tests, and programs that keep the token themselves)."""
        self._thread = threading.Thread(target=self.serve, name="hsm-daemon", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()


def _await(pid: int, deadline: float) -> None:
    """Wait for a worker to end, by force after the deadline."""
    while time.monotonic() < deadline:
        done, _ = os.waitpid(pid, os.WNOHANG)
        if done:
            return
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
