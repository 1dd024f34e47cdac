"""Letters in a picture, by Debian's tesseract, behind the walls of :mod:`ekyc.imaging.confinement`.

It is given pixels that were encoded here, never what a stranger sent. Without the program, people type the lines.
"""

from __future__ import annotations

import os
import shutil

from ekyc.evidence.errors import LetterReaderMissing
from ekyc.imaging.sandbox import ImageReader

_WHITELIST = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<"
_ARGUMENTS = (
    "stdin", "stdout", "-l", "eng", "--psm", "6",
    "-c", f"tessedit_char_whitelist={_WHITELIST}", "-c", "load_system_dawg=0", "-c", "load_freq_dawg=0",
)  # fmt: skip
# Pixels of the longer side, in the order tried: at the first, letters of a card are as high as the program likes them.
SIZES = (600, 820)
_TEXT = 64 * 1024  # octets that it may write


class LetterReader:
    """Reads capitals, digits and fillers. ``program``: a name on the path, or a path."""

    def __init__(self, reader: ImageReader, program: str = "tesseract") -> None:
        self._readers = {
            size: ImageReader(reader.limits.model_copy(update={"kept_side": size, "grey": True, "smallest_side": 1}))
            for size in SIZES
        }
        self._program = program

    def read(self, image: bytes, size: int = SIZES[0]) -> str:
        """The text in a clean image, seen at one of :data:`SIZES`; empty where the program found none in its time.

        Raises LetterReaderMissing, and what :meth:`ImageReader.read` raises.
        """
        found = shutil.which(self._program)
        if found is None:
            raise LetterReaderMissing
        reader = self._readers[size]
        grey, limits = reader.read(image).data, reader.limits
        arguments = (limits.memory, limits.cpu_seconds, _TEXT, os.path.realpath(found), *_ARGUMENTS)
        with reader.turn():
            status, text = reader.run(f"worker.confined_program(*{arguments!r})", grey)
        return text[:_TEXT].decode("ascii", errors="ignore") if status == 0 else ""
