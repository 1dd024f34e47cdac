"""``python -m camtrust.worker``: one of the further server processes that :mod:`camtrust.workers` starts."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from threading import Thread

from camtrust.doors import application
from camtrust.home import Home
from camtrust.server import attached, log_lines, serve_on
from camtrust.settings import Settings
from foundation.clock import SystemClock
from foundation.errors import CamTrustError

_log = logging.getLogger(__name__)


def main() -> int:
    """Serve as standard input says, until it closes."""
    log_lines()
    told = json.loads(sys.stdin.buffer.readline())
    Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    home, settings = Home.open(Path(told["home"])), Settings(**told["settings"])
    with socket.socket(fileno=told["listener"]) as listener:
        try:
            with attached(home, settings, SystemClock(), told["registry"]) as services:
                web = application(services)
                _log.info("server process %d takes requests", os.getpid())
                serve_on(web, listener)
        except CamTrustError as error:
            _log.error("server process %d: %s", os.getpid(), error.code)
            return 1
    return 0


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # while it serves, it finishes what it has; before that it just ends


if __name__ == "__main__":
    sys.exit(main())
