"""Starts the worker for one image, waits no longer than the limits say, and checks what it answers.

The worker may be taken over by what it decodes: its answer is bounded in size, must be the JPEG that it says, and is
never decoded in this process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ekyc
from ekyc.errors import EkycError
from ekyc.evidence.errors import (
    ImageAnimated,
    ImageBroken,
    ImageFormatUnknown,
    ImageReaderBusy,
    ImageReaderUnavailable,
    ImageTooCostly,
    ImageTooLarge,
    ImageTooSmall,
)
from ekyc.imaging.limits import ImageLimits

_ROOT = str(Path(ekyc.__file__).resolve().parent.parent)
_START = f"import sys; sys.path.insert(0, {_ROOT!r}); from ekyc.imaging import worker; "
_REFUSALS: dict[str, type[EkycError]] = {
    "format": ImageFormatUnknown,
    "too-large": ImageTooLarge,
    "too-small": ImageTooSmall,
    "animated": ImageAnimated,
    "broken": ImageBroken,
    "costly": ImageTooCostly,
    "walls": ImageReaderUnavailable,
}
_HEADER = 1024


@dataclass(frozen=True)
class CleanImage:
    """A JPEG of pixels alone. ``walls`` are those that stood around the worker."""

    data: bytes
    width: int
    height: int
    came_as: str
    walls: frozenset[str]


class ImageReader:
    """Reads images in processes of their own, a few at once."""

    def __init__(self, limits: ImageLimits | None = None) -> None:
        self.limits = limits or ImageLimits()
        self._turns = threading.BoundedSemaphore(self.limits.at_once)

    def read(self, data: bytes) -> CleanImage:
        """Decode and encode anew. Raises ImageFormatUnknown, ImageTooLarge, ImageTooSmall, ImageAnimated, ImageBroken,
        ImageTooCostly (it used more memory or time than an image needs), ImageReaderBusy, ImageReaderUnavailable.
        """
        if len(data) > self.limits.octets:
            raise ImageTooLarge
        asked = self.limits.model_dump_json().encode() + b"\n"
        with self.turn():
            status, answer = self.run("worker.main()", asked + data)
        if status is None or status < 0:  # killed: by the kernel, or by us when its time was over
            raise ImageTooCostly
        head, newline, rest = answer.partition(b"\n")
        if status != 0 or not newline or len(head) > _HEADER or len(answer) > self.limits.answer:
            raise ImageReaderUnavailable
        return _believed(head, rest)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn. Raises ImageReaderBusy."""
        if not self._turns.acquire(timeout=self.limits.queue_seconds):
            raise ImageReaderBusy(retry_after=self.limits.seconds)
        try:
            yield
        finally:
            self._turns.release()

    def run(self, call: str, given: bytes) -> tuple[int | None, bytes]:
        """Start the worker module with ``call``; gives its status (None: out of time) and what it wrote.

        In and out are memory files: no pipe can fill up, nothing reaches a disk, and how much the worker may write is
        a limit that it puts on itself before it reads anything.
        """
        with _memory(given) as source, _memory(b"") as sink:
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START + call],
                stdin=source,
                stdout=sink,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
            try:
                status: int | None = process.wait(self.limits.seconds)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            return status, os.pread(sink, self.limits.answer + 1, 0)


@contextmanager
def _memory(data: bytes) -> Iterator[int]:
    """A file in memory that holds ``data``, at its beginning."""
    descriptor = os.memfd_create("image")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _believed(head: bytes, data: bytes) -> CleanImage:
    try:
        told = json.loads(head)
        if told["cause"] is not None:
            raise _REFUSALS.get(told["cause"], ImageReaderUnavailable)
        made = CleanImage(
            data, int(told["width"]), int(told["height"]), str(told["came_as"])[:8], frozenset(map(str, told["walls"]))
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ImageReaderUnavailable from error
    if not data.startswith(b"\xff\xd8\xff") or not data.endswith(b"\xff\xd9"):
        raise ImageReaderUnavailable
    return made
