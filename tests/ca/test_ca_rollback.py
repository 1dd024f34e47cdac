"""A database that was restored from an older backup: found out, refused, and reconciled by two officers alone."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import select, update

from foundation.db.audit import events
from foundation.db.engine import open_database
from foundation.merkle import EMPTY_ROOT
from foundation.randomness import SystemRandomness
from issuing_ca import status_journal
from issuing_ca.errors import DatabaseRolledBack, ReconciliationRefused, StatusWitnessUnreadable
from issuing_ca.model import CertificateState, Reason
from issuing_ca.ports import Witnessed
from issuing_ca.rollback import LOG, RollbackGuard, verify_journal
from issuing_ca.service import CertificateAuthority
from issuing_ca.status_witness import FileWitness
from issuing_ca.tables import authorities, status_changes
from tests.ca.ca_world import OPERATOR, World

OFFICERS = ["officer:one", "officer:two"]


def guard(world: World) -> RollbackGuard:
    """As the next process has it: nothing in memory."""
    return RollbackGuard(world.database, FileWitness(witness_file(world)), world.clock, world.audit)


def witness_file(world: World) -> Path:
    return world.folder / "witness" / "status.jsonl"


def copied(world: World) -> Path:
    """A backup of the SQLite file."""
    file = world.folder / "backup.sqlite"
    with closing(sqlite3.connect(world.folder / "camtrust.sqlite")) as live, closing(sqlite3.connect(file)) as copy:
        live.backup(copy)
    return file


def restore(world: World, backup: Path) -> None:
    """The backup in the place of the database; the service as it starts on it."""
    world.database.close()
    for suffix in ("-wal", "-shm"):
        (world.folder / f"camtrust.sqlite{suffix}").unlink(missing_ok=True)
    shutil.copy(backup, world.folder / "camtrust.sqlite")
    world.database = open_database(f"sqlite:///{world.folder / 'camtrust.sqlite'}")
    world.ca = CertificateAuthority(
        world.database, world.keys, world.clock, SystemRandomness(), world.audit, world.ca.settings
    )


def test_a_restored_backup_is_refused_until_two_officers_agree(small_world: World) -> None:
    """Copy, revoke, restore the copy: refused with the place where it is behind; then everything is revoked again."""
    world = small_world
    issued = [world.citizen() for _ in range(4)]
    world.ca.revoke(issued[0].serial, Reason.SUPERSEDED, OPERATOR)
    guard(world).advance()
    backup = copied(world)
    world.ca.revoke(issued[1].serial, Reason.KEY_COMPROMISE, OPERATOR)
    world.ca.revoke(issued[2].serial, Reason.CERTIFICATE_HOLD, OPERATOR)
    late = world.citizen()
    world.ca.revoke(late.serial, Reason.SUPERSEDED, OPERATOR)
    before = [world.ca.certificate(one.serial) for one in issued]
    published = world.ca.lists.current("issuing").number
    guard(world).advance()
    restore(world, backup)
    assert world.ca.certificate(issued[1].serial).state is CertificateState.ISSUED
    for _ in range(2):
        with pytest.raises(DatabaseRolledBack) as refused:
            guard(world).advance()
        assert refused.value.code == "issuing_ca.database_rolled_back"
        assert refused.value.params == {"authority": "issuing", "size": 4}
    statement = guard(world).statement()
    told = json.loads(statement)
    assert [one["serial"] for one in told["again"]] == [issued[1].serial, issued[2].serial, late.serial]
    for officers in ([], OFFICERS[:1], [OFFICERS[0], OFFICERS[0]]):
        with pytest.raises(ReconciliationRefused):
            guard(world).reconcile(statement, officers)
    with pytest.raises(ReconciliationRefused):
        guard(world).reconcile(statement.replace(b"issuing", b"Issuing"), OFFICERS)
    with pytest.raises(DatabaseRolledBack):
        guard(world).check()
    done = guard(world).reconcile(statement, OFFICERS)
    assert done.again == (issued[1].serial, issued[2].serial)
    assert done.missing == (late.serial,)
    guard(world).advance()
    after = [world.ca.certificate(one.serial) for one in issued]
    assert [(one.state, one.reason, one.revoked_at) for one in after] == [
        (one.state, one.reason, one.revoked_at) for one in before
    ]
    world.ca.reconcile()
    assert not world.keys.get(str(after[1].key_id)).enabled
    crl = world.ca.lists.current("issuing")
    assert crl.number > published
    assert len(x509.load_der_x509_crl(crl.crl)) == 3
    with world.database.read() as connection:
        event = connection.execute(select(events).where(events.c.action == "issuing_ca.database_reconciled")).one()
    assert json.loads(event.details)["officers"] == OFFICERS
    with pytest.raises(ReconciliationRefused):
        guard(world).reconcile(guard(world).statement(), OFFICERS)
    world.audit.verify(world.database)


def test_numbers_that_went_back_are_found_without_a_revocation(small_world: World) -> None:
    """A backup from before a CRL that revoked nothing new: its number would be given twice."""
    world = small_world
    world.ca.current_crl("issuing")
    backup = copied(world)
    world.ca.lists.renew("issuing", force=True)
    guard(world).advance()
    restore(world, backup)
    with pytest.raises(DatabaseRolledBack):
        guard(world).check()
    guard(world).reconcile(guard(world).statement(), OFFICERS)
    guard(world).check()
    assert world.ca.lists.renew("issuing", force=True).number == 3


def test_a_newer_database_is_welcome(world: World) -> None:
    """What the witness has not seen yet (a crash came between) is taken up; again changes nothing."""
    serials = [world.citizen().serial for _ in range(3)]
    guard(world).advance()
    for serial in serials:
        world.again().revoke(serial, Reason.SUPERSEDED, OPERATOR)
    guard(world).check()
    guard(world).advance()
    size = witness_file(world).stat().st_size
    guard(world).advance()
    assert witness_file(world).stat().st_size == size
    remembered = FileWitness(witness_file(world)).newest()
    assert remembered["issuing"].size == 3
    assert remembered[LOG].root == EMPTY_ROOT
    assert verify_journal(world.database) == {"issuing": 3, "tsa": 0}


@pytest.mark.parametrize(
    "change",
    [
        lambda connection: connection.execute(status_changes.delete()),
        lambda connection: connection.execute(update(status_changes).values(root=bytes(32))),
        lambda connection: connection.execute(update(authorities).values(crl_number=0)),
    ],
)
def test_a_journal_that_was_changed_is_refused(world: World, change: Callable[[object], object]) -> None:
    """Entries removed, roots changed, or the counter of CRLs set back, in the database alone."""
    world.ca.revoke(world.citizen().serial, Reason.SUPERSEDED, OPERATOR)
    guard(world).advance()
    with world.database.unit_of_work() as connection:
        change(connection)
    with pytest.raises(DatabaseRolledBack):
        guard(world).check()


def test_a_changed_entry_is_found_by_rebuilding_the_tree(world: World) -> None:
    """An entry whose root was left as it was: the tree of the entries says so."""
    for _ in range(3):
        world.ca.revoke(world.citizen().serial, Reason.SUPERSEDED, OPERATOR)
    assert verify_journal(world.database)["issuing"] == 3
    with world.database.unit_of_work() as connection:
        connection.execute(
            update(status_changes).where(status_changes.c.number == 2).values(at=world.clock.now() + timedelta(1))
        )
    with pytest.raises(DatabaseRolledBack):
        verify_journal(world.database)
    with world.database.read() as connection:
        assert status_journal.verify(connection, "tsa") is not None


def test_a_line_that_was_cut_off_is_written_anew(small_world: World) -> None:
    """A crash while writing leaves half a line: it does not count, and the next one takes its place."""
    world = small_world
    world.ca.revoke(world.citizen().serial, Reason.SUPERSEDED, OPERATOR)
    guard(world).advance()
    whole = witness_file(world).read_bytes()
    world.ca.revoke(world.citizen().serial, Reason.SUPERSEDED, OPERATOR)
    guard(world).advance()
    after = witness_file(world).read_bytes()
    witness_file(world).write_bytes(whole + b'{"authority":"issu')
    guard(world).check()
    guard(world).advance()
    assert witness_file(world).read_bytes() == after


def test_a_witness_that_cannot_be_read_or_became_shorter_is_told(small_world: World) -> None:
    """Neither is taken for an empty one."""
    world = small_world
    world.ca.revoke(world.citizen().serial, Reason.SUPERSEDED, OPERATOR)
    live = guard(world)
    live.advance()
    live.check()
    data = witness_file(world).read_bytes()
    for wrong in (
        b"nonsense\n" + data,
        data.replace(b'"size":1', b'"size":"x"'),
        data[:-1].replace(b'"root"', b'"r"') + b"\n",
    ):
        witness_file(world).write_bytes(wrong)
        with pytest.raises((StatusWitnessUnreadable, DatabaseRolledBack)):
            guard(world).check()
    witness_file(world).write_bytes(b"")
    with pytest.raises(StatusWitnessUnreadable):
        live.check()


def test_a_long_witness_is_read_from_its_last_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts knows the same as whoever wrote it all, from the end of the file alone; a summary that a crash
    cut off does not count; beginning again counts behind it; and every change is still told to who asks for all."""
    monkeypatch.setattr("issuing_ca.status_witness._SUMMARY_AFTER", 4096)
    file = tmp_path / "status.jsonl"
    writer = FileWitness(file)
    for number in range(1, 201):
        writer.add([Witnessed("issuing", number, bytes([number]) * 32, number, f"{number:x}", "revoked", None, None)])
        if number % 50 == 0:
            writer.add([Witnessed("tsa", number, bytes(32), number)])
    lines = file.read_bytes().splitlines(keepends=True)
    summaries = [at for at, line in enumerate(lines) if b'"left":0' in line]
    assert len(summaries) > 3
    assert FileWitness(file).newest() == writer.newest()
    assert [one.size for one in FileWitness(file).all() if one.serial] == list(range(1, 201))

    whole = b"".join(lines[: summaries[-1]]), lines[summaries[-1]]
    file.write_bytes(whole[0] + whole[1][:40])  # its last line is not whole: the summary before counts
    cut = FileWitness(file)
    assert cut.newest() == {one.authority: one for one in cut.all()}
    file.write_bytes(b"\n" * 10 + b"no witness\n" + b"".join(lines[summaries[-1] - 1 :]))
    assert FileWitness(file).newest()["issuing"].size == 200  # what stands before the last summary is not read

    writer = FileWitness(file)
    writer.add([Witnessed("issuing", 3, bytes(32), 3)], again=True)
    assert set(FileWitness(file).newest()) == {"issuing"}
