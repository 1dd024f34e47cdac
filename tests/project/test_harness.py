"""The harness itself: what it promises to all other tests."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest
from sqlalchemy import text

from foundation.db.engine import Database, open_database
from foundation.keys.port import KeyAlgorithm, KeyUse
from hsm_emulation.client import HsmClient
from tests import programs
from tests.conftest import Token

pytest_plugins = ["pytester"]


def test_databases_are_fresh_and_real(database: Database) -> None:
    """Each test gets an empty database of the kind that it asked for."""
    with database.unit_of_work() as connection:
        connection.execute(text("CREATE TABLE here (one INTEGER)"))
        connection.execute(text("INSERT INTO here VALUES (1)"))
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM here")).scalar_one() == 1
        version = "sqlite_version()" if database.dialect == "sqlite" else "version()"
        assert connection.execute(text(f"SELECT {version}")).scalar_one()


def test_a_second_database_does_not_see_the_first(postgres_url: str, sqlite_url: str) -> None:
    """What another test made is not there."""
    for url in (postgres_url, sqlite_url):
        opened = open_database(url)
        with opened.unit_of_work() as connection:
            connection.execute(text("CREATE TABLE here (one INTEGER)"))
        opened.close()


def test_missing_program_says_which_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is not installed fails with the package to install."""
    monkeypatch.setattr(programs, "PACKAGES", {"no-such-program": "no-such-package"})
    with pytest.raises(programs.ProgramMissing, match="apt-get install no-such-package"):
        programs.run("no-such-program")
    assert programs.missing() == ("no-such-package",)


def test_failed_program_says_what_it_wrote() -> None:
    """A program that fails takes its error output into the message."""
    with pytest.raises(programs.ProgramFailed, match="nowhere"):
        programs.run("openssl", "x509", "-in", "nowhere.pem")
    assert programs.run("openssl", "x509", "-in", "nowhere.pem", check=False).returncode != 0


def test_no_way_out() -> None:
    """A connection to anything but the loopback interface is refused before it is tried."""
    with socket.socket() as one, pytest.raises(RuntimeError, match="loopback"):
        one.connect(("192.0.2.1", 9))


def test_tokens_are_real_and_apart(token: HsmClient, token_factory: Callable[[], Token]) -> None:
    """The token of the run signs in a process of its own, and a token made for one test knows nothing of it."""
    label = "harness/token"
    info = token.generate(label, KeyAlgorithm.EC_P256, KeyUse.TRUST_LIST)
    other = token_factory()
    assert token.find(label=label) == (info,)
    assert other.client.find(label=label) == ()
    assert other.daemon.pid != os.getpid()
