"""``python -m hsm_emulation.pkcs11_door --token-socket PATH --socket PATH``: the door, until it is told to stop."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from foundation.keys.errors import KeyStoreError, TokenUnavailable
from hsm_emulation.hardening import harden
from hsm_emulation.pkcs11_door.server import Door
from hsm_emulation.protocol import error_value


def main() -> int:
    """Serve until SIGTERM, SIGINT, or (``--child``) the end of standard input.

    Prints one JSON line: ``{"socket": PATH, "pid": N}`` when it listens, or ``{"error": ...}`` (exit code 4).
    """
    parser = argparse.ArgumentParser(
        prog="python -m hsm_emulation.pkcs11_door", description="PKCS#11 programs' door to the emulated HSM (p11-kit)"
    )
    parser.add_argument("--token-socket", type=Path, required=True, metavar="PATH", help="where the key daemon listens")
    parser.add_argument("--socket", type=Path, required=True, metavar="PATH", help="listen here for p11-kit-client.so")
    parser.add_argument("--child", action="store_true", help="end when standard input ends")
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.WARNING if options.child else logging.INFO,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    os.umask(0o077)
    harden()
    try:
        door = Door(options.token_socket, options.socket.absolute())
    except (KeyStoreError, OSError) as found:
        error = found if isinstance(found, KeyStoreError) else TokenUnavailable()
        if error is not found:
            print(f"{type(found).__name__}: {found}", file=sys.stderr)
        print(json.dumps({"error": error_value(error)}), flush=True)
        print(str(error), file=sys.stderr)
        return 4
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: door.stop())
    if options.child:
        threading.Thread(target=_until_input_ends, args=(door,), daemon=True).start()
    print(json.dumps({"socket": str(door.path), "pid": os.getpid()}), flush=True)
    door.serve()
    return 0


def _until_input_ends(door: Door) -> None:
    while os.read(0, 1024):
        pass
    door.stop()


if __name__ == "__main__":
    sys.exit(main())
