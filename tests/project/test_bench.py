"""`python -m bench`: every part is run, whatever becomes of the one before, and goals are told again at the end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench.goals import goal


def test_a_part_that_fails_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one that is not there is told, the one after it is run, and the exit code says that not all went well."""
    monkeypatch.setattr(sys, "argv", ["bench", "not_there", "raw"])
    assert bench.main() == 1
    told = capsys.readouterr().out
    assert "FAILED: not_there" in told
    assert "== raw" in told
    assert "no benchmark that was run has one" in told


def test_goals_are_collected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What is met and what is missed, counted; a goal that is missed is no failure."""
    for name, met in (("one", True), ("two", False)):
        capsys.readouterr()
        goal(f"SPECIMEN {name}", "1", "2", met)
        line = capsys.readouterr().out
        (tmp_path / "bench").mkdir(exist_ok=True)
        (tmp_path / "bench" / f"{name}.py").write_text(f"print({line!r}, end='')\n", encoding="utf-8")
    monkeypatch.setattr(bench, "__file__", str(tmp_path / "bench" / "__main__.py"))
    monkeypatch.setattr(sys, "argv", ["bench", "one", "two"])
    assert bench.main() == 0
    told = capsys.readouterr().out
    assert told.count("SPECIMEN two") == 2
    assert "1 goals met, 1 missed" in told


def test_every_part_is_a_module_of_the_package() -> None:
    """Each can be run by itself too."""
    modules = {file.stem for file in Path(bench.__file__).parent.glob("*.py") if "__main__" in file.read_text()}
    assert set(bench.PARTS) <= modules - {"__main__"}
