"""The commands as a program of their own, for tests that need a process: ``python verify_command.py verify …``.

Every socket is refused, by an audit hook that is in place before anything of ours is imported. The clock stands at
``VERIFY_NOW`` (RFC 3339) where that is set.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith("socket."):
        sys.stderr.write(f"SOCKET: {event}\n")
        sys.stderr.flush()
        os._exit(99)


sys.addaudithook(_refuse)


def main() -> None:
    import typer

    from foundation.catalogue import Language
    from foundation.clock import Clock, SetClock, SystemClock, parse_rfc3339
    from foundation.errors import CamTrustError
    from foundation.terminal import Terminal
    from signing.verify.cli import create_commands

    now = os.environ.get("VERIFY_NOW")
    clock: Clock = SetClock(parse_rfc3339(now)) if now else SystemClock()
    home = os.environ.get("VERIFY_HOME")
    terminal = Terminal(Language(os.environ.get("VERIFY_LANG", "en")), os.environ.get("VERIFY_JSON") == "1")
    commands = create_commands(lambda: terminal, lambda: Path(home) if home else None, clock)
    app = typer.Typer()
    app.command("verify")(commands.verify)
    app.command("show")(commands.bundle_show)
    app.command("check")(commands.bundle_check)
    try:
        app()
    except CamTrustError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(4)


if __name__ == "__main__":
    main()
