"""The process that draws pages of documents, or looks through them, and ends. Started by :func:`in_a_process`.

In: a line of JSON (of each document its length, password and pages; octets of memory), then the documents, to the end
of standard input. Out: a line of JSON (of each document whether it failed, its notes, lengths of its pictures), then
the pictures. It writes no file, has what memory it was given, and is killed when its time is up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from signing.preview.drawing import Drawn, Task, perform
from signing.verify.model import Reason
from signing.verify.sandbox import Bounds, confine

_LONGEST_LINE = 256 * 1024


def in_a_process(tasks: Sequence[Task], bounds: Bounds) -> list[Drawn] | None:
    """Perform tasks under bounds, of all together; None where they exceeded them or ended their process."""
    asked = [{"length": len(one.data), "password": one.password, "pages": one.pages} for one in tasks]
    head = json.dumps({"tasks": asked, "memory": bounds.memory}).encode()
    command = [sys.executable, "-P", "-m", "signing.preview.worker"]
    given = b"".join((head, b"\n", *(one.data for one in tasks)))
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=bounds.seconds, check=False)
        line, _, rest = done.stdout.partition(b"\n")
        said = json.loads(line)
    except (subprocess.TimeoutExpired, OSError, ValueError):
        return None
    if done.returncode != 0 or len(said) != len(tasks):
        return None
    pictures = BytesIO(rest)
    return [
        Drawn(tuple(pictures.read(length) for length in one["pages"]), _notes(one["notes"]), one["failed"])
        for one in said
    ]


def _notes(said: list[dict[str, Any]]) -> tuple[Reason, ...]:
    return tuple(Reason(one["rule"], one["clause"], one["key"], params=one["params"]) for one in said)


def main() -> None:
    """Confine, read, perform, answer."""
    asked = json.loads(sys.stdin.buffer.readline(_LONGEST_LINE))
    confine(Bounds(memory=asked["memory"]))
    said: list[dict[str, Any]] = []
    pictures: list[bytes] = []
    for one in asked["tasks"]:
        drawn = perform(Task(sys.stdin.buffer.read(one["length"]), one["password"], tuple(one["pages"])))
        notes = [
            {"rule": note.rule, "clause": note.clause, "key": note.key, "params": dict(note.params)}
            for note in drawn.notes
        ]
        said.append({"failed": drawn.failed, "notes": notes, "pages": [len(page) for page in drawn.pages]})
        pictures += drawn.pages
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + b"".join(pictures))


if __name__ == "__main__":
    main()
