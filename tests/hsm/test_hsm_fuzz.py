"""A minute of fuzzing at the daemon's socket, beside honest clients who are served all the while.

Four threads send what was altered, cut, spliced, repeated, or made up; as strangers and logged in. Every process of the
daemon must be there at the end, the same ones as at the beginning; no answer may say that something failed inside; and
every signature that the honest clients got must verify.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from foundation.keys.errors import KeyStoreError
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from hsm_emulation.operation import Operation
from hsm_emulation.operations import FRAMES, OPERATIONS
from hsm_emulation.process import KeyDaemon, initialise
from hsm_emulation.protocol import FrameInvalid, decode, encode, encode_values, is_plain, receive_frame
from tests.hsm.conftest import CHEAP, SO_PIN, USER_PIN

SECONDS = 60
SENDERS, HONEST = 4, 2
SPARED = {"destroy", "destroy_owner", "set_enabled", "lose_factors", "set_user_pin", "witness"}  # they end others' work
VALUES = (
    *(None, True, -1, 0, 1 << 70, "", "x", "ស", "\0", "x" * 5000, b"", b"\0" * 33, [], [[]], {}, {"a": None}),
    *("ec-p256", "CKM_ECDSA", "user"),
)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[KeyDaemon]:
    initialise(tmp_path / "token", SO_PIN, USER_PIN, costs=CHEAP)
    with KeyDaemon.start(tmp_path / "token", "--workers=2") as one:
        yield one


class Sender:
    """Sends for a while what no honest client would, and reads what comes back."""

    def __init__(self, daemon: KeyDaemon, session: bytes | None, key: KeyInfo, seed: int) -> None:
        self._path, self._session = os.fspath(daemon.socket_path), session
        self._random = random.Random(seed)  # noqa: S311 (the same each time)
        self._key = key
        self.sent = self.answered = 0
        self.inside: list[str] = []
        self.hung = 0

    def run(self, end: float) -> None:
        while time.monotonic() < end:
            with socket.socket(socket.AF_UNIX) as plug:
                plug.settimeout(20)
                with suppress(ConnectionError):
                    plug.connect(self._path)
                    if self._session is not None:
                        self._exchange(plug, encode({"op": "resume", "args": {"session": self._session}}))
                    for _ in range(self._random.randrange(1, 60)):
                        if not self._one(plug):
                            break

    def _one(self, plug: socket.socket) -> bool:
        """One thing; whether the connection goes on."""
        body = self._altered(self._request())
        kind = self._random.randrange(20)
        if kind == 0:  # a length that is not the body's
            plug.sendall(self._random.randrange(1 << 32).to_bytes(4, "big") + body)
            return False
        if kind == 1:  # no frame at all
            plug.sendall(self._random.randbytes(self._random.randrange(600)))
            return False
        if kind == 2:  # cut off
            plug.sendall((len(body).to_bytes(4, "big") + body)[: self._random.randrange(len(body) + 4)])
            return False
        if kind == 3:  # in two pieces, and two at once
            frame = len(body).to_bytes(4, "big") + body
            cut = self._random.randrange(len(frame) + 1)
            plug.sendall(frame[:cut])
            plug.sendall(frame[cut:] + frame)
            return self._hear(plug) and self._hear(plug)
        return self._exchange(plug, body)

    def _exchange(self, plug: socket.socket, body: bytes) -> bool:
        plug.sendall(len(body).to_bytes(4, "big") + body)
        return self._hear(plug)

    def _hear(self, plug: socket.socket) -> bool:
        self.sent += 1
        try:
            answer = receive_frame(plug, 1 << 26, 20, 20)
        except TimeoutError:
            self.hung += 1
            return False
        except (FrameInvalid, ConnectionError):
            return False
        if answer is None:
            return False
        self.answered += 1
        if not is_plain(answer):
            code = decode(answer).get("error", {}).get("code")
            if code == KeyStoreError.code:
                self.inside.append(code)
        return True

    def _request(self) -> bytes:
        """A request that is right in form, with arguments of right and wrong kinds."""
        if self._random.randrange(3) == 0:
            code = self._random.choice([*FRAMES, 0, 200])
            values = [self._plain_value() for _ in range(self._random.randrange(8))]
            head: list[bytes | None] = [self._key.key_id.encode(), b"CKM_ECDSA_SHA256", None, None]
            return encode_values(code, (head if self._random.randrange(2) else []) + values)
        name = self._random.choice(
            [one for one in OPERATIONS if one not in SPARED] + ["resume", "login", "status", "?"]
        )
        operation: Operation | None = OPERATIONS.get(name)
        fields = list(operation.fields) if operation else ["session", "role", "pin"]
        return encode({"op": name, "args": {field: self._value(field) for field in fields}})

    def _value(self, field: str) -> object:
        right: dict[str, object] = {
            **{"key_id": self._key.key_id, "mechanism": "CKM_ECDSA_SHA256", "inputs": [b"x"], "owner": "specimen"},
            **{"algorithm": "ec-p256", "use": "audit", "label": f"fuzz-{self._random.randrange(50)}", "after": 0},
            **{"limit": 5, "wrapped": b"CTW1\0\2{}", "digests": [bytes(32)], "pin": "482913", "totp": "000000"},
            **{"purpose": "name", "audience": None, "activation": None, "policy": None, "role": "auditor"},
        }
        return right.get(field) if self._random.randrange(4) else self._random.choice(VALUES)

    def _plain_value(self) -> bytes | None:
        return self._random.choice([None, b"", b"\xff\xfe", bytes(32), b"CKM_ECDSA", self._random.randbytes(70)])

    def _altered(self, body: bytes) -> bytes:
        """Half of them as they are; the others with octets changed, taken out, put in or repeated."""
        changed = bytearray(body)
        for _ in range(self._random.choice([0, 0, 0, 1, 1, 2, 8])):
            at = self._random.randrange(len(changed) + 1)
            kind = self._random.randrange(4)
            if kind == 0 and at < len(changed):
                changed[at] = self._random.randrange(256)
            elif kind == 1:
                del changed[at : at + self._random.randrange(1, 9)]
            elif kind == 2:
                changed[at:at] = self._random.randbytes(self._random.randrange(1, 9))
            else:
                changed[at:at] = changed[at : at + 30]
        return bytes(changed)


class Honest:
    """Signs all the while, and checks what it gets."""

    def __init__(self, daemon: KeyDaemon, session: bytes | None, key: KeyInfo) -> None:
        self._client, self._key = HsmClient(daemon.socket_path, timeout=60), key
        self._client._session = session
        self.signed = 0
        self.failed: list[str] = []

    def run(self, end: float) -> None:
        public = public_key(self._key)
        while time.monotonic() < end:
            data = self.signed.to_bytes(8, "big")
            try:
                signature = self._client.sign(self._key.key_id, Mechanism.ECDSA_SHA256, data)
                verify_signature(public, Mechanism.ECDSA_SHA256, signature, data)
            except KeyStoreError as error:
                self.failed.append(error.code)
            self.signed += 1
        self._client._wire.close()


def test_a_minute_of_fuzzing(daemon: KeyDaemon) -> None:
    """No crash, no hang, nothing that failed inside; honest clients are served; the audit chain is whole."""
    with HsmClient(daemon.socket_path) as client:
        client.login(USER_PIN)
        key = client.generate("honest", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        before = _processes(daemon)
        end = time.monotonic() + SECONDS
        senders = [
            Sender(daemon, client._session if number % 4 else None, key, 20261126 + number) for number in range(SENDERS)
        ]
        honest = [Honest(daemon, client._session, key) for _ in range(HONEST)]
        threads = [threading.Thread(target=one.run, args=(end,)) for one in (*senders, *honest)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS + 120)
        assert not any(thread.is_alive() for thread in threads)
        assert _processes(daemon) == before
        assert sum(one.hung for one in senders) == 0
        assert [code for one in senders for code in one.inside] == []
        assert all(one.answered > 50 for one in senders)
        assert all(one.signed > 50 and not one.failed for one in honest)
        assert client.verify_audit() > 0
        client.sign(key.key_id, Mechanism.ECDSA_SHA256, b"x")


def _processes(daemon: KeyDaemon) -> list[str]:
    assert daemon.alive
    return sorted(Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split())
