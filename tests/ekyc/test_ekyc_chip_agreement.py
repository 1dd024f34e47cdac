"""Chip authentication in an enrolment: the server's key, good once; clones, replays and downgrades are refused."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from ekyc import challenges
from ekyc.challenges import Purpose
from ekyc.chip import ChipOutcome
from ekyc.chip.agreement import SECRET_OCTETS
from ekyc.chip.messaging import Session
from ekyc.documents import chips
from ekyc.evidence.errors import ChallengeUnknown, ChipFilesInvalid, ChipKeyUnusable
from ekyc.evidence.tables import evidence_challenges
from ekyc.model import State
from ekyc.registry_simulation.persons import specimens
from foundation.clock import SetClock
from foundation.http.actor import Actor
from foundation.x509 import der
from tests.ekyc.chip_parties import NOW, document_signer, ec_key
from tests.ekyc.chip_relay import agreement_dg14, relay
from tests.ekyc.chip_specimen import Chip, com, sod
from tests.ekyc.story import World
from tests.ekyc.test_ekyc_chips import ISSUER, anchored, recorded

KEY = ec_key(ec.BrainpoolP256R1, "agreement")
CLONE = ec_key(ec.BrainpoolP256R1, "clone")


@pytest.fixture
def clock() -> SetClock:
    """The day for which the specimen chips are made."""
    return SetClock(NOW)


def chip_of(person: str = "adult", ciphers: Sequence[str] = ("AES-128",)) -> Chip:
    """The chip of a specimen person's card, with a key for chip authentication."""
    lines = "".join(specimens()[person].card()).encode()
    groups = {
        1: der.tlv(0x61, b"\x5f\x1f" + der.length(len(lines)) + lines),
        14: agreement_dg14(KEY, ciphers),
    }
    files = {f"DG{number}": data for number, data in groups.items()}
    files["EF.COM"] = com(sorted(groups))
    files["EF.SOD"] = sod(groups, document_signer(ISSUER), ISSUER.name)
    return Chip(files, [], [])


