"""Dual control of seals: what one client asks for, another releases. Each control is seen to hold."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from foundation.errors import CamTrustError
from foundation.http.actor import Actor, ActorKind
from foundation.http.body import BodyLimit
from foundation.http.guard import Guard
from foundation.http.problems import FailureBoundary, install
from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.randomness import SystemRandomness
from signing.api import body_limits
from signing.errors import SealNeedsRelease, SealNotAllowed, SealPolicyInvalid, TimestampUnavailable, TooManyDocuments
from signing.held import service as held_service
from signing.held.api import create_router
from signing.held.errors import (
    HeldSealClosed,
    HeldSealNotFound,
    HeldSealNotMade,
    HeldSealOther,
    ReleaseNotAllowed,
    ReleaseNotAsked,
)
from signing.held.model import HeldState, RefusalReason
from signing.held.service import KEPT, WAITS, HeldSeals
from signing.seal_policy import SealPolicy
from tests.signing.conftest import Desk
from tests.signing.sample_pdf import sample
from tests.signing.test_signing_api import ByName

PDF = sample()
ASKING, RELEASING, STRANGER = (Actor(ActorKind.CLIENT, name) for name in ("act-asks", "act-releases", "act-stranger"))


class Registered:
    """Who may act, by the public keys that they are registered with."""

    def __init__(self) -> None:
        self.keys = {one.id: one.id.encode() for one in (ASKING, RELEASING, STRANGER)}

    def key_of(self, actor_id: str) -> bytes | None:
        return self.keys.get(actor_id)


class Agency:
    """An agency whose client may not seal alone."""

    def __init__(self, desk: Desk, *, releasers: tuple[str, ...] = (RELEASING.id,), **policy: Any) -> None:
        self.desk, self.registered = desk, Registered()
        key = desk.keys.generate(f"seal-{secrets.token_hex(8)}", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
        signatory = desk.pki.signatory(key, "Agency")
        self.credential = desk.service.register_credential(
            "system:test", ASKING.id, key.key_id, signatory.certificate, signatory.chain
        ).credential_id
        self.policy = SealPolicy(releasers=releasers, **policy)
        self.set(self.policy)
        self.held = HeldSeals(
            desk.service, desk.custody, desk.database, desk.trail, desk.clock, SystemRandomness(), self.registered
        )

    def set(self, policy: SealPolicy) -> None:
        self.desk.service.seal_policies.set("system:test", ASKING.id, policy, self.desk.clock.now())

    def ask(self, data: bytes | None = None) -> str:
        return self.held.ask(ASKING, self.credential, data or PDF, name="លិខិត.pdf").held.held_id

    def digest(self, held_id: str) -> bytes:
        """As whoever releases computes it: from the octets of the document that waits."""
        return hashlib.sha256(self.held.document(RELEASING, held_id)[1]).digest()

    def release(self, held_id: str, actor: Actor = RELEASING) -> HeldState:
        return self.held.release(actor, held_id, self.digest(held_id)).held.state


@pytest.fixture
def agency(both_desks: Desk) -> Agency:
    """An agency, once on SQLite and once on PostgreSQL."""
    return Agency(both_desks)


def test_a_seal_waits_until_another_releases_it(agency: Agency) -> None:
    """Asked, looked at, released by its digest, fetched; the document is sealed and the original is gone."""
    held_id = agency.ask()
    with pytest.raises(HeldSealNotMade):
        agency.held.sealed(ASKING, held_id)
    waiting = agency.held.show(RELEASING, held_id)
    assert (waiting.name, waiting.held.state, waiting.held.client) == ("លិខិត.pdf", HeldState.WAITING, ASKING.id)
    assert agency.release(held_id) is HeldState.SEALED
    name, _, data = agency.held.sealed(ASKING, held_id)
    assert name == "លិខិត.pdf"
    assert data.startswith(PDF)
    assert b"/ByteRange" in data
    assert [one for one in agency.desk.blobs() if "original" in one] == []
    assert [one for one in agency.desk.actions() if "held" in one or "sealed" in one] == [
        "signing.held_seal_asked",
        "signing.held_seal_released",
        "signing.sealed",
    ]


def test_who_needs_a_release_seals_by_no_other_way(agency: Agency) -> None:
    """Sealing at once is refused with the way that there is; without releasers there is nothing to hold."""
    with pytest.raises(SealNeedsRelease):
        agency.desk.service.seal(ASKING, agency.credential, PDF)
    agency.set(replace(agency.policy, releasers=()))
    assert agency.desk.service.seal(ASKING, agency.credential, PDF).startswith(PDF)
    with pytest.raises(ReleaseNotAsked):
        agency.ask()


@pytest.mark.parametrize("who", [ASKING, STRANGER])
def test_nobody_else_releases(agency: Agency, who: Actor) -> None:
    """Neither whoever asked nor a client that the policy does not name."""
    held_id = agency.ask()
    digest = agency.digest(held_id)
    with pytest.raises((ReleaseNotAllowed, HeldSealNotFound)):
        agency.held.release(who, held_id, digest)
    assert agency.held.show(ASKING, held_id).held.state is HeldState.WAITING


def test_one_key_under_two_names_is_one_client(agency: Agency) -> None:
    """HS-OTHER: registering the asking client's key once more does not make a second pair of eyes."""
    held_id = agency.ask()
    agency.registered.keys[RELEASING.id] = agency.registered.keys[ASKING.id]
    with pytest.raises(ReleaseNotAllowed):
        agency.release(held_id)
    agency.registered.keys[RELEASING.id] = b"another"
    assert agency.release(held_id) is HeldState.SEALED


