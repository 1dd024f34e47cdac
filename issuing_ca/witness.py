"""A witness of issuance logs (c2sp.org/tlog-witness): cosigns a checkpoint where the log has only grown since the last.

It knows the logs that it was told of, each by its key, and of each the newest checkpoint that it cosigned. That one is
on the disk before the cosignature goes out, so that no restart makes it forget what it vouched for; where its file is
lost, the witness has to be given a new key.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from foundation.clock import Clock
from foundation.merkle import EMPTY_ROOT, verify_consistency
from foundation.signed_note import Checkpoint, NoteInvalid, NoteKey, NoteSignature, read_note
from issuing_ca.witness_request import SIZE_TYPE, AddCheckpoint

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """What goes back to the log, as HTTP has it."""

    status: int
    body: bytes = b""
    content_type: str = TEXT


class Witness:
    """``key``: its own, of type COSIGNATURE_V1; ``sign`` gives the Ed25519 signature; ``logs``: keys by origin."""

    def __init__(
        self, folder: Path, key: NoteKey, sign: Callable[[bytes], bytes], logs: Mapping[str, NoteKey], clock: Clock
    ) -> None:
        self.key = key
        self._folder = folder
        self._sign = sign
        self._logs = dict(logs)
        self._clock = clock

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request; raises what the key store and the disk raise, and then nothing was cosigned."""
        try:
            request = AddCheckpoint.parse(body)
            note = read_note(request.checkpoint)
            wanted = Checkpoint.parse(note.text)
        except NoteInvalid:
            return Answer(400)
        log = self._logs.get(wanted.origin)
        if log is None:
            return Answer(404)
        try:
            note.opened_by([log])
        except NoteInvalid:
            return Answer(403)
        if request.old > wanted.size:
            return Answer(400)
        with self._held(wanted.origin) as file:
            last = self._last(file)
            if request.old != last.size:
                return Answer(409, f"{last.size}\n".encode(), SIZE_TYPE)
            if request.old == wanted.size and wanted.root != last.root:
                return Answer(409)
            if not _grown(last, wanted, request):
                return Answer(422)
            _write(file, note.text)
        return Answer(200, self._cosigned(note.text).encode())

    def _cosigned(self, text: str) -> str:
        at = int(self._clock.now().timestamp())
        signature = self._sign(b"cosignature/v1\ntime %d\n" % at + text.encode())
        return NoteSignature(self.key.name, self.key.key_id, at.to_bytes(8, "big") + signature).line

    @contextmanager
    def _held(self, origin: str) -> Iterator[Path]:
        """The file of a log, which no other thread or process looks at during the block."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()}.checkpoint"
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield file

    @staticmethod
    def _last(file: Path) -> Checkpoint:
        """The checkpoint that was cosigned last; the empty tree where there was none."""
        try:
            return Checkpoint.parse(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Checkpoint("", 0, EMPTY_ROOT)


def _grown(last: Checkpoint, wanted: Checkpoint, request: AddCheckpoint) -> bool:
    if last.size in (0, wanted.size):
        return not request.proof and (wanted.size > 0 or wanted.root == EMPTY_ROOT)
    return verify_consistency(last.size, wanted.size, last.root, wanted.root, request.proof)


def _write(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    with new.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
