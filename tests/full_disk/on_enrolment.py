"""An enrolment whose database is on a full disk: every step is refused, stands where it was, and goes on with room."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ekyc.contacts.desk import Channel
from ekyc.documents.images import Side
from ekyc.model import State
from foundation.http.actor import Actor
from foundation.storage import StorageFull
from tests.ekyc import images
from tests.ekyc.conftest import registry, registry_process, running_registry, world  # noqa: F401 - fixtures
from tests.ekyc.story import OPERATOR, PHONE, World, specimens
from tests.full_disk.conftest import SmallDisk


def test_every_step_waits_for_room(world: World, disk: SmallDisk) -> None:  # noqa: F811
    """From consent to certificate, an image among it: refused on the full disk, with state, evidence and trail as they
    were, no message that is told of, and no certificate; afterwards the same step works."""
    actor, enrolment = world.start()
    name, service = enrolment.id, world.service

    def taken(state: State | None, step: Callable[[], object]) -> None:
        """The step on the full disk, and then with room."""
        told, kept, issued = len(_messages(world, actor)), dict(world.blobs.kept), len(world.ca.issued)
        before, count = world.state(name), world.audit.verify(world.database)
        with disk.full():
            with pytest.raises(StorageFull):
                step()
            assert world.state(name) == before
            assert world.audit.verify(world.database) == count
        assert (len(_messages(world, actor)), world.blobs.kept, len(world.ca.issued)) == (told, kept, issued)
        step()
        assert world.state(name).state is (state or before.state)

    taken(State.CONSENTED, lambda: service.enrolment.consent(actor, name, world.accept()))
    taken(None, lambda: service.contact.send(actor, name, Channel.SMS, PHONE))
    taken(State.CONTACT_VERIFIED, lambda: service.contact.verify(actor, name, world.code(actor.id), shared=True))
    taken(None, lambda: service.images.take(actor, name, Side.FRONT, images.photograph()))
    taken(State.DOCUMENT_VALIDATED, lambda: world.submit(actor, name, specimens()["adult"]))
    taken(State.REGISTRY_MATCHED, lambda: service.registry.match(actor, name))
    taken(State.APPROVED, lambda: world.approve(name))
    world.bind_factors(actor, name)
    with disk.full(), pytest.raises(StorageFull):
        service.issuance.certificate(actor, name)
    assert world.state(name).state is State.FACTOR_BOUND
    assert service.issuance.certificate(actor, name).state is State.ACTIVATED
    service.decider.replay(name)
    world.audit.verify(world.database)


def _messages(world: World, actor: Actor) -> list[object]:  # noqa: F811
    """What the outbox has for a person; to look at it is an event of its own."""
    return list(world.outbox.read(OPERATOR, actor.id))
