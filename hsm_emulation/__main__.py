"""``python -m hsm_emulation DIRECTORY``: the key daemon, on its own or (``--child``) as long as its parent lives."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from pathlib import Path

from foundation.clock import SystemClock
from foundation.keys.errors import KeyStoreError, TokenUnavailable
from hsm_emulation.daemon import Daemon
from hsm_emulation.hardening import harden
from hsm_emulation.peers import Peers
from hsm_emulation.protocol import error_value
from hsm_emulation.sessions import Role
from hsm_emulation.tls import TlsServer, address


def main() -> int:
    """Serve the token in DIRECTORY until SIGTERM, SIGINT, or (``--child``) the end of standard input.

    Prints one JSON line: ``{"socket": PATH, "pid": N}`` when it listens, or ``{"error": ...}`` (exit code 4).
    """
    options = _options().parse_args()
    logging.basicConfig(
        level=logging.WARNING if options.child else logging.INFO,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    os.umask(0o077)
    hardening = harden()
    try:
        daemon = Daemon(
            options.directory,
            SystemClock(),
            hardening=hardening,
            workers=options.workers or len(os.sched_getaffinity(0)),
            peers=Peers({role: frozenset(uid for one, uid in options.allow if one is role) for role in Role}),
            path=options.socket,
            group=options.group,
            until=0 if options.child else None,
            tls=_tls(options),
        )
    except (KeyStoreError, OSError, ValueError) as found:
        # Files and addresses of the command line: the daemon is not there. What was wrong stands on standard error.
        error = found if isinstance(found, KeyStoreError) else TokenUnavailable()
        if error is not found:
            print(f"{type(found).__name__}: {found}", file=sys.stderr)
        print(json.dumps({"error": error_value(error)}), flush=True)
        print(str(error), file=sys.stderr)
        return 4
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.stop())
    print(json.dumps({"socket": str(daemon.socket_path), "pid": os.getpid()}), flush=True)
    missing = [name for name, achieved in hardening.items() if not achieved]
    logging.getLogger("camtrust.hsm").info(
        "emulated HSM, not a hardware module: listening; hardening not available here: %s", ", ".join(missing) or "none"
    )
    daemon.serve()
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hsm_emulation", description="CamTrust emulated HSM: key daemon")
    parser.add_argument("directory", type=Path, help="directory of an initialised token")
    parser.add_argument("--child", action="store_true", help="end when standard input ends")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="worker processes (default: one a core)")
    parser.add_argument("--socket", type=Path, metavar="PATH", help="listen here, not in the token's directory")
    parser.add_argument("--group", metavar="NAME", help="group of the socket, whose members may connect")
    parser.add_argument(
        "--allow",
        type=_allowance,
        action="append",
        default=[],
        metavar="ROLE=UID",
        help="let this user of the machine take this role (user, so, auditor); more than once",
    )
    parser.add_argument("--tls", metavar="HOST:PORT", help="listen for other machines too, with TLS 1.3")
    parser.add_argument("--tls-certificate", type=Path, metavar="PEM", help="the daemon's certificate")
    parser.add_argument("--tls-key", type=Path, metavar="PEM", help="its key")
    parser.add_argument(
        "--tls-allow",
        type=_admission,
        action="append",
        default=[],
        metavar="ROLE=PEM",
        help="let who has this very certificate take this role; more than once",
    )
    return parser


def _tls(options: argparse.Namespace) -> TlsServer | None:
    if not options.tls:
        return None
    if not (options.tls_certificate and options.tls_key and options.tls_allow):
        raise ValueError("--tls needs --tls-certificate, --tls-key and --tls-allow")
    server = TlsServer(*address(options.tls), options.tls_certificate, options.tls_key, options.tls_allow)
    server.context(), server.roles()  # files that hold nothing of use are told now
    return server


def _admission(written: str) -> tuple[Role, Path]:
    role, _, path = written.partition("=")
    return Role(role), Path(path)


def _allowance(written: str) -> tuple[Role, int]:
    role, _, uid = written.partition("=")
    return Role(role), int(uid)


if __name__ == "__main__":
    sys.exit(main())
