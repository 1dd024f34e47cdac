"""A home remembers the newest bundle: an older one from the same operators is refused afterwards."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from foundation.clock import SetClock
from foundation.terminal import Terminal
from signing.verify.bundle_memory import SEQUENCE_IN_HOME, Seen, remember, remembered
from signing.verify.cli import _request, run_verify
from signing.verify.errors import BundleMemoryUnreadable
from tests.verify.verify_world import NOW, World

QUIET = Terminal(json=True)


@dataclass(frozen=True)
class Room:
    home: Path
    document: Path
    world: World

    def verify(self, bundle: Path | None = None, pins: list[str] | None = None) -> int:
        request = _request(self.home, SetClock(NOW), bundle, None, pins, None, None)
        return run_verify(QUIET, [self.document], request)

    def bundle(self, sequence: int) -> Path:
        path = self.home / f"bundle-{sequence}"
        path.write_bytes(self.world.bundle(sequence=sequence))
        return path


@pytest.fixture
def room(tmp_path: Path, world: World, signed: bytes) -> Room:
    home = tmp_path / "home"
    (home / "trust").mkdir(parents=True)
    (home / "trust/bundle-signer.txt").write_text(f"{world.pin}\n")
    (home / "trust/camtrust.bundle").write_bytes(world.bundle(sequence=7))
    document = tmp_path / "signed.pdf"
    document.write_bytes(signed)
    return Room(home, document, world)


def test_an_older_bundle_is_refused_once_a_newer_was_seen(room: Room) -> None:
    """First use has nothing to go by; afterwards the number only goes up, and the same number is good again."""
    assert room.verify(room.bundle(5)) == 0
    assert room.verify() == 0
    assert remembered(room.home / SEQUENCE_IN_HOME) == Seen(7)
    assert room.verify(room.bundle(6)) == 3
    assert remembered(room.home / SEQUENCE_IN_HOME) == Seen(7)
    assert room.verify() == 0


def test_without_the_memory_the_older_one_passes(room: Room) -> None:
    """What the memory is for: the same attack, with the number deleted."""
    assert room.verify() == 0
    (room.home / SEQUENCE_IN_HOME).unlink()
    assert room.verify(room.bundle(6)) == 0


def test_a_bundle_that_does_not_stand_up_leaves_no_trace(room: Room) -> None:
    """Nobody raises the number but the pinned operators: no damaged bundle, no other signer, no stale one."""
    other = World()
    path = room.home / "other"
    path.write_bytes(other.bundle(sequence=99))
    assert room.verify(path) == 3
    assert room.verify(path, [other.pin]) == 3  # another pin: other trust, and no business of this home's number
    assert not (room.home / SEQUENCE_IN_HOME).exists()


def test_a_damaged_number_fails_closed(room: Room) -> None:
    """Whoever spoils the file does not make the verifier forget."""
    for octets in (b"", b"seven", b"7" * 100, b"-7", b"7 2 1"):
        (room.home / SEQUENCE_IN_HOME).write_bytes(octets)
        with pytest.raises(BundleMemoryUnreadable):
            room.verify()


def test_a_home_that_cannot_be_written(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verification goes on; the reader is told that nothing was kept."""
    folder = room.home / "elsewhere"
    folder.mkdir()
    shutil.rmtree(folder)
    assert remember(folder / "bundle-sequence.txt", Seen(7)) is False
