"""A person's history on both databases: written before the key is used, sealed, told to them; and the switch."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from foundation.errors import CamTrustError, Kind
from foundation.keys.errors import PinIncorrect
from foundation.use_record import Act
from signing import history_store
from signing.errors import CredentialNotFound, CredentialNotUsable
from signing.history import Door, Through
from signing.model import CredentialStatus, DocumentState
from tests.signing.conftest import PIN, Desk
from tests.signing.requesting import Office
from tests.signing.test_signing_passkey import Holder
from tests.signing.test_signing_service import authorise, state, upload


class Down(CamTrustError):
    """Something that is needed does not answer."""

    code = "signing.status_unavailable"
    kind = Kind.UNAVAILABLE


def rows(desk: Desk) -> list[Any]:
    with desk.database.read() as connection:
        return list(connection.execute(select(history_store.history)).all())


def test_a_batch_is_one_entry(both_desks: Desk) -> None:
    """Two documents of one authorisation: one entry with their digests, names and outcomes; the log has its digest."""
    desk, person = both_desks, both_desks.person()
    documents = [upload(desk, person), upload(desk, person)]
    assert authorise(desk, person, *documents) == [None, None]
    (entry,) = desk.service.history.page(person.actor).entries
    assert (entry.read.act, entry.read.door, entry.read.client) == (Act.SIGNATURE, "sign", None)
    assert [one.document_id for one in entry.read.documents] == documents
    assert [one.digest for one in entry.read.documents] == list(entry.read.digests)
    assert entry.read.documents[0].name == "contract.pdf"
    assert entry.completion is not None
    assert [one["code"] for one in entry.completion["documents"]] == [None, None]
    assert desk.uses.recorded[0][0] == entry.read.digest
    assert desk.uses.recorded[0][1].startswith("key-use:")
    assert entry.proof == b"proof of " + entry.read.digest.hex().encode()


def test_a_passkey_s_use_and_the_asking_client(both_desks: Desk) -> None:
    """The door and the client that came through it stand in the entry; asking alone is no use."""
    holder = Holder(both_desks)
    asked = holder.ask(holder.upload())
    assert rows(both_desks) == []
    answer = holder.device.answer(asked.options)
    both_desks.service.answer_passkey(holder.actor, asked.approval_id, answer, Through(Door.REQUEST, "client:a-bank"))
    (entry,) = both_desks.service.history.page(holder.actor).entries
    assert (entry.read.door, entry.read.client) == ("request", "client:a-bank")


def test_what_cannot_be_written_down_does_not_happen(both_desks: Desk) -> None:
    """Where the history cannot be kept nothing is signed, and the key was not used: the token made no signature."""
    desk, person = both_desks, both_desks.person()
    document = upload(desk, person)
    desk.uses.failing = Down()
    used: list[object] = []
    sign = desk.signer.signatures
    desk.signer.signatures = lambda *given: used.append(given) or sign(*given)  # type: ignore[method-assign, func-returns-value]
    with pytest.raises(Down):
        authorise(desk, person, document)
    assert used == []
    assert state(desk, person, document) is DocumentState.UPLOADED
    assert rows(desk) == []
    desk.uses.failing = None
    assert authorise(desk, person, document) == [None]
    assert len(used) == 1


def test_refused_factors_are_told_too(both_desks: Desk) -> None:
    """A wrong PIN is in the history with its code, and the person hears of it."""
    desk, person = both_desks, both_desks.person()
    document = upload(desk, person)
    with pytest.raises(PinIncorrect):
        authorise(desk, person, document, pin="000000")
    (entry,) = desk.service.history.page(person.actor).entries
    assert (entry.read.act, entry.read.code) == (Act.REFUSAL, "foundation.pin_incorrect")
    assert desk.service.history.notify() == 1
    assert desk.uses.told == [(person.owner, Act.REFUSAL, 1)]


def test_what_the_token_refuses_is_no_signature(desk: Desk) -> None:
    """The token signs nothing: the entry says so, and no notice says that something was signed."""
    person = desk.person()
    document = upload(desk, person)

    def fail(*_: object) -> list[bytes]:
        raise Down

    desk.signer.signatures = fail  # type: ignore[method-assign]
    assert authorise(desk, person, document) == [Down]
    (entry,) = desk.service.history.page(person.actor).entries
    assert entry.completion is not None
    assert entry.completion["code"] == "signing.status_unavailable"
    assert desk.service.history.notify() == 0


def test_one_notice_for_all_since_the_last(both_desks: Desk) -> None:
    """Three documents in two authorisations are one notice; one that cannot be sent waits, and is sent once."""
    desk, person, other = both_desks, both_desks.person(), both_desks.person()
    authorise(desk, person, upload(desk, person), upload(desk, person))
    authorise(desk, other, upload(desk, other))
    authorise(desk, person, upload(desk, person))
    desk.uses.failing = Down()
    assert desk.service.history.notify() == 0
    desk.uses.failing = None
    assert desk.service.history.notify() == 2
    assert sorted(desk.uses.told) == sorted([(person.owner, Act.SIGNATURE, 3), (other.owner, Act.SIGNATURE, 1)])
    assert desk.service.history.notify() == 0


def test_it_is_the_person_s_alone_and_sealed(both_desks: Desk) -> None:
    """Pages by cursor, newest first; another sees nothing; the table shows no name."""
    desk, person, other = both_desks, both_desks.person(), both_desks.person()
    documents = [upload(desk, person) for _ in range(2)]
    for document in documents:
        authorise(desk, person, document)
    first = desk.service.history.page(person.actor, limit=1)
    second = desk.service.history.page(person.actor, first.next, limit=1)
    seen = [page.entries[0].read.documents[0].document_id for page in (first, second)]
    assert seen == documents[::-1]
    assert second.next is None
    assert desk.service.history.page(other.actor).entries == ()
    assert b"contract" not in repr(rows(desk)).encode()


def test_a_suspended_credential_signs_nothing(both_desks: Desk) -> None:
    """By the session alone: listed as suspended, refused at each way of signing, in the history and told; again changes
    nothing; another's is as absent as one that never was."""
    desk, person, other = both_desks, both_desks.person(), both_desks.person()
    document, credential_id = upload(desk, person), person.credential.credential_id
    with pytest.raises(CredentialNotFound):
        desk.service.holdings.suspend(other.actor, credential_id)
    for _ in range(2):
        assert desk.service.holdings.suspend(person.actor, credential_id).status is CredentialStatus.SUSPENDED
    assert [one.status for one in desk.service.credentials(person.actor)] == [CredentialStatus.SUSPENDED]
    with pytest.raises(CredentialNotUsable):
        authorise(desk, person, document)
    with pytest.raises(CredentialNotUsable):
        desk.service.ask_passkey(person.actor, credential_id, [document])
    assert [one.read.act for one in desk.service.history.page(person.actor).entries] == [Act.SUSPENSION]
    desk.standing.held.clear()  # an officer releases it
    assert authorise(desk, person, document, pin=PIN) == [None]


