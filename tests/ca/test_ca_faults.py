"""The issuing CA, its OCSP answers, CRLs, timestamps and log on a token that fails: told by its error, nothing half
written, no wrong signature given out, and the next try works.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import tsp
from cryptography import x509
from cryptography.x509 import ocsp
from sqlalchemy import select

from foundation.clock import SetClock
from foundation.db import audit
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.keys.errors import KeyStoreError, SignatureInvalid
from foundation.keys.handles import public_key
from foundation.keys.port import KeyStore
from foundation.x509.errors import SignatureWrong
from issuing_ca.model import CertificateState, Reason
from issuing_ca.ocsp_message import ResponseStatus
from tests.ca.ca_world import OPERATOR, World, make_world
from tests.ca.log_world import with_log
from tests.ca.test_ca_ocsp import request
from tests.ca.test_ca_timestamps import DOCUMENT, failure
from tests.faults import REFUSALS, SIGNING, WRONG_SIGNATURES, Fault, FaultyKeys

FAULTS = [*REFUSALS, *WRONG_SIGNATURES]


class Faulty:
    """The CA's world on a token that fails when it is told to."""

    def __init__(self, world: World, token: FaultyKeys) -> None:
        self.world, self.ca, self.token = world, world.ca, token

    def fails(self, fault: Fault, times: int = 1) -> None:
        self.token.next(fault, *SIGNING, times=times)


@pytest.fixture
def faulty(database: Database, clock: SetClock, token: KeyStore, tmp_path: Path) -> Faulty:
    """On SQLite and on PostgreSQL."""
    keys = FaultyKeys(token)
    return Faulty(make_world(database, clock, keys, tmp_path), keys)  # type: ignore[arg-type]


@pytest.fixture
def small_faulty(sqlite_database: Database, clock: SetClock, token: KeyStore, tmp_path: Path) -> Faulty:
    """On SQLite alone."""
    keys = FaultyKeys(token)
    return Faulty(make_world(sqlite_database, clock, keys, tmp_path), keys)  # type: ignore[arg-type]


def error_of(fault: Fault) -> tuple[type[CamTrustError], ...]:
    return (SignatureWrong, SignatureInvalid) if fault in WRONG_SIGNATURES else (KeyStoreError,)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_certificate_comes_of_a_fault(faulty: Faulty, fault: Fault) -> None:
    """The failure is told by its code, in the audit trail too; the serial number is closed; asking again works."""
    world, person = faulty.world, faulty.world.person()
    world.citizen()  # so that there is a signature to replay
    faulty.fails(fault)
    with pytest.raises(error_of(fault)) as told:
        faulty.ca.issue_citizen(person)
    assert faulty.token.met == 1
    states = sorted(record.state for record in faulty.ca.certificates())
    assert states == sorted([CertificateState.ABANDONED, CertificateState.ISSUED])
    assert faulty.ca.orphans() == ()
    issued = faulty.ca.issue_citizen(world.approved(person))
    issued.certificate.verify_directly_issued_by(faulty.ca.authorities.get("issuing").certificate)
    with world.database.read() as connection:
        failed = audit.events.c.action == "issuing_ca.issuance_failed"
        (details,) = connection.execute(select(audit.events.c.details).where(failed)).scalars()
    assert told.value.code in str(details)
    assert world.audit.verify(world.database) > 0


@pytest.mark.parametrize("fault", FAULTS)
def test_no_status_comes_of_a_fault(small_faulty: Faulty, fault: Fault) -> None:
    """tryLater or internalError, which are unsigned and no status; then the right one."""
    world, ca = small_faulty.world, small_faulty.ca
    issued, issuer = world.citizen(), ca.authorities.get("issuing").certificate
    asked = request(issued.certificate, issuer)
    assert ca.ocsp.answer(asked).status is ResponseStatus.SUCCESSFUL
    world.clock.advance(timedelta(minutes=1))  # in the same second, the signature before would be the right one
    small_faulty.fails(fault)
    answer = ca.ocsp.answer(asked)
    assert answer.status in (ResponseStatus.TRY_LATER, ResponseStatus.INTERNAL_ERROR)
    assert len(answer.response) == 5
    assert small_faulty.token.met == 1
    again = ocsp.load_der_ocsp_response(ca.ocsp.answer(asked).response)
    assert again.certificate_status is ocsp.OCSPCertStatus.GOOD


