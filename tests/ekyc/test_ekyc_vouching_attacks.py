"""Attacks on vouching, each with its control on, which refuses, and off, when the same attack goes through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

import ekyc.vouching.commune
import ekyc.vouching.desk
from ekyc.errors import EvidenceFirst, ReviewSignatureInvalid, SelfReview
from ekyc.model import State
from ekyc.ports import Cause
from ekyc.registry_simulation.persons import series
from ekyc.review.desk import ReviewDesk
from ekyc.vouching import store as vouch_store
from ekyc.vouching.commune import CommuneDesk
from ekyc.vouching.desk import VouchDesk
from ekyc.vouching.errors import (
    CommuneOther,
    CommuneQuota,
    VoucherLost,
    VoucherNotHolder,
    VoucherQuota,
    VoucherSelf,
    VouchersRelated,
    VouchInvitationUnknown,
)
from foundation.errors import CamTrustError
from foundation.http.actor import Actor
from tests.ekyc.families import CODE, Factors
from tests.ekyc.story import OFFICER, PIN, World
from tests.ekyc.vouchers import (
    CHIEF,
    ELSEWHERE,
    SAID,
    another,
    by_policy,
    by_rules,
    changed,
    declared,
    holder,
    speak,
    vouch,
    vouched,
)

Attack = Callable[[World], State]
Off = Callable[[World, pytest.MonkeyPatch], None]


def one_alone(world: World) -> State:
    """One holder vouches twice."""
    _, name = vouched(world, holder(world, 811), holder(world, 811))
    return speak(world, name).state


def one_is_enough(world: World, patch: pytest.MonkeyPatch) -> None:
    data = changed().model_dump(mode="json", exclude_unset=True)
    for rule in data["levels"]["VOUCHED"]["rules"]:
        if rule["id"] == "EKYC-VOUCHED-VOUCHERS":
            rule["any"][0][0]["distinct"] = 1
    by_policy(world, patch, type(changed()).model_validate(data))


def oneself(world: World) -> State:
    """A certificate holder vouches for their own second enrolment, under the same name and birth."""
    person = series(812)
    said = replace(
        SAID,
        surname=person.surname,
        given_names=person.given_names,
        date_of_birth=date.fromisoformat(person.date_of_birth),
    )
    actor, name = declared(world, said)
    return vouch(world, actor, name, holder(world, 812)).state


def whoever(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ekyc.vouching.desk, "is_oneself", lambda *_: False)


def by_a_revoked_voucher(world: World) -> State:
    """The certificate was revoked; session and factors still work."""
    voucher = holder(world, 813)
    world.ca.revoked[world.service.files.of_person(voucher).certificate_serial or ""] = Cause.SUPERSEDED
    actor, name = declared(world)
    return vouch(world, actor, name, voucher).state


def no_certificate(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(VouchDesk, "may_vouch", lambda *_: True)


def provisional(world: World) -> Actor:
    """Somebody who was vouched for, with a certificate."""
    found: Actor | None = getattr(world, "provisional", None)
    if found is None:
        found, name = vouched(world, holder(world, 814), holder(world, 815), said=another(20))
        speak(world, name)
        world.bind_factors(found, name)
        assert world.service.issuance.certificate(found, name).state is State.ACTIVATED
        world.provisional = found  # type: ignore[attr-defined]
    return found


def by_one_who_was_vouched_for(world: World) -> State:
    """A chain: who is only vouched for vouches for the next one."""
    voucher = provisional(world)
    actor, name = declared(world)
    return vouch(world, actor, name, voucher).state


def every_level(world: World, patch: pytest.MonkeyPatch) -> None:
    by_rules(world, patch, levels=["IAL2", "IAL3", "VOUCHED"])


def of_one_another(world: World) -> State:
    """Both vouchers, of whom one vouched for the other; the policy takes their levels."""
    voucher = provisional(world)
    actor, name = declared(world)
    vouch(world, actor, name, holder(world, 814))
    return vouch(world, actor, name, voucher).state


def unrelated(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(vouch_store, "related", lambda *_: False)


def too_many(world: World) -> State:
    """One holder for more persons in a year than the policy permits."""
    for number in (21, 22):
        _, name = vouched(world, holder(world, 816), said=another(number))
    return world.state(name).state


def many(world: World, patch: pytest.MonkeyPatch) -> None:
    by_rules(world, patch, per_voucher=100)


def invitation_twice(world: World) -> State:
    """An invitation that one holder answered is answered by another."""
    desk, (actor, name) = world.service.vouching, declared(world)
    code = desk.invite(actor, name).code
    for number in (817, 818):
        voucher = holder(world, number)
        moved = desk.vouch(voucher, code, desk.look(voucher, code).evidence_digest, PIN, CODE)
    return moved.state


def invitations_last(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(vouch_store.invitations, "use", lambda *_: None)


def lost_before_the_word(world: World) -> State:
    """A voucher's certificate is revoked between their word and the officer's."""
    voucher = world.until(State.ACTIVATED, series(819 + len(world.ca.revoked)))[0]
    _, name = vouched(world, voucher, holder(world, 815), said=another(23))
    world.ca.revoked[world.service.files.of_person(voucher).certificate_serial or ""] = Cause.COMPROMISED
    return speak(world, name).state


def words_last(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CommuneDesk, "_vouchers_hold", lambda *_: None)


def of_another_commune(world: World) -> State:
    """An officer of another commune speaks."""
    _, name = vouched(world, holder(world, 814), holder(world, 815))
    return speak(world, name, ELSEWHERE).state


def any_commune(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ekyc.vouching.commune, "is_of", lambda *_: True)


def forged_word(world: World) -> State:
    """The word of the commune's officer, signed by somebody else's key."""
    _, name = vouched(world, holder(world, 814), holder(world, 815))
    return speak(world, name, signer=OFFICER).state


def no_signatures(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ekyc.vouching.commune, "check", lambda *_: None)


def officer_who_vouched(world: World) -> State:
    """The commune's officer is one of the two vouchers: one person less than it needs."""
    world.staff.persons[CHIEF.id] = holder(world, 814).id
    _, name = vouched(world, holder(world, 814), holder(world, 815))
    return speak(world, name).state


