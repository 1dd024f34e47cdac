"""Many certificates: what `bench.ca_load` makes is true, and the queries that services ask find their indexes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from sqlalchemy import Connection, event, select

from bench.ca_load import ACTOR, load_certificates, load_revocations
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from issuing_ca import log_store, ocsp_store, store, tables
from issuing_ca.config import IssuingCaSettings
from issuing_ca.crl_scopes import partition_of
from issuing_ca.log import IssuanceLog
from issuing_ca.model import CertificateState
from issuing_ca.rollback import verify_journal
from issuing_ca.service import CertificateAuthority
from tests.ca.ca_world import World
from tests.ca.log_world import with_log

CERTIFICATES, REVOKED = 1000, 100


@dataclass(frozen=True)
class Filled:
    """A CA with its log, as `bench.ca_load` wants it."""

    ca: CertificateAuthority
    database: Database
    log: IssuanceLog
    trail: AuditTrail
    clock: Clock


@pytest.fixture
def filled(world: World) -> Filled:
    """Runs twice: on SQLite and on PostgreSQL."""
    world.ca = world.again(IssuingCaSettings(crl_partitions=16))
    log = with_log(world).log
    filled = Filled(world.ca, world.database, log, world.audit, world.clock)
    load_certificates(filled, CERTIFICATES)
    load_revocations(filled, REVOKED)
    with filled.database.unit_of_work() as connection:
        connection.exec_driver_sql("ANALYZE")
    return filled


def serials(filled: Filled, state: CertificateState) -> list[str]:
    with filled.database.read() as connection:
        certificates = tables.certificates.c
        query = select(certificates.serial).where(certificates.requested_by == ACTOR, certificates.state == state.value)
        return list(connection.execute(query).scalars())


def test_what_is_loaded_is_what_issuing_would_have_left(filled: Filled) -> None:
    """Log, journal and audit chain are rebuilt; every certificate verifies and is in the log; OCSP and the partitions'
    CRLs tell exactly the revoked ones."""
    assert filled.log.integrate() == filled.log.verify() == CERTIFICATES
    assert verify_journal(filled.database)["issuing"] == REVOKED
    assert filled.trail.verify(filled.database) >= 2 * CERTIFICATES
    revoked, issued = (set(serials(filled, state)) for state in (CertificateState.REVOKED, CertificateState.ISSUED))
    assert (len(revoked), len(issued)) == (REVOKED, CERTIFICATES - REVOKED)
    issuer = filled.ca.authorities.get("issuing").certificate
    for serial in sorted(issued)[:50] + sorted(revoked)[:50]:
        record = filled.ca.certificate(serial)
        certificate = x509.load_der_x509_certificate(record.certificate or b"")
        certificate.verify_directly_issued_by(issuer)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(record.certificate or b"")
        assert filled.log.inclusion(digest.finalize()).index < CERTIFICATES
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256()).build()
        answer = ocsp.load_der_ocsp_response(filled.ca.ocsp.answer(asked.public_bytes(Encoding.DER)).response)
        assert (answer.certificate_status is ocsp.OCSPCertStatus.REVOKED) == (serial in revoked)
    listed: set[str] = set()
    for index in range(16):
        crl = x509.load_der_x509_crl(filled.ca.lists.current("issuing", partition_of(index, 16)).crl)
        here = {format(entry.serial_number, "x") for entry in crl}
        assert {int(serial, 16) % 16 for serial in here} <= {index}
        listed |= here
    assert listed == revoked


def test_services_never_read_the_whole_table(filled: Filled, clock: Clock) -> None:
    """Each of the queries, as its function asks it, is planned with the index that was made for it."""
    now = clock.now()
    asked: dict[str, Callable[[Connection], object]] = {
        "ca_certificates_listed": lambda on: list(store.revoked(on, "issuing", "a7")),
        "ca_certificates_in_crl": lambda on: list(store.revoked(on, "issuing")),
        "ca_certificates_unfinished": lambda on: store.orphans(on, now),
        "ca_certificates_key_wanted": store.keys_wanted,
        "ca_certificates_issued": lambda on: ocsp_store.without(on, "issuing", now, 10),
        "ca_certificates_state": lambda on: store.page(on, "4", 10, CertificateState.HELD, None),
        "kind": lambda on: log_store.entry_of(on, bytes(32)),
    }
    for index, ask in asked.items():
        assert index in _plan(filled.database, ask)


def _plan(database: Database, ask: Callable[[Connection], object]) -> str:
    """The plan of the statement that ``ask`` executes on a connection."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: Any) -> None:
        asked.append((statement, parameters))

    with database.read() as connection:
        event.listen(connection, "before_cursor_execute", note)
        ask(connection)
        [(statement, parameters)] = asked
        cursor = connection.connection.cursor()
        if connection.dialect.name == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # a table as small as this one is read whole
            cursor.execute(f"EXPLAIN DECLARE asked CURSOR FOR {statement}", parameters)  # as long answers are read
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plan = "\n".join(str(row) for row in cursor.fetchall())
        cursor.close()
    return plan
