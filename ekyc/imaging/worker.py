"""The process that decodes one image, and ends. Started by :mod:`ekyc.imaging.sandbox`; not for people.

In: one line of JSON (limits), then the octets, to the end of standard input. Out: one line of
JSON, then the new octets.
"""

from __future__ import annotations

import json
import os
import sys

from ekyc.imaging import faces
from ekyc.imaging.confinement import REQUIRED, confine
from ekyc.imaging.decoding import Refused, decode, prepare
from ekyc.imaging.limits import ImageLimits


def main() -> None:
    """Confine, read, decode, answer."""
    asked = sys.stdin.buffer.readline(8192)
    limits = ImageLimits.model_validate_json(asked)
    prepare()
    walls = confine(limits.memory, limits.cpu_seconds, limits.answer)
    if not walls >= REQUIRED:
        _answer({"cause": "walls", "walls": sorted(walls)})
        return
    data = sys.stdin.buffer.read(limits.octets + 1)
    try:
        done = decode(data, limits)
    except Refused as error:
        _answer({"cause": str(error), "walls": sorted(walls)})
    except MemoryError:
        _answer({"cause": "costly", "walls": sorted(walls)})
    else:
        size = {"width": done.width, "height": done.height, "came_as": done.came_as}
        _answer({"cause": None, "walls": sorted(walls), **size}, done.data)


def compare_faces() -> None:
    """In: one line of JSON (limits, octets of each part, least score of a face), then detector, recogniser, the picture
    to compare with and the others. Out: one line of JSON. Models and pictures are read behind the walls alone.
    """
    asked = json.loads(sys.stdin.buffer.readline(8192))
    limits = ImageLimits.model_validate(asked["limits"])
    try:
        library = faces.load()
    except faces.NoFaceLibrary:
        _answer({"cause": "library", "walls": []})
        return
    walls = confine(limits.memory, limits.cpu_seconds, limits.answer)
    if not walls >= REQUIRED:
        _answer({"cause": "walls", "walls": sorted(walls)})
        return
    detector, recogniser, *pictures = (sys.stdin.buffer.read(octets) for octets in asked["octets"])
    try:
        done = faces.compare(library, detector, recogniser, asked["least"], pictures)
    except Exception:  # the library raises its own kinds; what cannot be judged is told as that
        _answer({"cause": "broken", "walls": sorted(walls)})
    else:
        _answer({"cause": None, "walls": sorted(walls), "faces": done.faces, "scores": done.scores})


def confined_program(memory: int, cpu_seconds: int, writes: int, program: str, *arguments: str) -> None:
    """Put up the walls that a program can live with, and become that program. Ends with status 3 without walls."""
    walls = confine(memory, cpu_seconds, writes, starts_program=True)
    if not walls >= REQUIRED:
        os._exit(3)
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "OMP_THREAD_LIMIT": "1"}
    os.execve(program, [program, *arguments], environment)  # noqa: S606 - no shell is wanted


def _answer(header: dict[str, object], data: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + data)
    sys.stdout.buffer.flush()
