"""Persons' signatures and agencies' seals on a token that fails: told by its error, no document half signed, no wrong
signature given out, and the next try works.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind
from foundation.keys.errors import KeyStoreError, SignatureInvalid, TokenUnavailable
from foundation.keys.port import KeyAlgorithm, KeyUse
from signing.errors import DocumentNotSigned
from signing.model import DocumentState
from tests.faults import REFUSALS, SIGNING, WRONG_SIGNATURES, Fault, FaultyKeys
from tests.signing.conftest import PIN, Desk
from tests.signing.sample_pdf import sample
from tests.signing.test_signing_service import state, upload

FAULTS = [*REFUSALS, *WRONG_SIGNATURES]


@pytest.fixture
def desk(open_desk: Callable[..., Desk], sqlite_database: Database, token: Any) -> Desk:
    """A desk on a token that fails when it is told to."""
    return open_desk(sqlite_database, FaultyKeys(token))


@pytest.mark.parametrize("fault", FAULTS)
def test_no_document_is_signed_by_a_fault(desk: Desk, fault: Fault) -> None:
    """Two documents of one authorisation: neither is signed, nothing is stored, each says why; authorised anew, both
    are. (What was permitted before may be used up: the person proves the factors again.)
    """
    person = desk.person()
    ids = [upload(desk, person) for _ in range(2)]
    before = desk.blobs()
    desk.keys.next(fault, *SIGNING)
    outcomes = desk.service.authorise(person.actor, person.credential.credential_id, ids, pin=PIN, totp=person.code())
    assert desk.keys.met == 1
    expected = SignatureInvalid if fault in WRONG_SIGNATURES else KeyStoreError
    assert [isinstance(one.error, expected) for one in outcomes] == [True, True]
    assert [state(desk, person, one) for one in ids] == [DocumentState.UPLOADED] * 2
    assert desk.blobs() == before
    with pytest.raises(DocumentNotSigned):
        desk.service.signed(person.actor, ids[0])
    assert desk.actions().count("signing.document_not_signed") == 2
    again = desk.service.authorise(person.actor, person.credential.credential_id, ids, pin=PIN, totp=person.code())
    assert [one.error for one in again] == [None, None]
    assert [state(desk, person, one) for one in ids] == [DocumentState.SIGNED] * 2
    assert desk.trail.verify(desk.database) > 0


@pytest.mark.parametrize("fault", REFUSALS)
def test_an_authorisation_that_fails_signs_nothing(desk: Desk, fault: Fault) -> None:
    """The token fails while the factors are checked: its error, and every document can be authorised again."""
    person = desk.person()
    document_id = upload(desk, person)
    desk.keys.next(fault, "activate")
    with pytest.raises(KeyStoreError):
        desk.service.authorise(
            person.actor, person.credential.credential_id, [document_id], pin=PIN, totp=person.code()
        )
    assert state(desk, person, document_id) is DocumentState.UPLOADED
    assert desk.actions()[-1] == "signing.authorisation_refused"
    (outcome,) = desk.service.authorise(
        person.actor, person.credential.credential_id, [document_id], pin=PIN, totp=person.code()
    )
    assert outcome.error is None


@pytest.mark.parametrize("fault", FAULTS)
def test_no_seal_comes_of_a_fault(desk: Desk, fault: Fault) -> None:
    """The agency hears the error and gets no document; none is in the audit trail; the next one is sealed."""
    client = Actor(ActorKind.CLIENT, f"agency-{os.urandom(6).hex()}")
    key = desk.keys.generate(f"seal-{client.id}", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    signatory = desk.pki.signatory(key, "Agency")
    credential = desk.service.register_credential(
        "system:test", client.id, key.key_id, signatory.certificate, signatory.chain
    )
    desk.service.seal(client, credential.credential_id, sample())
    desk.keys.next(fault, *SIGNING)
    with pytest.raises(SignatureInvalid if fault in WRONG_SIGNATURES else KeyStoreError):
        desk.service.seal(client, credential.credential_id, sample())
    assert desk.actions().count("signing.sealed") == 1
    letter = sample()
    assert desk.service.seal(client, credential.credential_id, letter).startswith(letter)
    assert desk.actions().count("signing.sealed") == 2


def test_an_upload_that_cannot_be_sealed_keeps_nothing(desk: Desk) -> None:
    """The data key of a document cannot be had: the upload fails, no blob and no row stays; the next one works."""
    person = desk.person()
    desk.keys.next(Fault.GONE, "new_data_key")
    with pytest.raises(TokenUnavailable):
        upload(desk, person)
    assert desk.blobs() == []
    assert desk.service.documents(person.actor).documents == ()
    assert state(desk, person, upload(desk, person)) is DocumentState.UPLOADED
