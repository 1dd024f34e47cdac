"""`camtrust serve --workers 2`: two processes on one port, one home, one key daemon."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from ekyc.registry_simulation.persons import series
from tests.story.installation import Applicant, Staff
from tests.story.served import PATIENCE, Server, children, ended, newest_code, wait_until


def worker_of(parent: int) -> int | None:
    """The further server process, once it has taken its socket."""
    found = [one for one in children(parent) if not ended(one) and b"camtrust.worker" in _command(one)]
    return found[0] if len(found) == 1 else None


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process takes nothing meanwhile: who answers is the other one."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_two_server_processes_on_one_port(server: tuple[Server, Callable[[httpx2.Client], Staff]]) -> None:
    """A person enrolled over both is known to each alone. The further one is killed: another takes its place, and
    answers. SIGTERM ends all of them, in good order. The first one is killed: nothing is left behind either."""
    running, staff = server
    running.workers = 2
    running.start()
    assert running.process is not None
    first = running.process.pid
    with httpx2.Client(base_url=running.url, timeout=PATIENCE, trust_env=False) as http:
        person = Applicant(http, staff(http), lambda who: newest_code(running.home, who), series(9), "012900009")
        person.until("certificate")

    def known() -> None:
        """Over a connection of its own, which a process that is stopped cannot take."""
        with httpx2.Client(base_url=running.url, timeout=PATIENCE, trust_env=False) as http:
            person.http = http
            assert person.ask("GET", person.base).json()["state"] == "ACTIVATED"

    wait_until(lambda: worker_of(first) is not None, "there is a further server process")
    worker = worker_of(first)
    assert worker is not None
    with stopped(worker):
        known()
    with stopped(first):
        known()

    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: ended(worker), "the killed process takes no connections any more")
    known()
    wait_until(lambda: worker_of(first) not in (None, worker), "the killed process is replaced")
    another = worker_of(first)
    assert another is not None
    with stopped(first):
        known()

    wait_until(lambda: len(children(first)) == 3, "the key daemon, the registry and the other server process")
    family = children(first)
    running.process.terminate()
    assert running.process.wait(PATIENCE) == -signal.SIGTERM
    assert ended(another), "the first process waits for the others"
    wait_until(lambda: all(map(ended, family)), "nothing is left behind")

    running.start()
    first = running.process.pid
    wait_until(lambda: worker_of(first) is not None, "there is a further server process again")
    family = children(first)
    running.process.kill()
    running.process.wait(PATIENCE)
    wait_until(lambda: all(map(ended, family)), "nothing is left behind by one that was killed")