def carried(begun: chips.Relay, one: Chip, key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    """What a chip with this key and these files answers."""
    return relay(key, one.files["DG1"], begun.inside, begun.last)


def brought(world: World, actor: Actor, name: str, one: Chip, challenge: str, response: bytes) -> chips.Judged:
    return world.service.chips.submit(actor, name, one.files, challenge, response, to=Purpose.CHIP_AGREEMENT)


def test_a_chip_that_agrees_is_there(both_worlds: World) -> None:
    """The chip answers in a session that only it and the server can have: authentic, not capped, by chip
    authentication; the server's octets stand sealed in the store."""
    world, one = anchored(both_worlds), chip_of()
    actor, name = world.until(State.REGISTRY_MATCHED)
    begun = world.service.chips.agreement(actor, name, one.files["DG14"])
    with world.database.read() as connection:
        kept = bytes(connection.execute(select(evidence_challenges.c.nonce)).scalar_one())
    enrolment = world.state(name)
    opened = world.service.files.vault.open(enrolment.person_id, f"challenge:{begun.id}", kept)
    assert len(opened) == SECRET_OCTETS
    assert opened not in kept
    judged = brought(world, actor, name, one, begun.id, carried(begun, one))
    assert judged.verdict.outcome is ChipOutcome.AUTHENTIC, judged.verdict.reasons
    facts = recorded(world, name).facts
    assert (facts["possession_proved"], facts["possession_by"]) == ("true", "chip-authentication")
    assert facts["capped"] == "false"
    assert world.review(name).state is State.APPROVED


def test_a_cloned_chip_fails_and_rejects(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a chip with another key behind them: failed, and no officer can approve. Were the protection of the
    answer not judged, the copy would count as the chip, and its holder be approved."""
    anchored(world)
    one, other = chip_of(), chip_of("leading-zero")
    actor, name = world.until(State.REGISTRY_MATCHED)
    own = agreement_dg14(CLONE)
    begun = world.service.chips.agreement(actor, name, own)
    judged = brought(world, actor, name, one, begun.id, carried(begun, one, CLONE))
    assert judged.verdict.outcome is ChipOutcome.FAILED
    assert recorded(world, name).outcome == "failed"
    assert world.review(name).state is State.REJECTED
    person, theirs = world.until(State.REGISTRY_MATCHED, "leading-zero")
    begun = world.service.chips.agreement(person, theirs, own)
    monkeypatch.setattr(Session, "open", lambda *_: other.files["DG1"][:77])  # the control is off
    passed = brought(world, person, theirs, other, begun.id, carried(begun, other, CLONE))
    assert (passed.verdict.outcome, passed.verdict.capped) == (ChipOutcome.AUTHENTIC, False)
    assert world.review(theirs).state is State.APPROVED


def test_replayed_agreements_are_worth_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that was given once, in an older agreement, too late, in another enrolment, or to a challenge of
    another kind is refused unjudged; brought to a newer agreement it fails."""
    anchored(world)
    one = chip_of()
    actor, name = world.until(State.REGISTRY_MATCHED)
    other, theirs = world.until(State.CONTACT_VERIFIED, phone="012 111 222")
    service, dg14 = world.service.chips, one.files["DG14"]
    begun = service.agreement(actor, name, dg14)
    response = carried(begun, one)
    with pytest.raises(ChallengeUnknown):
        brought(world, other, theirs, one, begun.id, response)
    with pytest.raises(ChallengeUnknown):
        service.submit(actor, name, one.files, begun.id, response)  # as active authentication
    assert not brought(world, actor, name, one, begun.id, response).verdict.capped
    with pytest.raises(ChallengeUnknown):
        brought(world, actor, name, one, begun.id, response)
    newer = service.agreement(actor, name, dg14)
    assert newer.last != begun.last
    assert newer.inside != begun.inside
    assert brought(world, actor, name, one, newer.id, response).verdict.outcome is ChipOutcome.FAILED
    older, _ = service.agreement(actor, name, dg14), service.agreement(actor, name, dg14)
    with pytest.raises(ChallengeUnknown):
        brought(world, actor, name, one, older.id, b"any")
    late = service.agreement(actor, name, dg14)
    world.clock.advance(timedelta(seconds=301))
    with pytest.raises(ChallengeUnknown):
        brought(world, actor, name, one, late.id, b"any")

    with world.database.read() as connection:
        table = evidence_challenges
        kept = bytes(connection.execute(select(table.c.nonce).where(table.c.id == begun.id)).scalar_one())
    secret = world.service.files.vault.open(world.state(name).person_id, f"challenge:{begun.id}", kept)

    def never_used(*_: Any) -> challenges.Challenge:
        return challenges.Challenge(begun.id, secret, world.clock.now() + timedelta(hours=1))

    monkeypatch.setattr(challenges.Challenges, "redeem", never_used)  # the control is off: the replay passes
    assert not brought(world, actor, name, one, begun.id, response).verdict.capped


def test_leaving_chip_authentication_out_is_told_and_capped(world: World) -> None:
    """Files alone of a chip that names a key, with its DG14 or without: announced, not proved, capped."""
    anchored(world)
    actor, name = world.until(State.REGISTRY_MATCHED)
    files = dict(chip_of().files)
    for sent in (files, {file: data for file, data in files.items() if file != "DG14"}):
        judged = world.service.chips.submit(actor, name, sent)
        assert judged.verdict.capped
        facts = recorded(world, name).facts
        assert (facts["possession_announced"], facts["possession_proved"]) == ("true", "false")


def test_over_http(world: World) -> None:
    """DG14, commands, files and answer; good once; a DG14 that names no usable key is refused with a reason."""
    anchored(world)
    one = chip_of()
    actor, name = world.until(State.REGISTRY_MATCHED)
    client, person = world.client(), {"Authorization": f"Bearer {world.sessions.open(actor.id)}"}
    base = f"/ekyc/v1/enrolments/{name}/chip"
    files = {file: base64.b64encode(data).decode() for file, data in one.files.items()}
    begun = client.post(f"{base}/authentication", json={"dg14": files["DG14"]}, headers=person)
    assert begun.status_code == 201, begun.text
    told = begun.json()
    assert set(told) == {"challenge", "inside", "last", "expires_at"}
    inside = [bytes.fromhex(command) for command in told["inside"]]
    response = relay(KEY, one.files["DG1"], inside, bytes.fromhex(told["last"]))
    body = {
        "files": files,
        "challenge": told["challenge"],
        "response": base64.b64encode(response).decode(),
        "authentication": "chip",
    }
    answer = client.post(base, json=body, headers=person)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["outcome"], answer.json()["capped"]) == ("authentic", False)
    assert specimens()["adult"].given_names not in answer.text
    again = client.post(base, json=body, headers=person)
    assert (again.status_code, again.json()["code"]) == (409, "ekyc.challenge_unknown")
    for wrong, error in (("AAAA", ChipKeyUnusable), ("***", ChipFilesInvalid)):
        refused = client.post(f"{base}/authentication", json={"dg14": wrong}, headers=person)
        assert (refused.status_code, refused.json()["code"]) == (422, error.code)
