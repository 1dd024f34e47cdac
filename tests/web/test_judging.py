"""Documents from strangers are judged in processes of their own: bounded, walled in, and ended when nobody waits."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from camtrust.home import Home
from camtrust.judging import judges as asking
from camtrust.judging.judges import Judges, VerifierBusy
from camtrust.judging.messages import NAME, Judged, Question, announced, read_answer, write_answer
from camtrust.settings import VerifySettings
from foundation.clock import SetClock
from signing.verify.model import FileVerdict, Indication
from signing.verify.policy import STRICT
from signing.verify.sandbox import MIB, Bounds
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests.verify.verify_world import NOW, World, document
from tests.web.bombs import array_bomb

LONG = 600.0  # seconds: what takes longer than it should is a test that hangs, and is ended by the run's own limit
SOON = 20.0  # seconds to wait for what another process does
BOMB = array_bomb(2_000_000)  # takes some seconds and 600 MiB


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def signed(world: World) -> bytes:
    return world.signed(document())


@pytest.fixture(scope="module")
def home(world: World, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home that publishes a bundle and pins its signer."""
    found = Home(tmp_path_factory.mktemp("home"))
    found.bundle.parent.mkdir()
    found.bundle.write_bytes(world.bundle())
    found.bundle_signer.write_text(f"{world.pin}\n")
    return found


@pytest.fixture
def judges(home: Home) -> Iterator[Judges]:
    """Generous ones; tests make them tighter."""
    one = Judges(home, SetClock(NOW), VerifySettings(seconds=LONG))
    yield one
    one.close()


def copies(judges: Judges) -> list[int]:
    """The processes that judge at this moment."""
    if judges.pid is None:
        return []
    try:
        return [int(one) for one in Path(f"/proc/{judges.pid}/task/{judges.pid}/children").read_text().split()]
    except OSError:
        return []


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a state, bounded."""
    waited = threading.Event()
    for _ in range(int(SOON / 0.05)):
        if found := condition():
            return found
        waited.wait(0.05)
    raise AssertionError("it did not come")


class Asked(threading.Thread):
    """Somebody who waits for a verdict."""

    def __init__(self, judges: Judges, data: bytes, gone: Callable[[], bool] = lambda: False) -> None:
        super().__init__(daemon=True)
        self._judges, self._data, self._gone = judges, data, gone
        self.judged: Judged | None = None
        self.start()

    def run(self) -> None:
        self.judged = self._judges.judge(self._data, self._gone)

    def verdict(self) -> FileVerdict:
        self.join(SOON)
        assert self.judged is not None, "no verdict came"
        return self.judged.verdict


def rules(verdict: FileVerdict) -> list[str]:
    return [one.rule for one in verdict.reasons]


def test_the_verdict_is_the_same(home: Home, judges: Judges, signed: bytes) -> None:
    """Of a good document, a changed one and no document: as the verifier says it here, and the same bundle."""
    trust = build_trust(home.bundle.read_bytes(), frozenset({home.bundle_signer.read_text().strip()}), [], NOW, STRICT)
    for data in (signed, signed.replace(b"SPECIMEN agreement", b"SPECIMEN disagrees", 1), b"nothing", signed[:-50]):
        judged = judges.judge(data)
        assert judged.verdict == verify_file(data, NAME, trust, NOW)
        assert judged.verdict.json() == verify_file(data, NAME, trust, NOW).json()
        assert judged.bundle == trust.json()
    assert judges.judge(signed).verdict.indication is Indication.TOTAL_PASSED


def test_without_a_bundle(tmp_path: Path, signed: bytes) -> None:
    """A home that published none yet: nothing passes."""
    one = Judges(Home(tmp_path), SetClock(NOW), VerifySettings(seconds=LONG))
    try:
        judged = one.judge(signed)
    finally:
        one.close()
    assert judged.verdict.indication is Indication.INDETERMINATE
    assert judged.bundle["sequence"] is None


def test_what_takes_too_much_memory(judges: Judges) -> None:
    """It is INDETERMINATE within the bound, while this process stays as small as it was; without the bound it is what
    it is."""
    small = array_bomb(1_000_000)
    judges.judge(b"nothing")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    before = memory("VmHWM")
    judges.bounds = Bounds(LONG, 256 * MIB)
    assert rules(judges.judge(small).verdict) == ["FMT-LIMIT"]
    judges.bounds = Bounds(LONG, 4096 * MIB)
    assert rules(judges.judge(small).verdict) == ["FMT-UNSIGNED"]
    assert memory("VmHWM") - before < 64 * MIB


def memory(which: str) -> int:
    """Octets that this process has, or had at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(one.split()[1]) * 1024 for one in lines if one.startswith(f"{which}:"))


def test_what_takes_too_long(judges: Judges) -> None:
    """It is INDETERMINATE when its time is up, and nothing of it goes on."""
    judges.bounds = Bounds(1.0, 4096 * MIB)
    judged = judges.judge(BOMB)
    assert judged.verdict.indication is Indication.INDETERMINATE
    assert rules(judged.verdict) == ["FMT-LIMIT"]
    assert judged.bundle["sequence"] is not None
    until(lambda: not running(judges))


