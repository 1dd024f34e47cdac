"""An emulated HSM inside the test's process: the real daemon and socket, a set clock, a cheap Argon2id."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest

from foundation.clock import SetClock
from foundation.keys.activation import PinTotp
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse
from hsm_emulation.client import HsmClient
from hsm_emulation.daemon import Daemon
from hsm_emulation.process import initialise
from hsm_emulation.sealing import Cost, Costs
from hsm_emulation.store import FILE

SO_PIN, USER_PIN, PERSON_PIN = "specimen-so-pin", "specimen-user-pin", "482913"
CHEAP = Costs(operator=Cost(1024, 1), person=Cost(1024, 1))


class Served:
    """A token that is served in this process."""

    def __init__(self, directory: Path, clock: SetClock) -> None:
        self.directory, self.clock = directory, clock
        initialise(directory, SO_PIN, USER_PIN, costs=CHEAP, clock=clock)
        self.start()

    def start(self) -> None:
        self.daemon = Daemon(self.directory, self.clock)
        self.daemon.__enter__()
        self.client = self.connect()

    def connect(self, pin: str = USER_PIN, role: str = "user") -> HsmClient:
        client = HsmClient(self.daemon.socket_path, timeout=20)
        client.login(pin, role)
        return client

    def stop(self) -> None:
        self.client.close()
        self.daemon.__exit__(None, None, None)

    def restart(self) -> None:
        """As after a reboot: nothing is left but what is on the disk."""
        self.stop()
        self.start()

    def edit(self, statement: str, *values: Any) -> int:
        """Somebody who can write to the store does so. Gives the number of rows."""
        with closing(sqlite3.connect(self.directory / FILE, timeout=20)) as store, store:
            return store.execute(statement, values).rowcount

    def look(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Somebody who can read the store does so."""
        with closing(sqlite3.connect(self.directory / FILE, timeout=20)) as store:
            return store.execute(query, values).fetchall()

    def files(self) -> bytes:
        """Every octet that is on the disk."""
        return b"".join(path.read_bytes() for path in sorted(self.directory.glob(f"{FILE}*")))


class Person:
    """A specimen person with an authenticator app; each code is used once, so each step moves the clock on."""

    def __init__(self, served: Served, owner: str, *, confirmed: bool = True) -> None:
        self.served, self.owner = served, owner
        self.app = pyotp.parse_uri(served.client.enrol(owner, PERSON_PIN).provisioning_uri)
        assert isinstance(self.app, pyotp.TOTP)
        if confirmed:
            served.client.confirm(owner, self.code())

    def code(self, steps: int = 0) -> str:
        """What the app shows now, or so many 30 s steps from now."""
        return self.app.at(self.served.clock.now(), counter_offset=steps)

    def next_code(self) -> str:
        """Wait for a code that was not used."""
        self.served.clock.advance(timedelta(seconds=30))
        return self.code()

    def proof(self) -> PinTotp:
        """PIN and a code that was not used."""
        return PinTotp(PERSON_PIN, self.next_code())

    def wrong_code(self) -> str:
        """A code that is none of the three that would be right."""
        right = {self.code(-1), self.code(), self.code(1)}
        return next(code for code in ("000000", "111111", "222222", "333333") if code not in right)

    def key(self, label: str = "", algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256) -> KeyInfo:
        return self.served.client.generate(label or f"{self.owner}-sign", algorithm, KeyUse.CITIZEN_SIGN, self.owner)

    def activate(self, key: KeyInfo, *digests: bytes) -> bytes:
        """Approve these digests with PIN and code."""
        return self.served.client.activate(key.key_id, digests, PERSON_PIN, self.next_code(), "specimen").token


@pytest.fixture
def served(clock: SetClock) -> Iterator[Served]:
    """A fresh token, served."""
    directory = Path(tempfile.mkdtemp(prefix="camtrust-hsm-"))
    one = Served(directory / "token", clock)
    yield one
    one.stop()
    shutil.rmtree(directory)


@pytest.fixture
def person(served: Served) -> Person:
    """A person whose factors are confirmed."""
    return Person(served, "specimen-person-1")