def test_a_client_is_not_named_as_its_own_releaser(agency: Agency) -> None:
    """The policy itself is refused."""
    with pytest.raises(SealPolicyInvalid):
        agency.set(SealPolicy(releasers=(ASKING.id,)))


@pytest.mark.parametrize("left", [ASKING, RELEASING])
def test_who_is_disabled_neither_gets_nor_gives_a_release(agency: Agency, left: Actor) -> None:
    """HS-ACTING: a leaver's request dies with their registration."""
    held_id = agency.ask()
    key = agency.registered.keys.pop(left.id)
    with pytest.raises(ReleaseNotAllowed):
        agency.release(held_id)
    agency.registered.keys[left.id] = key
    assert agency.release(held_id) is HeldState.SEALED


def test_who_left_the_policy_sees_nothing_more(agency: Agency) -> None:
    """HS-NAMED: the policy as it is now decides."""
    held_id = agency.ask()
    digest = agency.digest(held_id)
    agency.set(replace(agency.policy, releasers=(STRANGER.id,)))
    with pytest.raises(HeldSealNotFound):
        agency.held.release(RELEASING, held_id, digest)
    assert agency.held.list(RELEASING) == ()
    assert [one.held.held_id for one in agency.held.list(STRANGER)] == [held_id]


def test_another_document_than_the_one_looked_at_is_not_released(agency: Agency) -> None:
    """HS-DIGEST."""
    held_id = agency.ask()
    with pytest.raises(HeldSealOther):
        agency.held.release(RELEASING, held_id, hashlib.sha256(b"another").digest())
    assert agency.held.show(ASKING, held_id).held.state is HeldState.WAITING


def test_it_runs_out(agency: Agency) -> None:
    """HS-TIME: too late to be released; the sweep removes row and document."""
    held_id = agency.ask()
    agency.desk.clock.advance(WAITS)
    with pytest.raises(HeldSealClosed):
        agency.release(held_id)
    assert agency.held.sweep() == 1
    assert agency.desk.blobs() == []
    with pytest.raises(HeldSealNotFound):
        agency.held.show(ASKING, held_id)


def test_results_are_kept_for_a_time(agency: Agency) -> None:
    """A sealed document is there until then, and nothing of it afterwards."""
    held_id = agency.ask()
    assert agency.release(held_id) is HeldState.SEALED
    agency.desk.clock.advance(KEPT - timedelta(minutes=1))
    assert agency.held.sweep() == 0
    assert agency.held.sealed(ASKING, held_id)
    agency.desk.clock.advance(timedelta(minutes=1))
    assert agency.held.sweep() == 1
    assert agency.desk.blobs() == []


def test_hours_are_judged_again(both_desks: Desk) -> None:
    """HS-TIME: released at night, it is refused; in the morning the same release makes the seal."""
    agency = Agency(both_desks, first_hour=8, last_hour=17)
    now = both_desks.clock.now()
    both_desks.clock.advance(timedelta(hours=(24 + 3 - now.hour) % 24))  # 03:00 UTC is ten in Phnom Penh
    held_id = agency.ask()
    both_desks.clock.advance(timedelta(hours=12))
    with pytest.raises(SealNotAllowed):
        agency.release(held_id)
    both_desks.clock.advance(timedelta(hours=12))
    assert agency.release(held_id) is HeldState.SEALED


def test_a_refusal_is_final(agency: Agency) -> None:
    """By whoever may release it, with a reason; whoever asked may take it back; a stranger does neither."""
    first, second = agency.ask(), agency.ask()
    with pytest.raises(HeldSealNotFound):
        agency.held.refuse(STRANGER, first, RefusalReason.OTHER)
    refused = agency.held.refuse(RELEASING, first, RefusalReason.CONTENT).held
    assert (refused.state, refused.reason) == (HeldState.REFUSED, RefusalReason.CONTENT)
    digest = refused.sha256
    with pytest.raises(HeldSealClosed):
        agency.held.release(RELEASING, first, digest)
    assert agency.held.refuse(ASKING, second, RefusalReason.UNEXPECTED).held.decided_by == str(ASKING)
    assert agency.desk.blobs() == []


