"""What an agency's client may seal is data, and holds however many ask at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from foundation.clock import SystemClock
from foundation.db import audit
from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind
from signing import seal_store
from signing.errors import SealNotAllowed, SealPolicyInvalid
from signing.forms import PADES, Form
from signing.model import Level
from signing.seal_policy import DEFAULT, SealPolicies, SealPolicy, read_policy

MORNING = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)  # ten o'clock in Phnom Penh
CLIENT = Actor(ActorKind.CLIENT, "act_specimen", frozenset({"sign-seal"}))


def rule(
    policies: SealPolicies, level: Level = Level.B_T, form: Form = PADES, size: int = 1000, at: datetime = MORNING
) -> str | None:
    """The rule that a seal would break; None where it was taken."""
    try:
        policies.of_actor(CLIENT).take(level, form, size, at)
    except SealNotAllowed as refused:
        return str(refused.params["rule"])
    return None


@pytest.fixture
def policies(database: Database) -> SealPolicies:
    for metadata in (seal_store.metadata, audit.metadata):
        metadata.create_all(database.engine)
    with database.unit_of_work() as connection:
        audit.create_head(connection)
    return SealPolicies(database, audit.AuditTrail(SystemClock()))


def test_the_default_asks_for_the_time(policies: SealPolicies) -> None:
    """T and above for whoever has no policy; B-B only for a client whose policy says so."""
    assert policies.of(CLIENT.id) == DEFAULT
    assert rule(policies, Level.B_B) == "SP-LEVEL"
    assert rule(policies, Level.B_LT) is None
    policies.set("test", CLIENT.id, read_policy({"levels": ["B-B"]}), MORNING)
    assert rule(policies, Level.B_B) is None
    assert rule(policies, Level.B_LT) == "SP-LEVEL"


def test_each_rule(policies: SealPolicies) -> None:
    """Format, size, hours: allowed on one side of the limit and refused on the other."""
    chosen = {"formats": ["pades"], "most_octets": 1000, "first_hour": 8, "last_hour": 17}
    policies.set("test", CLIENT.id, read_policy(chosen), MORNING)
    assert rule(policies) is None
    assert rule(policies, form=Form.parse("cades/detached")) == "SP-FORM"
    assert rule(policies, size=1001) == "SP-SIZE"
    assert rule(policies, at=MORNING + timedelta(hours=7)) == "SP-HOURS"  # five in the afternoon
    assert rule(policies, at=MORNING - timedelta(hours=3)) == "SP-HOURS"


def test_a_day_s_number_holds_under_a_race(policies: SealPolicies) -> None:
    """Of forty that ask at once, exactly ten get one; the next day counts anew, and another client for itself."""
    policies.set("test", CLIENT.id, read_policy({"per_day": 10}), MORNING)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: rule(policies), range(40)))
    assert found.count(None) == 10
    assert found.count("SP-QUOTA") == 30
    assert rule(policies, at=MORNING + timedelta(days=1)) is None
    other = Actor(ActorKind.CLIENT, "act_other", CLIENT.roles)
    policies.of_actor(other).take(Level.B_T, PADES, 1, MORNING)


@pytest.mark.parametrize(
    "value",
    [
        {"levels": []}, {"levels": ["B-X"]}, {"formats": ["doc"]}, {"per_day": 0}, {"per_day": True},
        {"most_octets": -1},
        {"first_hour": 24}, {"last_hour": 0}, {"first_hour": 9, "last_hour": 9}, {"colour": 1}, {"levels": 7},
        {"releasers": "act_1"}, {"levels": "B-B"}, {"formats": "pades"},
    ],
)  # fmt: skip
def test_policies_that_cannot_be(value: dict[str, Any]) -> None:
    """Strictly read: an unknown key, an empty list, hours that never come."""
    with pytest.raises(SealPolicyInvalid):
        read_policy(value)


def test_a_policy_reads_back() -> None:
    """What is kept is what was set."""
    policy = SealPolicy(levels=("B-B", "B-T"), per_day=5, first_hour=8, last_hour=17)
    assert read_policy(policy.json()) == policy
