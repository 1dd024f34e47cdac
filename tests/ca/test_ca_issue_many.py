"""Many certificates in shared commits: the same as one by one, and one's failure is its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import event, func, select, update

from foundation.clock import SetClock
from foundation.db import audit
from foundation.db.engine import Database
from foundation.keys.errors import PolicyRefused, TokenUnavailable
from foundation.keys.port import KeyStore, Mechanism
from foundation.x509.errors import ProfileMismatch, SignatureWrong
from issuing_ca.errors import KeyInUse, ProfileUnknown
from issuing_ca.model import CertificateRequest, CertificateState, IssuedCertificate, Reason
from issuing_ca.tables import certificates
from tests.ca.ca_world import OPERATOR, World, down, make_world, up
from tests.ca.log_world import with_log
from tests.faults import REFUSALS, SIGNING, WRONG_SIGNATURES, Fault, FaultyKeys

SUBJECT = (("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Officer"))


def officers(count: int) -> list[CertificateRequest]:
    """Requests of as many officers, each with a key of their own."""
    keys = [ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(count)]
    return [
        CertificateRequest("issuing", "officer", SUBJECT, key, f"officer-{number}", OPERATOR)
        for number, key in enumerate(keys)
    ]


def issued(outcomes: Sequence[IssuedCertificate | Exception]) -> list[IssuedCertificate]:
    return [one for one in outcomes if isinstance(one, IssuedCertificate)]


def states(world: World) -> list[CertificateState]:
    return sorted(record.state for record in world.ca.certificates(limit=200))


def actions(world: World) -> list[str]:
    with world.database.read() as connection:
        return list(connection.execute(select(audit.events.c.action).order_by(audit.events.c.sequence)).scalars())


@pytest.fixture
def commits(database: Database) -> list[str]:
    """Grows by one with every commit."""
    seen: list[str] = []
    event.listen(database.engine, "commit", lambda _: seen.append("commit"))
    return seen


def test_many_share_two_commits_and_one_round_trip(world: World, commits: list[str]) -> None:
    """Forty certificates: intents, then signatures, then results; each verified, recorded, logged and in the trail."""
    logged, trips, requests = with_log(world), list[str](), officers(40)
    world.ca.issue_now(officers(1)[0])  # the template is compiled
    before, world.keys.before = len(actions(world)), trips.append
    commits.clear()
    outcomes = issued(world.ca.issue_many(requests))
    assert (len(commits), trips) == (2, ["sign"])
    assert len({one.serial for one in outcomes}) == 40
    issuer = world.ca.authorities.get("issuing").certificate
    for request, one in zip(requests, outcomes, strict=True):
        one.certificate.verify_directly_issued_by(issuer)
        assert one.certificate.public_key() == request.public_key
        record = world.ca.certificate(one.serial)
        assert (record.owner, record.state) == (request.owner, CertificateState.ISSUED)
        assert x509.load_der_x509_certificate(record.certificate or b"") == one.certificate
    assert actions(world)[before:] == [
        *["issuing_ca.certificate_prepared"] * 40,
        *["issuing_ca.certificate_issued"] * 40,
    ]
    assert world.audit.verify(world.database) == before + 80
    assert logged.log.integrate() == 41 == logged.log.verify()
    assert world.ca.orphans() == ()


def test_intents_are_committed_before_anything_is_signed(world: World) -> None:
    """While the token signs, another connection sees all of them as being signed, with the octets that are signed."""
    seen: list[tuple[str, bool]] = []

    def look(operation: str) -> None:
        if operation == "sign":
            with world.database.read() as connection:
                rows = connection.execute(select(certificates.c.state, certificates.c.tbs))
                seen.extend((row.state, row.tbs is not None) for row in rows)

    world.keys.before = look
    assert len(issued(world.ca.issue_many(officers(5)))) == 5
    assert seen == [("signing", True)] * 5


def test_what_one_asks_wrong_is_its_own(world: World) -> None:
    """An unknown profile, a subject that does not fit, another's key, a compromised one: refused, the others issued."""
    requests = officers(8)
    compromised = world.ca.issue_now(requests[5])
    world.ca.revoke(compromised.serial, Reason.KEY_COMPROMISE, OPERATOR)
    requests[1] = replace(requests[1], profile="unheard-of")
    requests[3] = replace(requests[3], subject=(("C", "KH"), ("O", "Real"), ("CN", "Real")))
    requests[6] = replace(requests[6], public_key=requests[2].public_key)  # of another owner, in the same call
    requests[7] = replace(requests[7], public_key=requests[0].public_key, owner=requests[0].owner)  # the same owner's
    outcomes = world.ca.issue_many(requests)
    assert [type(one) for one in outcomes] == [
        IssuedCertificate,
        ProfileUnknown,
        IssuedCertificate,
        ProfileMismatch,
        IssuedCertificate,
        KeyInUse,
        KeyInUse,
        IssuedCertificate,
    ]
    assert states(world) == [CertificateState.ISSUED] * 4 + [CertificateState.REVOKED]
    assert world.audit.verify(world.database) > 0


