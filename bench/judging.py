"""What it costs that strangers' documents are judged each in a process of its own, beside judging them here.

    python -m bench.judging

By the clock, since the work is another process's; the two sides take turns.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pikepdf

from bench.goals import goal
from camtrust.home import Home
from camtrust.judging.judges import Judges
from camtrust.judging.messages import NAME
from camtrust.settings import VerifySettings
from foundation.clock import SetClock
from signing.verify.model import Indication
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests.verify.verify_world import NOW, World, document

_ROUNDS = 40
_MIB = 1024 * 1024


def main() -> None:
    """Print the medians of both sides, for a small document and one of 20 MiB, and the first document's time."""
    world = World()
    small = world.signed(document())
    large = world.signed(_with_attachment(20 * _MIB))
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.bundle.parent.mkdir()
        home.bundle.write_bytes(world.bundle())
        home.bundle_signer.write_text(f"{world.pin}\n", encoding="ascii")
        judges = Judges(home, SetClock(NOW), VerifySettings())
        try:
            first = _seconds(lambda: judges.judge(small).verdict.indication)
            print(f"the first document, which starts the process: {first * 1000:.0f} ms")
            _compare("a small document", home, world.pin, judges, small, _ROUNDS)
            _compare("one of 20 MiB", home, world.pin, judges, large, _ROUNDS // 8)
        finally:
            judges.close()


def _with_attachment(octets: int) -> bytes:
    written = BytesIO()
    with pikepdf.open(BytesIO(document())) as pdf:
        pdf.Root.Specimen = pdf.make_stream(os.urandom(octets))
        pdf.save(written)
    return written.getvalue()


def _compare(name: str, home: Home, pin: str, judges: Judges, data: bytes, rounds: int) -> None:
    def here() -> Indication:
        trust = build_trust(home.bundle.read_bytes(), frozenset({pin}), [], NOW, STRICT)
        return verify_file(data, NAME, trust, NOW).indication

    beside, apart = list[float](), list[float]()
    for _ in range(rounds):
        beside.append(_seconds(here))
        apart.append(_seconds(lambda: judges.judge(data).verdict.indication))
    raw, own = statistics.median(beside), statistics.median(apart)
    print(f"{name}: here {raw * 1000:.1f} ms, in a process of its own {own * 1000:.1f} ms (x {own / raw:.2f})")
    print(f"  slowest of {rounds}: {max(beside) * 1000:.1f} ms and {max(apart) * 1000:.1f} ms")
    if rounds == _ROUNDS:
        goal("a small document, each in a process of its own, median", "0.3 s", f"{own:.3f} s", own < 0.3)


def _seconds(call: Callable[[], Indication]) -> float:
    started = time.perf_counter()
    indication = call()
    taken = time.perf_counter() - started
    assert indication is Indication.TOTAL_PASSED, indication
    return taken


if __name__ == "__main__":
    main()
