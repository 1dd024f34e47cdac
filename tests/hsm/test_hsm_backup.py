"""Backups: taken while the token works, opened by what opened it, put back as a new epoch, and only whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.clock import SetClock
from foundation.keys.errors import (
    BackupInvalid,
    CardsRequired,
    CardsTooFew,
    KeyStoreError,
    NotLoggedIn,
    StoreRolledBack,
    TokenAlreadyInitialised,
    TokenPinIncorrect,
)
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from hsm_emulation.backup import restore_backup
from hsm_emulation.client import HsmClient
from hsm_emulation.daemon import Daemon
from hsm_emulation.process import initialise
from hsm_emulation.store import FILE
from tests.hsm.conftest import CHEAP, SO_PIN, USER_PIN, Served
from tests.hsm.test_hsm_quorum import CUSTODIANS, approved

SIGN = Mechanism.ECDSA_SHA256


def take(served: Served, folder: Path) -> tuple[KeyInfo, Path]:
    """A key, and a backup that has it."""
    key = served.client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    officer = served.connect(SO_PIN, "so")
    made = Path(officer.backup()).rename(folder / "token.backup")
    officer.close()
    return key, made


def opened(directory: Path, clock: SetClock, use: Any) -> Any:
    with Daemon(directory, clock) as daemon, HsmClient(daemon.socket_path, timeout=20) as client:
        client.login(USER_PIN)
        with HsmClient(daemon.socket_path, timeout=20) as officer:
            officer.login(SO_PIN, "so")
            return use(client, officer)


def test_a_backup_is_put_back_as_a_new_epoch(served: Served, tmp_path: Path) -> None:
    """Keys of then sign, keys of later are gone, the audit chain is whole and tells of it; nothing readable in it."""
    key, file = take(served, tmp_path)
    later = served.client.generate("later", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(served.directory.glob("*backup*"))
    octets = file.read_bytes()
    assert b"seal" not in octets
    assert b"SQLite format" not in octets
    heard: list[tuple[int, int]] = []
    custodians = restore_backup(
        file, tmp_path / "token", SO_PIN, clock=served.clock, progress=lambda done, size: heard.append((done, size))
    )
    assert not custodians.people
    assert heard[-1][0] == heard[-1][1]

    def use(client: HsmClient, _: HsmClient) -> None:
        client.sign(key.key_id, SIGN, b"x")
        with pytest.raises(KeyStoreError):
            client.sign(later.key_id, SIGN, b"x")
        assert client.verify_audit() > 0
        done = [(row["action"], row["outcome"]) for row in client.audit_entries()]
        assert ("restore", "done") in done
        assert ("accept-store", "done") in done

    opened(tmp_path / "token", served.clock, use)


def test_with_custodians_it_signs_nothing_until_they_accept(served: Served, tmp_path: Path) -> None:
    """Put back, it refuses every signature, after a restart too, until three of five approved."""
    officer = served.connect(SO_PIN, "so")
    officer.set_custodians(CUSTODIANS)
    officer.close()
    key, file = take(served, tmp_path)
    assert restore_backup(file, tmp_path / "token", SO_PIN, clock=served.clock) == CUSTODIANS

    def refused(client: HsmClient, officer: HsmClient) -> None:
        with pytest.raises(StoreRolledBack):
            client.sign(key.key_id, SIGN, b"x")
        with pytest.raises(KeyStoreError):
            officer.accept_store()

    opened(tmp_path / "token", served.clock, refused)

    def accepted(client: HsmClient, officer: HsmClient) -> None:
        request = officer.quorum_ask("accept_store", {})
        assert officer.quorum_perform(request, approved(request, 0, 2, 4)) == 2
        client.sign(key.key_id, SIGN, b"x")

    opened(tmp_path / "token", served.clock, accepted)


def test_the_right_opener_an_empty_place_and_the_officer_are_needed(served: Served, tmp_path: Path) -> None:
    """Another PIN, a place with a token, the user instead of the officer: refused, and nothing is left behind."""
    _, file = take(served, tmp_path)
    with pytest.raises(NotLoggedIn):
        served.client.backup()
    with pytest.raises(TokenPinIncorrect):
        restore_backup(file, tmp_path / "token", "not-the-so-pin", clock=served.clock)
    assert not list((tmp_path / "token").iterdir())
    with pytest.raises(TokenAlreadyInitialised):
        restore_backup(file, served.directory, SO_PIN, clock=served.clock)


def test_cards_open_a_backup(clock: SetClock, tmp_path: Path) -> None:
    """A token with cards is backed up and restored with cards; two of them, or a PIN, do not."""
    cards = initialise(tmp_path / "first", None, None, costs=CHEAP, clock=clock, cards="3of5")
    with Daemon(tmp_path / "first", clock) as daemon, HsmClient(daemon.socket_path, timeout=20) as officer:
        officer.login_quorum(cards[:3], "so")
        file = Path(officer.backup()).rename(tmp_path / "token.backup")
    with pytest.raises(CardsTooFew):
        restore_backup(file, tmp_path / "second", cards[:2], clock=clock)
    with pytest.raises(CardsRequired):
        restore_backup(file, tmp_path / "second", SO_PIN, clock=clock)
    restore_backup(file, tmp_path / "second", cards[2:], clock=clock)
    with Daemon(tmp_path / "second", clock) as daemon, HsmClient(daemon.socket_path, timeout=20) as client:
        client.login_quorum(cards[1:4])
        client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)


def test_no_changed_or_cut_backup_is_taken(served: Served, tmp_path: Path) -> None:
    """Change any octet, cut off any end, add anything: nothing is restored."""
    _, file = take(served, tmp_path)
    whole, changed = file.read_bytes(), tmp_path / "changed"

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    @given(data=st.data())
    def never(data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(whole) - 1))
        kind = data.draw(st.sampled_from(["change", "cut", "add"]))
        other = bytes([whole[place] ^ data.draw(st.integers(1, 255))])
        changed.write_bytes(
            {"change": whole[:place] + other + whole[place + 1 :], "cut": whole[:place], "add": whole + other}[kind]
        )
        with pytest.raises(KeyStoreError):
            restore_backup(changed, tmp_path / "token", SO_PIN, clock=served.clock)
        assert not (tmp_path / "token" / FILE).exists()

    never()
    changed.write_bytes(b"")
    with pytest.raises(BackupInvalid):
        restore_backup(changed, tmp_path / "token", SO_PIN, clock=served.clock)
