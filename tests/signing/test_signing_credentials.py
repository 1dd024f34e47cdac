"""Credentials: who may sign with what, at which level; persons and agencies."""

from __future__ import annotations

import os

import pytest

from foundation.http.actor import Actor, ActorKind
from foundation.keys.errors import KeyDisabled
from foundation.keys.port import KeyAlgorithm, KeyUse
from signing.errors import (
    CredentialMismatch,
    CredentialNotFound,
    CredentialNotUsable,
    LevelNotAllowed,
    SealNotAllowed,
)
from signing.model import CredentialStatus, DocumentState, Level
from signing.seal_policy import SealPolicy
from tests.signing.conftest import PIN, Desk
from tests.signing.sample_pdf import sample
from tests.signing.test_signing_service import authorise, state, upload

EVERY_LEVEL = SealPolicy(levels=tuple(level.value for level in Level))


def test_levels_below_a_timestamp_are_refused_to_persons(desk: Desk) -> None:
    """Sub-decree 246 (2017): a signature certifies the time of signing; B-B is not for persons."""
    person = desk.person()
    document_id = upload(desk, person)
    with pytest.raises(LevelNotAllowed):
        desk.service.authorise(
            person.actor, person.credential.credential_id, [document_id], pin=PIN, totp="1", level=Level.B_B
        )


def test_withdrawn_credentials_sign_nothing(both_desks: Desk) -> None:
    """Withdrawn by id or by key; a second withdrawal finds nothing; it stays in the list as withdrawn."""
    desk, person = both_desks, both_desks.person()
    document_id = upload(desk, person)
    assert desk.service.withdraw_key("officer:o1", person.key.key_id) == (person.credential.credential_id,)
    assert not desk.service.withdraw_credential("officer:o1", person.credential.credential_id)
    with pytest.raises(CredentialNotUsable):
        authorise(desk, person, document_id, totp="unused")
    assert [one.status for one in desk.service.credentials(person.actor)] == [CredentialStatus.WITHDRAWN]
    assert desk.actions().count("signing.credential_withdrawn") == 1


def test_a_disabled_key_signs_nothing(desk: Desk) -> None:
    """A suspended certificate's key is disabled in the token: the token refuses whatever the service thinks."""
    person = desk.person()
    document_id = upload(desk, person)
    desk.keys.set_enabled(person.key.key_id, False)
    with pytest.raises(KeyDisabled):
        authorise(desk, person, document_id)
    desk.keys.set_enabled(person.key.key_id, True)
    assert state(desk, person, document_id) is DocumentState.UPLOADED


def test_credentials_are_registered_for_what_belongs_together(both_desks: Desk) -> None:
    """Another's key, another key's certificate, no chain, a wrong chain: refused. The same once more: the same id."""
    desk = both_desks
    person, other = desk.person(), desk.person()
    signatory = person.signatory
    register = desk.service.register_credential
    again = register("system:test", person.owner, signatory.key_id, signatory.certificate, signatory.chain)
    assert again.credential_id == person.credential.credential_id
    chain = signatory.chain
    for arguments in (
        (other.owner, signatory.key_id, signatory.certificate, chain),
        (person.owner, other.key.key_id, signatory.certificate, chain),
        (person.owner, signatory.key_id, signatory.certificate, ()),
        (person.owner, signatory.key_id, signatory.certificate, chain[1:]),
    ):
        with pytest.raises(CredentialMismatch):
            register("system:test", *arguments)


def test_agencies_seal_without_activation(both_desks: Desk) -> None:
    """A seal by an organisation's key: signed at once, nothing kept. A person's key cannot be used as a seal."""
    desk = both_desks
    client = Actor(ActorKind.CLIENT, f"agency-{desk.clock.now().timestamp()}-{os.urandom(4).hex()}")
    key = desk.keys.generate(f"seal-{client.id}", KeyAlgorithm.EC_P384, KeyUse.ORGANISATION_SEAL)
    signatory = desk.pki.signatory(key, "Agency")
    credential = desk.service.register_credential(
        "system:test", client.id, key.key_id, signatory.certificate, signatory.chain
    )
    data = sample()
    with pytest.raises(SealNotAllowed):
        desk.service.seal(client, credential.credential_id, data, level=Level.B_B)
    desk.service.seal_policies.set("system:test", client.id, EVERY_LEVEL, desk.clock.now())
    for level in (Level.B_B, Level.B_LT):
        assert desk.service.seal(client, credential.credential_id, data, level=level).startswith(data)
    assert desk.blobs() == []
    assert desk.actions().count("signing.sealed") == 2
    with pytest.raises(CredentialNotUsable):
        desk.service.authorise(client, credential.credential_id, ["0" * 32], pin=PIN, totp="1")
    person = desk.person()
    with pytest.raises(CredentialNotUsable):
        desk.service.seal(person.actor, person.credential.credential_id, data)
    with pytest.raises(CredentialNotFound):
        desk.service.seal(client, person.credential.credential_id, data)
