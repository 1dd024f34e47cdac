"""Blobs, units of work and the audit trail on a full disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, func, select

from foundation.blobs import BlobMissing, LocalBlobs
from foundation.clock import SetClock
from foundation.db import audit
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.storage import StorageFull
from tests.full_disk.conftest import SmallDisk

metadata = MetaData()
things = Table("things", metadata, Column("number", Integer, primary_key=True), Column("data", LargeBinary))


@pytest.mark.parametrize("left", [0, 1, 16])
def test_a_blob_is_stored_whole_or_not_at_all(disk: SmallDisk, tmp_path: Path, left: int) -> None:
    """With no room, and with room for a part of it: a new key holds nothing, an old one what it held; no file stays."""
    folder = tmp_path / "blobs"
    blobs = LocalBlobs(folder)
    blobs.put("old/one", b"as it was")
    before = disk.files(folder)
    with disk.full(left):
        for key in ("old/one", "new/one"):
            with pytest.raises(StorageFull):
                blobs.put(key, bytes(1 << 20))
        assert disk.files(folder) == before
        assert blobs.get("old/one") == b"as it was"
        with pytest.raises(BlobMissing):
            blobs.get("new/one")
    blobs.put("new/one", bytes(1 << 20))
    assert blobs.get("new/one") == bytes(1 << 20)


@pytest.mark.parametrize("left", [0, 1, 16])
def test_a_unit_of_work_is_stored_whole_or_not_at_all(
    disk: SmallDisk, sqlite_database: Database, clock: SetClock, left: int
) -> None:
    """Its rows and its events are missing together, what was there is read, and the chain goes on afterwards."""
    database, trail = sqlite_database, AuditTrail(clock)
    for one in (metadata, audit.metadata):
        one.create_all(database.engine)

    def store(number: int, size: int) -> None:
        with database.unit_of_work() as connection:
            connection.execute(things.insert().values(number=number, data=bytes(size)))
            trail.append(connection, "system:test", "test.stored", str(number))

    with database.unit_of_work() as connection:
        audit.create_head(connection)
    store(0, 10)
    with disk.full(left):
        for _ in range(3):
            with pytest.raises(StorageFull):
                store(1, 1 << 20)
        with database.read() as connection:
            assert connection.execute(select(func.count()).select_from(things)).scalar() == 1
        assert trail.verify(database) == 1
    store(1, 1 << 20)
    assert trail.verify(database) == 2
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
