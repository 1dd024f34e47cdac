"""`camtrust serve` as a process of its own, for tests that kill it and its children, and what they look at."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from camtrust.home import Home
from camtrust.keys import SERVICES, open_token
from camtrust.server import opened
from ekyc.contacts.outbox import Outbox
from ekyc.review.desk import ROLE as REVIEW_ROLE
from foundation.clock import SystemClock
from foundation.db.audit import AuditTrail
from foundation.db.engine import open_database
from foundation.http.actor import ActorKind
from foundation.vault import Vault
from tests.ports import free_port
from tests.story.installation import Staff, code_of, found_authorities, make_home, register, settings_for

COMMAND = [sys.executable, "-P", "-c", "from camtrust.cli.main import main; main()"]
PATIENCE = 120.0


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Look again and again, for a bounded time."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"waited {PATIENCE:.0f} s in vain: {what}"
        time.sleep(0.02)


def ended(pid: int) -> bool:
    """Whether a process is gone, or dead and only not yet reaped by whoever has to."""
    return _stat(pid)[:1] in ([], ["Z"], ["X"])


def _is_daemon(pid: int) -> bool:
    """Whether this is a key daemon: the upkeep starts processes too, which may be gone by now."""
    try:
        return b"hsm_emulation" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    """The processes that this one started."""
    running = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [one for one in running if (stat := _stat(one)) and int(stat[1]) == pid]


def _stat(pid: int) -> list[str]:
    """State, parent and more, as in proc(5); empty for a process that is not there."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


@dataclass
class Server:
    """`camtrust serve` on a home: started, killed, started again."""

    home: Home
    port: int
    log: Path
    workers: int = 1
    process: subprocess.Popen[bytes] | None = None
    started: list[int] = field(default_factory=list)

    def _said(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(*COMMAND, "serve", "--home", str(self.home.path), "--port", str(self.port)),
                    *("--workers", str(self.workers)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"CAMTRUST_REGISTRY__TIMEOUT_SECONDS": "60"},  # it is slow here, and not down
            )
        wait_until(self._answers, "`camtrust serve` answers")
        self.started += [self.process.pid, *children(self.process.pid)]

    def kill(self) -> None:
        """SIGKILL to the server alone, by its id. Its children must end by themselves."""
        assert self.process is not None
        family = children(self.process.pid)
        assert len(family) >= 2, "the key daemon and the registry, and what the upkeep has just started"
        self.process.kill()
        self.process.wait(PATIENCE)
        wait_until(lambda: all(map(ended, family)), "the children of the killed server have ended")

    def kill_daemon(self) -> None:
        """SIGKILL to its key daemon, by its id; comes back when it has another one and is ready."""
        assert self.process is not None
        before = set(children(self.process.pid))
        [daemon] = filter(_is_daemon, before)
        workers = children(daemon)
        assert workers, "the daemon has workers"
        os.kill(daemon, signal.SIGKILL)
        wait_until(lambda: all(map(ended, (daemon, *workers))), "the killed daemon is gone, and its workers with it")
        wait_until(self._answers, "the services have a key daemon again")
        after = {one for one in set(children(self.process.pid)) - before if _is_daemon(one)}
        assert len(after) == 1
        self.started += after

    def stop(self) -> int:
        """Ctrl-C; gives its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self._said()}"
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def served() -> Iterator[tuple[Server, Callable[[httpx2.Client], Staff]]]:
    """A home with authorities and a review officer, and its server (not started yet). No process outlives the block."""
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="camtrust-story-", dir="/tmp"))
    home = make_home(folder / "home")
    with opened(home, settings_for(None), SystemClock()) as services:
        found_authorities(services)
        with httpx2.Client() as nobody:
            origin = f"http://127.0.0.1:{port}"  # what `serve --port` takes for its own
            known = register(services.identity, nobody, origin, ActorKind.OFFICER, REVIEW_ROLE)
    one = Server(home, port, folder / "serve.log")
    try:
        yield one, lambda http: known.on(http)
    finally:
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait(PATIENCE)
        wait_until(lambda: all(map(ended, one.started)), "no process is left behind")
        shutil.rmtree(folder)


def newest_code(home: Home, person_id: str) -> str:
    """A person's newest one-time code: the outbox is opened with the token of the services that run."""
    database = open_database(f"sqlite:///{home.path / 'camtrust.sqlite'}")
    try:
        with open_token(home, SERVICES) as token:
            outbox = Outbox(database, Vault(token), AuditTrail(SystemClock()), SystemClock())
            return code_of(outbox, person_id)
    finally:
        database.close()
