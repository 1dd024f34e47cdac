"""Persons' keys in the services' database: what somebody who can write there, or restores an old copy, gets of it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from foundation.keys.errors import ActivationInvalid, KeyHandleInvalid, OwnerDestroyed, WrappedKeyInvalid
from foundation.keys.port import Mechanism
from signing import store
from signing.errors import CredentialMismatch
from signing.model import DocumentState
from tests.signing.conftest import Desk, Person
from tests.signing.test_signing_service import authorise, state, upload


def kept(desk: Desk, person: Person) -> bytes:
    """The wrapping as the database has it."""
    with desk.database.read() as connection:
        query = select(store.wrapped_keys.c.wrapped).where(store.wrapped_keys.c.owner == person.owner)
        return bytes(connection.execute(query).scalar_one())


def put(desk: Desk, person: Person, **values: Any) -> None:
    """Somebody writes to the table."""
    with desk.database.unit_of_work() as connection:
        where = store.wrapped_keys.c.key_id == person.key.key_id
        assert connection.execute(update(store.wrapped_keys).where(where).values(**values)).rowcount == 1


def test_a_batch_is_signed_by_one_call(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three documents, one call to the token, three signed documents."""
    person = desk.person()
    ids = [upload(desk, person) for _ in range(3)]
    real, calls = desk.keys.sign_wrapped, []

    def counted(wrapped: bytes, mechanism: Any, inputs: Any, **more: Any) -> list[bytes]:
        calls.append(len(inputs))
        return list(real(wrapped, mechanism, inputs, **more))

    monkeypatch.setattr(desk.keys, "sign_wrapped", counted)
    assert authorise(desk, person, *ids) == [None] * 3
    assert calls == [3]


def test_wrappings_that_were_exchanged_sign_nothing(both_desks: Desk) -> None:
    """Another person's wrapping in the row of this one's key: their factors do not open it, nothing is signed."""
    desk = both_desks
    person, other = desk.person(), desk.person()
    document_id = upload(desk, person)
    put(desk, person, wrapped=kept(desk, other))
    assert len(authorise(desk, person, document_id)) == 1
    assert state(desk, person, document_id) is DocumentState.UPLOADED


def test_a_key_without_its_wrapping_is_no_credential(desk: Desk) -> None:
    """A person's key whose wrapping is not kept, or is kept for somebody else, is not registered."""
    person, other = desk.person(), desk.person()
    put(desk, person, owner=other.owner)
    signatory = person.signatory
    with pytest.raises(CredentialMismatch):
        desk.service.register_credential(
            "system:test", person.owner, person.key.key_id, signatory.certificate, signatory.chain
        )


def test_a_renewed_person_is_rewrapped_when_they_sign(both_desks: Desk) -> None:
    """After the token has a new wrapping key for the person, the next signature stores the new wrapping; the old copy,
    put back, signs nothing once the new one was used.
    """
    desk, person = both_desks, both_desks.person()
    before = kept(desk, person)
    desk.keys.renew_person(person.owner)
    assert authorise(desk, person, upload(desk, person)) == [None]
    after = kept(desk, person)
    assert after != before
    assert authorise(desk, person, upload(desk, person)) == [None]
    assert kept(desk, person) == after
    with pytest.raises(WrappedKeyInvalid):
        desk.keys.sign_wrapped(before, Mechanism.ECDSA, [bytes(32)], activation=bytes(32))
    with pytest.raises(ActivationInvalid):  # this one is good, but nobody has approved anything
        desk.keys.sign_wrapped(after, Mechanism.ECDSA, [bytes(32)], activation=bytes(32))


@pytest.mark.parametrize("whole_person", [True, False])
def test_a_restored_database_brings_no_key_back(both_desks: Desk, whole_person: bool) -> None:
    """Key or person destroyed; then every row of the services is as it was before: nothing is signed."""
    desk, person = both_desks, both_desks.person()
    document_id, backup = upload(desk, person), kept(desk, person)
    if whole_person:
        desk.keys.destroy_owner(person.owner)
    else:
        desk.keys.destroy_wrapped(person.owner, person.key.key_id)
    put(desk, person, wrapped=backup)
    expected = OwnerDestroyed if whole_person else KeyHandleInvalid
    with pytest.raises((OwnerDestroyed, KeyHandleInvalid)):
        authorise(desk, person, document_id)
    with pytest.raises(expected):
        desk.keys.sign_wrapped(backup, Mechanism.ECDSA, [bytes(32)], activation=bytes(32))
