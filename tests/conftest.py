"""What all tests share: real databases, a real token, a clock that stands still, and no way out to a network."""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import sys
import tempfile
import threading
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from foundation.clock import SetClock, SystemClock
from foundation.db.engine import Database, open_database

if TYPE_CHECKING:
    from hsm_emulation.client import HsmClient
    from hsm_emulation.process import KeyDaemon
    from tests.postgres import PostgresServer

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    # a shell starts what it puts in the background so, and what tests start and interrupt would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

SO_PIN = "so-pin-for-tests-0"
USER_PIN = "user-pin-for-tests-0"

# A slow machine is no finding; a failing example is printed so that it can be run again.
settings.register_profile("camtrust", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("camtrust")


# --- time, data ---------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> SetClock:
    """A clock that stands at the present second: outside programs judge our output by the real time."""
    return SetClock(SystemClock().now().replace(microsecond=0))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real documents and specimen chip files, which are not part of the repository."""
    name = os.environ.get("CAMTRUST_TEST_DATA", "")
    if not name:
        pytest.fail("CAMTRUST_TEST_DATA is not set: it names the folder with pdfs/ and emrtd/", pytrace=False)
    folder = Path(name).resolve()
    if not (folder / "pdfs").is_dir():
        pytest.fail(f"CAMTRUST_TEST_DATA is {folder}, and there is no folder pdfs in it", pytrace=False)
    return folder


# --- databases ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL server for the whole run (one for each xdist worker)."""
    from tests.postgres import PostgresServer

    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def sqlite_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The SQLAlchemy URL of a fresh SQLite file."""
    _ran_on(request, "sqlite")
    return f"sqlite:///{tmp_path / 'camtrust.sqlite'}"


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The SQLAlchemy URL of a fresh, empty PostgreSQL database."""
    server: PostgresServer = request.getfixturevalue("postgres_server")
    _ran_on(request, "postgresql")
    url = server.fresh_database()
    yield url
    server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The test runs twice: with the URL of a fresh SQLite file, and with that of a fresh PostgreSQL database."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The test runs twice: on a fresh, empty SQLite database, and on a fresh, empty PostgreSQL one."""
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """A fresh, empty SQLite database."""
    opened = open_database(sqlite_url)
    yield opened
    opened.close()


def _ran_on(request: pytest.FixtureRequest, backend: str) -> None:
    if ("database", backend) not in request.node.user_properties:
        request.node.user_properties.append(("database", backend))


# --- tokens -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Token:
    """A token of its own: the daemon that serves it, and a client that is logged in."""

    directory: Path
    daemon: KeyDaemon
    client: HsmClient
    so_pin: str
    user_pin: str


@pytest.fixture
def token_factory() -> Iterator[Callable[[], Token]]:
    """Makes tokens for one test alone: each an initialised folder, a real daemon and a client that is logged in."""
    made: list[Token] = []

    def make() -> Token:
        made.append(_new_token())
        return made[-1]

    yield make
    for one in made:
        _end_token(one)


@pytest.fixture(scope="session")
def token() -> Iterator[HsmClient]:
    """The client of one real token for the whole run, logged in; tests use labels and owners of their own."""
    one = _new_token()
    yield one.client
    _end_token(one)


def _new_token() -> Token:
    from hsm_emulation.client import HsmClient
    from hsm_emulation.passkeys import RelyingParty
    from hsm_emulation.process import KeyDaemon, initialise
    from tests.hsm.authenticator import ORIGIN, RP_ID

    directory = Path(tempfile.mkdtemp(prefix="camtrust-hsm-", dir="/tmp"))  # short: it holds a Unix socket
    try:
        initialise(directory, SO_PIN, USER_PIN, relying_party=RelyingParty(RP_ID, (ORIGIN,)))
        daemon = KeyDaemon.start(directory)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    client = HsmClient(daemon.socket_path)
    client.login(USER_PIN)
    return Token(directory, daemon, client, SO_PIN, USER_PIN)


def _end_token(one: Token) -> None:
    close = getattr(one.client, "close", None)
    if close is not None:
        close()
    one.daemon.stop()
    shutil.rmtree(one.directory, ignore_errors=True)


# --- no network but loopback --------------------------------------------------------------------------------------


def _refuse_networks(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("socket.connect", "socket.sendto", "socket.bind"):
        return
    address = arguments[-1]
    if (
        isinstance(address, tuple)
        and len(address) >= 2
        and isinstance(address[0], str)
        and not _is_loopback(address[0])
    ):
        raise RuntimeError(f"tests reach the loopback interface only, not {address[0]}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


sys.addaudithook(_refuse_networks)


# --- the account at the end: which databases, and no test that silently does not run ------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the folder of real documents, the tests on them are left out, and the last lines say so."""
    if os.environ.get("CAMTRUST_TEST_DATA"):
        return
    without = [item for item in items if "test_data" in getattr(item, "fixturenames", ())]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


@cache
def _allowed_skips() -> frozenset[str]:
    data = tomllib.loads(Path(__file__).with_name("allowed-skips.toml").read_text(encoding="utf-8"))
    entries: Sequence[dict[str, str]] = data.get("skip", [])
    return frozenset(entry["test"] for entry in entries if entry["reason"].strip())


def _turn_into_failure(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome == "skipped" and report.nodeid.partition("[")[0] not in _allowed_skips():
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} did not run, and tests/allowed-skips.toml does not permit that: {why}"
        if hasattr(report, "wasxfail"):
            del report.wasxfail


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """A test that is skipped, or fails as expected, without permission fails the run."""
    report: pytest.TestReport = yield  # type: ignore[assignment, misc]
    _turn_into_failure(report)
    return report  # type: ignore[return-value]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Iterator[None]:
    """A file whose tests are all skipped without permission fails the run."""
    report: pytest.CollectReport = yield  # type: ignore[assignment, misc]
    _turn_into_failure(report)
    return report  # type: ignore[return-value]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many tests ran on each database, and whether those on real documents ran."""
    counts: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            if getattr(report, "when", None) == "call":
                counts.update(value for name, value in report.user_properties if name == "database")
    terminalreporter.write_line(f"databases: {counts['sqlite']} tests on SQLite, {counts['postgresql']} on PostgreSQL")
    if not os.environ.get("CAMTRUST_TEST_DATA"):
        terminalreporter.write_line("real documents: CAMTRUST_TEST_DATA is not set; the tests on them were left out")
