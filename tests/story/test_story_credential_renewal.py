"""Seal credentials that end get their successor ahead of it, and who seals under the old one goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from sqlalchemy import select

from camtrust import organisations
from camtrust.agency_seals import SealsOfAgencies
from camtrust.job_handlers import worked_off
from foundation.clock import SystemClock
from foundation.http.actor import Actor, ActorKind
from foundation.keys.port import KeyUse
from issuing_ca.model import CertificateRecord, CertificateState, Reason
from signing.credential_requests.making import CredentialMaking
from signing.errors import CredentialNotUsable
from signing.seal_policy import SealPolicy
from signing.webhooks.model import EventKind
from signing.webhooks.store import deliveries
from tests.story.installation import Installation, Staff
from tests.story.served import wait_until
from tests.story.test_story_agencies import BATCHES, HELD, SEALS, Organisation, form, letter, told, verdict
from tests.story.test_story_credential_requests import REQUESTS, In, approve, ask, officer, two

__all__ = ["letter", "two"]  # fixtures

_DAYS = 40
"""How long the credentials of these tests are good, in days; their successors are for as long as the profile says."""


class Later:
    """Moves the clocks by which credentials are renewed and found usable. The other services of the installation, which
    tests share, stay where they are: they have timestamped what the moved ones would call the past."""

    def __init__(self, patch: pytest.MonkeyPatch, site: Installation) -> None:
        self._patch, self._site = patch, site

    def by(self, days: float) -> None:
        """So many days from the real time on."""
        signing = self._site.services.signing
        for one in (making(self._site), signing.holdings):
            self._patch.setattr(one, "_clock", In(timedelta(days=days)))

    @contextmanager
    def short(self) -> Iterator[None]:
        """What is certified meanwhile is good for 40 days."""
        ca, moment = self._site.services.ca, pytest.MonkeyPatch()
        prepare, end = ca.prepare, SystemClock().now() + timedelta(days=_DAYS)
        moment.setattr(ca, "prepare", lambda request: prepare(replace(request, not_after_limit=end)))
        try:
            yield
        finally:
            moment.undo()


@pytest.fixture
def later(assembled: Installation, monkeypatch: pytest.MonkeyPatch) -> Later:
    return Later(monkeypatch, assembled)


def production(site: Installation, later: Later, clients: int = 1) -> tuple[Organisation, list[Staff]]:
    """An organisation with clients whose credentials are good for 40 days."""
    one = Organisation(site).approved("production")
    with later.short():
        return one, [one.client()[0] for _ in range(clients)]


def records(site: Installation, client: Staff) -> list[CertificateRecord]:
    """The client's certificates, the oldest first."""
    found = site.services.ca.certificates(owner=client.id)
    return sorted(found, key=lambda record: record.not_after)


def successors(one: Organisation) -> list[dict[str, Any]]:
    """The requests of an organisation that follow a credential."""
    found = one.officer.get(f"{REQUESTS}?agency={one.told['id']}")["items"]
    return [each for each in found if each["replaces"]]


def making(site: Installation) -> CredentialMaking:
    return site.services.credential_requests.making


def credential(site: Installation, client: Staff, credential_id: str) -> str:
    """The credential that a seal under this id is made with now."""
    acting = Actor(ActorKind.CLIENT, client.id)
    return site.services.signing.credential(acting, credential_id, KeyUse.ORGANISATION_SEAL).credential_id


