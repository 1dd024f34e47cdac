"""CMP where two officers approve: `openssl cmp` polls until they have decided, and nobody polls for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from foundation.db.engine import Database
from foundation.keys.port import KeyStore
from foundation.randomness import SystemRandomness
from issuing_ca.cmp import asn1
from issuing_ca.cmp.message import Message, read, status
from issuing_ca.cmp.service import CmpServer
from issuing_ca.config import IssuingCaSettings
from issuing_ca.enrolment.model import CredentialState, NewEnrolmentCredential
from issuing_ca.errors import DecisionRefused
from issuing_ca.model import CertificateState, Reason
from issuing_ca.ra.model import ApprovalReason, CertificateApplication, RejectionReason, RequestState
from issuing_ca.ra.service import Registration
from tests.ca.enrolment_world import NAME, SUBJECT, EnrolmentWorld, enrolment_world
from tests.ca.ra_world import Persons, officer, registration
from tests.ca.test_cmp_client import Failed, by_key, by_secret, client, cmp_door, leaf
from tests.ca.test_cmp_rules import ask, built, certificate_of, confirmation, csr, failure, octets

WHY = ApprovalReason.CONTROL_VERIFIED
FIRST, SECOND = officer("first"), officer("second")


@pytest.fixture
def door(database: Database, token: KeyStore, tmp_path: Path) -> Iterator[EnrolmentWorld]:
    """TLS servers' certificates take two officers; on SQLite and on PostgreSQL."""
    with enrolment_world(database, token, tmp_path, cmp_door) as world:
        world.world.ca.settings = IssuingCaSettings(two_officers=frozenset({"tls-server"}))
        yield world


@pytest.fixture
def ra(door: EnrolmentWorld) -> Registration:
    return registration(door.world, Persons())


def pending(ra: Registration, count: int = 1) -> tuple[CertificateApplication, ...]:
    """What waits for officers, once as many do."""
    for _ in range(200):
        found = ra.list(None, 50, RequestState.PENDING)
        if len(found) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError("no request came")


@contextmanager
def asking(door: EnrolmentWorld, command: str, *options: str | Path) -> Iterator[list[str]]:
    """`openssl cmp` beside the test; at the end it has ended. Gives what it complained of."""
    said: list[str] = []

    def run() -> None:
        try:
            client(door, command, *options)
        except Failed as failed:
            said.append(str(failed))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield said
    finally:
        thread.join(60)
        assert not thread.is_alive()


def approved(ra: Registration, one: CertificateApplication) -> CertificateApplication:
    ra.approve(FIRST, one.id, WHY)
    return ra.approve(SECOND, one.id, WHY)


def test_openssl_waits_until_two_officers_have_approved(door: EnrolmentWorld, ra: Registration) -> None:
    """ir by secret and kur by the certificate: nothing is issued while one officer alone has approved, then the client
    has its certificate and confirms it; who made the credential does not decide; the credential is used up."""
    given = {"subject": SUBJECT, "names": (NAME,), "owner": "organisation:specimen", "actor": "officer:asks"}
    made = door.service.new_credential("tls-server", **given)  # type: ignore[arg-type]
    first, second, key = door.folder / "first.pem", door.folder / "second.pem", door.key("one")
    with asking(door, "ir", *by_secret(made), "-newkey", key, "-subject", f"/CN={NAME}", "-certout", first) as said:
        one = pending(ra)[0]
        assert (one.requested_by, one.profile) == (f"cmp:{made.credential.reference}", "tls-server")
        with pytest.raises(DecisionRefused, match="RA-OTHER"):
            ra.approve(officer(made.credential.created_by.partition(":")[2]), one.id, WHY)
        ra.approve(FIRST, one.id, WHY)
        assert not [it for it in door.world.ca.certificates() if it.owner == one.owner]
        done = ra.approve(SECOND, one.id, WHY)
    assert (said, done.state) == ([], RequestState.ISSUED)
    record = door.world.ca.certificate(str(done.serial))
    assert f"{leaf(first).serial_number:x}" == record.serial
    assert (record.state, record.requested_by) == (CertificateState.ISSUED, one.requested_by)
    assert door.service.credentials(None, 10)[0].state is CredentialState.USED
    wanted = (*by_key(first, key), "-newkey", door.key("two"), "-implicit_confirm", "-certout", second)
    with asking(door, "kur", *wanted) as said:
        approved(ra, pending(ra)[0])
    assert said == []
    assert leaf(second).subject == leaf(first).subject
    assert leaf(second).public_key() != leaf(first).public_key()


