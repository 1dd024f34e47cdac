"""Making a token, and running its daemon and its PKCS#11 door as child processes that end with us."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from foundation.clock import Clock, SystemClock
from foundation.keys.errors import TokenUnavailable
from foundation.keys.quorum import Custodians
from hsm_emulation import token
from hsm_emulation.cards import CardSet
from hsm_emulation.listening import socket_path as socket_path
from hsm_emulation.passkeys import RelyingParty
from hsm_emulation.protocol import error_from
from hsm_emulation.sealing import Costs

__all__ = ["KeyDaemon", "Pkcs11Door", "initialise", "socket_path"]

_START = 120.0  # seconds: on a busy machine a process that is slow to start is none that hangs
_STOP = 15.0


def initialise(
    directory: Path,
    so_pin: str | None,
    user_pin: str | None,
    *,
    costs: Costs | None = None,
    clock: Clock | None = None,
    relying_party: RelyingParty | None = None,
    cards: str | None = None,
    custodians: Custodians | None = None,
) -> tuple[str, ...]:
    """Make a token in ``directory``; ``costs`` of Argon2id stay with it, and whose passkeys it takes.

    ``cards``: ``3of5``, say, and no PINs; the cards come back, once. TokenAlreadyInitialised, TokenPinInvalid,
    CardsInvalid.
    """
    return token.initialise(
        directory,
        so_pin,
        user_pin,
        clock=clock or SystemClock(),
        costs=costs,
        relying_party=relying_party,
        custodians=custodians,
        card_size=None if cards is None else CardSet.parse(cards),
    )


class _Child:
    """A process of ours at a socket. It ends when ``stop`` is called or this process is gone.

    It holds the other end of a pipe of ours: when we end, however we end, it reads the end of file and stops.
    """

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self._process = process
        self.socket_path = path
        self.pid = process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it in good order; once more does nothing."""
        _end(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class KeyDaemon(_Child):
    """The key daemon of a token, as a child process."""

    @classmethod
    def start(cls, directory: Path, *options: str) -> KeyDaemon:
        """Start it and wait until it listens. TokenNotInitialised, TokenInUse, TokenUnavailable.

        ``options``: as ``python -m hsm_emulation --help`` says.
        """
        return cls(*_started("hsm_emulation", "--child", *options, os.fspath(directory.resolve())))


class Pkcs11Door(_Child):
    """The door for PKCS#11 programs to a token whose daemon listens at a socket, as a child process."""

    @classmethod
    def start(cls, token: Path, path: Path) -> Pkcs11Door:
        """Start it and wait until it listens at ``path``. SocketExposed, TokenInUse, TokenUnavailable."""
        options = ("--child", "--token-socket", os.fspath(token), "--socket", os.fspath(path.absolute()))
        return cls(*_started("hsm_emulation.pkcs11_door", *options))


def _started(module: str, *options: str) -> tuple[subprocess.Popen[bytes], Path]:
    """A child that has said where it listens."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101 (PIPE)
    patience = threading.Timer(_START, process.kill)
    patience.daemon = True
    patience.start()
    try:
        line = process.stdout.readline()
    finally:
        patience.cancel()
    try:
        greeting = json.loads(line)
    except ValueError:
        _end(process)
        raise TokenUnavailable from None
    if "error" in greeting:
        _end(process)
        raise error_from(greeting["error"])
    return process, Path(greeting["socket"])


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
