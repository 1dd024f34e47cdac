"""The demo's last line can be typed as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrust.cli.demo import as_called


def test_the_last_line_names_a_command_that_the_shell_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the PATH its name is enough; elsewhere the path by which it was started is named."""
    program = tmp_path / "camtrust"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "")
    assert as_called(str(program)) == str(program)
    assert as_called("-c") == "camtrust"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert as_called(str(program)) == "camtrust"
