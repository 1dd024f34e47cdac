"""Batches on a full disk: the run fails and is repeated later; no document is refused, lost or sealed twice for it."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from foundation.db import job_requests
from foundation.http.actor import Actor, ActorKind
from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.randomness import SystemRandomness
from foundation.storage import StorageFull
from foundation.vault import Vault
from signing.batches.custody import BatchCustody
from signing.batches.errors import BatchDocumentNotFound
from signing.batches.model import ItemState
from signing.batches.service import BatchService
from signing.batches.work import BatchWork
from signing.forms import PADES
from signing.pdf_options import PdfOptions
from signing.seal_policy import ROLE, SealPolicy
from signing.webhooks.service import Webhooks
from tests.full_disk.conftest import SmallDisk
from tests.full_disk.on_signing import LETTER
from tests.signing.conftest import Desk, desk, open_desk  # noqa: F401 - fixtures
from tests.signing.requesting import Registered

DOCUMENTS = 6


class NobodySent:
    """`signing.webhooks.ports.MessageSender` of a client that has no address: nothing is sent."""

    def send(self, *_: Any) -> None:
        raise AssertionError("nobody is to be told anything")


class Agency:
    """A client whose quota is used up by the documents of one batch, each counted once."""

    def __init__(self, desk: Desk) -> None:  # noqa: F811
        self.desk = desk
        job_requests.metadata.create_all(desk.database.engine)
        self.actor = Actor(ActorKind.CLIENT, f"act-{secrets.token_hex(4)}", frozenset({ROLE}))
        key = desk.keys.generate(f"seal-{secrets.token_hex(8)}", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
        signatory = desk.pki.signatory(key, "Agency")
        self.credential = desk.service.register_credential(
            "system:test", self.actor.id, key.key_id, signatory.certificate, signatory.chain
        ).credential_id
        policy = SealPolicy(per_day=DOCUMENTS)
        desk.service.seal_policies.set("system:test", self.actor.id, policy, desk.clock.now())
        clients, random = Registered({self.actor.id: "SPECIMEN Agency"}), SystemRandomness()
        vault, sender = Vault(desk.keys), NobodySent()
        hooks = Webhooks(desk.database, desk.trail, desk.clock, random, vault, desk.keys, clients, sender)  # type: ignore[arg-type]
        custody = BatchCustody(vault, desk.custody._blobs)
        self.batches = BatchService(desk.database, desk.trail, desk.clock, random, desk.service, custody, hooks)
        self.work = BatchWork(desk.database, desk.trail, desk.clock, desk.service, custody, clients, hooks)

    def opened(self) -> str:
        made = self.batches.create(self.actor, self.credential, form=PADES, level=None, options=PdfOptions())
        return made.batch_id

    def states(self, batch: str) -> list[ItemState]:
        return [one.state for one in self.batches.documents(self.actor, batch)[0]]


@pytest.mark.parametrize("left", [0, 8, 64, 200, 330, 700])
def test_a_batch_goes_on_when_there_is_room(desk: Desk, disk: SmallDisk, left: int) -> None:  # noqa: F811
    """Every document is sealed once, whichever write failed, with one event each and one of the quota."""
    agency = Agency(desk)
    batch = agency.opened()
    with disk.full():
        with pytest.raises(StorageFull):
            agency.batches.add(agency.actor, batch, "letter-0", LETTER)
        assert not [name for name in desk.blobs() if name.startswith("batches/")]
        with pytest.raises(BatchDocumentNotFound):
            agency.batches.document(agency.actor, batch, "letter-0")
    for number in range(DOCUMENTS):
        assert agency.batches.add(agency.actor, batch, f"letter-{number}", LETTER)[1]
    agency.batches.start(agency.actor, batch)
    with disk.full(left), pytest.raises(StorageFull):
        agency.work.run(batch, lambda: False)
    assert ItemState.REFUSED not in agency.states(batch)
    assert agency.work.run(batch, lambda: False) is None
    assert agency.states(batch) == [ItemState.SEALED] * DOCUMENTS
    for number in range(DOCUMENTS):
        sealed = agency.batches.sealed(agency.actor, batch, f"letter-{number}")[1]
        assert sealed.startswith(LETTER)
        assert sealed.count(b"/ByteRange") == 1
    assert len([name for name in desk.blobs() if name.startswith("batches/") and name.endswith("sealed")]) == DOCUMENTS
    assert [desk.actions().count(f"signing.{one}") for one in ("sealed", "batch_finished")] == [DOCUMENTS, 1]
    assert desk.trail.verify(desk.database) > 0
