"""Correction of name or birth: two officers, a new certificate, the end of the one before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from ekyc.contacts.desk import Channel
from ekyc.corrections.errors import CorrectionNothing, CorrectionUnknown, CorrectionUnmet
from ekyc.corrections.review import Word
from ekyc.errors import EvidenceChanged, RegistryUnavailable, ReviewReasonUnknown, TooMuchEvidence, WrongState
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.model import State
from ekyc.ports import Cause
from ekyc.registry_simulation.persons import series
from ekyc.review import statement as review_statement
from ekyc.review.desk import Method
from tests.ekyc.corrections import FIRST, OTHER, ask, enrolled, known, speak
from tests.ekyc.families import CODE, Factors
from tests.ekyc.story import OPERATOR, PIN, World
from tests.ekyc.vouchers import holder, vouched
from tests.ekyc.vouchers import speak as vouchers_speak


def subject(world: World, name: str) -> tuple[str, str]:
    """Surname and opaque number in the certificate that somebody has now."""
    serial = world.state(name).certificate_serial
    [made] = [one for one in world.ca.issued.values() if one.serial == serial]
    said = x509.load_der_x509_certificate(made.certificate).subject
    return tuple(str(said.get_attributes_for_oid(oid)[0].value) for oid in (NameOID.SURNAME, NameOID.SERIAL_NUMBER))  # type: ignore[return-value]


def test_a_name_is_corrected_and_the_certificate_replaced(both_worlds: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first word changes nothing; the second makes a new decision and a new certificate under the same person, and
    then the one before is revoked as affiliationChanged. Ledger, receipt, notices and export have it."""
    world = both_worlds
    actor, name, was, now = enrolled(world, 700)
    world.clock.advance(timedelta(minutes=2))
    world.service.contact.send(actor, name, Channel.EMAIL, "sokha.specimen@example.org")
    world.service.contact.verify(actor, name, world.code(actor.id))
    before = world.state(name)
    registered = world.credentials.register

    def register(*arguments: Any) -> str:
        assert world.ca.revoked == {}, "the certificate before still works"
        return registered(*arguments)

    monkeypatch.setattr(world.credentials, "register", register)
    asked = ask(world, actor, name, now)
    assert (asked.state, asked.fields) == ("waiting", ("surname", "surname_km"))
    assert world.service.correction_reviews.waiting() == (name,)
    case = world.service.correction_reviews.show(FIRST, name)
    assert (case.before["surname"], case.after["surname"]) == (was.surname, now.surname)
    assert speak(world, name, FIRST).state == "waiting"
    assert (world.state(name).state, subject(world, name)) == (State.ACTIVATED, (was.surname, actor.id))
    done = speak(world, name, OTHER, Word.CORRECT, "person-seen-again", Method.IN_PERSON)
    after = world.state(name)
    assert (done.state, done.certificate_serial, after.state) == (
        "corrected",
        after.certificate_serial,
        State.ACTIVATED,
    )
    assert subject(world, name) == (now.surname, actor.id)
    assert world.ca.revoked == {before.certificate_serial: Cause.RENAMED}
    ledger = world.service.files.ledger(after)
    decided = latest(ledger, EvidenceKind.DECISION)
    assert decided is not None
    assert [one.actor for one in ledger if one.kind is EvidenceKind.REVIEW][-2:] == [str(FIRST), str(OTHER)]
    assert len(world.service.decider.replay(name)) == 2
    consents = [one for one in ledger if one.kind is EvidenceKind.CONSENT]
    assert [one.facts.get("for") for one in consents] == [None, "correction"]
    assert world.service.receipts.of(actor, name).receipt
    messages = world.outbox.read(OPERATOR, actor.id)
    for saying in ("asked, with your PIN", "was corrected by two officers"):
        assert {one.address for one in messages if saying in one.text} == {"+85512700700", "sokha.specimen@example.org"}
    export = str(world.service.own_data.export(actor, name))
    assert "EKYC-CORRECTION" in export
    assert now.surname_km in export
    assert str(FIRST) in [one.who for one in world.service.own_data.accesses(actor, name)]
    world.audit.verify(world.database)
    with pytest.raises(CorrectionUnknown):
        world.service.correction_reviews.show(FIRST, name)


def test_a_birth_is_corrected_and_the_person_claimed_anew(world: World) -> None:
    """Number and birth name the person: the old index is free again, the new one is theirs."""
    was = series(701)
    now = replace(was, date_of_birth="1990-03-04")
    actor, name = world.until(State.ACTIVATED, was)
    known(world, now)
    index = world.state(name).subject_index
    assert ask(world, actor, name, now).fields == ("date_of_birth",)
    speak(world, name, FIRST)
    assert speak(world, name, OTHER).state == "corrected"
    assert world.state(name).subject_index != index
    again, other = world.start()
    world.service.enrolment.consent(again, other.id, world.accept())
    world.prove_contact(again, other.id, "012 700 999")
    world.submit(again, other.id, was)
    assert world.state(other.id).subject_index == index