def test_a_serial_number_that_is_taken_is_its_own_s_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source of randomness repeats itself once: that one is refused, the others are issued, nothing is written
    twice."""
    first = world.ca.issue_now(officers(1)[0])
    draws = iter([1, int(first.serial, 16), 2])

    def drawn(_: object) -> int:
        number = next(draws)
        return number if number > 2 else (1 << 126) + number

    monkeypatch.setattr("issuing_ca.drafts.serial_number", drawn)
    outcomes = world.ca.issue_many(officers(3))
    assert [isinstance(one, IssuedCertificate) for one in outcomes] == [True, False, True]
    assert "unique" in str(outcomes[1]).lower()
    assert states(world) == [CertificateState.ISSUED] * 3
    assert actions(world).count("issuing_ca.certificate_prepared") == 3
    assert world.audit.verify(world.database) > 0


def test_a_result_that_cannot_be_stored_is_its_own_s_failure(world: World) -> None:
    """One of four is closed by somebody else while it is signed: its certificate is not stored, the others are."""

    def close_one(operation: str) -> None:
        if operation == "sign":
            with world.database.unit_of_work() as connection:
                which = select(func.min(certificates.c.serial)).scalar_subquery()
                connection.execute(update(certificates).where(certificates.c.serial == which).values(state="abandoned"))

    world.keys.before = close_one
    outcomes = world.ca.issue_many(officers(4))
    assert sorted(type(one).__name__ for one in outcomes) == ["IssuedCertificate"] * 3 + ["StaleWrite"]
    assert states(world) == [CertificateState.ABANDONED] + [CertificateState.ISSUED] * 3
    assert actions(world).count("issuing_ca.certificate_issued") == 3
    assert world.audit.verify(world.database) > 0


def test_a_wrong_signature_is_its_own_s_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit of the second of four signatures is turned over: that one is closed, the others are issued."""
    sign = world.keys.sign_many

    def flipped(*given: Any, **more: Any) -> list[bytes]:
        made = sign(*given, **more)
        return [made[0], made[1][:-1] + bytes([made[1][-1] ^ 1]), *made[2:]]

    monkeypatch.setattr(world.keys, "sign_many", flipped)
    outcomes = world.ca.issue_many(officers(4))
    assert isinstance(outcomes[1], SignatureWrong)
    assert len(issued(outcomes)) == 3
    assert states(world) == [CertificateState.ABANDONED] + [CertificateState.ISSUED] * 3
    assert actions(world).count("issuing_ca.issuance_failed") == 1
    assert world.audit.verify(world.database) > 0


