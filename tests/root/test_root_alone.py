"""The whole ceremony on the real emulated token, without any network: noted by an audit hook, in an empty namespace."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import programs

PROGRAM = Path(__file__).with_name("ceremony_alone.py")
TREE = Path(__file__).parents[2]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TREE)}


def test_a_ceremony_opens_no_socket_but_the_key_daemons(tmp_path: Path) -> None:
    """All five acts checked, rehearsed, performed on a real token and verified: AF_UNIX to the daemons, nothing else.

    It runs in a network namespace without any interface, so that nothing could answer either.
    """
    become_root = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = [*become_root, "--net", sys.executable, "-W", "error", os.fspath(PROGRAM), os.fspath(tmp_path)]
    done = programs.run("unshare", *command, env=_environment(), timeout=200)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report == {
        "families": [int(socket.AF_UNIX)],
        "events": [],
        "only_daemons": True,
        "valid": True,
        "acts": 5,
        "left_on_throwaway": 0,
    }


def test_the_audit_hook_would_see_an_internet_socket() -> None:
    """The control of the test above: the same hook notes a socket of another family."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--control"], env=_environment(), capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert int(socket.AF_INET) in json.loads(done.stdout)["families"]
