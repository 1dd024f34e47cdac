"""The work of a night: every kept document gets evidence, and what ends soon is renewed. Time is moved."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from foundation.db import job_requests
from foundation.http.actor import Actor, ActorKind
from signing.archive import store
from signing.archive.errors import EvidenceNotFound
from signing.archive.service import JOB, RENEW_BEFORE, Archive
from signing.errors import DocumentNotFound
from signing.evidence_record import EvidenceRecord
from signing.model import Level
from tests.signing.conftest import Desk, Person
from tests.signing.sample_pdf import sample
from tests.signing.test_evidence_records import judged

_PARTS = (job_requests.metadata, store.records.metadata)


def archive_of(desk: Desk) -> Archive:
    for metadata in _PARTS:
        metadata.create_all(desk.database.engine)
    return Archive(desk.database, desk.trail, desk.clock, desk.custody, desk.service.extender)


def signed(desk: Desk, person: Person, *names: str) -> list[str]:
    """Documents that the person has signed, all in one authorisation."""
    ids = [desk.service.upload(person.actor, name, sample()).document.document_id for name in names]
    outcomes = desk.service.authorise(
        person.actor,
        person.credential.credential_id,
        ids,
        pin="482913",
        totp=person.code(),
        level=Level.B_T,
    )
    assert all(one.error is None for one in outcomes)
    return ids


def night(desk: Desk, archive: Archive, name: str) -> dict[str, int]:
    """Open a night and do its work; what it says of it."""
    with desk.database.unit_of_work() as connection:
        assert store.open_night(connection, name, desk.clock.now())
    desk.clock.advance(timedelta(seconds=1))
    assert archive.run(name, lambda: False) is None
    with desk.database.read() as connection:
        row = store.night(connection, name)
    assert row is not None
    assert row.finished_at is not None
    return {"recorded": row.recorded, "renewed": row.renewed, "unreadable": row.unreadable}


def test_evidence_for_everything_and_renewed_in_time(both_desks: Desk) -> None:
    """Three documents get one timestamp together; nothing happens while that lasts; within sixty days of its unit's end
    one more covers all three, and after that end the records still pass, where those that were not renewed do not."""
    desk, archive = both_desks, archive_of(both_desks)
    person = desk.person()
    ids = signed(desk, person, "a.pdf", "b.pdf", "c.pdf")
    desk.pki.timestamps.certify(days=90)
    with pytest.raises(EvidenceNotFound):
        archive.evidence(person.actor, ids[0])
    calls = desk.pki.timestamps.calls
    assert night(desk, archive, "2026-01-01") == {"recorded": 3, "renewed": 0, "unreadable": 0}
    assert desk.pki.timestamps.calls == calls + 1
    first = [archive.evidence(person.actor, one) for one in ids]
    files = [desk.service.signed(person.actor, one)[1] for one in ids]
    assert all(
        judged(desk, record, file).indication.value == "TOTAL-PASSED" for record, file in zip(first, files, strict=True)
    )
    assert night(desk, archive, "2026-01-02") == {"recorded": 0, "renewed": 0, "unreadable": 0}

    desk.clock.advance(timedelta(days=90) - RENEW_BEFORE + timedelta(hours=1))
    desk.pki.timestamps.certify(days=700)
    calls = desk.pki.timestamps.calls
    assert night(desk, archive, "2026-02-01") == {"recorded": 0, "renewed": 3, "unreadable": 0}
    assert desk.pki.timestamps.calls == calls + 1
    assert night(desk, archive, "2026-02-02") == {"recorded": 0, "renewed": 0, "unreadable": 0}
    after = [archive.evidence(person.actor, one) for one in ids]
    assert {len(EvidenceRecord.parse(one).chain) for one in after} == {2}
    for old, new, file in zip(first, after, files, strict=True):
        assert judged(desk, new, file, days=200).indication.value == "TOTAL-PASSED"
        assert judged(desk, old, file, days=200).indication.value == "INDETERMINATE"
        assert judged(desk, new, file + b"\n", days=200).indication.value == "TOTAL-FAILED"
    assert desk.actions().count("signing.archive_renewed") == 4


def test_a_night_is_asked_for_once(both_desks: Desk) -> None:
    """Not before one in the morning of Cambodia; then once, however often the upkeep looks; the next night again."""
    desk, archive = both_desks, archive_of(both_desks)
    desk.clock.set(datetime(2026, 11, 26, 17, 30, tzinfo=UTC))  # half past midnight in Phnom Penh
    assert not archive.ask()
    desk.clock.set(datetime(2026, 11, 26, 18, 30, tzinfo=UTC))
    assert archive.ask()
    assert not archive.ask()
    with desk.database.read() as connection:
        [one] = job_requests.due_requests(connection, desk.clock.now(), 10)
    assert (one.kind, one.subject) == (JOB, "2026-11-27")
    desk.clock.advance(timedelta(days=1))
    assert archive.ask()


def test_what_cannot_be_read_holds_up_nothing(desk: Desk) -> None:
    """A lost file is counted and tried again the next night; the others have their records. A removed document's record
    goes, and another person's is as absent as one that never was."""
    archive, person = archive_of(desk), desk.person()
    ids = signed(desk, person, "a.pdf", "b.pdf", "c.pdf")
    document = desk.service.document(person.actor, ids[1]).document
    kept = desk.custody.signed(document)
    assert document.signed_version is not None
    desk.custody.discard_signed(ids[1], document.signed_version)
    assert night(desk, archive, "2026-01-01") == {"recorded": 2, "renewed": 0, "unreadable": 1}
    desk.custody.put_signed(replace(document), document.signed_version, kept)
    assert night(desk, archive, "2026-01-02") == {"recorded": 1, "renewed": 0, "unreadable": 0}
    with pytest.raises(DocumentNotFound):
        archive.evidence(Actor(ActorKind.PERSON, "somebody-else"), ids[0])
    desk.service.delete(person.actor, ids[0])
    night(desk, archive, "2026-01-03")
    with desk.database.read() as connection:
        assert store.record(connection, ids[0]) is None
        assert store.record(connection, ids[2]) is not None


def test_a_night_that_is_cut_off(desk: Desk) -> None:
    """Told to stop, it comes back and goes on where it was; a night that is over is not done again."""
    archive, person = archive_of(desk), desk.person()
    ids = signed(desk, person, "a.pdf", "b.pdf")
    with desk.database.unit_of_work() as connection:
        store.open_night(connection, "2026-01-01", desk.clock.now())
    assert archive.run("2026-01-01", lambda: True) is not None
    first = archive.evidence(person.actor, ids[0])
    assert archive.run("2026-01-01", lambda: False) is None
    assert archive.evidence(person.actor, ids[0]) == first
    calls = desk.pki.timestamps.calls
    assert archive.run("2026-01-01", lambda: False) is None
    assert desk.pki.timestamps.calls == calls
