"""Bulk revocations that take two officers: exactly what one proposed and another approved is revoked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from cryptography import x509
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select, update

import foundation.db.audit
from camtrust.cli import ca
from camtrust.cli.context import Context
from foundation.errors import CamTrustError
from foundation.http.guard import Guard
from foundation.http.problems import install
from foundation.randomness import SystemRandomness
from foundation.terminal import Terminal
from issuing_ca.config import BULK_REVOCATION, IssuingCaSettings
from issuing_ca.errors import (
    BulkApprovalRequired,
    DecisionRefused,
    HolderReasonRefused,
    ProposalUnknown,
    QueryChanged,
    QueryEmpty,
    TransitionRefused,
)
from issuing_ca.model import CertificateState, Reason
from issuing_ca.ra import api, proposals_api
from issuing_ca.ra.model import CertificateQuery, ProposalState, RevocationProposal
from issuing_ca.ra.proposals import RevocationProposals
from issuing_ca.ra.tables import bulk_revocations
from tests.ca.ca_world import OPERATOR, World
from tests.ca.named_actors import NamedActors, as_actor
from tests.ca.ra_world import Persons, officer, registration

FIRST, SECOND, THIRD = officer("first"), officer("second"), officer("third")
CITIZENS = CertificateQuery(profile="citizen-sign")


def proposals(world: World, persons: Persons | None = None) -> RevocationProposals:
    ra = registration(world, persons)
    return RevocationProposals(ra, world.database, world.clock, SystemRandomness(), world.audit)


def proposed(world: World, service: RevocationProposals, reason: Reason = Reason.SUPERSEDED) -> RevocationProposal:
    return service.propose(FIRST, CITIZENS, reason, registration(world).matching(CITIZENS).digest)


def standing(world: World, *serials: str) -> list[bool]:
    return [world.ca.certificate(serial).state is CertificateState.ISSUED for serial in serials]


def told(world: World, subject: str) -> list[tuple[str, str]]:
    events = foundation.db.audit.events
    query = select(events.c.actor, events.c.action).where(events.c.subject == subject).order_by(events.c.sequence)
    with world.database.read() as connection:
        return [(row.actor, row.action) for row in connection.execute(query)]


def test_two_officers_and_then_exactly_what_was_seen(world: World) -> None:
    """Nothing before the second word; then the frozen list in parts, not what came later or was revoked."""
    service = proposals(world)
    made = [world.citizen().serial for _ in range(5)]
    one = proposed(world, service)
    assert (one.state, one.count, dict(one.conditions)) == (ProposalState.PENDING, 5, {"profile": "citizen-sign"})
    late = world.citizen().serial
    world.ca.revoke(made[0], Reason.KEY_COMPROMISE, OPERATOR)
    assert standing(world, *made[1:], late) == [True] * 5
    parts = [service.approve(SECOND, one.id, one.digest, most=2)]
    assert service.show(one.id).state is ProposalState.APPROVED
    while parts[-1].remaining:
        parts.append(service.approve((FIRST, SECOND)[len(parts) % 2], one.id, one.digest, most=2))
    assert (sum(part.revoked for part in parts), [part.remaining for part in parts]) == (4, [3, 1, 0])
    assert standing(world, *made, late) == [False] * 5 + [True]
    assert world.ca.certificate(made[0]).reason is Reason.KEY_COMPROMISE
    done = service.show(one.id)
    assert (done.state, done.done, done.proposed_by, done.decided_by) == (
        ProposalState.DONE, 5, "officer:first", "officer:second",
    )  # fmt: skip
    assert len(list(x509.load_der_x509_crl(world.ca.current_crl("issuing")))) == 5
    with pytest.raises(TransitionRefused):
        service.approve(SECOND, one.id, one.digest)
    assert told(world, one.id) == [
        ("officer:first", "issuing_ca.revocations_proposed"),
        ("officer:second", "issuing_ca.revocations_approved"),
        ("officer:first", "issuing_ca.revocations_done"),
    ]
    assert service.list() == (done,)


def test_nobody_approves_their_own(world: World) -> None:
    """Not whoever proposed, not the same person as another actor; a third officer does not go on with it; refusing is
    another's, withdrawing one's own."""
    service = proposals(world, Persons({"first": "p1", "second": "p1", "third": "p3"}))
    serial = world.citizen().serial
    one = proposed(world, service)
    refusals: list[tuple[Any, Any]] = [
        (service.approve, (FIRST, one.id, one.digest)),
        (service.approve, (SECOND, one.id, one.digest)),
        (service.reject, (FIRST, one.id)),
        (service.reject, (SECOND, one.id)),
        (service.withdraw, (THIRD, one.id)),
    ]
    for use, arguments in refusals:
        with pytest.raises(DecisionRefused, match="RA-OTHER"):
            use(*arguments)
    assert standing(world, serial) == [True]
    assert service.show(one.id).state is ProposalState.PENDING
    world.citizen()
    two = proposed(world, service)
    service.approve(THIRD, two.id, two.digest, most=1)
    with pytest.raises(DecisionRefused):
        service.approve(officer("fourth"), two.id, two.digest)


def test_what_is_approved_is_what_was_proposed(world: World) -> None:
    """Another digest is refused, and so is the right one where the list was changed in the database meanwhile."""
    service = proposals(world)
    made = [world.citizen().serial for _ in range(3)]
    query = CertificateQuery(requested_by="nobody at all")
    with pytest.raises(QueryEmpty):
        service.propose(FIRST, query, Reason.SUPERSEDED, registration(world).matching(query).digest)
    one = proposed(world, service)
    victim = world.citizen().serial
    with pytest.raises(QueryChanged):
        service.approve(SECOND, one.id, "0" * 64)
    service.approve(SECOND, one.id, one.digest, most=1)
    before = standing(world, *made, victim)
    with world.database.unit_of_work() as connection:
        connection.execute(update(bulk_revocations).values(serials="\n".join([*sorted(made), victim])))
    for most in (1, 200):
        with pytest.raises(QueryChanged):
            service.approve(SECOND, one.id, one.digest, most=most)
    assert standing(world, *made, victim) == before


def test_ends_without_a_revocation(world: World) -> None:
    """Refused, withdrawn or run out after three days: nothing is revoked, and nothing brings it back."""
    service = proposals(world)
    serial = world.citizen().serial
    rejected, withdrawn, expired = (proposed(world, service) for _ in range(3))
    assert service.reject(SECOND, rejected.id).state is ProposalState.REJECTED
    assert service.withdraw(FIRST, withdrawn.id).state is ProposalState.WITHDRAWN
    world.clock.advance(timedelta(days=3))
    assert service.show(expired.id).state is ProposalState.EXPIRED
    for one in (rejected, withdrawn, expired):
        uses: list[tuple[Any, Any]] = [
            (service.approve, (SECOND, one.id, one.digest)),
            (service.reject, (SECOND, one.id)),
            (service.withdraw, (FIRST, one.id)),
        ]
        for use, arguments in uses:
            with pytest.raises(TransitionRefused):
                use(*arguments)
    assert standing(world, serial) == [True]
    with pytest.raises(ProposalUnknown):
        service.approve(SECOND, "never", "0" * 64)


def test_what_cannot_be_proposed(world: World) -> None:
    """No condition, an old digest, and reasons that are not for good."""
    service = proposals(world)
    world.citizen()
    digest = registration(world).matching(CITIZENS).digest
    refused: list[tuple[CertificateQuery, Reason, str, type[CamTrustError]]] = [
        (CertificateQuery(), Reason.SUPERSEDED, digest, QueryEmpty),
        (CITIZENS, Reason.CERTIFICATE_HOLD, digest, HolderReasonRefused),
        (CITIZENS, Reason.REMOVE_FROM_CRL, digest, HolderReasonRefused),
        (CITIZENS, Reason.SUPERSEDED, "0" * 64, QueryChanged),
    ]
    for query, reason, seen, error in refused:
        with pytest.raises(error):
            service.propose(FIRST, query, reason, seen)
    assert service.list() == ()


@pytest.fixture
def strict(small_world: World) -> World:
    small_world.ca.settings = IssuingCaSettings(two_officers=frozenset({BULK_REVOCATION}))
    return small_world


def test_one_officer_alone_is_refused_where_it_takes_two(strict: World) -> None:
    """With the setting, nothing is revoked by a query on one word; certificates one by one still are."""
    ra = registration(strict)
    serial = strict.citizen().serial
    with pytest.raises(BulkApprovalRequired):
        ra.revoke_matching(FIRST, CITIZENS, Reason.SUPERSEDED, ra.matching(CITIZENS).digest)
    assert standing(strict, serial) == [True]
    strict.ca.revoke(serial, Reason.SUPERSEDED, OPERATOR)
    assert standing(strict, serial) == [False]


def test_over_http(strict: World) -> None:
    """Dry run, refusal of one word, proposal, own approval refused, another's; role and digest are asked for."""
    ra = registration(strict)
    service = RevocationProposals(ra, strict.database, strict.clock, SystemRandomness(), strict.audit)
    guard, app = Guard(NamedActors(), "http://testserver"), FastAPI()
    install(app)
    for router in (api.create_router(ra, guard), proposals_api.create_router(service, guard)):
        app.include_router(router)
    serial = strict.citizen().serial
    one, other = as_actor("officer/one", "ca-revoke"), as_actor("officer/other", "ca-revoke")
    with TestClient(app, raise_server_exceptions=False) as client:
        conditions = {"profile": "citizen-sign"}
        seen = client.post("/ca/v1/revocations/dry-run", json=conditions, headers=one).json()
        body = {"conditions": conditions, "reason": "superseded", "digest": seen["digest"]}
        alone = client.post("/ca/v1/revocations", json=body, headers=one)
        assert (alone.status_code, alone.json()["code"]) == (403, "issuing_ca.bulk_approval_required")
        path = "/ca/v1/revocations/proposals"
        assert client.post(path, json=body, headers=as_actor("officer/one", "ca-approve")).status_code == 403
        made = client.post(path, json=body, headers=one)
        assert (made.status_code, made.json()["state"]) == (201, "pending")
        place, digest = f"{path}/{made.json()['id']}", {"digest": seen["digest"]}
        assert client.get(place, headers=as_actor("officer/reads")).json() == made.json()
        own = client.post(f"{place}/approval", json=digest, headers=one)
        assert (own.status_code, own.json()["code"]) == (403, "issuing_ca.decision_refused")
        assert client.post(f"{place}/approval", json={"digest": "0" * 64}, headers=other).status_code == 409
        assert standing(strict, serial) == [True]
        done = client.post(f"{place}/approval", json=digest, headers=other).json()
        assert (done["revoked"], done["remaining"]) == (1, 0)
        assert standing(strict, serial) == [False]
        second, third = strict.citizen().serial, strict.citizen().serial
        seen = client.post("/ca/v1/revocations/dry-run", json=conditions, headers=one).json()
        for ending, asked in (("rejected", ("POST", "/rejection", other)), ("withdrawn", ("DELETE", "", one))):
            made = client.post(path, json=body | {"digest": seen["digest"]}, headers=one)
            method, more, headers = asked
            answer = client.request(method, f"{path}/{made.json()['id']}{more}", headers=headers)
            assert answer.json()["state"] == ending
        assert standing(strict, second, third) == [True, True]
        pages = client.get(f"{path}?limit=2", headers=one).json()
        more = client.get(f"{path}?limit=2&cursor={pages['next']}", headers=one).json()
        assert (len(pages["proposals"]), len(more["proposals"]), more["next"]) == (2, 1, None)
        assert client.get(f"{path}/never", headers=one).status_code == 404


def test_the_command_proposes(
    strict: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it takes two, `ca revoke-matching --digest` proposes, and `ca revocation-proposals` lists."""
    ra = registration(strict)
    service = RevocationProposals(ra, strict.database, strict.clock, SystemRandomness(), strict.audit)

    @contextmanager
    def services_of(_: Context) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(registration=ra, revocation_proposals=service)

    monkeypatch.setattr(ca, "services_of", services_of)
    group = typer.main.get_command(ca.create(Context(terminal=Terminal(json=True), home_path=None)))

    def command(*arguments: str) -> dict[str, Any]:
        group(list(arguments), standalone_mode=False)
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    serial = strict.citizen().serial
    asked = ("revoke-matching", "--reason", "superseded", "--profile", "citizen-sign")
    made = command(*asked, "--digest", command(*asked)["digest"])
    (listed,) = command("revocation-proposals")["proposals"]
    assert (listed["proposal"], listed["state"], listed["count"]) == (made["proposal"], "pending", 1)
    assert listed["proposed_by"] == "operator:console"
    assert standing(strict, serial) == [True]
    assert service.approve(FIRST, made["proposal"], made["digest"]).remaining == 0
    assert standing(strict, serial) == [False]
