"""Signing with a passkey: the device is asked for exactly these digests, and the token judges its answer."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from foundation.http.actor import Actor, ActorKind
from foundation.keys.activation import LIFETIME, digests_root
from foundation.keys.errors import FactorsNotEnrolled, PasskeyInvalid
from foundation.keys.port import KeyAlgorithm, KeyUse
from signing import store
from signing.approval import Asked
from signing.errors import ApprovalNotFound, DocumentBusy, DocumentNotFound, LevelNotAllowed
from signing.model import Credential, DocumentState, Level, Outcome
from tests.hsm.authenticator import Authenticator, unb64
from tests.signing.conftest import Desk
from tests.signing.sample_pdf import sample
from tests.signing.test_signing_api import http

__all__ = ["http"]  # a fixture


class Holder:
    """A specimen person whose factor is a passkey."""

    def __init__(self, desk: Desk) -> None:
        owner = f"specimen-{secrets.token_hex(8)}"
        self.desk, self.owner, self.device = desk, owner, Authenticator()
        self.actor = Actor(ActorKind.PERSON, owner)
        desk.keys.finish_passkey(owner, self.device.register(desk.keys.begin_passkey(owner)))
        made = desk.keys.generate_wrapped(owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
        with desk.database.unit_of_work() as connection:
            desk.service.keep_key(connection, made)
        signatory = replace(desk.pki.signatory(made.info), wrapped=made.wrapped)
        self.key_id = made.info.key_id
        self.credential: Credential = desk.service.register_credential(
            "system:test", owner, self.key_id, signatory.certificate, signatory.chain
        )

    def upload(self) -> str:
        return self.desk.service.upload(self.actor, "contract.pdf", sample()).document.document_id

    def ask(self, *documents: str, level: Level | None = None) -> Asked:
        return self.desk.service.ask_passkey(self.actor, self.credential.credential_id, documents, level=level)

    def answer(self, asked: Asked, **wrong: object) -> tuple[Outcome, ...]:
        make: Callable[..., str] = self.device.answer
        return self.desk.service.answer_passkey(self.actor, asked.approval_id, make(asked.options, **wrong))

    def state(self, document: str) -> DocumentState:
        return self.desk.service.document(self.actor, document).document.state


@pytest.fixture
def holder(desk: Desk) -> Holder:
    return Holder(desk)


def test_asked_answered_signed(both_desks: Desk) -> None:
    """Two documents, one approval: the challenge is over their digests; both are signed, and nothing is left aside."""
    holder = Holder(both_desks)
    documents = [holder.upload(), holder.upload()]
    asked = holder.ask(*documents)
    assert list(asked.digests) == documents
    data = json.loads(asked.data)
    assert (data["key_id"], data["count"], data["method"]) == (holder.key_id, 2, "passkey")
    assert data["root"] == digests_root(list(asked.digests.values())).hex()
    assert unb64(json.loads(asked.options)["challenge"]) == hashlib.sha256(asked.data).digest()
    assert [holder.state(one) for one in documents] == [DocumentState.PREPARED] * 2
    assert [one.error for one in holder.answer(asked)] == [None, None]
    for document in documents:
        assert holder.desk.service.signed(holder.actor, document)[1].startswith(sample()[:8])
    assert not [name for name in holder.desk.blobs() if "prepared" in name]
    with pytest.raises(ApprovalNotFound):
        holder.answer(asked)
    actions = holder.desk.actions()
    assert actions[-4:] == [
        "signing.approval_asked",
        "signing.authorised",
        "signing.document_signed",
        "signing.document_signed",
    ]


def test_a_wrong_answer_signs_nothing_and_can_be_corrected(holder: Holder) -> None:
    """Another challenge, another origin, nonsense: refused and written down; the right answer still signs."""
    document = holder.upload()
    asked = holder.ask(document)
    for wrong in ({"challenge": bytes(32)}, {"origin": "https://evil.example"}, {"verified": False}):
        with pytest.raises(PasskeyInvalid):
            holder.answer(asked, **wrong)
    assert holder.desk.actions().count("signing.authorisation_refused") == 3
    assert holder.state(document) is DocumentState.PREPARED
    assert [one.error for one in holder.answer(asked)] == [None]


def test_another_authorisation_takes_a_waiting_document_over(holder: Holder) -> None:
    """Asked twice: the document goes with the later question, and the earlier finds it busy."""
    document = holder.upload()
    first = holder.ask(document)
    second = holder.ask(document)
    (outcome,) = holder.answer(first)
    assert isinstance(outcome.error, DocumentBusy)
    assert [one.error for one in holder.answer(second)] == [None]


def test_an_approval_runs_out(holder: Holder) -> None:
    """Not answered in time, nothing is signed; the next question clears what was put aside."""
    document, other = holder.upload(), holder.upload()
    late = holder.ask(document)
    with holder.desk.database.unit_of_work() as connection:  # the token's clock runs by itself: this one is turned back
        past = holder.desk.clock.now() - LIFETIME
        connection.execute(store.approvals.update().values(expires=past))
    fresh = holder.ask(other)
    assert len([name for name in holder.desk.blobs() if "prepared" in name]) == 1
    with pytest.raises(ApprovalNotFound):
        holder.answer(late)
    assert [one.error for one in holder.answer(fresh)] == [None]
    assert [one.error for one in holder.answer(holder.ask(document))] == [None]


def test_nobody_else_s(holder: Holder) -> None:
    """Another person's question is as absent as one that never was; nothing of theirs is asked about."""
    other = Holder(holder.desk)
    document = holder.upload()
    asked = holder.ask(document)
    with pytest.raises(ApprovalNotFound):
        other.answer(asked)
    with pytest.raises(DocumentNotFound):
        other.ask(document)
    mixed = other.ask(other.upload(), document)
    assert [(one.document_id, type(one.error)) for one in mixed.refused] == [(document, DocumentNotFound)]
    assert len(other.answer(mixed)) == 1
    assert holder.state(document) is DocumentState.PREPARED


