"""Fills the database of a CA with as many certificates as wanted, quickly; what is in it afterwards is true.

Every certificate is what issuing makes (`bench.ca_splice`): a new P-256 key, a citizen's subject, the profile, the
partition of its serial number, and the signature of the CA's own key in the token. What issuing does one by one is done
a thousand at a time: one round trip to the token, and one COPY (on SQLite: one executemany) for each table. Left out:
the lint, the two steps with their intent, verifying here what the token has verified there, and the private keys of the
subjects, which are thrown away. Written are the rows of issuing: certificate, public key, audit trail (one
row an act, in the chain), entry of the issuance log with its position and the tiles of its tree. Issue dates are spread
over the two years before; revocations over those years too, each in the journal with the root of its tree.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, Table, bindparam, func, insert, select, text, update

from bench.ca_splice import Splicer
from foundation.clock import Clock
from foundation.db.audit import Act, AuditTrail, events
from foundation.db.engine import Database
from foundation.log_proof import BLINDING_SIZE, EntryKind, Opening, label
from foundation.merkle import Frontier, appended, leaf_hash, root
from foundation.randomness import SystemRandomness
from foundation.x509 import der
from issuing_ca import log_store, status_journal, tables
from issuing_ca.issuance import CITIZEN_SIGN
from issuing_ca.log import IssuanceLog
from issuing_ca.model import CertificateState, Reason, serial_text
from issuing_ca.service import CertificateAuthority

AUTHORITY = "issuing"
BATCH = 1000
ACTOR = "operator:soak"
_RANDOM = SystemRandomness()
_YEARS = timedelta(days=730)
_REASONS = (Reason.SUPERSEDED, Reason.CESSATION_OF_OPERATION, Reason.UNSPECIFIED, Reason.PRIVILEGE_WITHDRAWN)
_COMPROMISED = 50  # one revocation in so many


class Target(Protocol):
    """What is filled: the services of an installation, or a CA with its log."""

    @property
    def ca(self) -> CertificateAuthority: ...
    @property
    def database(self) -> Database: ...
    @property
    def log(self) -> IssuanceLog: ...
    @property
    def trail(self) -> AuditTrail: ...
    @property
    def clock(self) -> Clock: ...


@dataclass(frozen=True)
class _Made:
    """A certificate that waits for its signature."""

    serial: str
    tbs: bytes
    subject: str  # of the log's label
    row: Mapping[str, Any]


def load_certificates(target: Target, count: int, told: Callable[[int], None] = lambda _: None) -> None:
    """Add ``count`` citizens' certificates to an installed CA; ``told`` hears how many there are so far."""
    ca, database = target.ca, target.database
    authority = ca.authorities.get(AUTHORITY)
    signer, splicer = ca.authorities.signer(authority), Splicer(ca, AUTHORITY)
    until = target.clock.now().replace(microsecond=0) - timedelta(hours=1)
    with (
        _without_indexes(database),
        ThreadPoolExecutor(1) as signing,
    ):  # the token signs one batch while the one before is written

        def signed(start: int) -> tuple[list[_Made], list[bytes]]:
            size = min(BATCH, count - start)
            numbers = range(start, start + size)
            made = [_made(splicer, number, until - _YEARS * (1 - number / count)) for number in numbers]
            return made, signer.store.sign_many(signer.key_id, signer.mechanism, [one.tbs for one in made])

        waiting = None
        for start in itertools.chain(range(0, count, BATCH), (None,)):
            following = signing.submit(signed, start) if start is not None else None
            if waiting is not None:
                made, signatures = waiting.result()
                with database.unit_of_work() as connection:
                    _write(target, connection, made, signer.algorithm, signatures)
            waiting = following
            told(start if start is not None else count)


def load_revocations(target: Target, count: int, seed: int = 1) -> None:
    """Revoke ``count`` of the certificates that are loaded, picked by chance, oldest first."""
    database, chance = target.database, random.Random(seed)  # noqa: S311 - which ones is no secret
    certificates = tables.certificates.c
    until = target.clock.now().replace(microsecond=0) - timedelta(minutes=30)
    columns = (certificates.issued_at, certificates.serial, certificates.public_key_digest)
    loaded = certificates.requested_by == ACTOR
    dated = []
    with database.read() as connection:
        left = connection.execute(select(func.count()).select_from(tables.certificates).where(loaded)).scalar_one()
        with connection.execute(select(*columns).where(loaded).execution_options(yield_per=BATCH)) as rows:
            for issued_at, serial, key in rows:
                if chance.random() * left < count - len(dated):
                    dated.append((issued_at + (until - issued_at) * chance.random(), serial, key))
                left -= 1
    dated.sort()
    with database.unit_of_work() as connection:
        head = next(one for one in status_journal.heads(connection) if one.authority == AUTHORITY)
        if head.size:
            raise ValueError("revocations are loaded once")
        frontier, changes, revoked = Frontier(), [], []
        for number, (moment, serial, key) in enumerate(dated, 1):
            reason = Reason.KEY_COMPROMISE if number % _COMPROMISED == 0 else _REASONS[number % len(_REASONS)]
            state, at = CertificateState.REVOKED, moment.replace(microsecond=0)
            change = status_journal.StatusChange(AUTHORITY, number, serial, state, reason, at)
            frontier.append(change.leaf)
            changes.append(
                {"authority": AUTHORITY, "number": number, "serial": serial, "state": state.value}
                | {"reason": reason.value, "at": at, "root": frontier.root}
            )
            revoked.append({"which": serial, "revoked": at, "why": reason.value, "key": key})
        copy_rows(connection, tables.status_changes, changes)
        _mark_revoked(connection, revoked)
        values = {"status_changes": frontier.size, "status_frontier": frontier.to_bytes()}
        connection.execute(update(tables.authorities).where(tables.authorities.c.name == AUTHORITY).values(values))


