"""Server processes beside the first one, on the same port: Python uses one core a process.

The first process holds the home, keeps it up and runs the key daemon and the simulated registry, as it does when it is
alone. The others inherit its listening socket and answer alone. What they are told comes over their standard input,
which stays open for as long as the first process lives: at its end they finish what they are at and end too.
"""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import time
from contextlib import suppress
from threading import Event, Lock, Thread

from camtrust.assembly import Services

_log = logging.getLogger(__name__)

_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds before another is started; longer each time where none lasts
_LASTED = 60.0
_PATIENCE = 15.0  # with those that are to end: longer than requests are given


class Workers:
    """``count`` further server processes for the block; one that dies is replaced."""

    def __init__(self, services: Services, listener: socket.socket, count: int) -> None:
        self._listener = listener
        told = {
            "home": str(services.home.path),
            "settings": services.settings.model_dump(mode="json"),
            "registry": services.registry_url,
            "listener": listener.fileno(),
        }
        self._told = json.dumps(told).encode() + b"\n"
        self._ending, self._lock = Event(), Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._threads = [Thread(target=self._keep, args=(place,), name="worker", daemon=True) for place in range(count)]

    def __enter__(self) -> Workers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask_to_end(self) -> None:
        """They take no further requests, and finish those that they have; safe to repeat."""
        self._ending.set()
        with self._lock:
            for process in self._running.values():
                _hang_up(process)

    def stop(self) -> None:
        """Have them end, and wait until they did; those that take too long are killed. Safe to repeat."""
        self.ask_to_end()
        for process in self._running.values():
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        for thread in self._threads:
            thread.join()

    def _keep(self, place: int) -> None:
        pause = _PAUSE
        while not self._ending.is_set():
            process, since = self._started(place), time.monotonic()
            code = process.wait() if process is not None else None
            if self._ending.is_set():
                return
            pause = _PAUSE if time.monotonic() - since > _LASTED else min(2 * pause, _LONGEST_PAUSE)
            if process is not None:
                _hang_up(process)
                _log.error("server process %d ended (%s); another one is started", process.pid, code)
            self._ending.wait(pause)

    def _started(self, place: int) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._ending.is_set():
                return None
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "camtrust.worker"],
                    stdin=subprocess.PIPE,
                    pass_fds=(self._listener.fileno(),),
                    start_new_session=True,  # Ctrl-C is for the first process, which tells the others
                )
            except OSError as error:
                _log.error("no further server process can be started: %s", error.strerror)
                return None
            self._running[place] = process
            with suppress(OSError):  # it is gone already: whoever waits for it finds out
                assert process.stdin is not None  # noqa: S101 - asked for above
                process.stdin.write(self._told)
                process.stdin.flush()
            return process


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
