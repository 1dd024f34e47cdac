"""The soak of `make soak`, in small: it runs, and it notices what it is there to notice."""

from __future__ import annotations

import pytest

from bench import hsm_soak
from hsm_emulation.process import KeyDaemon


def test_two_hundred_keys_go_through_the_soak(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Made, used, wrapped anew, used, master key rotated, used: every signature verifies."""
    monkeypatch.setattr("sys.argv", ["hsm_soak", "200"])
    assert hsm_soak.main() == 0
    assert "200 keys; every signature verified, memory is flat" in capsys.readouterr().out


def test_memory_that_grows_fails_the_soak(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A daemon that keeps three megabytes more at each look: the soak fails, and says why."""
    looks = iter(range(100))

    def growing(_: KeyDaemon) -> int:
        return (100 + 3 * next(looks)) << 20

    monkeypatch.setattr(hsm_soak, "_resident", growing)
    monkeypatch.setattr("sys.argv", ["hsm_soak", "40"])
    assert hsm_soak.main() == 1
    assert "the memory grew" in capsys.readouterr().out