def test_what_the_token_will_not_sign_is_its_own_s_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token refuses the whole list because of one: each is asked for by itself, and that one alone is refused."""
    sign, refused = world.keys.sign, list[bytes]()

    def refuse_all(*_: Any, **__: Any) -> list[bytes]:
        raise PolicyRefused

    def refuse_one(key_id: str, mechanism: Mechanism, data: bytes, **more: Any) -> bytes:
        if not refused:
            refused.append(data)
            raise PolicyRefused
        return sign(key_id, mechanism, data, **more)

    monkeypatch.setattr(world.keys, "sign_many", refuse_all)
    monkeypatch.setattr(world.keys, "sign", refuse_one)
    outcomes = world.ca.issue_many(officers(4))
    assert isinstance(outcomes[0], PolicyRefused)
    assert len(issued(outcomes)) == 3
    assert states(world) == [CertificateState.ABANDONED] + [CertificateState.ISSUED] * 3


@pytest.mark.parametrize("fault", [*REFUSALS, *WRONG_SIGNATURES])
def test_no_fault_of_the_token_leaves_anything_half_done(
    fault: Fault, database: Database, clock: SetClock, token: KeyStore, tmp_path: Path
) -> None:
    """Whatever the token does to a list of signatures: each is issued and verifies, or is closed; none is an orphan."""
    keys = FaultyKeys(token)
    world = make_world(database, clock, keys, tmp_path)  # type: ignore[arg-type]
    world.ca.issue_now(officers(1)[0])  # so that there is a signature to replay
    keys.next(fault, *SIGNING)
    outcomes = world.ca.issue_many(officers(3))
    assert keys.met == 1
    wanted = [CertificateState.ISSUED] * (1 + len(issued(outcomes)))
    assert states(world) == [CertificateState.ABANDONED] * (4 - len(wanted)) + wanted
    for one in issued(outcomes):
        one.certificate.verify_directly_issued_by(world.ca.authorities.get("issuing").certificate)
    assert world.ca.orphans() == ()
    assert world.audit.verify(world.database) > 0
    assert len(issued(world.ca.issue_many(officers(3)))) == 3


def test_a_token_that_is_down_closes_all_and_is_not_asked_again(world: World) -> None:
    """No orphan is left, everybody is told, and the token is asked once, not once for each."""
    trips: list[str] = []

    def refuse(operation: str) -> None:
        trips.append(operation)
        down("sign")(operation)

    world.keys.before = refuse
    outcomes = world.ca.issue_many(officers(3))
    assert [type(one) for one in outcomes] == [TokenUnavailable] * 3
    assert trips.count("sign") == 1
    assert states(world) == [CertificateState.ABANDONED] * 3
    world.keys.before = up
    assert len(issued(world.ca.issue_many(officers(3)))) == 3
    assert world.audit.verify(world.database) > 0


def test_many_that_are_killed_are_orphans_by_name(world: World) -> None:
    """Killed while signing: each is named after a restart, and closed as revoked."""

    class Killed(BaseException):
        pass

    def kill(operation: str) -> None:
        if operation == "sign":
            raise Killed

    world.keys.before = kill
    with pytest.raises(Killed):
        world.ca.issue_many(officers(3))
    world.keys.before = up
    world.clock.advance(timedelta(minutes=2))
    after = world.again()
    orphans = after.orphans()
    assert [one.signing for one in orphans] == [True] * 3
    for one in orphans:
        after.abandon(one.serial, OPERATOR)
    assert states(world) == [CertificateState.REVOKED] * 3
    assert len(x509.load_der_x509_crl(after.current_crl("issuing"))) == 3


def test_threads_share_commits(world: World, commits: list[str]) -> None:
    """Twelve threads while the first is held at the token: the others wait in line, and share what follows."""
    world.ca.issue_now(officers(1)[0])
    entered, go = threading.Semaphore(0), threading.Event()

    def hold(operation: str) -> None:
        if operation == "sign":
            entered.release()
            assert go.wait(60)

    commits.clear()
    world.keys.before = hold
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(world.ca.issue_now, request) for request in officers(12)]
        for _ in range(2):
            assert entered.acquire(timeout=60)  # two groups of one each are at work
        _until(lambda: len(world.ca.issuance._group._line) == 10)
        go.set()
        serials = {one.result(60).serial for one in asked}
    assert len(serials) == 12
    assert len(commits) == 6  # two alone, ten together: two commits each
    assert states(world) == [CertificateState.ISSUED] * 13
    assert world.audit.verify(world.database) > 0


def _until(holds: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(3000):
        if holds():
            return
        waited.wait(0.01)
    raise AssertionError("waited in vain")
