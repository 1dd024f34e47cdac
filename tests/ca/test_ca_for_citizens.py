"""The CA as enrolment sees it: what is in force, what is put on hold, and what a release undoes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from camtrust.adapters import CaForCitizens
from ekyc.ports import Cause
from issuing_ca.model import CertificateState, Reason
from tests.ca.ca_world import OPERATOR, World

_NO_SIGNING: Any = None  # nothing is registered for signing here


def test_a_certificate_is_in_force_until_it_is_not(world: World) -> None:
    """Issued and not over; on hold, revoked or over it is not."""
    ca, record = CaForCitizens(world.ca, _NO_SIGNING), world.ca.certificate(world.citizen().serial)
    now = world.clock.now()
    assert ca.in_force(record.serial, now)
    assert ca.in_force(record.serial, record.not_after)
    assert not ca.in_force(record.serial, record.not_after + timedelta(seconds=1))
    ca.suspend_citizens([record.owner], "ekyc:RCL-1")
    assert not ca.in_force(record.serial, now)


class Withdrawn:
    """Signing, of which it is asked alone that keys are withdrawn."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def withdraw_key(self, by: str, key_id: str) -> None:  # noqa: ARG002
        self.keys.append(key_id)


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_is_the_reason_that_the_crl_says(world: World, cause: Cause) -> None:
    """Lost, superseded, or of another name by now: revoked for that, and the key withdrawn; twice is once."""
    signing: Any = Withdrawn()
    ca, record = CaForCitizens(world.ca, signing), world.ca.certificate(world.citizen().serial)
    for _ in range(2):
        ca.revoke_citizen(record.serial, cause)
        assert world.ca.certificate(record.serial).reason == cause.value
    assert not ca.in_force(record.serial, world.clock.now())
    assert set(signing.keys) == {record.key_id}


def test_a_release_undoes_what_enrolment_and_registry_did_and_nothing_else(world: World) -> None:
    """Of five certificates on hold, those of a recall and of the registry come back; what a person stopped, in
    whatever way, stays, and so does what an operator did. Were it not looked at who did it, all would."""
    ca, person = CaForCitizens(world.ca, _NO_SIGNING), world.person()
    serials = [world.ca.issue_citizen(world.approved(person)).serial for _ in range(5)]
    others = (f"person:{person.person_id}", "ekyc:stopped", OPERATOR, "registry:EVENT-1")
    for serial, actor in zip(serials[1:], others, strict=True):
        world.ca.revoke(serial, Reason.CERTIFICATE_HOLD, actor)
    ca.suspend_citizens([person.person_id], "ekyc:RCL-1")
    for _ in range(2):
        ca.release_citizens([person.person_id], "ekyc:ENR-1")
        states = [world.ca.certificate(serial).state for serial in serials]
        good, held = CertificateState.ISSUED, CertificateState.HELD
        assert states == [good, held, held, held, good]
    assert world.audit.verify(world.database) > 0
