"""A pseudo-terminal at which a command is answered as an officer would: prompts are awaited, then typed to.

For the rehearsal of a whole ceremony; nothing of a real ceremony goes through here.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# The child makes the pseudo-terminal its controlling one, so that hidden input comes from there too.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
_LONGEST = 1 << 20  # octets of a screen


class NotAnswered(RuntimeError):
    """A command did not ask what was expected in time; holds what stood on the screen."""


@dataclass(frozen=True)
class Screen:
    """How a command ended and everything that stood on its terminal."""

    status: int
    text: str


def answer(
    command: Sequence[str | os.PathLike[str]],
    answers: Sequence[tuple[str, str]],
    *,
    seconds: float = 120,
    environment: Mapping[str, str] | None = None,
) -> Screen:
    """Run a command at a terminal of its own and type each answer when its prompt stands on the screen, in order.

    Give a prompt for hidden input to its last character: what is typed before that is shown, and lost.
    NotAnswered when a prompt does not come, or the command does not end, within ``seconds``.
    """
    ours, theirs = os.openpty()
    try:
        child = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *(os.fspath(one) for one in command)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    finally:
        os.close(theirs)
    try:
        screen = _converse(ours, answers, seconds)
        return Screen(child.wait(timeout=seconds), screen)
    except subprocess.TimeoutExpired as error:
        raise NotAnswered("the command does not end") from error
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(ours)


def _converse(terminal: int, answers: Sequence[tuple[str, str]], seconds: float) -> str:
    seen, answered, left = b"", 0, list(answers)
    end = time.monotonic() + seconds
    while len(seen) < _LONGEST:
        while left and (at := seen.find(left[0][0].encode(), answered)) >= 0:
            answered = at + len(left[0][0].encode())
            os.write(terminal, f"{left.pop(0)[1]}\n".encode())
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise NotAnswered(seen.decode(errors="replace"))
        try:
            octets = os.read(terminal, 65536)
        except OSError:  # EIO: the command has ended, and with it its terminal
            octets = b""
        if not octets:
            break
        seen += octets
    if left:
        raise NotAnswered(seen.decode(errors="replace"))
    return seen.decode(errors="replace").replace("\r\n", "\n")