@pytest.mark.parametrize("cut", ["issue_citizen", "register", "revoke_citizen"])
def test_what_was_cut_off_goes_on(world: World, monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    """Decided is decided: where CA or signing do not answer, the upkeep goes on to the new certificate."""
    actor, name, _, now = enrolled(world, 702)
    person = world.state(name)
    part = world.credentials if cut == "register" else world.ca
    working = getattr(part, cut)

    def silent(*_: Any, **__: Any) -> Any:
        raise RegistryUnavailable

    monkeypatch.setattr(part, cut, silent)
    ask(world, actor, name, now)
    speak(world, name, FIRST)
    assert speak(world, name, OTHER).state == "corrected"
    assert world.ca.revoked == {}
    monkeypatch.setattr(part, cut, working)
    assert world.service.correction_reviews.resume() == 1
    assert subject(world, name)[0] == now.surname
    assert world.ca.revoked == {person.certificate_serial: Cause.RENAMED}
    assert world.service.correction_reviews.resume() == 0


def test_an_officer_refuses_and_nothing_changes(world: World) -> None:
    """With a reason of the list; the person is told, and can ask again."""
    actor, name, was, now = enrolled(world, 703)
    ask(world, actor, name, now)
    with pytest.raises(ReviewReasonUnknown):
        speak(world, name, FIRST, Word.REFUSE)
    assert speak(world, name, FIRST, Word.REFUSE, "document-suspicious").state == "refused"
    assert (subject(world, name)[0], world.ca.revoked) == (was.surname, {})
    assert "refused by an officer" in world.outbox.read(OPERATOR, actor.id)[0].text
    assert ask(world, actor, name, now).state == "waiting"


def test_evidence_that_comes_between_makes_the_first_word_void(world: World) -> None:
    """Asked for anew, the word on what was asked before counts for nothing."""
    actor, name, _, now = enrolled(world, 704)
    ask(world, actor, name, now)
    seen = world.service.correction_reviews.show(FIRST, name).evidence_digest
    speak(world, name, FIRST)
    ask(world, actor, name, now)
    with pytest.raises(EvidenceChanged):
        speak(world, name, OTHER, seen=seen)
    assert speak(world, name, OTHER).state == "waiting"
    assert speak(world, name, FIRST).state == "corrected"


def test_the_registry_is_no_oracle_and_nothing_is_nothing(world: World) -> None:
    """Three times a year; what is as it was is refused before the registry is asked."""
    actor, name, was, now = enrolled(world, 705)
    with pytest.raises(CorrectionNothing):
        ask(world, actor, name, was)
    for _ in range(3):
        ask(world, actor, name, now)
    with pytest.raises(TooMuchEvidence):
        ask(world, actor, name, now)
    world.clock.advance(timedelta(days=366))
    assert ask(world, actor, name, now).state == "waiting"


def test_who_has_no_document_has_none_to_correct(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can verify another name than the one that was vouched for: they enrol with a document. Nor is it for those
    who have no certificate."""
    monkeypatch.setattr(world.service.vouching, "_factors", Factors())
    person, name = vouched(world, holder(world, 706), holder(world, 707))
    vouchers_speak(world, name)
    world.bind_factors(person, name)
    world.service.issuance.certificate(person, name)
    known(world, series(708))
    with pytest.raises(CorrectionUnmet):
        ask(world, person, name, series(708))
    waiting, other = world.until(State.REGISTRY_MATCHED, series(709))
    with pytest.raises(WrongState):
        ask(world, waiting, other, series(709))


def test_over_http(world: World) -> None:
    """Person and officers, with the statement of a review signed over the digest."""
    actor, name, _, now = enrolled(world, 710)
    world.sessions.staff |= {"first": FIRST, "other": OTHER}
    terms = world.accept()
    body = {
        "document": {"lines": list(now.card()), "surname_km": now.surname_km, "given_names_km": now.given_names_km},
        "consent": vars(terms),
        "pin": PIN,
        "totp": CODE,
    }
    with world.client() as client:
        theirs = {"Authorization": f"Bearer {world.sessions.open(actor.id)}", "Origin": "http://testserver"}
        path, cases = f"/ekyc/v1/enrolments/{name}/correction", "/ekyc/v1/corrections"
        assert client.get(path, headers=theirs).json()["code"] == "ekyc.correction_unknown"
        asked = client.post(path, json=body, headers={**theirs, "Idempotency-Key": "correct-specimen-1"})
        assert (asked.status_code, asked.json()["fields"]) == (201, ["surname", "surname_km"])
        assert client.get(cases, headers=theirs).status_code == 403
        for n, (login, officer) in enumerate((("first", FIRST), ("other", OTHER))):
            staff = {"Authorization": f"Staff {login}", "Idempotency-Key": f"correct-specimen-{login}"}
            assert client.get(cases, headers=staff).json() == {"items": [name]}
            case = client.get(f"{cases}/{name}", headers=staff).json()
            assert case["first_by"] == (None, str(FIRST))[n]
            word = {"decision": "correct", "reason": "card-and-registry-agree", "method": "remote-video"}
            said = review_statement.statement(
                name, case["evidence_digest"], word["decision"], word["method"], word["reason"]
            )
            word["signature"] = review_statement.sign(world.staff.keys[officer.id], said)
            word["evidence_digest"] = case["evidence_digest"]
            done = client.post(f"{cases}/{name}", json=word, headers=staff)
            assert (done.status_code, done.json()["state"]) == (200, ("waiting", "corrected")[n])
        assert client.get(path, headers=theirs).json()["state"] == "corrected"