def test_openssl_is_told_why_officers_refused(door: EnrolmentWorld, ra: Registration) -> None:
    """A PKCS#10 request that an officer rejects: the client learns the reason; for the same key it stays refused, for
    another one officers are asked anew."""
    made, key, out = door.credential(), door.key("one"), door.folder / "out.pem"
    wanted = ("p10cr", *by_secret(made), "-csr", door.csr(key), "-certout", out)
    with asking(door, *wanted) as said:
        ra.reject(FIRST, pending(ra)[0].id, RejectionReason.NOT_ENTITLED, "no such host")
    assert "not-entitled" in said[0], said
    assert not out.exists()
    with asking(door, *wanted) as said:
        pass
    assert "enrolment_not_approved" in said[0], said
    again = ("p10cr", *by_secret(made), "-csr", door.csr(door.key("two")), "-certout", out)
    with asking(door, *again) as said:
        approved(ra, pending(ra)[0])
    assert said == []
    assert leaf(out).subject.rfc4514_string() == f"CN={NAME},O=SPECIMEN Ministry,C=KH"


def waiting(door: EnrolmentWorld, made: NewEnrolmentCredential, request: bytes, **header: Any) -> Message:
    """The answer to a request that officers have to approve."""
    answer = ask(door, built(made, asn1.P10CR, request, **header))
    response = asn1.CertRepMessage.load(answer.body)["responses"][0]
    assert (answer.kind, response["status"]["status"].native, response["pair"].native) == (asn1.CP, 3, None)
    return answer


def poll(door: EnrolmentWorld, made: NewEnrolmentCredential, last: Message, number: int = -1, **header: Any) -> Message:
    told = {
        "transaction_id": last.header["transaction_id"].native,
        "recip_nonce": last.header["sender_nonce"].native,
    }
    return ask(door, built(made, asn1.POLL_REQ, asn1.PollReqContent([{"id": number}]).dump(), **(told | header)))


def polling(door: EnrolmentWorld) -> Any:
    """The one transaction that waits for officers, once there is one."""
    for _ in range(200):
        with door.world.database.read() as connection:
            row = connection.exec_driver_sql("SELECT * FROM cmp_transactions WHERE state = 'polling'").one_or_none()
        if row is not None:
            return row
        time.sleep(0.1)
    raise AssertionError("no transaction waits")


def after(answer: Message) -> int:
    assert answer.kind == asn1.POLL_REP
    report = asn1.PollRepContent.load(answer.body, strict=True)
    assert (len(report), report[0]["id"].native) == (1, -1)
    return int(report[0]["check_after"].native)


def test_nobody_polls_for_another(door: EnrolmentWorld, ra: Registration) -> None:
    """Another credential, another transaction, another number, a nonce that is not the last one, a confirmation before
    its time: each is refused, and the one who asked goes on."""
    made, other = door.credential(), door.credential(owner="organisation:other")
    answer = waiting(door, made, csr())
    assert failure(poll(door, other, answer)) == 2
    assert failure(poll(door, made, answer, transaction_id=octets())) == 2
    assert failure(poll(door, made, answer, number=0)) == 2
    assert failure(poll(door, made, answer, recip_nonce=octets())) == 13
    assert failure(poll(door, made, answer, recip_nonce=None)) == 13
    two = asn1.PollReqContent([{"id": -1}, {"id": -1}]).dump()
    header = {
        "transaction_id": answer.header["transaction_id"].native,
        "recip_nonce": answer.header["sender_nonce"].native,
    }
    assert failure(ask(door, built(made, asn1.POLL_REQ, two, **header))) == 2
    assert failure(ask(door, confirmation(made, answer, b""))) == 2
    report = poll(door, made, answer)
    assert after(report) == 2
    assert failure(poll(door, made, answer)) == 13  # the last answer's nonce, not the first one's
    approved(ra, pending(ra)[0])
    assert failure(poll(door, other, report)) == 2
    last = poll(door, made, report)
    certificate = certificate_of(last)
    assert failure(poll(door, made, last)) == 2  # it has come
    assert ask(door, confirmation(made, last, certificate)).kind == asn1.PKICONF


def test_a_poll_is_under_the_certificate_that_asked(door: EnrolmentWorld, ra: Registration) -> None:
    """Another certificate that followed from the same credential does not go on with the transaction: the row says who
    began it, and a poll by secret is not by that certificate."""
    made, first, key = door.credential(), door.folder / "first.pem", door.key("one")
    with asking(door, "ir", *by_secret(made), "-newkey", key, "-subject", f"/CN={NAME}", "-certout", first):
        approved(ra, pending(ra)[0])
    wanted = (*by_key(first, key), "-newkey", door.key("two"), "-certout", first, "-total_timeout", "6")
    with pytest.raises(Failed):
        client(door, "kur", *wanted)
    row = polling(door)
    assert row.signer == f"{leaf(first).serial_number:x}"
    content = asn1.PollReqContent([{"id": 0}]).dump()
    header = {"transaction_id": bytes(row.id), "recip_nonce": bytes(row.nonce)}
    assert failure(ask(door, built(made, asn1.POLL_REQ, content, **header))) == 2


