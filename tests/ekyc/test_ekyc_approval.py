"""The registration authority's word: made for an approved person's own key, and for nothing else."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import update

import ekyc.store
from ekyc.errors import ApprovalImpossible, GateClosed
from ekyc.model import State
from ekyc.registry.subjects import RegistrySubjectIndex
from ekyc.registry_simulation.persons import specimens
from foundation.approval import verify
from foundation.citizen_subject import subject_digest
from tests.ekyc.story import World


def test_each_certificate_is_approved(both_worlds: World) -> None:
    """The CA is given a statement about the person, the name as verified, the key, the level and the decision."""
    world = both_worlds
    actor, name = world.until(State.ACTIVATED)
    (request,) = world.ca.requests
    said = verify(request.approval, world.arguments["authority"].pins)
    assert (said.person, said.level, said.profile) == (actor.id, "IAL2", "citizen-sign")
    assert (said.key_id, said.evidence) == (request.key_id, request.evidence)
    assert said.public_key == hashlib.sha256(request.public_key).hexdigest()
    naming = world.arguments["authority"].naming
    subject = naming.subject(actor.id, request.surname, request.given_names, request.khmer_name)
    assert said.subject == subject_digest(subject)
    assert world.audit.verify(world.database) > 0
    login_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = login_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    login = world.service.approvals.for_login(actor.id, spki)
    assert login is not None
    said = verify(login.document, world.arguments["authority"].pins)
    assert (said.profile, said.key_id, said.public_key) == ("citizen-auth", None, hashlib.sha256(spki).hexdigest())
    assert (login.subject, said.subject) == (subject, subject_digest(subject))
    assert world.state(name).state is State.ACTIVATED


def test_nobody_else_is_approved_for_a_login(world: World) -> None:
    """Nobody, and somebody who was not activated, get no statement."""
    actor, _ = world.until(State.FACTOR_BOUND)
    assert world.service.approvals.for_login(actor.id, b"SPECIMEN") is None
    assert world.service.approvals.for_login("KH-NOBODY", b"SPECIMEN") is None


def test_no_approval_for_an_enrolment_that_was_set_forward(world: World) -> None:
    """A state that was edited in the database, over a ledger without a decision, is approved for nothing."""
    actor, name = world.until(State.REGISTRY_MATCHED)
    with world.database.unit_of_work() as connection:
        table = ekyc.store.enrolments
        connection.execute(update(table).where(table.c.id == name).values(state=State.FACTOR_BOUND.value))
    with pytest.raises(GateClosed):
        world.service.issuance.certificate(actor, name)
    with pytest.raises(ApprovalImpossible):
        world.service.approvals.for_signing(world.state(name), world.key_of(actor.id))
    assert world.ca.requests == []


def test_no_approval_on_a_decision_that_was_edited(world: World) -> None:
    """The decision is judged again from the evidence: a document that does not follow from it approves nothing."""
    actor, name = world.until(State.FACTOR_BOUND)
    with world.database.unit_of_work() as connection:
        table = ekyc.store.decisions
        connection.execute(update(table).where(table.c.enrolment_id == name).values(document='{"outcome":"approved"}'))
    with pytest.raises(ApprovalImpossible) as told:
        world.service.approvals.for_signing(world.state(name), world.key_of(actor.id))
    assert told.value.params == {"problem": "decision"}
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever else finds it first
        world.service.issuance.certificate(actor, name)
    assert world.ca.requests == []


def test_no_approval_for_a_level_that_was_not_decided(world: World) -> None:
    """An enrolment whose level was raised in the database after its decision is approved for nothing."""
    actor, name = world.until(State.FACTOR_BOUND)
    with world.database.unit_of_work() as connection:
        table = ekyc.store.enrolments
        connection.execute(update(table).where(table.c.id == name).values(level="IAL3"))
    with pytest.raises(ApprovalImpossible) as told:
        world.service.issuance.certificate(actor, name)
    assert told.value.params == {"problem": "decision"}
    assert world.ca.requests == []


def test_a_key_of_another_person_is_not_approved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token's attestation decides whose key it is, and not what the services believe."""
    actor, name = world.until(State.FACTOR_BOUND)
    other = world.key_of("KH-SOMEBODY")
    real = world.token.attest
    monkeypatch.setattr(world.token, "attest", lambda _: real(other.key_id))
    with pytest.raises(ApprovalImpossible) as told:
        world.service.issuance.certificate(actor, name)
    assert told.value.params == {"problem": "key"}
    assert world.ca.requests == []


def test_the_registry_s_documents_are_found(world: World) -> None:
    """By number and date of birth together, without either being stored in the clear; nobody else's."""
    actor, _ = world.until(State.DOCUMENT_VALIDATED)
    person, index = specimens()["adult"], RegistrySubjectIndex(world.service.files, world.service.lost_documents)
    born = date.fromisoformat(person.date_of_birth)
    assert index.find(person.document_number, born)[1] == (actor.id,)
    for number, day in ((person.document_number, born + timedelta(days=1)), ("000000000", born)):
        assert index.find(number, day)[1] == ()