def test_a_question_to_a_device_that_is_open_is_stopped_too(both_desks: Desk) -> None:
    """Asked before, answered after the suspension: refused."""
    holder = Holder(both_desks)
    asked = holder.ask(holder.upload())
    both_desks.service.holdings.suspend(holder.actor, holder.credential.credential_id)
    with pytest.raises(CredentialNotUsable):
        holder.answer(asked)


def test_a_notice_that_nobody_takes_is_given_up(desk: Desk) -> None:
    """After some days, so that it does not stand in the way of others."""
    person = desk.person()
    authorise(desk, person, upload(desk, person))
    desk.uses.failing = Down()
    desk.clock.advance(timedelta(days=4))
    assert desk.service.history.notify() == 0
    desk.uses.failing = None
    assert desk.service.history.notify() == 0
    assert desk.uses.told == []


def test_what_a_client_asked_for_names_it(both_desks: Desk) -> None:
    """Signed by answering a request: its client stands in the entry. Reported as not expected: that is in the history
    too, with the client, and the person is told."""
    office = Office(both_desks)
    client, holder = office.client(), office.holder()
    asked = office.ask(client, holder.owner)
    office.answered(holder, asked, office.question(holder, asked))
    reported = office.ask(client, holder.owner)
    office.requests.refuse(holder.actor, reported.request.request_id, unexpected=True)
    entries = both_desks.service.history.page(holder.actor).entries
    assert [(one.read.act, one.read.door, one.read.client) for one in entries] == [
        (Act.REPORT, "request", client.id),
        (Act.SIGNATURE, "request", client.id),
    ]
    both_desks.service.history.notify()
    assert (holder.owner, Act.REPORT, 0) in both_desks.uses.told
