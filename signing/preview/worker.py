"""The process that draws pages of one document, or looks through it, and ends. Started by :func:`in_a_process`.

In: a line of JSON (password, pages, octets of memory), then the document to the end of standard input. Out: a line of
JSON (whether it failed, the notes, the lengths of the pictures), then the pictures. It writes no file, has what memory
it was given, and is killed when its time is up.
"""

from __future__ import annotations

import json
import subprocess
import sys

from signing.preview.drawing import Drawn, Task, perform
from signing.verify.model import Reason
from signing.verify.sandbox import Bounds, confine

_LONGEST_LINE = 64 * 1024


def in_a_process(task: Task, bounds: Bounds) -> Drawn | None:
    """Perform a task under bounds; None where it exceeded them or ended its process."""
    asked = {"password": task.password, "pages": task.pages, "memory": bounds.memory}
    command = [sys.executable, "-P", "-m", "signing.preview.worker"]
    given = json.dumps(asked).encode() + b"\n" + task.data
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=bounds.seconds, check=False)
        line, _, pictures = done.stdout.partition(b"\n")
        said = json.loads(line)
    except (subprocess.TimeoutExpired, OSError, ValueError):
        return None
    if done.returncode != 0:
        return None
    notes = tuple(Reason(one["rule"], one["clause"], one["key"], params=one["params"]) for one in said["notes"])
    pages, at = [], 0
    for length in said["pages"]:
        pages.append(pictures[at : at + length])
        at += length
    return Drawn(tuple(pages), notes, said["failed"])


def main() -> None:
    """Confine, read, perform, answer."""
    asked = json.loads(sys.stdin.buffer.readline(_LONGEST_LINE))
    confine(Bounds(memory=asked["memory"]))
    drawn = perform(Task(sys.stdin.buffer.read(), asked["password"], tuple(asked["pages"])))
    notes = [
        {"rule": one.rule, "clause": one.clause, "key": one.key, "params": dict(one.params)} for one in drawn.notes
    ]
    said = {"failed": drawn.failed, "notes": notes, "pages": [len(page) for page in drawn.pages]}
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + b"".join(drawn.pages))


if __name__ == "__main__":
    main()
