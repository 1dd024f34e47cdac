"""No citizen's certificate without the registration authority's statement: whoever owns the API or the database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select, update

from foundation.approval import ApprovalRefused
from foundation.errors import CamTrustError
from foundation.keys.errors import TokenUnavailable
from foundation.keys.handles import public_key
from foundation.x509.names import subject_name
from issuing_ca.approvals import Approvals
from issuing_ca.model import CertificateRequest, CertificateState, CitizenRequest
from issuing_ca.tables import approvals, certificates
from tests.ca.ca_world import AUTHORITY, World, down, up
from tests.ca.test_ca_issuance import officer_request
from tests.registration_authority import SoftwareAuthority


def refused(call: Callable[[], object]) -> tuple[object, object]:
    """Rule and field of the refusal."""
    with pytest.raises(ApprovalRefused) as told:
        call()
    return told.value.params["rule"], told.value.params["field"]


def attempt(world: World, request: CitizenRequest, **said: object) -> tuple[object, object]:
    """Ask with a statement that says this otherwise; refused, and nothing is reserved."""
    before = len(world.ca.certificates())
    statement = replace(world.statement(request), **said)  # type: ignore[arg-type]
    outcome = refused(lambda: world.ca.issue_citizen(replace(request, approval=AUTHORITY.sign(statement))))
    assert len(world.ca.certificates()) == before
    return outcome


def as_certificate(world: World, request: CitizenRequest, approval: bytes | None) -> CertificateRequest:
    """The request as it comes to the two steps."""
    settings = world.ca.settings
    return CertificateRequest(
        authority="issuing",
        profile="citizen-sign",
        subject=settings.naming.subject(request.person_id, request.surname, request.given_name, request.khmer_name),
        public_key=public_key(world.keys.get(request.key_id)),
        owner=request.person_id,
        requested_by=request.requested_by,
        key_id=request.key_id,
        evidence=request.evidence,
        policies=(settings.policies[request.level],),
        approval=approval,
    )


def test_every_field_is_held_to(world: World) -> None:
    """Another person, subject, key, level, profile, authority, evidence: each is refused by its name."""
    one, other = world.person(), world.person()
    theirs = world.statement(other)
    for field in ("person", "subject", "public_key", "key_id"):
        assert attempt(world, one, **{field: getattr(theirs, field)}) == ("APPROVAL-BOUND", field)
    assert attempt(world, one, level="low") == ("APPROVAL-BOUND", "level")
    assert attempt(world, one, level="unheard-of") == ("APPROVAL-BOUND", "level")
    assert attempt(world, one, profile="citizen-auth") == ("APPROVAL-BOUND", "profile")
    assert attempt(world, one, authority="another") == ("APPROVAL-BOUND", "authority")
    assert attempt(world, one, evidence="cd" * 32) == ("APPROVAL-BOUND", "evidence")
    soon = world.clock.now() + timedelta(days=2)
    assert attempt(world, one, not_after=soon) == ("APPROVAL-BOUND", "not_after")
    early = replace(one, not_after_limit=soon, approval=AUTHORITY.sign(replace(world.statement(one), not_after=soon)))
    assert world.ca.issue_citizen(early).certificate.not_valid_after_utc <= soon
    assert refused(lambda: world.ca.issue_citizen(replace(other, surname="SPECIMEN SOM"))) == (
        "APPROVAL-BOUND",
        "subject",
    )
    assert world.ca.issue_citizen(other).serial


def test_a_statement_is_good_once(world: World) -> None:
    """Once more, in another process, and by eight at the same time: one certificate; the others find it used."""
    one = world.person()
    world.ca.issue_citizen(one)
    for ca in (world.ca, world.again()):
        assert refused(lambda ca=ca: ca.issue_citizen(one)) == ("APPROVAL-USED", "-")  # type: ignore[misc]
    raced = world.person()

    def ask(_: int) -> str:
        try:
            return world.ca.issue_citizen(raced).serial
        except ApprovalRefused as error:
            return str(error.params["rule"])

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(ask, range(8)))
    assert outcomes.count("APPROVAL-USED") == 7
    issued = world.ca.certificates(owner=raced.person_id)
    assert [record.state for record in issued] == [CertificateState.ISSUED]


def test_many_at_once_use_their_statements_once(world: World) -> None:
    """In a batch: the same statement twice, one that was used before, none at all; the others come out."""
    used, twice, good, none = (world.person() for _ in range(4))
    world.ca.issue_citizen(used)
    wanted = [as_certificate(world, one, one.approval) for one in (used, twice, twice, good)]
    outcomes = world.ca.issuance.issue_many([*wanted, as_certificate(world, none, None)])
    told = [one.params["rule"] if isinstance(one, ApprovalRefused) else "issued" for one in outcomes]
    assert sorted(map(str, told[1:3])) == ["APPROVAL-USED", "issued"]
    assert [told[0], *told[3:]] == ["APPROVAL-USED", "issued", "APPROVAL-MISSING"]


def test_used_by_a_signature_that_failed(small_world: World) -> None:
    """A statement whose certificate did not come out is used up all the same: the next try needs a new one."""
    world, one = small_world, small_world.person()
    world.keys.before = down("sign")
    with pytest.raises(TokenUnavailable):
        world.ca.issue_citizen(one)
    world.keys.before = up
    assert refused(lambda: world.ca.issue_citizen(one)) == ("APPROVAL-USED", "-")
    assert world.ca.issue_citizen(world.approved(one)).serial


def test_only_the_pinned_authority_approves(small_world: World) -> None:
    """None at all, one by another key (pinned nowhere), one that expired, one that was changed: refused."""
    world, one = small_world, small_world.person()
    statement = world.statement(one)
    stranger = SoftwareAuthority().sign(statement)
    for approval, rule in (
        (None, "APPROVAL-MISSING"),
        (stranger, "APPROVAL-SIGNER"),
        (AUTHORITY.sign(statement).replace(one.level.encode(), b"base"), "APPROVAL-SIGNATURE"),
        (b"{}", "APPROVAL-FORM"),
    ):
        outcome = refused(lambda approval=approval: world.ca.issue_citizen(replace(one, approval=approval)))  # type: ignore[misc]
        assert outcome == (rule, "-")
    unpinned = world.again(world.ca.settings.model_copy(update={"registration_authority": frozenset()}))
    assert refused(lambda: unpinned.issue_citizen(one)) == ("APPROVAL-SIGNER", "-")
    world.clock.advance(timedelta(minutes=11))
    assert refused(lambda: world.ca.issue_citizen(one)) == ("APPROVAL-TIME", "-")
    assert len(world.ca.certificates()) == 0


def test_a_login_certificate_is_approved_too(small_world: World) -> None:
    """citizen-auth: for this key of this person alone, and never by any door without a statement."""
    world, one = small_world, small_world.person()
    world.ca.issue_citizen(one)
    mine, other = (ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(2))
    approved = world.approve_login(one.person_id, mine.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    assert approved is not None
    request = replace(
        as_certificate(world, one, approved.document), profile="citizen-auth", key_id=None, public_key=mine
    )
    assert refused(lambda: world.ca.issue_now(replace(request, approval=None)))[0] == "APPROVAL-MISSING"
    assert refused(lambda: world.ca.issue_now(replace(request, public_key=other))) == ("APPROVAL-BOUND", "public_key")
    assert refused(lambda: world.ca.issue_now(replace(request, owner="another"))) == ("APPROVAL-BOUND", "person")
    assert world.ca.issue_now(request).serial


def test_what_was_prepared_is_held_to_its_statement(world: World) -> None:
    """Two steps with a statement work; a row that was edited between them does not: an officer's certificate made into
    a citizen's, with every digest set right, and with a citizen's used statement put under its serial number."""
    one = world.person()
    good = world.ca.prepare(as_certificate(world, one, one.approval))
    assert world.ca.issue(good.token).serial == good.serial
    forged = Forger(world).citizen_over(world.ca.prepare(officer_request(world)).serial)
    assert refused(lambda: world.ca.issue(forged))[0] == "APPROVAL-MISSING"
    other = world.ca.prepare(officer_request(world, "officer-2")).serial
    forged = Forger(world).citizen_over(other, one)
    with world.database.unit_of_work() as connection:
        connection.execute(update(approvals).where(approvals.c.serial == good.serial).values(serial=other))
    assert refused(lambda: world.ca.issue(forged)) == ("APPROVAL-BOUND", "public_key")
    states = {record.serial: record.state for record in world.ca.certificates()}
    assert states[other] is CertificateState.ABANDONED


def test_a_prepared_statement_is_verified_again(world: World) -> None:
    """The stored statement changed, signed by another key put into the database, or expired meanwhile: refused."""
    for change, rule in (
        (
            lambda statement: AUTHORITY.sign(statement).replace(statement.nonce.encode(), b"f" * 64),
            "APPROVAL-SIGNATURE",
        ),
        (SoftwareAuthority().sign, "APPROVAL-SIGNER"),
    ):
        one = world.person()
        prepared = world.ca.prepare(as_certificate(world, one, one.approval))
        with world.database.unit_of_work() as connection:
            document = change(replace(world.statement(one)))
            connection.execute(update(approvals).where(approvals.c.serial == prepared.serial).values(document=document))
        assert refused(lambda prepared=prepared: world.ca.issue(prepared.token))[0] == rule  # type: ignore[misc]
    one = world.person()
    prepared = world.ca.prepare(as_certificate(world, one, one.approval))
    world.clock.advance(timedelta(minutes=9, seconds=59))
    with world.database.read() as connection:
        kept = connection.execute(select(approvals.c.document).where(approvals.c.serial == prepared.serial)).scalar()
    assert kept == one.approval
    world.clock.advance(timedelta(seconds=1))
    with pytest.raises(CamTrustError):
        world.ca.issue(prepared.token)


class Forger:
    """Somebody who owns the database."""

    def __init__(self, world: World) -> None:
        self.world = world

    def citizen_over(self, serial: str, named: CitizenRequest | None = None) -> str:
        """Put a citizen's certificate for the forger's own key over a prepared row; gives a token that fits it."""
        world, key = self.world, ec.generate_private_key(ec.SECP256R1()).public_key()
        victim, settings = named or world.person(), world.ca.settings
        profile = world.ca.issuance.templates.profile(
            world.ca.profiles["citizen-sign"], (settings.policies[victim.level],)
        )
        now = world.clock.now().replace(microsecond=0)
        subject = subject_name(
            settings.naming.subject(victim.person_id, victim.surname, victim.given_name, victim.khmer_name)
        )
        authority = world.ca.authorities.get("issuing")
        _, encoded = world.ca.issuance.templates.draft(
            authority, profile, subject, key, int(serial, 16), now, now + timedelta(days=90)
        )
        tbs = x509.load_der_x509_certificate(encoded).tbs_certificate_bytes
        digest, secret = hashlib.sha256(tbs).hexdigest(), "0" * 64
        values = {
            "tbs": tbs,
            "tbs_digest": digest,
            "token_digest": hashlib.sha256(f"{secret}.{digest}".encode()).hexdigest(),
            "profile": "citizen-sign",
            "owner": victim.person_id,
        }
        with world.database.unit_of_work() as connection:
            connection.execute(update(certificates).where(certificates.c.serial == serial).values(**values))
        return f"{serial}.{secret}"


def test_the_forger_succeeds_where_the_control_is_off(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forgery of the tests above is a good one: without the control it is signed."""
    world = small_world
    forged = Forger(world).citizen_over(world.ca.prepare(officer_request(world)).serial)
    monkeypatch.setattr(Approvals, "hold", lambda *_: None)
    assert world.ca.issue(forged).certificate.subject