def test_one_request_at_a_time_and_longer_and_longer_intervals(door: EnrolmentWorld, ra: Registration) -> None:
    """The same key asked for again is the same request, and the newer transaction alone is answered; another key has to
    wait; the older a request, the later the next poll."""
    made, request = door.credential(), csr()
    old = waiting(door, made, request)
    new = waiting(door, made, request)
    assert len(pending(ra)) == 1
    assert failure(poll(door, made, old)) == 2
    assert failure(ask(door, built(made, asn1.P10CR, csr()))) == 23
    door.world.clock.advance(timedelta(minutes=10))
    report = poll(door, made, new)
    assert after(report) == 60
    door.world.clock.advance(timedelta(days=20))
    report = poll(door, made, report)
    assert after(report) == 3600
    one = approved(ra, pending(ra)[0])
    # a transaction of its own, after all: the certificate at once
    answer = ask(door, built(made, asn1.P10CR, request))
    assert f"{x509.load_der_x509_certificate(certificate_of(answer)).serial_number:x}" == one.serial


def test_a_request_that_runs_out_and_a_certificate_that_nobody_comes_for(
    door: EnrolmentWorld, ra: Registration
) -> None:
    """After thirty days the client is told so, and may ask anew. A certificate that was approved, and that the machine
    never came for, is revoked by upkeep, once; a withdrawn credential polls no more."""
    server = CmpServer(door.service, door.world.database, door.world.clock, SystemRandomness(), door.world.audit)
    made, request = door.credential(days=200), csr()
    answer = waiting(door, made, request)
    door.world.clock.advance(timedelta(days=30, seconds=1))
    last = poll(door, made, answer)
    response = asn1.CertRepMessage.load(last.body)["responses"][0]
    assert (response["status"]["status"].native, response["pair"].native) == (2, None)
    assert "expired" in response["status"]["text"].native[0]
    answer = waiting(door, made, request)
    one = approved(ra, pending(ra)[0])
    assert server.revoke_unconfirmed() == 0
    door.world.clock.advance(timedelta(days=31, seconds=1))
    assert failure(poll(door, made, answer)) == 2
    assert [server.revoke_unconfirmed() for _ in range(2)] == [1, 0]
    record = door.world.ca.certificate(str(one.serial))
    assert (record.state, record.reason) == (CertificateState.REVOKED, Reason.CESSATION_OF_OPERATION)
    assert failure(ask(door, built(made, asn1.P10CR, request))) == 4
    third = door.credential(owner="organisation:third")
    answer = waiting(door, third, csr())
    door.service.withdraw(third.credential.reference, "officer:asks")
    assert failure(poll(door, third, answer)) == 1


def test_polling_goes_on_after_a_restart(door: EnrolmentWorld, ra: Registration) -> None:
    """Another server process on the same database answers the next poll, and delivers; a certificate that is then
    rejected by the client is revoked."""
    made = door.credential()
    answer = waiting(door, made, csr())
    one = approved(ra, pending(ra)[0])
    server = CmpServer(door.service, door.world.database, door.world.clock, SystemRandomness(), door.world.audit)
    header = {
        "transaction_id": answer.header["transaction_id"].native,
        "recip_nonce": answer.header["sender_nonce"].native,
    }
    last = read(server.answer(built(made, asn1.POLL_REQ, asn1.PollReqContent([{"id": -1}]).dump(), **header)))
    certificate = certificate_of(last)
    assert ask(door, confirmation(made, last, certificate, status=status(2))).kind == asn1.PKICONF
    assert door.world.ca.certificate(str(one.serial)).state is CertificateState.REVOKED


def test_what_was_asked_for_before_the_setting_takes_two_officers_now(door: EnrolmentWorld, ra: Registration) -> None:
    """A credential from before does not go past the officers either."""
    two, door.world.ca.settings = door.world.ca.settings, IssuingCaSettings()
    made = door.credential()
    door.world.ca.settings = two
    waiting(door, made, csr())
    assert len(pending(ra)) == 1
    assert [one for one in door.world.ca.certificates() if one.owner == "organisation:specimen"] == []
