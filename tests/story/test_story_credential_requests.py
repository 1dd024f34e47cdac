"""Seal credentials that officers approve before they are made."""

from __future__ import annotations

import hashlib
import itertools
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from camtrust.agency_seals import SealsOfAgencies
from camtrust.cli.main import run as command
from foundation.clock import SystemClock
from foundation.http.actor import ActorKind
from issuing_ca.model import CertificateState
from signing.credential_requests import store
from tests.story.installation import Installation, Staff
from tests.story.test_story_agencies import SEALS, Organisation, at_the_console, form, letter, officer_of, told

__all__ = ["letter"]  # the fixture

REQUESTS, AGENCIES = "/sign/v1/credential-requests", "/sign/v1/agencies"
CLOSED, OTHER = (409, "signing.credential_request_closed"), (409, "signing.credential_request_other")
_numbers = itertools.count(9000)


@pytest.fixture
def two(assembled: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation where two officers approve each seal credential in production."""
    monkeypatch.setattr(assembled.services.agencies, "_credential_officers", 2)
    monkeypatch.setattr(assembled.services.credential_requests, "officers", 2)
    return assembled


def officer(site: Installation) -> Staff:
    return officer_of(site, f"SPECIMEN-officer-{next(_numbers)}")


def ask(one: Organisation, client: Staff, by: Any = None) -> dict[str, Any]:
    """A request that waits."""
    body = {"agency": one.told["id"], "client": client.id, "reason": "SPECIMEN permits"}
    answer = (by or one.person).ask("POST", REQUESTS, body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def approve(by: Staff, request: dict[str, Any], digest: str | None = None) -> Any:
    body = {"digest": digest or request["digest"], "reason": "SPECIMEN looked at"}
    return by.ask("POST", f"{REQUESTS}/{request['id']}/approval", body)


def test_two_officers_and_then_the_credential(two: Installation, letter: bytes) -> None:
    """A client in production has no credential, by no door, until two officers approved exactly its terms; then the
    certificate is in those names, its record names the terms, and the client seals. The reasons are in the history."""
    one = Organisation(two).approved("production")
    client, made = one.client()
    assert (made["credential"], made["stage"]) == (None, None)
    again = one.person.ask("POST", f"{one.at}/clients/{client.id}/credential")
    assert told(again) == (409, "signing.credential_officers_needed")
    request = ask(one, client)
    assert (request["state"], request["approvals"], request["officers"]) == ("waiting", 0, 2)
    body = {"agency": one.told["id"], "client": client.id, "reason": "again"}
    assert told(client.ask("POST", REQUESTS, body)) == (409, "signing.credential_request_waits")

    terms = one.officer.ask("GET", f"{REQUESTS}/{request['id']}/terms").content
    assert hashlib.sha256(terms).hexdigest() == request["digest"]
    for line in ("name: SPECIMEN Agency", f"client: {client.id}", f"registration number: {one.number}", "1096 days"):
        assert line in terms.decode()

    first, second = officer(two), officer(two)
    assert told(approve(first, request, "0" * 64)) == OTHER
    assert approve(first, request).json()["state"] == "waiting"
    assert told(approve(first, request)) == (403, "signing.credential_second_officer")
    assert two.services.ca.certificates(owner=client.id) == ()
    done = approve(second, request).json()
    assert (done["state"], done["approvals"]) == ("issued", 2)
    assert [(act["kind"], act["reason"]) for act in done["acts"]] == [
        ("asked", "SPECIMEN permits"),
        ("approved", "SPECIMEN looked at"),
        ("approved", "SPECIMEN looked at"),
        ("issued", None),
    ]
    [record] = two.services.ca.certificates(owner=client.id)
    assert (record.profile, record.evidence) == ("organisation-seal", request["digest"])
    assert one.person.get(one.at)["clients"][0]["credential"] == done["credential"]
    assert form(client, two.http, SEALS, done["credential"], letter).status_code == 200
    assert told(approve(second, request)) == CLOSED
    assert told(one.person.ask("POST", REQUESTS, body)) == (409, "signing.credential_stands")
    with two.services.database.read() as connection:
        kept = [row.reason for row in store.acts_of(connection, request["id"]) if row.reason is not None]
    assert len(kept) == 3
    assert not any(b"SPECIMEN" in reason for reason in kept)  # sealed


def test_nobody_approves_their_own(two: Installation) -> None:
    """An officer who represents the organisation, one of whom it is not known who they are, and one person under two
    names decide nothing; nor do representatives, clients and officers without the role."""
    one = Organisation(two).approved("production")
    client, _ = one.client()
    request = ask(one, client)
    for involved in (officer_of(two, one.person.person_id), officer_of(two, None)):
        assert told(approve(involved, request)) == (403, "signing.agency_officer_involved")
        refusal = involved.ask("POST", f"{REQUESTS}/{request['id']}/refusal", {"reason": "no"})
        assert told(refusal) == (403, "signing.agency_officer_involved")
    person = f"SPECIMEN-officer-{next(_numbers)}"
    once = officer_of(two, person)
    assert approve(once, request).status_code == 200
    two.services.identity.disable_actor(None, once.id)  # and registered anew
    assert told(approve(officer_of(two, person), request)) == (403, "signing.credential_second_officer")
    for stranger in (client, two.staff(ActorKind.OFFICER)):
        assert told(approve(stranger, request)) == (403, "foundation.forbidden")
    other = Organisation(two)
    assert told(other.person.ask("GET", f"{REQUESTS}/{request['id']}"))[0] == 404
    assert other.person.get(REQUESTS)["items"] == []
    assert two.services.ca.certificates(owner=client.id) == ()


def test_refused_taken_back_and_run_out(two: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that was refused, taken back or ran out is approved by nobody; the client asks for itself anew. The
    console makes nothing past the officers, and no stranger or sandbox asks."""
    one = Organisation(two).approved("production")
    client, _ = one.client()
    first, second = officer(two), officer(two)
    refused = ask(one, client)
    answer = first.ask("POST", f"{REQUESTS}/{refused['id']}/refusal", {"reason": "not this system"}).json()
    assert (answer["state"], answer["acts"][-1]["reason"]) == ("refused", "not this system")
    taken = ask(one, client, client)
    assert client.ask("POST", f"{REQUESTS}/{taken['id']}/withdrawal", {"reason": "too early"}).json()["state"] == (
        "withdrawn"
    )
    for over in (refused, taken):
        assert told(approve(second, over)) == CLOSED
    late = ask(one, client)
    for line in ("two\nlines", " "):
        wrong = {"digest": late["digest"], "reason": line}
        sent = first.ask("POST", f"{REQUESTS}/{late['id']}/approval", wrong)
        assert told(sent) == (422, "signing.credential_request_invalid")
    assert approve(first, late).status_code == 200
    with monkeypatch.context() as moved:
        moved.setattr(two.services.credential_requests, "_clock", In(timedelta(days=31)))
        assert told(approve(second, late)) == CLOSED
        moved.setattr(two.services.credential_requests.making, "_clock", In(timedelta(days=31)))
        assert two.services.credential_requests.making.sweep() >= 1
    assert one.person.get(f"{REQUESTS}/{late['id']}")["state"] == "expired"
    waiting = [each["id"] for each in first.get(f"{REQUESTS}?state=waiting")["items"]]
    assert not {refused["id"], taken["id"], late["id"]} & set(waiting)

    sandbox = Organisation(two).approved("sandbox")
    tried, made = sandbox.client()
    assert made["credential"] is not None
    body = {"agency": sandbox.told["id"], "client": tried.id, "reason": "too early"}
    assert told(sandbox.person.ask("POST", REQUESTS, body)) == (409, "signing.agency_state_conflict")
    body = {"agency": one.told["id"], "client": client.id, "reason": "not ours"}
    for stranger in (sandbox.person, tried):
        assert told(stranger.ask("POST", REQUESTS, body))[0] == 404


def test_no_door_goes_past_the_officers(two: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    """At the console a client of an organisation gets no credential where officers approve it; without officers in the
    settings none is asked for."""
    one = Organisation(two).approved("production")
    client, _ = one.client()
    names = {"organisation": "SPECIMEN Agency", "organisation-identifier": one.number, "common-name": "SPECIMEN Agency"}
    # The command opens services of its own, with the settings of the home: the check itself is asked here.
    with pytest.raises(Exception, match=r"signing\.credential_officers_needed"):
        two.services.agencies.require_seal(client.id, *names.values())
    assert two.services.ca.certificates(owner=client.id) == ()
    two.services.credential_requests.officers = 0
    body = {"agency": one.told["id"], "client": client.id, "reason": "why"}
    assert told(one.person.ask("POST", REQUESTS, body)) == (409, "signing.credential_officers_not_asked")
    assert at_the_console(two, capsys, client, names)


def test_profiles_that_the_ca_gives_to_two_officers_alone(two: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the CA asks two officers for the profile, a request that two approved is issued, and one that a single one
    approved is not, which is told by its code."""
    one = Organisation(two).approved("production")
    (client, _), (single, _) = one.client(), one.client()
    settings = two.services.ca.settings.model_copy(update={"two_officers": frozenset({"organisation-seal"})})
    monkeypatch.setattr(two.services.ca, "settings", settings)
    request = ask(one, client)
    assert approve(officer(two), request).json()["state"] == "waiting"
    assert approve(officer(two), request).json()["state"] == "issued"
    monkeypatch.setattr(two.services.credential_requests, "officers", 1)
    failed = approve(officer(two), ask(one, single)).json()
    assert (failed["state"], failed["problem"]) == ("failed", "issuing_ca.approval_required")
    assert two.services.ca.certificates(owner=single.id) == ()


class _Killed(BaseException):
    """As by a kill: nothing of ours catches it."""


@pytest.mark.parametrize("after", ["approval", "making"])
def test_killed_between_approval_and_credential(two: Installation, monkeypatch: pytest.MonkeyPatch, after: str) -> None:
    """Killed before or after the credential is made, the approval stands and the upkeep finishes it, once another
    process may take it over: one certificate, one key, and a second run makes nothing."""
    one = Organisation(two).approved("production")
    client, _ = one.client()
    request, making = ask(one, client), two.services.credential_requests.making
    assert approve(officer(two), request).status_code == 200
    make = SealsOfAgencies.make

    def killed(self: SealsOfAgencies, *given: Any, **more: Any) -> str:
        if after == "making":
            make(self, *given, **more)
        raise _Killed

    last = officer(two)
    actor = two.services.identity.actor(last.id).acting()
    with monkeypatch.context() as moment:
        moment.setattr(SealsOfAgencies, "make", killed)
        with pytest.raises(_Killed):
            two.services.credential_requests.approve(actor, request["id"], request["digest"], "SPECIMEN")
    assert one.person.get(f"{REQUESTS}/{request['id']}")["state"] == "approved"
    making.resume()  # another process still has it, as far as is known
    assert one.person.get(f"{REQUESTS}/{request['id']}")["state"] == "approved"
    with monkeypatch.context() as moment:
        moment.setattr(making, "_clock", In(timedelta(minutes=6)))
        making.resume()
        making.resume()
    done = one.person.get(f"{REQUESTS}/{request['id']}")
    assert done["state"] == "issued"
    [record] = two.services.ca.certificates(owner=client.id)
    assert record.state is CertificateState.ISSUED
    assert one.person.get(one.at)["clients"][0]["credential"] == done["credential"]


def test_what_changed_after_the_approval_is_not_certified(two: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terms that were changed in the database are no more what was approved; a client that left while its credential
    was made gets none, and what was made is revoked. Each is told by its code."""
    one = Organisation(two).approved("production")
    (client, _), (leaving, _) = one.client(), one.client()
    request, making = ask(one, client), two.services.credential_requests.making
    assert approve(officer(two), request).status_code == 200
    changed = request["digest"]
    with two.services.database.unit_of_work() as connection:
        other = store.requests.update().where(store.requests.c.request_id == request["id"])
        found = store.find(connection, request["id"])
        assert found is not None
        connection.execute(other.values(terms=found.terms.replace("SPECIMEN Agency", "SPECIMEN Bank")))
    assert told(approve(officer(two), request, changed)) == OTHER
    forged = one.person.get(f"{REQUESTS}/{request['id']}")
    assert told(approve(officer(two), forged)) == OTHER
    with two.services.database.unit_of_work() as connection:
        connection.execute(other.values(state="approved"))
    making.resume()
    failed = one.person.get(f"{REQUESTS}/{request['id']}")
    assert (failed["state"], failed["problem"]) == ("failed", "signing.credential_request_other")
    assert two.services.ca.certificates(owner=client.id) == ()

    request, make = ask(one, leaving), SealsOfAgencies.make

    def left(self: SealsOfAgencies, *given: Any, **more: Any) -> str:
        made = make(self, *given, **more)
        assert one.person.ask("POST", f"{one.at}/clients/{leaving.id}/withdrawal").status_code == 200
        return made

    assert approve(officer(two), request).status_code == 200
    with monkeypatch.context() as moment:
        moment.setattr(SealsOfAgencies, "make", left)
        failed = approve(officer(two), request).json()
    assert (failed["state"], failed["problem"]) == ("failed", "signing.agency_state_conflict")
    [record] = two.services.ca.certificates(owner=leaving.id)
    assert record.state is CertificateState.REVOKED


def test_officers_at_a_terminal(two: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`camtrust seals`: an officer lists what waits, looks at the terms, approves them by their SHA-256, refuses."""
    one = Organisation(two).approved("production")
    client, _ = one.client()
    request = ask(one, client)

    def seals(by: Staff, *arguments: str) -> tuple[int, Any]:
        key = tmp_path / f"{by.id}.pem"
        key.write_bytes(by._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        where = ["--url", str(two.http.base_url), "--origin", two.services.settings.public_url]
        capsys.readouterr()
        code = command(["--json", "seals", *arguments, "--officer", by.id, "--key", str(key), *where])
        said = capsys.readouterr()
        return code, json.loads(said.out or said.err)

    first, second = officer(two), officer(two)
    code, found = seals(first, "list")
    assert (code, request["id"] in [each["id"] for each in found["items"]]) == (0, True)
    code, shown = seals(first, "show", request["id"])
    assert hashlib.sha256(shown["terms"].encode()).hexdigest() == shown["digest"] == request["digest"]
    decision = ("approve", request["id"], "--digest", shown["digest"], "--reason", "SPECIMEN")
    assert seals(first, *decision)[1]["state"] == "waiting"
    assert seals(first, *decision)[0] == 4
    assert seals(second, *decision)[1]["state"] == "issued"
    other, _ = one.client()
    code, done = seals(first, "refuse", ask(one, other)["id"], "--reason", "SPECIMEN")
    assert (code, done["state"]) == (0, "refused")


class In(SystemClock):
    """The machine's clock, so much later."""

    def __init__(self, later: timedelta) -> None:
        self._later = later

    def now(self) -> Any:
        return super().now() + self._later
