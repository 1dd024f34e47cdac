"""The daemon at its socket: strangers, garbage, half frames, stalls, floods and disconnections are survived."""

from __future__ import annotations

import os
import random
import socket
import struct
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

import hsm_emulation.daemon
import hsm_emulation.worker
from foundation.clock import SetClock
from foundation.keys.errors import DataInvalid, NotLoggedIn, TokenInUse, TokenNotInitialised, TokenUnavailable
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from hsm_emulation.conversation import request_of
from hsm_emulation.daemon import Daemon
from hsm_emulation.listening import socket_path
from hsm_emulation.operations import FRAMES
from hsm_emulation.peers import Peers, peer
from hsm_emulation.process import initialise
from hsm_emulation.protocol import (
    FRAME_BEFORE_LOGIN,
    LONGEST_FRAME,
    decode,
    decode_values,
    encode,
    is_plain,
    receive_frame,
    send_frame,
)
from tests.hsm.conftest import CHEAP, SO_PIN, USER_PIN, Served


def dial(served: Served) -> socket.socket:
    """A connection of somebody who does not use our client."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(os.fspath(served.daemon.socket_path))
    return connection


def dial_in(served: Served) -> socket.socket:
    """The same, logged in."""
    connection = dial(served)
    ask(connection, {"op": "login", "args": {"role": "user", "pin": USER_PIN}})
    return connection


def ask(connection: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
    send_frame(connection, encode(request), 10)
    return decode(receive_frame(connection, LONGEST_FRAME, 10, 10) or b"")


def is_well(served: Served) -> None:
    """The daemon still makes a key and signs for an honest client."""
    key = served.client.generate(f"well-{os.urandom(4).hex()}", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    served.client.sign(key.key_id, Mechanism.ECDSA_SHA256, b"x")


def hear_out(connection: socket.socket) -> None:
    """Read until the daemon closes; that it closes on unread octets (a reset) is as good."""
    with suppress(ConnectionResetError):
        while connection.recv(4096):
            pass


def test_garbage_is_survived(served: Served) -> None:
    """Two hundred connections that send noise, as frames and without: each ends with an error or a close."""
    noise = random.Random(20260101)  # noqa: S311 (the same noise each time)
    for number in range(200):
        with dial(served) as connection:
            body = noise.randbytes(noise.randrange(300))
            connection.sendall(len(body).to_bytes(4, "big") + body if number % 2 else body)
            connection.shutdown(socket.SHUT_WR)
            hear_out(connection)
    is_well(served)


def test_altered_requests_are_survived(served: Served) -> None:
    """Six hundred requests of a logged-in client with octets altered: each is answered or hung up on, none hurts."""
    noise = random.Random(20260102)  # noqa: S311
    key = served.client.generate("fuzzed", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    digest = bytes(32)
    args: dict[str, dict[str, Any]] = {
        "generate": {"label": "x", "algorithm": "ec-p256", "use": "audit", "owner": None},
        "sign": {
            **{"key_id": key.key_id, "mechanism": "CKM_ECDSA", "inputs": [digest]},
            **{"activation": digest, "audience": None},
        },
        "activate": {"key_id": key.key_id, "digests": [digest], "pin": "1", "totp": "1", "audience": "x"},
        "find": {"label": None, "use": None, "owner": "x", "after": 0},
        "open_data_key": {"owner": "x", "purpose": "x", "wrapped": digest},
    }
    requests = [encode({"op": op, "args": value}) for op, value in args.items()]
    connection = dial_in(served)
    for number in range(600):
        body = bytearray(requests[number % len(requests)])
        for _ in range(noise.randrange(1, 4)):
            body[noise.randrange(len(body))] = noise.randrange(256)
        with suppress(OSError):  # after a frame that was none, the daemon has hung up
            send_frame(connection, bytes(body), 10)
            answer = receive_frame(connection, LONGEST_FRAME, 10, 10)
            if answer is not None:
                assert set(decode(answer)) in ({"ok"}, {"error"})
                continue
        connection.close()
        connection = dial_in(served)
    connection.close()
    is_well(served)


@pytest.mark.parametrize(
    "request_",
    [
        *({}, {"op": "sign"}, {"op": None, "args": {}}, {"op": "login", "args": []}, {"args": {}}),
        *({"op": ["sign"], "args": {}}, {"op": "login", "args": {"role": "user"}}, {"op": "status", "args": None}),
        *({"op": "__class__", "args": {}}, {"op": "login", "args": {"role": "user", "pin": 5}}),
        {"op": "resume", "args": {"session": "text"}},
    ],
)
def test_requests_that_are_none(served: Served, request_: dict[str, Any]) -> None:
    """JSON of the wrong shape is answered with an error, and the connection goes on."""
    with dial(served) as connection:
        assert ask(connection, request_)["error"]["code"] in (DataInvalid.code, NotLoggedIn.code)
        assert ask(connection, {"op": "status", "args": {}})["ok"]["emulated"] is True
    is_well(served)


def test_a_request_that_is_cut_off_is_never_acted_on(served: Served) -> None:
    """A request to make a key, cut off at each of many places: no key is made."""
    args = {"label": "cut", "algorithm": "ec-p256", "use": "audit", "owner": None}
    body = encode({"op": "generate", "args": args})
    whole = len(body).to_bytes(4, "big") + body
    for cut in range(1, len(whole), 7):
        with dial_in(served) as connection:
            connection.sendall(whole[:cut])
            connection.shutdown(socket.SHUT_WR)
            hear_out(connection)
    assert served.client.find(label="cut") == ()
    is_well(served)


def test_a_client_that_stalls_is_left(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a frame, then silence; or silence without a login: the daemon closes. Logged in between frames it waits."""
    with dial_in(served) as idle:
        with monkeypatch.context() as impatient:
            impatient.setattr(hsm_emulation.worker, "WITHIN", 0.2)
            impatient.setattr(hsm_emulation.worker, "STRANGER_IDLE", 0.2)
            with dial(served) as half, dial(served) as silent:
                with suppress(BrokenPipeError):
                    half.sendall(b"\0\0\0\x10{")
                hear_out(half)
                hear_out(silent)
        assert ask(idle, {"op": "find", "args": {"label": None, "use": None, "owner": None, "after": 0}})["ok"]
    is_well(served)


