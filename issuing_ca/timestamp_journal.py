"""What the timestamping authority gave out: a digest of every token, and each hour's Merkle root in the issuance log.

Every process adds to a file of its own for the hour, so that nobody waits. When an hour is over its file is closed: the
root over its digests goes into the log (as the digest of a statement that stands beside the file). Whoever has a token
can then be shown that it was given in that hour, and nobody can put one in later. A process that was killed leaves its
file; the next upkeep closes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from foundation.canonical import canonical_json
from foundation.db.engine import Database
from foundation.log_proof import EntryKind, InclusionProof, name_digest
from foundation.merkle import HASH_SIZE, Frontier, leaf_hash, path_of, root_of
from foundation.storage import StorageFull, is_full
from issuing_ca import log_store
from issuing_ca.authorities import Authorities
from issuing_ca.errors import LogEntryPending, LogEntryUnknown
from issuing_ca.log import IssuanceLog

FORM = "camtrust.ca.timestamps/v1"
_OPEN, _CLOSED, _NODES = ".digests", ".closed", ".nodes"
_BLOCK = 1024  # leaves under a node that is kept: a proof reads one block, and all nodes
_GRACE = timedelta(minutes=1)  # a token that was made in the hour's last moment is written by then
_READ = 1 << 20


@dataclass(frozen=True)
class ClosedHour:
    """One process's tokens of one hour: how many, and the root over their SHA-256 digests in the order of the file."""

    hour: datetime
    part: str
    size: int
    root: bytes

    @property
    def statement(self) -> bytes:
        """What the log has the SHA-256 of."""
        hour = self.hour.strftime("%Y-%m-%dT%HZ")
        return canonical_json(
            {"form": FORM, "hour": hour, "part": self.part, "size": self.size, "root": self.root.hex()}
        )


@dataclass(frozen=True)
class TimestampProof:
    """``hashes`` lead from the SHA-256 of the token, at ``index``, to the root in ``statement`` (RFC 9162 §2.1.3.2);
    ``logged``: the proof that the log has the SHA-256 of the statement."""

    statement: bytes
    index: int
    hashes: tuple[bytes, ...]
    logged: InclusionProof