def own_cases(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ReviewDesk, "is_their_own", lambda *_: False)


def commune_of_many(world: World) -> State:
    """A commune speaks for more persons in a year than the policy permits."""
    for number in (24, 25):
        _, name = vouched(world, holder(world, 814), holder(world, 815), said=another(number))
        moved = world.state(name) if world.state(name).state is State.APPROVED else speak(world, name)
    return moved.state


def large_communes(world: World, patch: pytest.MonkeyPatch) -> None:
    by_rules(world, patch, per_voucher=100)


ATTACKS: tuple[tuple[str, Attack, Off, type[CamTrustError]], ...] = (
    ("one-voucher-twice", one_alone, one_is_enough, EvidenceFirst),
    ("self", oneself, whoever, VoucherSelf),
    ("revoked-voucher", by_a_revoked_voucher, no_certificate, VoucherNotHolder),
    ("vouched-voucher", by_one_who_was_vouched_for, every_level, VoucherNotHolder),
    ("of-one-another", of_one_another, unrelated, VouchersRelated),
    ("too-many", too_many, many, VoucherQuota),
    ("invitation-twice", invitation_twice, invitations_last, VouchInvitationUnknown),
    ("lost-before-the-word", lost_before_the_word, words_last, VoucherLost),
    ("other-commune", of_another_commune, any_commune, CommuneOther),
    ("forged-word", forged_word, no_signatures, ReviewSignatureInvalid),
    ("officer-who-vouched", officer_who_vouched, own_cases, SelfReview),
    ("commune-of-many", commune_of_many, large_communes, CommuneQuota),
)
FROM = {
    too_many: {"per_voucher": 1},
    of_one_another: {"levels": ["IAL2", "IAL3", "VOUCHED"], "per_voucher": 100},
    commune_of_many: {"per_voucher": 100, "per_commune": 1},
}


@pytest.mark.parametrize(("attack", "off", "refusal"), [one[1:] for one in ATTACKS], ids=[one[0] for one in ATTACKS])
def test_an_attack_on_vouching_is_refused_by_its_control(
    world: World, monkeypatch: pytest.MonkeyPatch, attack: Attack, off: Off, refusal: type[CamTrustError]
) -> None:
    """With the control the attack is refused, by its own code. Without it, the same attack goes through."""
    by_rules(world, monkeypatch, **FROM.get(attack, {"per_voucher": 100}))
    with pytest.raises(refusal):
        attack(world)
    off(world, monkeypatch)
    monkeypatch.setattr(world.service.vouching, "_factors", Factors())
    assert attack(world) in (State.WAITING_VOUCHERS, State.APPROVED)