def test_a_client_that_nobody_attends_seals_on(
    two: Installation, letter: bytes, later: Later, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Thirty days before its end a credential that two officers approved gets a successor under a new key, once; both
    seal meanwhile, each by its own certificate; the old id seals by the successor's after its end. The client's
    addresses are told, and its page and API say which follows which."""
    one = Organisation(two).approved("production")
    client, _ = one.client()
    request = ask(one, client)
    approve(officer(two), request)
    with later.short():
        old = approve(officer(two), request).json()["credential"]
    wanted = {"url": "https://agency.example/hook", "events": ["credential.renewed"]}
    hook = client.ask("POST", "/sign/v1/webhooks", wanted)
    assert hook.status_code == 201, hook.text
    later.by(_DAYS - 31)
    making(two).renew()
    assert successors(one) == []

    later.by(_DAYS - 29)
    assert making(two).renew() >= 1
    [follows] = successors(one)
    new = follows["credential"]
    assert (follows["state"], follows["replaces"], follows["approvals"]) == ("issued", old, 2)
    making(two).renew()
    making(two).resume()
    assert len(successors(one)) == 1
    first, second = records(two, client)
    assert first.key_id != second.key_id
    assert second.not_after - first.not_after > timedelta(days=1000)
    assert (first.state, second.evidence) == (CertificateState.ISSUED, follows["digest"])
    with two.services.database.read() as connection:
        rows = connection.execute(select(deliveries.c.body).where(deliveries.c.owner == client.id)).scalars().all()
    [body] = rows
    said = json.loads(body)
    assert said["type"] == EventKind.CREDENTIAL_RENEWED.value
    assert said["data"] == {"request": follows["id"], "credential": new, "replaces": old}
    assert {each["id"]: each["successor"] for each in client.get("/sign/v1/seal-credentials")} == {old: new, new: None}
    [shown] = [each for each in one.officer.get(one.at)["clients"] if each["id"] == client.id]
    assert shown["credential"] == new

    for id in (old, new):
        assert credential(two, client, id) == id
        assert form(client, two.http, SEALS, id, letter).status_code == 200
    later.by(_DAYS + 1)
    assert credential(two, client, old) == new
    digests = {"credential": old, "digests": ["A" * 43 + "="]}
    digests |= {"digest_algorithm": "2.16.840.1.101.3.4.2.1", "signature_algorithm": "1.2.840.10045.4.3.2"}
    assert told(client.ask("POST", "/sign/v1/digests", digests)) == (409, "signing.credential_succeeded")
    sealed = form(client, two.http, SEALS, old, letter)
    assert sealed.status_code == 200
    assert verdict(two, tmp_path, capsys, sealed.content)["indication"] == "TOTAL-PASSED"
    acts = [row for row in two.audit() if row["action"] == "signing.sealed" and row["actor"] == f"client:{client.id}"]
    assert [row["subject"] for row in acts] == [old, new, new]


def test_what_left_or_was_stopped_gets_no_successor(assembled: Installation, later: Later) -> None:
    """Nothing follows a credential of an organisation or client that left, of a client that was disabled, or one that
    was revoked or is on hold; one that was released again gets its successor. A revoked one leads to no successor
    that it had."""
    kept, made = production(assembled, later, 5)
    left, [gone] = production(assembled, later)
    clients = dict(zip(("withdrawn", "disabled", "revoked", "held", "good"), made, strict=True))
    ca, ids = assembled.services.ca, {each["id"]: each["credential"] for each in kept.person.get(kept.at)["clients"]}
    kept.person.ask("POST", f"{kept.at}/clients/{clients['withdrawn'].id}/withdrawal")
    left.person.ask("POST", f"{left.at}/withdrawal")
    assembled.services.identity.disable_actor(None, clients["disabled"].id)
    ca.revoke(records(assembled, clients["revoked"])[0].serial, Reason.KEY_COMPROMISE, "operator:test")
    ca.revoke(records(assembled, clients["held"])[0].serial, Reason.CERTIFICATE_HOLD, "operator:test")
    later.by(_DAYS - 20)
    making(assembled).renew()
    assert {each["client"] for each in successors(kept)} == {clients["good"].id}
    assert successors(left) == []
    assert len(records(assembled, gone)) == 1
    ca.revoke(records(assembled, clients["held"])[0].serial, Reason.REMOVE_FROM_CRL, "operator:test")
    making(assembled).renew()
    assert {each["client"] for each in successors(kept)} == {clients["good"].id, clients["held"].id}

    good = clients["good"]
    ca.revoke(records(assembled, good)[0].serial, Reason.KEY_COMPROMISE, "operator:test")
    later.by(_DAYS + 1)
    with pytest.raises(CredentialNotUsable):
        credential(assembled, good, ids[good.id])
    assert credential(assembled, clients["held"], ids[clients["held"].id]) != ids[clients["held"].id]


class _Killed(BaseException):
    """As by a kill: nothing of ours catches it."""


@pytest.mark.parametrize("at", ["claimed", "key", "certificate", "credential"])
def test_a_renewal_that_was_killed_is_finished_once(
    assembled: Installation, monkeypatch: pytest.MonkeyPatch, later: Later, at: str
) -> None:
    """Killed anywhere, the next run makes the same successor: one key, one certificate, one credential more."""
    one, [client] = production(assembled, later)
    later.by(_DAYS - 20)

    def killed(*_: Any, **__: Any) -> Any:
        raise _Killed

    make, services = SealsOfAgencies.make, assembled.services

    def killed_after(self: SealsOfAgencies, *given: Any, **more: Any) -> str:
        make(self, *given, **more)
        raise _Killed

    with monkeypatch.context() as moment:
        if at == "claimed":
            moment.setattr(SealsOfAgencies, "make", killed)
        elif at == "key":
            moment.setattr(organisations, "_current", killed)
        elif at == "certificate":
            moment.setattr(services.signing.holdings, "register", killed)
        else:
            moment.setattr(SealsOfAgencies, "make", killed_after)
        with pytest.raises(_Killed):
            making(assembled).renew()
    assert [each["state"] for each in successors(one)] == ["approved"]
    making(assembled).resume()  # as far as is known another process still works on it
    assert [each["state"] for each in successors(one)] == ["approved"]
    later.by(_DAYS - 19)
    making(assembled).resume()
    making(assembled).renew()
    making(assembled).resume()
    [done] = successors(one)
    assert done["state"] == "issued"
    keys = services.keys.find(use=KeyUse.ORGANISATION_SEAL, owner=client.id)
    assert (len(keys), len(records(assembled, client))) == (2, 2)
    assert len(services.signing.credentials(Actor(ActorKind.CLIENT, client.id))) == 2


def test_two_processes_at_once_make_one(assembled: Installation, later: Later) -> None:
    """Runs beside each other make one successor."""
    one, [client] = production(assembled, later)
    later.by(_DAYS - 20)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            making(assembled).renew()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert [each["state"] for each in successors(one)] == ["issued"]
    assert len(records(assembled, client)) == 2


def test_nothing_is_renewed_that_would_not_last_longer(
    assembled: Installation, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the issuing CA ends no later than the credential, there is no successor to be had, and none is made over
    and over; a credential that ended is past it."""
    one, [client] = production(assembled, later)
    later.by(_DAYS - 20)
    terms = SealsOfAgencies.terms
    end = records(assembled, client)[0].not_after

    def short(self: SealsOfAgencies, *given: Any, **more: Any) -> Any:
        return replace(terms(self, *given, **more), until=end)

    with monkeypatch.context() as moment:
        moment.setattr(SealsOfAgencies, "terms", short)
        making(assembled).renew()
    assert successors(one) == []
    later.by(_DAYS + 1)
    making(assembled).renew()
    assert successors(one) == []


def test_batches_and_held_seals_go_on_under_the_old_id(assembled: Installation, letter: bytes, later: Later) -> None:
    """A batch that was opened and a seal that was asked for under a credential are sealed by its successor after its
    end, and the documents name the successor's certificate."""
    one, [client] = production(assembled, later)
    old = one.person.get(one.at)["clients"][0]["credential"]
    batch = str(client.ask("POST", BATCHES, {"credential": old}).json()["id"])
    document = f"{BATCHES}/{batch}/documents/permit-1.pdf"
    headers = {"Authorization": client.authorization("PUT", document, letter)}
    assert assembled.http.put(document, content=letter, headers=headers).status_code in (200, 201)
    services, releaser = assembled.services, assembled.staff(ActorKind.CLIENT, "sign-release")
    later.by(_DAYS - 20)
    making(assembled).renew()
    later.by(_DAYS + 1)
    assert client.ask("POST", f"{BATCHES}/{batch}/start").status_code == 200
    with worked_off(services):
        wait_until(lambda: client.ask("GET", f"{BATCHES}/{batch}").json()["state"] == "finished", "the batch is over")
    services.signing.seal_policies.set("test", client.id, SealPolicy(releasers=(releaser.id,)), services.clock.now())
    held = form(client, assembled.http, HELD, old, letter).json()
    release = releaser.ask("POST", f"{HELD}/{held['id']}/release", {"sha256": held["sha256"]})
    assert (release.status_code, release.json()["state"]) == (200, "sealed"), release.text
    new = int(records(assembled, client)[1].serial, 16)
    for sealed in (client.ask("GET", f"{document}/sealed"), client.ask("GET", f"{HELD}/{held['id']}/sealed")):
        assert sealed.status_code == 200, sealed.text
        [signature] = PdfFileReader(BytesIO(sealed.content)).embedded_signatures
        assert signature.signer_cert.serial_number == new