def copy_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows in one go: COPY on PostgreSQL, executemany on SQLite."""
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.execute(insert(table), [dict(row) for row in rows])
        return
    names = list(rows[0])
    cursor = connection.connection.cursor()
    with cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:  # type: ignore[attr-defined]
        for row in rows:
            copy.write_row([row[name] for name in names])
    cursor.close()


def _made(splicer: Splicer, number: int, at: datetime) -> _Made:
    person, at = f"soak-{number}", at.replace(microsecond=0)
    made = splicer.make(number, person, at)
    row = {
        "serial": serial_text(made.serial),
        "authority": AUTHORITY,
        "profile": CITIZEN_SIGN,
        "state": CertificateState.ISSUED.value,
        "owner": person,
        "key_id": f"soak-key-{number}",
        "public_key_digest": hashlib.sha256(made.key).hexdigest(),
        "subject_digest": hashlib.sha256(made.subject).hexdigest(),
        "tbs_digest": hashlib.sha256(made.tbs).hexdigest(),
        "evidence": hashlib.sha256(person.encode()).hexdigest(),
        "requested_by": ACTOR,
        "prepared_at": at,
        "issued_at": at,
        "not_before": at,
        "not_after": made.not_after,
    }
    identifier = splicer.naming.identifier(person)
    return _Made(row["serial"], made.tbs, identifier, row)


@contextmanager
def _without_indexes(database: Database) -> Iterator[None]:
    """PostgreSQL: indexes and keys are dropped, and made again in one go afterwards, as for any bulk load."""
    if database.dialect != "postgresql":
        yield
        return
    drop, make = [], []
    tied = [one.name for one in (tables.certificates, tables.public_keys, tables.log_entries, events)]
    with database.engine.connect() as connection:
        keys = connection.execute(
            text(
                "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE contype IN ('p', 'u') AND conrelid::regclass::text = ANY(:tables)"
            ),
            {"tables": tied},
        ).all()
        for table, name, definition in keys:
            drop.append(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            make.append(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
        found = text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(:tables)")
        for name, definition in connection.execute(found, {"tables": tied}):
            if name not in {one.conname for one in keys}:
                drop.append(f"DROP INDEX {name}")
                make.append(definition)
    with database.unit_of_work() as connection:
        for statement in drop:
            connection.exec_driver_sql(statement)
    yield
    with database.unit_of_work() as connection:
        connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '512MB'")
        for statement in make:
            connection.exec_driver_sql(statement)


def _write(
    target: Target, connection: Connection, made: Sequence[_Made], algorithm: bytes, signatures: Sequence[bytes]
) -> None:
    """One batch, as issuing would have left it."""
    rows, openings = [], []
    for one, signature in zip(made, signatures, strict=True):
        whole = der.sequence((one.tbs, algorithm, der.bit_string(signature)))
        rows.append({**one.row, "certificate": whole})
        mark, blinding = label(target.log.origin, one.subject), _RANDOM.bytes(BLINDING_SIZE)
        digest = hashlib.sha256(whole).digest()
        openings.append(Opening(EntryKind.CERTIFICATE, digest, mark, one.row["issued_at"], blinding))
    copy_rows(connection, tables.certificates, rows)
    keys = [{"digest": row["public_key_digest"], "owner": row["owner"], "compromised": False} for row in rows]
    copy_rows(connection, tables.public_keys, keys)
    _log(connection, openings)
    acts = []
    for one in made:
        details = {"profile": CITIZEN_SIGN, "authority": AUTHORITY, "evidence": one.row["evidence"]}
        acts.append(Act(ACTOR, "issuing_ca.certificate_prepared", one.serial, details))
        acts.append(Act(ACTOR, "issuing_ca.certificate_issued", one.serial, {"tbs": one.row["tbs_digest"]}))
    target.trail.append_many(connection, acts)


def _log(connection: Connection, openings: Sequence[Opening]) -> None:
    """Entries with their positions, and the tree that they make; its checkpoint is signed when it is next asked for."""
    head = log_store.head(connection, lock=True)
    entries = [
        {"kind": one.kind.value, "digest": one.digest, "label": one.label, "at": one.at, "blinding": one.blinding}
        | {"entry": one.commitment, "position": head.size + at}
        for at, one in enumerate(openings)
    ]
    copy_rows(connection, tables.log_entries, entries)
    tiles = log_store.tile_reader(connection)
    changed = appended(tiles, head.size, [leaf_hash(one["entry"]) for one in entries])
    size = head.size + len(entries)
    grown = root(lambda level, at: changed.get((level, at)) or tiles(level, at), size)
    log_store.put_tiles(connection, changed)
    log_store.grow(connection, head, size, grown)


def _mark_revoked(connection: Connection, revoked: Sequence[Mapping[str, Any]]) -> None:
    certificates, keys = tables.certificates, tables.public_keys
    state = update(certificates).where(certificates.c.serial == bindparam("which"))
    state = state.values(state=CertificateState.REVOKED.value, revoked_at=bindparam("revoked"), reason=bindparam("why"))
    for some in _chunks(revoked):
        connection.execute(state, [{name: one[name] for name in ("which", "revoked", "why")} for one in some])
    lost = [{"key": one["key"]} for one in revoked if one["why"] == Reason.KEY_COMPROMISE.value]
    mark = update(keys).where(keys.c.digest == bindparam("key")).values(compromised=True)
    for some in _chunks(lost):
        connection.execute(mark, list(some))


def _chunks(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
