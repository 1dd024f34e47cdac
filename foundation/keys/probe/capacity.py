"""Will 17 million keys work? Measured on a bounded sample, and carried on in a straight line; the report says how."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from foundation.keys.capabilities import Feature
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse
from foundation.keys.probe.concurrency import Label
from foundation.keys.probe.report import Finding, Verdict

PEOPLE = 17_000_000
BATCHES = 4
_LOOKUPS = 40
_LONGEST_MAKING_DAYS = 365.0
_LONGEST_LOOKUP = 0.1  # seconds: a person waits for more than one
_MOST_MEMORY = 64 * 2**30  # octets, in each process that opens the token
_GROWTH = 1.3  # what differs by less is taken for noise


@dataclass(frozen=True)
class Batch:
    """What was measured while the sample grew to ``keys``: the fastest, in seconds; octets in use."""

    keys: int
    make: float
    look_up: float
    memory: int | None


@dataclass(frozen=True)
class Judgment:
    """What the sample comes to for ``PEOPLE`` keys."""

    making_days: float
    look_up_seconds: float
    memory: float | None
    reasons: tuple[str, ...]

    @property
    def works(self) -> bool:
        return not self.reasons


def check_capacity(
    store: KeyStore, label: Label, sample: int, memory: Callable[[], int | None], progress: Callable[[str], None]
) -> Finding:
    """Make ``sample`` keys in four batches; measure making, looking up and memory in each; judge; destroy them again.

    Keys of persons where the store keeps them, else keys that sign documents.
    """
    persons = Feature.ACTIVATIONS in store.capabilities().features
    made: list[KeyInfo] = []
    before, batches = memory(), []
    try:
        for number in range(BATCHES):
            progress(f"{len(made)} of {sample} keys")
            times = []
            for _ in range(max(2, sample // BATCHES)):
                name = label()
                use, owner = (KeyUse.CITIZEN_SIGN, name) if persons else (KeyUse.ORGANISATION_SEAL, None)
                times.append(_timed(lambda: made.append(store.generate(name, KeyAlgorithm.EC_P256, use, owner))))  # noqa: B023
            step = max(1, len(made) // _LOOKUPS)
            looked = [_timed(lambda: store.get(one.key_id)) for one in made[number % step :: step]]  # noqa: B023
            used = memory()
            batches.append(
                Batch(
                    len(made),
                    min(times),
                    min(looked),
                    None if used is None or before is None else max(0, used - before),
                )
            )
    finally:
        progress(f"destroying {len(made)} keys")
        for info in made:
            if persons and info.owner is not None:
                store.destroy_owner(info.owner)  # type: ignore[attr-defined]  # declared: see Feature.ACTIVATIONS
            else:
                store.destroy(info.key_id)
    return finding(batches, "keys of persons" if persons else "keys as objects in the token")


def judge(batches: Sequence[Batch]) -> Judgment:
    """Carry what was measured on to ``PEOPLE`` keys, each key made after the other by one process.

    Of each batch the fastest counts: a busy machine only adds. What did not grow by 30 % from the first batch to the
    last is taken as constant: growth that the sample is too small to show, it does not show. What did is a line through
    the first and the last batch.
    """
    first, last = batches[0], batches[-1]
    make_at, make_slope = _line(first.keys, first.make, last.keys, last.make)
    look_at, look_slope = _line(first.keys, first.look_up, last.keys, last.look_up)
    making = (make_at * PEOPLE + make_slope * PEOPLE**2 / 2) / 86400
    look_up = look_at + look_slope * PEOPLE
    memory = None
    if first.memory is not None and last.memory is not None and last.keys > first.keys:
        # From batch to batch: what the first keys cost once is not part of what each costs.
        memory = max(0, last.memory - first.memory) / (last.keys - first.keys) * PEOPLE
    reasons = []
    if making > _LONGEST_MAKING_DAYS:
        reasons.append(f"making them one after the other takes {making:,.0f} days")
    if look_up > _LONGEST_LOOKUP:
        reasons.append(f"finding one takes {_duration(look_up)}")
    if memory is not None and memory > _MOST_MEMORY:
        reasons.append(f"they need {memory / 2**30:,.0f} GiB in each process")
    return Judgment(making, look_up, memory, tuple(reasons))


def finding(batches: Sequence[Batch], what: str) -> Finding:
    """The report of a sample."""
    judgment = judge(batches)
    last = batches[-1]
    details: dict[str, Any] = {
        "sample": last.keys,
        "what": what,
        "batches": [
            {
                "keys": one.keys,
                "make_ms": round(one.make * 1000, 3),
                "look_up_ms": round(one.look_up * 1000, 3),
                "memory_octets": one.memory,
            }
            for one in batches
        ],
        "at_17_million": {
            "making_days": round(judgment.making_days, 1),
            "look_up_ms": round(judgment.look_up_seconds * 1000, 3),
            "memory_gib": None if judgment.memory is None else round(judgment.memory / 2**30, 1),
        },
        "derived": (
            f"the fastest of each of {BATCHES} batches; what grew by 30 % from the first to the last is carried on in "
            f"a straight line, what did not is taken as constant; bounds: {_LONGEST_MAKING_DAYS:.0f} days to make them "
            f"one by one, {_LONGEST_LOOKUP * 1000:.0f} ms to find one, {_MOST_MEMORY // 2**30} GiB a process"
        ),
    }
    measured = (
        f"{what}: from {batches[0].keys} to {last.keys} keys, making one went from {_duration(batches[0].make)} to "
        f"{_duration(last.make)}, finding one from {_duration(batches[0].look_up)} to {_duration(last.look_up)}"
    )
    if judgment.works:
        return Finding(
            "17 million keys",
            Verdict.PASS,
            f"nothing measured speaks against it: {judgment.making_days:,.1f} days to make them. {measured}",
            details,
        )
    return Finding("17 million keys", Verdict.FAIL, f"no: {', '.join(judgment.reasons)}. {measured}", details)


def _line(x: int, y: float, later_x: int, later_y: float) -> tuple[float, float]:
    if later_y <= y * _GROWTH or later_x <= x:
        return max(y, later_y), 0.0
    slope = (later_y - y) / (later_x - x)
    return max(0.0, y - slope * x), slope


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.2g} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"
