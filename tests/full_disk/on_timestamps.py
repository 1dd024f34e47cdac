"""The journal of timestamps on a full disk: no token without its digest, and no half digest before the next one."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from foundation.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from foundation.storage import StorageFull
from issuing_ca.timestamp_journal import TimestampJournal
from tests.ca.ca_world import World
from tests.ca.conftest import small_world, token  # noqa: F401 - fixtures
from tests.ca.log_world import with_log
from tests.full_disk.conftest import SmallDisk


@contextmanager
def file_limit(octets: int) -> Iterator[None]:
    """No file of this process grows beyond so many octets: what would go beyond is cut off there (setrlimit(2))."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_digest_is_written_whole_or_not_at_all(small_world: World, disk: SmallDisk) -> None:  # noqa: F811
    """Cut off in the middle, at its beginning, and with no room for a byte: what follows is still found and proved."""
    world, logged = small_world, with_log(small_world)
    at = world.clock.now().replace(minute=0, second=0, microsecond=0)
    folder = world.folder / "timestamps"
    journal = TimestampJournal(folder, world.database, world.ca.authorities, logged.log)
    given = [b"SPECIMEN %d" % number for number in range(200)]
    for one in given[:3]:
        journal.add(one, at)
    [file] = folder.glob("*.digests")
    for room in (0, 1, HASH_SIZE - 1):
        with file_limit(file.stat().st_size + room), pytest.raises(StorageFull):
            journal.add(b"SPECIMEN never given", at)
    stored = _until_full(journal, given[3:], at, disk)
    for one in given[3 + stored :]:
        journal.add(one, at)
    assert file.stat().st_size == len(given) * HASH_SIZE
    world.clock.set(at + timedelta(hours=1, minutes=2))
    [closed] = journal.close_hours(world.clock.now())
    assert closed.size == len(given)
    for one in given:
        digest = hashlib.sha256(one).digest()
        proof = journal.proof(digest, at)
        assert verify_inclusion(leaf_hash(digest), proof.index, closed.size, proof.hashes, closed.root)


def _until_full(journal: TimestampJournal, tokens: list[bytes], at: datetime, disk: SmallDisk) -> int:
    """Add tokens until there is no room; gives how many were written down."""
    with disk.full():
        for number, one in enumerate(tokens):
            try:
                journal.add(one, at)
            except StorageFull:
                return number
    raise AssertionError("it was never full")


def test_an_hour_is_closed_when_there_is_room(small_world: World, disk: SmallDisk, tmp_path: Path) -> None:  # noqa: F811
    """Closing an hour on a full disk fails and leaves it open; afterwards it is closed once, with everything in it."""
    world, logged = small_world, with_log(small_world)
    at = world.clock.now().replace(minute=0, second=0, microsecond=0)
    folder = tmp_path / "timestamps"
    journal = TimestampJournal(folder, world.database, world.ca.authorities, logged.log)
    for number in range(5):
        journal.add(b"SPECIMEN %d" % number, at)
    world.clock.set(at + timedelta(hours=1, minutes=2))
    with disk.full(), pytest.raises((StorageFull, OSError)):
        journal.close_hours(world.clock.now())
    assert [one.suffix for one in folder.iterdir() if one.suffix in (".digests", ".closed")] == [".digests"]
    [closed] = journal.close_hours(world.clock.now())
    assert closed.size == 5
    assert journal.close_hours(world.clock.now()) == ()
    assert journal.proof(hashlib.sha256(b"SPECIMEN 0").digest(), at).statement == closed.statement
