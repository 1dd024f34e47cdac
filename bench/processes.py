"""The processes of a benchmark and what they cost: CPU seconds of a process with everything that it started."""

from __future__ import annotations

from pathlib import Path

from bench.load import cpu_of


def family(pid: int) -> list[int]:
    """A process and all below it."""
    parents = dict[int, int]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it has ended
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


class Meter:
    """CPU seconds of named processes (each with its family) since the last reading."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._before = self._read()

    def used(self) -> dict[str, float]:
        """Since the last reading."""
        now = self._read()
        used = {name: now[name] - self._before[name] for name in now}
        self._before = now
        return used

    def _read(self) -> dict[str, float]:
        return {name: sum(map(_cpu, family(pid))) for name, pid in self._pids.items()}


def _cpu(pid: int) -> float:
    try:
        return cpu_of([pid])
    except OSError:
        return 0.0
