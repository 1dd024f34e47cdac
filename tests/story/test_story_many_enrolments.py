"""Enrolments from end to end while the server is killed: a small part of what `make soak` does."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from bench.enrolments import run


def test_nobody_is_lost_while_the_server_is_killed() -> None:
    """Thirty people enrol over HTTP, the server is ended twice by SIGKILL meanwhile: all thirty are ACTIVATED with one
    certificate and one key each, every ledger is whole, every decision is reproduced, the audit trail holds."""
    folder = Path(tempfile.mkdtemp(prefix="camtrust-story-", dir="/tmp"))
    try:
        outcome = run(30, 2, folder, lambda _: None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert (outcome.kills, len(outcome.times)) == (2, 30)
    assert len(outcome.lines()) == 4
