"""Gives documents out to be judged, a process each; waits so long, and ends what takes longer.

Nothing of a document is kept. Of a file that exceeds a bound, or that ended its process, the verdict is INDETERMINATE /
FMT-LIMIT, as on the command line (`signing.verify.sandbox`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from camtrust.home import Home
from camtrust.judging.messages import NAME, Judged, Question, read_answer
from camtrust.settings import VerifySettings
from foundation.clock import Clock
from foundation.errors import CamTrustError, Kind
from signing.verify.bundle import read_pin
from signing.verify.sandbox import MIB, Bounds
from signing.verify.verdict import too_much

_PATIENCE = 10.0  # seconds to wait for a turn
_START = 20.0  # seconds until a process is there
_LOOK_EVERY = 0.5  # seconds between two looks at whether anybody still waits for the verdict
_LARGEST_ANSWER = 32 * MIB
_PIECE = 256 * 1024
_LINES, _LINE = 10, 400  # of the log, and characters of one

_log = logging.getLogger(__name__)


class VerifierBusy(CamTrustError):
    """As many documents as may be are being judged, or no process could be had; ask again."""

    code = "camtrust.verifier_busy"
    kind = Kind.THROTTLED


class Judges:
    """Judges documents against the bundle that a home publishes. The first document starts the process."""

    def __init__(self, home: Home, clock: Clock, settings: VerifySettings, patience: float = _PATIENCE) -> None:
        self._home, self._clock, self.patience = home, clock, patience
        self.bounds = Bounds(settings.seconds, settings.memory_mebibytes * MIB)
        self.turns = threading.BoundedSemaphore(settings.at_once)
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The number of the process that is copied, while there is one."""
        return self._process.pid if self._process is not None else None

    def judge(self, document: bytes, gone: Callable[[], bool] = lambda: False) -> Judged:
        """The verdict on a document. ``gone``: whether nobody waits for it any more; then it is given up.

        Raises VerifierBusy.
        """
        home = self._home
        bundle = home.bundle.read_bytes() if home.bundle.exists() else None
        pin = read_pin(home.bundle_signer.read_text(encoding="ascii")) if home.bundle_signer.exists() else None
        question = Question(document, self._clock.now(), bundle, frozenset({pin} if pin else ()), self.bounds)
        if not self.turns.acquire(timeout=self.patience):
            raise VerifierBusy(retry_after=_PATIENCE)
        try:
            octets = self._asked(question, gone)
        finally:
            self.turns.release()
        with contextlib.suppress(ValueError):
            if octets is not None:
                judged = read_answer(octets)
                for line in judged.failures[:_LINES]:
                    _log.error("%s", line[:_LINE] if line.isprintable() else "a line that cannot be printed")
                return judged
        return question.without_verdict(too_much(NAME))

    def close(self) -> None:
        """End the process; what is being judged is ended by who waits for it."""
        with self._lock:
            self._end()

    def _asked(self, question: Question, gone: Callable[[], bool]) -> bytes | None:
        """What a process of its own says; None where it exceeded a bound, or ended without a word."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._hand_over(theirs)
            ours.settimeout(_START)
            try:
                handles = socket.recv_fds(ours, 1, 1)[1]
            except OSError:
                handles = []
            if not handles:
                raise VerifierBusy(retry_after=_PATIENCE)
            try:
                return _conversation(ours, question, gone)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handles[0], signal.SIGKILL)
                os.close(handles[0])

    def _hand_over(self, connection: socket.socket) -> None:
        """Have the process copied for this connection; one that died is started again."""
        with self._lock:
            for _ in range(2):
                control = self._control or self._started()
                try:
                    socket.send_fds(control, [b"d"], [connection.fileno()])
                except OSError:
                    self._end()
                else:
                    return
        raise VerifierBusy(retry_after=_PATIENCE)

    def _started(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "camtrust.judging.forking", str(theirs.fileno()), str(os.getpid())]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        self._control = ours
        return ours

    def _end(self) -> None:
        control, process = self._control, self._process
        self._control = self._process = None
        if control is not None:
            control.close()
        if process is not None:
            process.kill()  # it keeps nothing, and has nothing to finish
            process.wait()


def _conversation(connection: socket.socket, question: Question, gone: Callable[[], bool]) -> bytes | None:
    until = time.monotonic() + question.bounds.seconds
    said = bytearray()
    try:
        connection.settimeout(question.bounds.seconds)
        for part in question.write():
            connection.sendall(part)
        while (left := until - time.monotonic()) > 0 and len(said) <= _LARGEST_ANSWER:
            connection.settimeout(min(left, _LOOK_EVERY))
            try:
                piece = connection.recv(_PIECE)
            except TimeoutError:
                if gone():
                    return None
                continue
            if not piece:
                return bytes(said)
            said += piece
    except OSError:  # it ended before it had read everything
        return None
    return None