def test_what_cannot_be_asked(holder: Holder, desk: Desk) -> None:
    """Below B-T, or without a passkey: refused, and the documents stay as they were."""
    document = holder.upload()
    with pytest.raises(LevelNotAllowed):
        holder.ask(document, level=Level.B_B)
    person = desk.person()
    theirs = desk.service.upload(person.actor, "a.pdf", sample()).document.document_id
    with pytest.raises(FactorsNotEnrolled):
        desk.service.ask_passkey(person.actor, person.credential.credential_id, [theirs])
    assert desk.service.document(person.actor, theirs).document.state is DocumentState.UPLOADED
    assert not [name for name in desk.blobs() if "prepared" in name]


def test_a_deleted_document_leaves_nothing(holder: Holder) -> None:
    """Deleted while it waits: what was put aside goes too, and the answer finds it busy."""
    document = holder.upload()
    asked = holder.ask(document)
    holder.desk.service.delete(holder.actor, document)
    assert not holder.desk.blobs()
    (outcome,) = holder.answer(asked)
    assert isinstance(outcome.error, DocumentBusy)


def test_over_http(http: TestClient, holder: Holder) -> None:
    """Options out, assertion in; the problem of a wrong answer has its code."""
    head, document = {"Authorization": f"Test person {holder.owner}"}, holder.upload()
    body = {"credential": holder.credential.credential_id, "documents": [document, "0" * 32]}
    asked = http.post("/sign/v1/authorisations/passkey", headers=head, json=body)
    assert asked.status_code == 201, asked.text
    view = asked.json()
    assert view["options"]["userVerification"] == "required"
    assert [one["id"] for one in view["documents"]] == [document]
    assert [one["problem"]["code"] for one in view["refused"]] == ["signing.document_not_found"]
    where = f"/sign/v1/authorisations/passkey/{view['id']}"
    answer = http.post(where, headers=head, json={"assertion": {}})
    assert (answer.status_code, answer.json()["code"]) == (403, "foundation.passkey_invalid")
    assertion = json.loads(holder.device.answer(json.dumps(view["options"])))
    answer = http.post(where, headers=head, json={"assertion": assertion})
    assert answer.json() == {"documents": [{"id": document, "signed": True, "problem": None}]}
    answer = http.post(where, headers=head, json={"assertion": assertion})
    assert (answer.status_code, answer.json()["code"]) == (404, "signing.approval_not_found")
    only = http.post("/sign/v1/authorisations/passkey", headers=head, json=body | {"documents": ["0" * 32]})
    assert (only.status_code, only.json()["code"]) == (404, "signing.document_not_found")
