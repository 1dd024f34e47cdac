"""What the probe concludes from what it measured: pure, and never better than the figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.keys.probe.capacity import PEOPLE, Batch, finding, judge
from foundation.keys.probe.report import EXIT_CODES, Finding, Verdict, overall

FLAT = [Batch(keys, 0.001, 0.0001, 10_000 + 100 * keys) for keys in (25, 50, 75, 100)]


def of(*verdicts: Verdict) -> list[Finding]:
    return [Finding("check", verdict, "said") for verdict in verdicts]


def test_one_failure_fails_and_one_silence_leaves_it_open() -> None:
    """Exit code 1 when a check failed, else 3 when one came to nothing, else 0; cautions and choices do not count."""
    assert overall(of(Verdict.PASS, Verdict.CAUTION, Verdict.NOT_TRIED)) is Verdict.PASS
    assert overall(of(Verdict.PASS, Verdict.UNKNOWN)) is Verdict.UNKNOWN
    assert overall(of(Verdict.UNKNOWN, Verdict.FAIL, Verdict.PASS)) is Verdict.FAIL
    assert [EXIT_CODES[one] for one in (Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN)] == [0, 1, 3]


def test_a_finding_comes_back_from_its_json() -> None:
    """What a worker writes is what the report reads."""
    one = Finding("rates", Verdict.CAUTION, "said", {"per_second": {"ec-p256": 1.5}})
    assert Finding.read(one.data()) == one


def test_constant_costs_are_carried_on_as_constant() -> None:
    """1 ms a key and no growth: 17 million of them in 4.7 hours, found as quickly as in the sample."""
    judgment = judge(FLAT)
    assert judgment.works
    assert judgment.making_days == pytest.approx(PEOPLE * 0.001 / 86400)
    assert judgment.look_up_seconds == 0.0001
    assert judgment.memory == pytest.approx(PEOPLE * 100)


@pytest.mark.parametrize(
    ("field", "values", "said"),
    [
        ("look_up", (0.01, 0.02, 0.03, 0.04), "finding one takes"),
        ("make", (0.1, 0.2, 0.3, 0.4), "making them one after the other"),
        ("make", (2.0, 2.0, 2.0, 2.0), "making them one after the other"),
        ("memory", (0, 1_000_000, 2_000_000, 3_000_000), "GiB in each process"),
    ],
)
def test_what_grows_with_the_number_of_keys_does_not_reach_17_million(
    field: str, values: tuple[float, ...], said: str
) -> None:
    """A look-up that reads every key, a making that does, one that is slow, memory for each: no, and the reason."""
    batches = [replace(one, **{field: value}) for one, value in zip(FLAT, values, strict=True)]
    told = finding(batches, "keys")
    assert told.verdict is Verdict.FAIL
    assert said in told.summary
    assert "straight line" in told.details["derived"]


@given(
    st.lists(st.floats(0.00001, 10), min_size=4, max_size=4), st.lists(st.floats(0.00001, 10), min_size=4, max_size=4)
)
def test_the_judgment_is_never_better_than_the_last_batch(make: list[float], look_up: list[float]) -> None:
    """Whatever was measured: 17 million keys are not judged cheaper than the sample's last ones were."""
    batches = [replace(one, make=m, look_up=u) for one, m, u in zip(FLAT, make, look_up, strict=True)]
    judgment = judge(batches)
    assert judgment.look_up_seconds >= look_up[-1]
    assert judgment.making_days * 86400 >= make[-1] * PEOPLE * 0.5
