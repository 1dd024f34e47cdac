"""The process that is copied for each document: ``python -m camtrust.judging.forking FD PID``. Not for people.

It has loaded the verifier and nothing of the service: no keys, no database, no documents; and one thread, so that it
can be copied. On the socket FD it is handed a connection for each document. The copy puts up the walls that are around
images too (limits of time and memory, no file written, no new privileges; no network and no other processes where the
system can), reads the question, answers and ends. Over the connection the service gets a handle of the copy first, by
which it can end it. Ends when the service (PID) does.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import math
import os
import select
import signal
import socket
import sys
from dataclasses import replace

from camtrust.judging.messages import announced, write_answer
from ekyc.imaging import confinement

# What the verifier loads when it first meets a document that needs it: here once, and not once for each.
_LOADED = (
    "encodings.cp437", "encodings.utf_16_be", "lxml.etree", "pikepdf", "pyhanko.pdf_utils.crypt",
    "pyhanko.pdf_utils.filters", "pyhanko.pdf_utils.form_tools", "pyhanko.pdf_utils.reader", "pypdfium2",
)  # fmt: skip
_REQUIRED = frozenset({confinement.LIMITS, confinement.NO_PRIVILEGES})  # without them nothing is judged
_LOOK_EVERY = 5.0  # seconds between two looks at whether the service is still there
_LESS_URGENT = 5  # than what the service does for those it knows
_SPARE = 2  # seconds beyond the bound: the service ends what takes too long, and this what the service left behind


def main() -> None:
    """Copy this process for each connection that is handed over, to the end of the service."""
    control, service = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the service says when to end
    with contextlib.suppress(OSError):  # it is better so, and no wall
        os.nice(_LESS_URGENT)
    for module in _LOADED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is loaded stays shared with the copies
    while os.getppid() == service:
        ready = select.select([control], [], [], _LOOK_EVERY)[0]
        _bury()
        if not ready:
            continue
        said, handed, _, _ = socket.recv_fds(control, 1, 1)
        if not said:
            return
        for one in handed:
            _copy_for(one, control)


def _bury() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _copy_for(connection: int, control: socket.socket) -> None:
    with socket.socket(fileno=connection) as open_connection, contextlib.suppress(OSError):
        copy = os.fork()
        if copy == 0:
            control.close()
            _answer_and_end(connection)
        handle = os.pidfd_open(copy)  # its number is not given to another process before it is buried
        try:
            socket.send_fds(open_connection, [b"p"], [handle])
        finally:
            os.close(handle)


class _Failures(logging.Handler):
    """Keeps what the verifier would write to the log: the copy can write no file, and tells it to the service."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        logging.basicConfig(handlers=[self], force=True)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _answer_and_end(connection: int) -> None:
    """Nothing that happens in the copy comes back to the loop above."""
    status = 1
    try:
        with open(connection, "rb", closefd=False) as incoming:
            asked = announced(incoming)
            seconds = math.ceil(asked.bounds.seconds) + _SPARE
            signal.alarm(seconds)
            standing = confinement.confine(asked.bounds.memory, seconds, 0, starts_program=True)
            if not standing >= _REQUIRED:
                os._exit(status)
            failures = _Failures()
            judged = asked.question().answer()
            octets = memoryview(write_answer(replace(judged, failures=tuple(failures.lines))))
        while octets:
            octets = octets[os.write(connection, octets) :]
        status = 0
    except (MemoryError, OSError, ValueError):
        pass  # no answer is one: it was too much
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