class TimestampJournal:
    """Writes digests down, and closes hours. One for the process; safe to call from many threads."""

    def __init__(self, folder: Path, database: Database, authorities: Authorities, log: IssuanceLog) -> None:
        self._folder = folder
        self._database = database
        self._authorities = authorities
        self._log = log
        self._part = secrets.token_hex(8)
        self._file: tuple[str, int] | None = None
        self._lock = Lock()

    def add(self, token: bytes, at: datetime) -> None:
        """Write down that a token was given at this time. Raises StorageFull or OSError: then it must not be given."""
        hour = f"{at:%Y%m%dT%H}"
        digest = hashlib.sha256(token).digest()
        with self._lock:
            if self._file is None or self._file[0] != hour:
                self._open(hour)
            assert self._file is not None  # noqa: S101 - it was opened just now
            _append(self._file[1], digest)

    def close_hours(self, now: datetime, authority: str = "tsa") -> tuple[ClosedHour, ...]:
        """Close what is over: its root goes into the log, once. Raises DatabaseUnavailable, OSError."""
        closed = []
        for path in sorted(self._folder.glob(f"*{_OPEN}")):
            name, _, part = path.name.removesuffix(_OPEN).partition("-")
            hour = datetime.strptime(name, "%Y%m%dT%H").replace(tzinfo=UTC)
            if now < hour + timedelta(hours=1) + _GRACE:
                continue
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if not path.exists():
                    continue  # another process was first
                frontier = Frontier()
                for digest in _digests(file.fileno()):
                    frontier.append(leaf_hash(digest))
                one = ClosedHour(hour, part, frontier.size, frontier.root)
                self._record(one, authority)
                _put(path.with_suffix(".json"), one.statement)
                _put(path.with_suffix(_NODES), b"".join(_nodes(file.fileno())))
                path.rename(path.with_suffix(_CLOSED))
            closed.append(one)
        return tuple(closed)

    def proof(self, digest: bytes, hour: datetime) -> TimestampProof:
        """The proof that the token with this SHA-256 was given in this hour (UTC), once that is closed and in the log.

        Raises LogEntryUnknown for one that is in no file of that hour, LogEntryPending while the hour is open.
        """
        named = f"{hour:%Y%m%dT%H}"
        for path in sorted(self._folder.glob(f"{named}-*{_CLOSED}")):
            index = _find(path, digest)
            if index is not None:
                return self._proved(path, index)
        if any(_find(path, digest) is not None for path in self._folder.glob(f"{named}-*{_OPEN}")):
            raise LogEntryPending(retry_after=600.0)
        raise LogEntryUnknown

    def _proved(self, path: Path, index: int) -> TimestampProof:
        statement = path.with_suffix(".json").read_bytes()
        nodes_file = path.with_suffix(_NODES)
        with path.open("rb") as file:
            if not nodes_file.exists():  # closed by an earlier version
                _put(nodes_file, b"".join(_nodes(file.fileno())))
            first = index - index % _BLOCK
            block = os.pread(file.fileno(), _BLOCK * HASH_SIZE, first * HASH_SIZE)
        octets = nodes_file.read_bytes()
        nodes = [octets[start : start + HASH_SIZE] for start in range(0, len(octets), HASH_SIZE)]
        leaves = [leaf_hash(one) for one in _split(block)]
        hashes = path_of(leaves, index - first) + path_of(nodes, first // _BLOCK)
        logged = self._log.inclusion(hashlib.sha256(statement).digest(), EntryKind.TIMESTAMPS)
        return TimestampProof(statement, index, hashes, logged)

    def _record(self, one: ClosedHour, authority: str) -> None:
        digest = hashlib.sha256(one.statement).digest()
        subject = name_digest(self._authorities.get(authority).certificate.subject)
        with self._database.unit_of_work() as connection:
            if log_store.entry_of(connection, digest, EntryKind.TIMESTAMPS) is None:
                self._log.record(connection, EntryKind.TIMESTAMPS, digest, subject)

    def _open(self, hour: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{hour}-{self._part}{_OPEN}"
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if self._file is not None:
            os.close(self._file[1])
        self._file = hour, opened


def _append(file: int, digest: bytes) -> None:
    """Write a digest whole or not at all: half of one would move every later one out of its place."""
    before = os.fstat(file).st_size
    try:
        if os.write(file, digest) == HASH_SIZE:
            return
    except OSError as error:
        if is_full(error):
            raise StorageFull from error
        raise
    os.ftruncate(file, before)
    raise StorageFull


def _put(path: Path, octets: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(octets)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _find(path: Path, digest: bytes) -> int | None:
    """The place of a digest in a file; None where it is not there."""
    if path.stat().st_size < HASH_SIZE:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
        at = octets.find(digest)
        while at != -1 and at % HASH_SIZE:
            at = octets.find(digest, at + 1)
    return None if at == -1 else at // HASH_SIZE


def _nodes(file: int) -> Iterator[bytes]:
    """The root over each block of leaves."""
    leaves: list[bytes] = []
    for digest in _digests(file):
        leaves.append(leaf_hash(digest))
        if len(leaves) == _BLOCK:
            yield root_of(leaves)
            leaves = []
    if leaves:
        yield root_of(leaves)


def _split(octets: bytes) -> list[bytes]:
    whole = len(octets) - len(octets) % HASH_SIZE
    return [octets[start : start + HASH_SIZE] for start in range(0, whole, HASH_SIZE)]


def _digests(file: int) -> Iterator[bytes]:
    """Every whole digest of a file; what a crash cut off in the middle is none."""
    at = 0
    while data := os.pread(file, _READ, at):
        whole = len(data) - len(data) % HASH_SIZE
        if not whole:
            return
        for start in range(0, whole, HASH_SIZE):
            yield data[start : start + HASH_SIZE]
        at += whole