def test_what_cannot_be_sealed_says_so(agency: Agency) -> None:
    """A credential that was withdrawn meanwhile: FAILED, with the code; nothing was sealed."""
    held_id = agency.ask()
    agency.desk.service.withdraw_credential("officer:o1", agency.credential)
    assert agency.release(held_id) is HeldState.FAILED
    assert agency.held.show(ASKING, held_id).held.problem == "signing.credential_not_usable"
    assert "signing.sealed" not in agency.desk.actions()


def test_a_release_goes_on_after_what_passes(agency: Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    """No timestamp to be had, or a crash: it stays released, and releasing again makes the seal, once."""
    held_id = agency.ask()
    with monkeypatch.context() as patch:

        def silent(*_: object, **__: object) -> bytes:
            raise TimestampUnavailable

        patch.setattr(agency.desk.service, "seal", silent)
        with pytest.raises(TimestampUnavailable):
            agency.release(held_id)
    assert agency.held.show(ASKING, held_id).held.state is HeldState.RELEASED
    assert agency.release(held_id) is HeldState.SEALED
    with pytest.raises(HeldSealClosed):
        agency.held.release(RELEASING, held_id, agency.held.show(ASKING, held_id).held.sha256)


def test_many_releases_at_once_keep_one_result(agency: Agency) -> None:
    """Eight at once: one of them seals, the others are told that it is closed, or find it sealed."""
    held_id = agency.ask()
    digest = agency.digest(held_id)
    ends: list[HeldState | str] = []

    def release() -> None:
        try:
            ends.append(agency.held.release(RELEASING, held_id, digest).held.state)
        except CamTrustError as error:
            ends.append(error.code)

    threads = [threading.Thread(target=release) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert ends.count(HeldState.SEALED) == 1, ends
    assert set(ends) <= {HeldState.SEALED, HeldSealClosed.code}
    assert agency.held.sealed(ASKING, held_id)[2].startswith(PDF)


def test_only_so_many_wait(agency: Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client cannot fill the house; what is too many leaves no document behind."""
    monkeypatch.setattr(held_service, "MAX_WAITING", 1)
    agency.ask()
    before = agency.desk.blobs()
    with pytest.raises(TooManyDocuments):
        agency.ask()
    assert agency.desk.blobs() == before


@pytest.fixture
def http(desk: Desk) -> Iterator[tuple[TestClient, Agency]]:
    """The router in an application as the roof builds it."""
    agency = Agency(desk)
    app = FastAPI()
    problems = install(app)
    app.include_router(create_router(agency.held, Guard(ByName(), "http://testserver")))
    app.add_middleware(FailureBoundary, problems=problems)
    app.add_middleware(BodyLimit, problems=problems, limit=64 * 1024, larger=body_limits(desk.service.config))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, agency


def test_over_http(http: tuple[TestClient, Agency]) -> None:
    """The way of both clients; the guard keeps the roles apart."""
    client, agency = http
    asking = {"Authorization": f"Test client {ASKING.id} sign-seal"}
    releasing = {"Authorization": f"Test client {RELEASING.id} sign-release"}
    at = "/sign/v1/held-seals"
    form = {"credential": agency.credential, "level": "B-T"}
    files = {"file": ("permit.pdf", PDF, "application/pdf")}
    assert client.post(at, headers=releasing, data=form, files=files).status_code == 403
    answer = client.post(at, headers=asking, data=form, files=files)
    assert answer.status_code == 201, answer.text
    held = answer.json()
    assert (held["state"], held["level"], held["name"]) == ("waiting", "B-T", "permit.pdf")
    listed = client.get(at, headers=releasing, params={"state": "waiting"}).json()["items"]
    assert [one["id"] for one in listed] == [held["id"]]
    document = client.get(f"{at}/{held['id']}/document", headers=releasing).content
    body = {"sha256": hashlib.sha256(document).hexdigest()}
    assert client.post(f"{at}/{held['id']}/release", headers=asking, json=body).status_code == 403
    answer = client.post(f"{at}/{held['id']}/release", headers=releasing, json=body)
    assert (answer.status_code, answer.json()["state"]) == (200, "sealed"), answer.text
    sealed = client.get(f"{at}/{held['id']}/sealed", headers=asking)
    assert sealed.headers["content-type"] == "application/pdf"
    assert sealed.content.startswith(document)
    again = client.post(f"{at}/{held['id']}/refusal", headers=releasing, json={"reason": "other"})
    assert (again.status_code, again.json()["code"]) == (409, "signing.held_seal_closed")
