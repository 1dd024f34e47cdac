"""The receipt of proofing: what it says, what it keeps to itself, whose it is, and that changes are found."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey

from ekyc.authenticators.recovery import Loss
from ekyc.errors import EnrolmentUnknown, WrongState
from ekyc.model import State
from ekyc.receipts import receipt
from ekyc.registry_simulation.persons import specimens
from foundation.keys.errors import OwnerDestroyed
from signing.errors import TimestampUnavailable
from tests.ekyc.story import OFFICER, PHONE_E164, World

ADULT = specimens()["adult"]


def test_it_is_made_with_the_certificate_and_says_what_was_verified(both_worlds: World) -> None:
    """Level, policy, times, kinds of evidence with how they were checked; read by another library; logged once."""
    world = both_worlds
    actor, name = world.until(State.ACTIVATED)
    assert len(world.receipts.recorded) == 1, "made when it was activated"
    made = world.service.receipts.of(actor, name)
    assert world.service.receipts.of(actor, name) == made
    read = jws.deserialize_compact(made.receipt, ECKey.import_key(world.receipts.public_key()), ["ES256"])
    said = json.loads(read.payload)
    verification = said["verified_claims"]["verification"]
    assert (said["sub"], said["certificate_serial"]) == (actor.id, world.state(name).certificate_serial)
    assert (verification["trust_framework"], verification["assurance_level"]) == ("kh_camtrust", "IAL2")
    assert said["policy"]["version"] == world.service.files.policy.version
    methods = [[one["check_method"] for one in evidence["check_details"]] for evidence in verification["evidence"]]
    assert methods == [["vdig", "pvp"], ["data"], ["auth"]]
    assert made.timestamp == b"TOKEN" + hashlib.sha256(made.receipt.encode()).digest()
    digest, about = world.receipts.recorded[0]
    assert digest == hashlib.sha256(made.receipt.encode()).digest()
    assert about == receipt.subject(world.receipts.issuer, actor.id)


def test_it_names_nobody_unless_asked(world: World) -> None:
    """Neither name nor number, birth or contact; with the name where the person asks, and still nothing else."""
    actor, name = world.until(State.ACTIVATED)
    plain, named = (
        base64.urlsafe_b64decode(
            world.service.receipts.of(actor, name, named=asked).receipt.split(".")[1] + "=="
        ).decode()
        for asked in (False, True)
    )
    for secret in (ADULT.document_number, ADULT.date_of_birth, PHONE_E164, *ADULT.card()):
        assert secret not in plain + named
    assert ADULT.given_names not in plain
    claims = json.loads(named)["verified_claims"]["claims"]
    assert claims["given_name"] == ADULT.given_names
    assert claims["family_name"] == ADULT.surname
    assert ADULT.given_names_km in claims["name#km"]


def test_without_a_timestamp_there_is_none_and_the_person_signs_all_the_same(world: World) -> None:
    """The enrolment does not wait for it; it is made when it is asked for and everything stands."""
    world.receipts.stands = False
    actor, name = world.until(State.ACTIVATED)
    assert world.receipts.recorded == []
    with pytest.raises(TimestampUnavailable):
        world.service.receipts.of(actor, name)
    world.receipts.stands = True
    assert world.service.receipts.of(actor, name).receipt
    assert len(world.receipts.recorded) == 1


def test_whose_it_is_and_how_long(world: World) -> None:
    """Not before the certificate, not for another; a new certificate has a new one; erased with the person."""
    early, before = world.until(State.APPROVED)
    with pytest.raises(WrongState):
        world.service.receipts.of(early, before)
    actor, name = world.until(State.ACTIVATED, "leading-zero", phone="012 111 222")
    with pytest.raises(EnrolmentUnknown):
        world.service.receipts.of(early, name)
    first = world.service.receipts.of(actor, name)
    world.service.recovery.recover(OFFICER, name, Loss.LOST)
    world.bind_factors(actor, name)
    world.service.issuance.certificate(actor, name)
    again = world.service.receipts.of(actor, name)
    assert again.receipt != first.receipt
    world.vault.destroy(actor.id)
    with pytest.raises(OwnerDestroyed):
        world.service.receipts.of(actor, name)


def rules(*arguments: object) -> set[str]:
    """The rules that speak against it."""
    _, findings = receipt.check(*arguments)  # type: ignore[arg-type]
    return {one.rule for one in findings}


def test_what_is_changed_is_found(world: World) -> None:
    """Every octet of the three parts; another key, pinned or not; a JWS of the same key that is no receipt."""
    actor, name = world.until(State.ACTIVATED)
    made = world.service.receipts.of(actor, name)
    key = made.public_key
    pin = hashlib.sha256(key).hexdigest()
    assert rules(made.receipt, key, {pin}) == set()
    assert rules(made.receipt, key, {"0" * 64}) == {"EKYC-RECEIPT-SIGNATURE"}
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()  # pinned, and not the one that signed
    der = stranger.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert rules(made.receipt, der, {hashlib.sha256(der).hexdigest()}) == {"EKYC-RECEIPT-SIGNATURE"}
    for at in range(0, len(made.receipt), 37):
        sign = "A" if made.receipt[at] != "A" else "B"
        assert rules(made.receipt[:at] + sign + made.receipt[at + 1 :], key, {pin}) == {"EKYC-RECEIPT-SIGNATURE"}
    for claims in ({"sub": actor.id}, {"verified_claims": {"verification": {}, "claims": {}}}, {"verified_claims": 1}):
        assert rules(world.receipts.sign(claims), key, {pin}) == {"EKYC-RECEIPT-FORM"}
