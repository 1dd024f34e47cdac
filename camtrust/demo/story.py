"""A story: stations in order, each timed, each leaving something; told line by line and in ``summary.json``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foundation.clock import Clock, rfc3339
from foundation.terminal import Terminal


@dataclass
class Station:
    """One stop of the story: what it is called, how long it took (seconds), what it made (paths in the home), notes."""

    name: str
    title: str
    seconds: float = 0.0
    made: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)


class Story:
    """Tells stations as they happen. Steps inside a station come as progress lines of their own."""

    def __init__(self, terminal: Terminal, clock: Clock, count: int, stopwatch: Callable[[], float]) -> None:
        self._terminal = terminal
        self._clock = clock
        self._count = count
        self._stopwatch = stopwatch
        self._begun = stopwatch()
        self._started = clock.now()
        self.stations: list[Station] = []

    @contextmanager
    def station(self, name: str, title: str) -> Iterator[Station]:
        """Run one station; its line is printed when it ends, with its duration."""
        station = Station(name, title)
        self.stations.append(station)
        number = f"[{len(self.stations):>2}/{self._count}]"
        self._terminal.note(f"{number} {title} …")
        begun = self._stopwatch()
        try:
            yield station
        except BaseException:
            self._terminal.note(f"{number} {title}: FAILED after {self._stopwatch() - begun:.2f} s")
            raise
        station.seconds = round(self._stopwatch() - begun, 3)
        made = f"  → {', '.join(station.made[:4])}{' …' if len(station.made) > 4 else ''}" if station.made else ""
        self._terminal.note(f"{number} {title}: done in {station.seconds:.2f} s{made}")

    def step(self, line: str) -> None:
        """A line of progress inside a station."""
        self._terminal.note(f"        {line}")

    def summary(self, **more: Any) -> dict[str, Any]:
        """What ``summary.json`` holds."""
        return {
            "specimen": True,
            "started": rfc3339(self._started.replace(microsecond=0)),
            "seconds": round(self._stopwatch() - self._begun, 3),
            "stations": [
                {"name": s.name, "title": s.title, "seconds": s.seconds, "made": s.made, **s.notes}
                for s in self.stations
            ],
            **more,
        }


def stopwatch() -> float:
    """Seconds on a clock that never goes back; only differences mean something."""
    return time.monotonic()


def write_json(file: Path, value: Any) -> None:
    """Write a JSON file whole: a reader sees the old one or the new one, never a part."""
    temporary = file.with_name(file.name + ".new")
    temporary.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    temporary.replace(file)


def relative(paths: Sequence[Path], home: Path) -> list[str]:
    """Paths as the summary names them: relative to the home."""
    return [str(path.relative_to(home)) for path in paths]
