"""``python -m hsm_emulation DIRECTORY``: the key daemon, on its own or (``--child``) as long as its parent lives."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from foundation.clock import SystemClock
from foundation.keys.errors import KeyStoreError
from hsm_emulation.daemon import Daemon
from hsm_emulation.hardening import harden
from hsm_emulation.protocol import error_value


def main() -> int:
    """Serve the token in DIRECTORY until SIGTERM, SIGINT, or (``--child``) the end of standard input.

    Prints one JSON line: ``{"socket": PATH, "pid": N}`` when it listens, or ``{"error": ...}`` (exit code 4).
    """
    parser = argparse.ArgumentParser(prog="python -m hsm_emulation", description="CamTrust emulated HSM: key daemon")
    parser.add_argument("directory", type=Path, help="directory of an initialised token")
    parser.add_argument("--child", action="store_true", help="end when standard input ends")
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.WARNING if options.child else logging.INFO,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    os.umask(0o077)
    hardening = harden()
    try:
        daemon = Daemon(options.directory, SystemClock(), hardening=hardening)
    except KeyStoreError as error:
        print(json.dumps({"error": error_value(error)}), flush=True)
        print(str(error), file=sys.stderr)
        return 4

    def stop(*_: object) -> None:
        threading.Thread(target=daemon.stop, daemon=True).start()  # a signal handler must not wait for locks

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if options.child:
        threading.Thread(target=_stop_with_parent, args=(daemon,), name="parent-watch", daemon=True).start()
    print(json.dumps({"socket": str(daemon.socket_path), "pid": os.getpid()}), flush=True)
    missing = [name for name, achieved in hardening.items() if not achieved]
    logging.getLogger("camtrust.hsm").info(
        "emulated HSM, not a hardware module: listening; hardening not available here: %s", ", ".join(missing) or "none"
    )
    daemon.serve()
    return 0


def _stop_with_parent(daemon: Daemon) -> None:
    while os.read(0, 1024):
        pass
    daemon.stop()


if __name__ == "__main__":
    sys.exit(main())
