"""The machine of `test_ekyc_machine.py` finds gates that are taken away: one at a time, each breach is planted and the
machine must fail. Without this its passing would say little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

import ekyc.recall.desk
import ekyc.recall.reinstatement
import ekyc.vouching.commune
from ekyc import store
from ekyc.authenticators.cool_off import CoolOffDesk
from ekyc.model import Enrolment
from ekyc.policy import Policy, default_policy, parse_policy
from ekyc.renewal.desk import RenewalDesk
from ekyc.vouching.commune import CommuneDesk
from foundation.http.actor import Actor
from tests.ekyc.test_ekyc_machine import Enrolments

Breach = Callable[[pytest.MonkeyPatch], Policy | None]
EXAMPLES = 60  # each is found in far fewer


def policy_with(rule_id: str, change: Callable[[dict[str, Any]], object]) -> Policy:
    """The policy of the build with one of its rules changed."""
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    [rule] = [one for level in data["levels"].values() for one in level["rules"] if one["id"] == rule_id]
    change(rule)
    return parse_policy(data)


def one_officer(patch: pytest.MonkeyPatch) -> Policy:
    """At IAL3 one officer is enough."""
    return policy_with("EKYC-IAL3-OFFICERS", lambda rule: rule["any"].append([{"risk_below": 1000}]))


def never_in_person(patch: pytest.MonkeyPatch) -> Policy:
    """At IAL3 nobody needs to have been seen in person."""
    return policy_with("EKYC-IAL3-BINDING", lambda rule: rule["any"][0][0].pop("facts"))


def one_voucher(patch: pytest.MonkeyPatch) -> Policy:
    """One who vouches is enough."""
    return policy_with("EKYC-VOUCHED-VOUCHERS", lambda rule: rule["any"][0][0].update(distinct=1))


def any_commune(patch: pytest.MonkeyPatch) -> None:
    """An officer of another commune may speak."""
    patch.setattr(ekyc.vouching.commune, "is_of", lambda *_: True)


def vouchers_who_lost_theirs(patch: pytest.MonkeyPatch) -> None:
    """Whether the vouchers' certificates are in force is not looked at when the commune speaks."""
    patch.setattr(CommuneDesk, "_vouchers_hold", lambda *_: None)


def one_brings_back(patch: pytest.MonkeyPatch) -> None:
    """One officer alone reinstates."""
    patch.setattr(ekyc.recall.reinstatement, "is_another", lambda *_: True)


def back_without_guardian(patch: pytest.MonkeyPatch) -> None:
    """A minor comes back without a guardian."""
    patch.setattr(ekyc.recall.reinstatement, "lacks_guardian", lambda *_: False)


def called_back_and_active(patch: pytest.MonkeyPatch) -> None:
    """Evidence that is called back suspends nobody who is approved."""
    advance = ekyc.recall.desk.CaseFiles.advance

    def stay(self: Any, connection: Any, enrolment: Enrolment, to: Any, *arguments: Any, **named: Any) -> Enrolment:
        if named.get("reason") == "reason_evidence_recalled":
            return self.touch(connection, enrolment)  # type: ignore[no-any-return]
        return advance(self, connection, enrolment, to, *arguments, **named)

    patch.setattr(ekyc.recall.desk.CaseFiles, "advance", stay)


def no_cool_off(patch: pytest.MonkeyPatch) -> None:
    """New factors sign at once."""
    patch.setattr(CoolOffDesk, "begin", lambda *_: None)


def renewed_unasked(patch: pytest.MonkeyPatch) -> None:
    """A certificate is renewed without asking the registry."""

    def unasked(self: RenewalDesk, actor: Actor, enrolment: Enrolment) -> Enrolment:
        return enrolment

    patch.setattr(RenewalDesk, "_ask_registry", unasked)


def never_superseded(patch: pytest.MonkeyPatch) -> None:
    """The certificate before a renewal stays in force."""
    patch.setattr(RenewalDesk, "resume", lambda *_, **__: 0)


def no_compare_and_set(patch: pytest.MonkeyPatch) -> None:
    """Of two requests that race both are written."""

    def anyway(connection: Any, enrolment: Enrolment, values: Any, **columns: Any) -> Enrolment:
        return changed(connection, store.load(connection, enrolment.id), values, **columns)

    changed = store.change
    patch.setattr(store, "change", anyway)
    patch.setattr(store, "hold", lambda *_: None)


@pytest.mark.parametrize(
    ("breach", "level", "person"),
    [
        (one_officer, "IAL3", None),
        (never_in_person, "IAL3", None),
        (one_voucher, "VOUCHED", None),
        (any_commune, "VOUCHED", None),
        (vouchers_who_lost_theirs, "VOUCHED", None),
        (one_brings_back, "IAL2", None),
        (back_without_guardian, "IAL2", "minor"),
        (called_back_and_active, "IAL2", None),
        (no_cool_off, "IAL2", None),
        (renewed_unasked, "IAL2", None),
        (never_superseded, "IAL2", None),
        (no_compare_and_set, "IAL2", None),
    ],
)
def test_a_gate_that_is_taken_away_is_found(
    breach: Breach, level: str, person: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine fails when the gate is away; with all gates it passes (`test_ekyc_machine.py`)."""
    policy = breach(monkeypatch)
    broken = type("Broken", (Enrolments,), {"levels": (level,), "policy": policy, "person": person})
    quick = settings(
        max_examples=EXAMPLES,
        stateful_step_count=16,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(broken, settings=quick)
