"""The PKCS#11 door's bounds, and what programs see of it while no key daemon is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hsm_emulation.pkcs11_door import application, server
from hsm_emulation.pkcs11_door.names import CKR
from tests.hsm.p11kit_client import OK, P11KitClient, count, message, octets, u

Opened = Callable[[], Path]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens a door of this process to a token whose daemon does not run."""
    doors: list[tuple[server.Door, threading.Thread]] = []
    with TemporaryDirectory(prefix="camtrust-door-") as folder:

        def start() -> Path:
            door = server.Door(Path(folder) / "no-daemon.sock", Path(folder) / "door" / "p11.sock")
            thread = threading.Thread(target=door.serve)
            thread.start()
            doors.append((door, thread))
            return door.path

        yield start
        for door, thread in doors:
            door.stop()
            thread.join(20)
            assert not thread.is_alive()
            assert not door.path.exists()


def test_without_a_daemon_there_is_a_slot_and_no_token(opened: Opened) -> None:
    """C_GetSlotList shows the slot and no token in it; the token's questions are answered CKR_DEVICE_REMOVED."""
    with P11KitClient(opened()) as program:
        assert program.call(4, b"yfu", b"\0" + count(9)) == (OK, b"\1" + count(1) + u(1))
        assert program.call(4, b"yfu", b"\1" + count(9)) == (OK, b"\1" + count(0))
        assert program.call(6, b"u", u(1))[0] == CKR["CKR_DEVICE_REMOVED"]
        assert program.login(program.session(), "specimen-user-pin") == CKR["CKR_DEVICE_REMOVED"]


def test_a_frame_that_stalls_is_dropped(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that begins a frame, or does not say its version, and then is silent, is cut off; another is not."""
    monkeypatch.setattr(server, "_WITHIN", 0.3)
    place = opened()
    with P11KitClient(place) as honest:
        for begun in (count(7)[:2], count(7) + count(0) + count(30) + message(10, b"uu")):
            with P11KitClient(place) as stalled:
                stalled.plug.sendall(begun)
                assert stalled.plug.recv(1) == b""
        assert honest.session()


def test_a_frame_that_is_too_long_is_not_waited_for(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A length beyond the cap ends the connection when it is read, before any of what it announces."""
    monkeypatch.setattr(server, "_WITHIN", 300.0)
    place = opened()
    for options, length in ((0, (1 << 20) + 1), (0, 0xFFFFFFFF), ((1 << 12) + 1, 4)):
        with P11KitClient(place) as program:
            program.plug.sendall(count(7) + count(options) + count(length))
            assert program.plug.recv(1) == b""


def test_more_programs_than_there_is_room_for(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is closed at once, and let in when another has gone."""
    monkeypatch.setattr(server, "_CONNECTIONS", 2)
    place = opened()
    with P11KitClient(place) as one, P11KitClient(place) as two:
        with suppress(ConnectionError), P11KitClient(place, initialize=False) as third:
            assert third.greeting == b""
        two.close()
        for _ in range(1200):
            with suppress(OSError, AssertionError), P11KitClient(place) as third:
                assert third.session()
                break
            time.sleep(0.05)  # that the other one went is noticed a moment later
        else:
            pytest.fail("nobody was let in again")
        assert one.session()


def test_sessions_are_bounded(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session after the last is refused; so is a call before C_Initialize."""
    monkeypatch.setattr(application, "_SESSIONS", 3)
    with P11KitClient(opened()) as program:
        assert [program.session() for _ in range(3)] == [1, 2, 3]
        assert program.call(10, b"uu", u(1) + u(4))[0] == CKR["CKR_SESSION_COUNT"]
        assert program.call(12, b"u", u(1))[0] == OK
        assert program.session() == 4
        assert program.call(2, b"")[0] == OK
        assert program.call(10, b"uu", u(1) + u(4))[0] == CKR["CKR_CRYPTOKI_NOT_INITIALIZED"]
        assert program.call(1, b"ayyay", octets(b"another protocol") + b"\0" + octets(b"\0"))[0] != OK