def running(judges: Judges) -> list[int]:
    """Copies that are not dead: one that ended is there until it is buried."""
    return [one for one in copies(judges) if (state := state_of(one)) and state != "Z"]


def state_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_others_are_judged_meanwhile(judges: Judges, signed: bytes) -> None:
    """One document that never comes to an end takes neither its neighbours along nor the process that is copied."""
    waiting = Asked(judges, BOMB)
    (stuck,) = until(lambda: running(judges))
    os.kill(stuck, signal.SIGSTOP)
    for _ in range(3):
        assert judges.judge(signed).verdict.indication is Indication.TOTAL_PASSED
    assert waiting.is_alive()
    os.kill(stuck, signal.SIGKILL)
    assert rules(waiting.verdict()) == ["FMT-LIMIT"]


def test_nobody_waits_any_more(judges: Judges) -> None:
    """Who hung up has the process ended, not only forgotten."""
    left = threading.Event()
    waiting = Asked(judges, BOMB, left.is_set)
    (stuck,) = until(lambda: running(judges))
    os.kill(stuck, signal.SIGSTOP)
    left.set()
    waiting.verdict()
    until(lambda: not running(judges))


def test_the_walls(judges: Judges) -> None:
    """What a document could take over has no network, no new privileges, and can write no file."""
    waiting = Asked(judges, BOMB)
    (one,) = until(lambda: running(judges))
    status = until(lambda: found if (found := walls(one)).get("Seccomp") == "2" else None)
    assert status["NoNewPrivs"] == "1"
    limits = Path(f"/proc/{one}/limits").read_text().splitlines()
    found = {line[:25].strip(): line[26:].split()[0] for line in limits}
    assert found["Max file size"] == "0"
    assert found["Max processes"] == "0"
    assert found["Max address space"] == str(1024 * MIB)
    os.kill(one, signal.SIGKILL)
    waiting.verdict()


def walls(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_only_so_many_at_once(judges: Judges) -> None:
    """Others are told to come back, before a process is made for them."""
    judges.turns, judges.patience = threading.BoundedSemaphore(1), 0.01
    with judges.turns, pytest.raises(VerifierBusy):
        judges.judge(b"nothing")
    assert judges.judge(b"nothing").verdict.indication is Indication.INDETERMINATE


def test_a_process_that_died_is_started_again(judges: Judges, signed: bytes) -> None:
    """Whoever comes while it dies may be told to come back; whoever comes then is served."""
    judges.judge(b"nothing")
    first = judges.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: state_of(first) in ("Z", ""))
    assert judges.judge(signed).verdict.indication is Indication.TOTAL_PASSED
    assert judges.pid != first


def test_it_ends_with_the_service(judges: Judges) -> None:
    """Closed: the process is gone; and the next document starts another."""
    judges.judge(b"nothing")
    first = judges.pid
    judges.close()
    assert state_of(first or 0) == ""
    assert judges.pid is None


def test_failures_of_ours_are_in_the_log_of_the_service(
    judges: Judges, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the verifier said of itself is written here, short and on one line; what is no line is not."""
    lines = ("a document provoked KeyError in the verifier, at pdf:1", "two\nlines", "x" * 5000)
    verdict = judges.judge(b"nothing")
    answer = write_answer(replace(verdict, failures=lines))
    monkeypatch.setattr(asking, "_conversation", lambda *_: answer)
    with caplog.at_level(logging.ERROR):
        assert judges.judge(b"nothing").verdict == verdict.verdict
    assert [one.getMessage() for one in caplog.records] == [lines[0], "a line that cannot be printed", "x" * 400]


@pytest.mark.parametrize("answer", [b"", b"{}", b"null", b'{"verdict": 1}', b"\xff", b'{"verdict":{"file":"a"}}'])
def test_what_is_no_answer(judges: Judges, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    """It is never a pass, nor a failure of the service: the document was too much."""
    judges.judge(b"nothing")
    monkeypatch.setattr(asking, "_conversation", lambda *_: answer)
    assert rules(judges.judge(b"nothing").verdict) == ["FMT-LIMIT"]


def test_messages(signed: bytes, world: World) -> None:
    """A question and an answer come out as they went in; a question that ends early is none."""
    question = Question(signed, NOW, world.bundle(), frozenset({world.pin}), Bounds(3.0, 5 * MIB))
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.makefile("rb") as incoming:
        writer = threading.Thread(target=lambda: [ours.sendall(one) for one in question.write()])
        writer.start()
        assert announced(incoming).question() == question
        writer.join(SOON)
        first, _, _ = question.write()
        ours.sendall(first + b"not all of it")
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(ValueError, match="early"):
            announced(incoming).question()
    judged = question.answer()
    assert read_answer(write_answer(judged)) == judged
    times = [one.proved_at for one in judged.verdict.signatures]
    assert [one.replace(tzinfo=UTC) for one in times if isinstance(one, datetime)] == [one for one in times if one]