@pytest.mark.parametrize("fault", FAULTS)
def test_no_timestamp_comes_of_a_fault(small_faulty: Faulty, fault: Fault) -> None:
    """systemFailure and no token; then one that holds what was asked."""
    ca, digest = small_faulty.ca, hashlib.sha256(DOCUMENT).digest()
    asked = tsp.TimeStampReq(
        {"version": 1, "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest}}
    ).dump()
    assert failure(ca.timestamps.timestamp(asked)) is None
    small_faulty.fails(fault)
    assert failure(ca.timestamps.timestamp(asked)) == "system_failure"
    small_faulty.fails(fault)
    with pytest.raises(error_of(fault)):
        ca.timestamps.token(digest, "sha256")
    assert small_faulty.token.met == 2
    assert failure(ca.timestamps.timestamp(asked)) is None


@pytest.mark.parametrize("fault", FAULTS)
def test_a_revocation_stands_though_its_list_cannot_be_signed(faulty: Faulty, fault: Fault) -> None:
    """The certificate is revoked; no CRL is published that is not signed rightly, numbers do not jump back, and the
    next list has the certificate.
    """
    world, ca = faulty.world, faulty.ca
    before = x509.load_der_x509_crl(ca.current_crl("issuing"))
    issued = world.citizen()
    ca.revoke(issued.serial, Reason.SUPERSEDED, OPERATOR)
    world.clock.advance(ca.settings.crl_validity * 2)
    faulty.fails(fault)
    with pytest.raises(error_of(fault)):
        ca.current_crl("issuing")
    assert faulty.token.met == 1
    assert ca.certificate(issued.serial).state is CertificateState.REVOKED
    after = x509.load_der_x509_crl(ca.current_crl("issuing"))
    assert after.is_signature_valid(ca.authorities.get("issuing").certificate.public_key())  # type: ignore[arg-type]
    assert after.get_revoked_certificate_by_serial_number(issued.certificate.serial_number) is not None
    numbers = [one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for one in (before, after)]
    assert numbers[1] > numbers[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_no_checkpoint_comes_of_a_fault(small_faulty: Faulty, fault: Fault) -> None:
    """The old checkpoint stands, nothing new is published; the next call signs the tree."""
    logged = with_log(small_faulty.world)
    logged.record(2)
    before = logged.log.checkpoint()
    logged.record(2)
    small_faulty.fails(fault)
    with pytest.raises(CamTrustError):
        logged.log.checkpoint()
    assert small_faulty.token.met == 1
    after = logged.again().checkpoint()
    assert (before.split(b"\n")[1], after.split(b"\n")[1]) == (b"2", b"4")


def test_a_storm_ends_and_nothing_is_left_of_it(faulty: Faulty) -> None:
    """Eight errors one after the other close eight serial numbers; the ninth try issues."""
    person = faulty.world.person()
    faulty.fails(Fault.STORM, times=8)
    for _ in range(8):
        with pytest.raises(KeyStoreError):
            faulty.ca.issue_citizen(faulty.world.approved(person))
    assert faulty.ca.issue_citizen(faulty.world.approved(person)).serial
    states = [record.state for record in faulty.ca.certificates()]
    assert states.count(CertificateState.ABANDONED) == 8
    assert states.count(CertificateState.ISSUED) == 1


def test_a_slow_token_mixes_nothing_up(faulty: Faulty) -> None:
    """Four threads and answers that overtake each other: each person gets the certificate of their own key."""
    persons = [faulty.world.person() for _ in range(8)]
    for _ in range(4):
        faulty.fails(Fault.SLOW)
    with ThreadPoolExecutor(4) as pool:
        issued = list(pool.map(faulty.ca.issue_citizen, persons))
    for person, one in zip(persons, issued, strict=True):
        assert one.certificate.public_key() == public_key(faulty.world.keys.get(person.key_id))
        one.certificate.verify_directly_issued_by(faulty.ca.authorities.get("issuing").certificate)
    assert len({one.serial for one in issued}) == 8


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_key_that_cannot_be_switched_is_switched_later(small_faulty: Faulty, fault: Fault) -> None:
    """The token fails while a certificate is suspended: the status stands, and reconciling disables the key."""
    world, ca, person = small_faulty.world, small_faulty.ca, small_faulty.world.person()
    issued = ca.issue_citizen(person)
    small_faulty.token.next(fault, "set_enabled")
    ca.revoke(issued.serial, Reason.CERTIFICATE_HOLD, OPERATOR)
    assert ca.certificate(issued.serial).state is CertificateState.HELD
    ca.reconcile()
    assert not world.keys.get(person.key_id).enabled
