"""The soak of the issuing CA in `make soak`, in small: it runs, and it notices what it is there to notice."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import pytest

from bench import ca_soak
from tests.postgres import PostgresServer


@pytest.mark.timeout(600)
def test_three_hundred_certificates_go_through_the_soak(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Loaded, verified, kept up, asked for in turns with an empty CA, started; what is slower or late is told."""
    monkeypatch.setattr(ca_soak, "WORST", float("inf"))
    monkeypatch.setattr(ca_soak, "START", float("inf"))
    folder = Path(tempfile.mkdtemp(prefix="camtrust-soak-", dir="/tmp"))  # short: it holds Unix sockets
    try:
        assert ca_soak.soak(postgres_server, folder, 300, rounds=6) == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    told = capsys.readouterr().out
    assert all(name in told for name in ca_soak.OPERATIONS)
    assert "soak: 300 certificates, 30 revoked" in told

    monkeypatch.undo()
    slow = iter([0.01, 0.03])
    place = ca_soak.Place(None, ())  # type: ignore[arg-type]
    [failed] = ca_soak.compared("slow", lambda *_: iter([lambda: time.sleep(next(slow))]), (place, place), 1)
    assert failed.startswith("slow: p99 is ")
    assert ca_soak.late("full", [6.2, 5.1]) == ["full: ready after 5.1 s"]
    assert ca_soak.late("full", [6.2, 4.9]) == []
