"""A real PostgreSQL server for the tests: a cluster of its own, reached through a Unix socket, gone afterwards."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg

from tests import programs

_START_SECONDS = 60
# Nothing here survives the run, so nothing is synced to disk.
_SETTINGS = (
    "listen_addresses=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=100",
    "shared_buffers=32MB",
    "autovacuum=off",
)
# For measurements: what is committed is on the disk, and there is memory for a database of some gigabytes.
DURABLE = (
    "listen_addresses=",
    "max_connections=100",
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "checkpoint_timeout=15min",
)


class PostgresServer:
    """A running server. Each call of :meth:`fresh_database` makes an empty database and gives its SQLAlchemy URL."""

    def __init__(self, settings: Sequence[str] = _SETTINGS) -> None:
        """Make the cluster and start it. Raises ProgramMissing, or RuntimeError with the server's log."""
        self._settings = tuple(settings)
        self._folder = Path(tempfile.mkdtemp(prefix="camtrust-pg-", dir="/tmp"))  # short: it holds a Unix socket
        self._names = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _become()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def fresh_database(self) -> str:
        """An empty database of its own, as ``postgresql+psycopg://…``."""
        name = f"test_{next(self._names)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return f"postgresql+psycopg://postgres@/{name}?host={self._folder}"

    def drop_database(self, url: str) -> None:
        """Drop what :meth:`fresh_database` made, whoever is still connected to it."""
        name = url.rpartition("/test_")[2].partition("?")[0]
        with self._connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS test_{int(name)} WITH (FORCE)")

    def stop(self) -> None:
        """Stop the server by its process id and remove the cluster."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)  # fast shutdown
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)  # immediate shutdown
                process.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        data = self._folder / "data"
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        programs.run(
            "setpriv",
            *self._user,
            programs.path("initdb"),
            *(
                "--pgdata",
                data,
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ),
            cwd="/",
        )
        # pdeathsig: the server does not outlive a test run that is killed.
        command = [str(programs.path("setpriv")), *self._user, "--pdeathsig=QUIT", str(programs.path("postgres"))]
        command += ["-D", str(data), "-k", str(self._folder)]
        command += [part for setting in self._settings for part in ("-c", setting)]
        log = self._folder / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self._folder), user="postgres", dbname="postgres", autocommit=True)


def _become() -> list[str]:
    """Arguments for setpriv: the server refuses to run as root, so root becomes the account that Debian made for it."""
    if os.geteuid() != 0:
        return []
    programs.path("postgres")  # the account comes with the package; without it say which package
    return ["--reuid=postgres", "--regid=postgres", "--init-groups"]