def test_who_does_not_read_the_answers_is_left(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks and asks and reads nothing does not keep a thread for ever."""
    request = encode({"op": "audit_entries", "args": {"after": 0, "limit": 500}})
    for _ in range(30):
        is_well(served)
    frame = len(request).to_bytes(4, "big") + request
    with dial_in(served) as connection:
        monkeypatch.setattr(hsm_emulation.worker, "WITHIN", 0.5)
        connection.settimeout(None)
        with pytest.raises(OSError, match=r"(?i)pipe|reset"):
            connection.sendall(frame * 100_000)
    monkeypatch.undo()
    is_well(served)


def test_frames_have_a_longest_length(served: Served) -> None:
    """Without a login a frame is short; with one it is bounded; what says it is longer is refused unread."""
    for connection, length in ((dial(served), FRAME_BEFORE_LOGIN + 1), (dial_in(served), LONGEST_FRAME + 1)):
        with connection:
            connection.sendall(length.to_bytes(4, "big"))
            refused = decode(receive_frame(connection, 4096, 10, 10) or b"")
            assert refused["error"]["code"] == DataInvalid.code
    with pytest.raises(DataInvalid):
        served.client.sign("x", Mechanism.ECDSA_SHA256, bytes(LONGEST_FRAME))
    is_well(served)


def test_a_long_message_is_signed_whole(served: Served) -> None:
    """Eight megabytes, as much as a large revocation list, go to a key as one message."""
    key = served.client.generate("log", KeyAlgorithm.EC_P384, KeyUse.LOG)
    assert served.client.sign(key.key_id, Mechanism.ECDSA_SHA384, bytes(8 << 20))


def test_connections_are_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than it serves is told so at once; when others go, the next is served."""
    monkeypatch.setattr(hsm_emulation.daemon, "CONNECTIONS", 4)
    is_well(served)
    held = [dial_in(served) for _ in range(3)]
    with dial(served) as too_many:
        refused = decode(receive_frame(too_many, 4096, 10, 10) or b"")
        assert refused["error"]["code"] == TokenUnavailable.code
    for connection in held:
        connection.close()
    for _ in range(1000):
        if served.daemon.open_connections == 1:
            break
        time.sleep(0.02)
    with dial(served) as connection:
        assert "ok" in ask(connection, {"op": "login", "args": {"role": "user", "pin": USER_PIN}})


def test_disconnecting_in_the_middle_does_no_harm(served: Served) -> None:
    """A hundred clients ask for a signature and go without waiting for it."""
    key = served.client.generate("key", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    args = {
        "key_id": key.key_id,
        "mechanism": "CKM_ECDSA_SHA256",
        "inputs": [b"x"],
        "activation": None,
        "audience": None,
    }
    for _ in range(100):
        with dial(served) as connection:
            send_frame(connection, encode({"op": "resume", "args": {"session": served.client._session}}), 10)
            send_frame(connection, encode({"op": "sign", "args": args}), 10)
    is_well(served)
    assert served.client.verify_audit() > 0


class Peer:
    """A connection of a given user."""

    def __init__(self, uid: int) -> None:
        self._uid = uid

    def getsockopt(self, *_: int) -> bytes:
        return struct.pack("3i", 1, self._uid, 1)


def test_only_the_same_user_may_talk(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """SO_PEERCRED: the daemon's own user and root are let in, others are hung up on before a word."""
    own = os.geteuid()
    for uid, welcome in ((own, True), (0, True), (own + 1, False), (65534, False)):
        assert peer(cast(socket.socket, Peer(uid))) == uid
        assert bool(Peers().roles(uid)) is welcome
    monkeypatch.setattr(hsm_emulation.daemon, "peer", lambda _: own + 1)
    with dial(served) as connection:
        assert connection.recv(1) == b""


def test_a_client_that_lost_its_daemon_says_so_and_does_not_repeat(served: Served) -> None:
    """After a restart the old session is over: NotLoggedIn; stopped: TokenUnavailable; with a PIN source it logs in."""
    key = served.client.generate("key", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    steady = HsmClient(served.daemon.socket_path, pin=lambda: USER_PIN)
    steady.login(USER_PIN)
    simple = served.connect()
    for client in (steady, simple):
        client.sign(key.key_id, Mechanism.ECDSA_SHA256, b"x")
    served.stop()
    for client in (steady, simple):
        with pytest.raises(TokenUnavailable):
            client.sign(key.key_id, Mechanism.ECDSA_SHA256, b"x")
    served.start()
    steady.sign(key.key_id, Mechanism.ECDSA_SHA256, b"x")
    with pytest.raises(NotLoggedIn):
        simple.sign(key.key_id, Mechanism.ECDSA_SHA256, b"x")
    steady.close()
    simple.close()


def asked_for(body: bytes) -> str:
    """The name of the operation that a frame asks for."""
    return FRAMES[decode_values(body)[0]][0] if is_plain(body) else request_of(decode(body))[0]


class Deaf:
    """A daemon that answers logins and nothing else: it counts what it is asked, and hangs up."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "deaf.sock"
        self.seen: list[str] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(self.path))
        self._listener.listen()
        self._listener.settimeout(60)

    def run(self, connections: int) -> None:
        for _ in range(connections):
            connection, _ = self._listener.accept()
            with connection:
                for _ in range(2):
                    name = asked_for(receive_frame(connection, LONGEST_FRAME, 60, 60) or b"")
                    self.seen.append(name)
                    if name not in ("login", "resume"):
                        break
                    send_frame(connection, encode({"ok": bytes(32) if name == "login" else None}), 60)
        self._listener.close()


def test_what_may_have_been_done_is_not_sent_again(served: Served) -> None:
    """Received and not answered: a signature is asked for once, on a kept connection or a new one; a look-up twice."""
    deaf = Deaf(served.directory)
    thread = threading.Thread(target=deaf.run, args=(4,))
    thread.start()
    client = HsmClient(deaf.path, timeout=60)
    client.login(USER_PIN)
    for seen in (["login", "sign"], ["login", "sign", "resume", "sign"]):
        with pytest.raises(TokenUnavailable):
            client.sign("key", Mechanism.ECDSA_SHA256, b"x")
        assert deaf.seen == seen
    client.login(USER_PIN)
    with pytest.raises(TokenUnavailable):
        client.get("key")
    thread.join()
    deaf.path.unlink()
    assert deaf.seen[4:] == ["login", "get", "resume", "get"]


def test_one_daemon_a_token(served: Served) -> None:
    """A second daemon on the same directory is refused, and the first is unharmed."""
    with pytest.raises(TokenInUse):
        Daemon(served.directory, served.clock)
    is_well(served)


@pytest.mark.parametrize("content", [None, b"", b"not a database", b"SQLite format 3\0" + bytes(4096)])
def test_what_is_no_token_is_not_served(tmp_path: Path, clock: SetClock, content: bytes | None) -> None:
    """No file, or one that is none of ours: TokenNotInitialised, and no socket is left."""
    if content is not None:
        (tmp_path / "token.sqlite").write_bytes(content)
    with pytest.raises(TokenNotInitialised):
        Daemon(tmp_path, clock)
    assert not socket_path(tmp_path).exists()


def test_a_deep_directory_gets_its_socket_elsewhere(
    tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path over 107 octets: the socket is in a private directory of the runtime directory, 0700 and ours."""
    runtime = served_runtime(monkeypatch)
    deep = tmp_path / ("d" * 100)
    initialise(deep, SO_PIN, USER_PIN, costs=CHEAP, clock=clock)
    with Daemon(deep, clock) as daemon:
        assert daemon.socket_path.parent.parent == runtime
        assert daemon.socket_path.parent.stat().st_mode & 0o777 == 0o700
        assert daemon.socket_path == socket_path(deep) != socket_path(tmp_path / ("e" * 100))
        client = HsmClient(daemon.socket_path)
        client.login(USER_PIN)
        client.close()
    daemon.socket_path.parent.rmdir()
    target = runtime / "target"
    target.mkdir()
    daemon.socket_path.parent.symlink_to(target)
    with pytest.raises(TokenUnavailable):
        Daemon(deep, clock)
    daemon.socket_path.parent.unlink()
    target.rmdir()
    runtime.rmdir()


def served_runtime(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short runtime directory for this test."""
    runtime = Path(tempfile.mkdtemp(prefix="run-", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return runtime
