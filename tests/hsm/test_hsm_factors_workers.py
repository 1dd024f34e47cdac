"""The same in several worker processes: nothing about factors relies on one of them remembering anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyotp
import pytest

from foundation.clock import SystemClock
from foundation.keys.activation import Method, PasskeyAssertion
from foundation.keys.errors import KeyStoreError, PinIncorrect, PinLocked
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from hsm_emulation.lockout import FREE_TRIES
from hsm_emulation.passkeys import RelyingParty
from hsm_emulation.process import KeyDaemon, initialise
from tests.hsm.authenticator import ORIGIN, RP_ID, Authenticator
from tests.hsm.conftest import CHEAP, PERSON_PIN, SO_PIN, USER_PIN

ONE = hashlib.sha256(b"one").digest()
CLIENTS = 12  # connections are spread over the workers


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[list[HsmClient]]:
    """Logged in at a daemon of three workers, each over a connection of its own."""
    directory = tmp_path / "token"
    initialise(directory, SO_PIN, USER_PIN, costs=CHEAP, relying_party=RelyingParty(RP_ID, (ORIGIN,)))
    with KeyDaemon.start(directory, "--workers=3") as daemon:
        opened = [HsmClient(daemon.socket_path, timeout=30) for _ in range(CLIENTS)]
        for one in opened:
            one.login(USER_PIN)
        yield opened
        for one in opened:
            one.close()


def each(clients: list[HsmClient], call: Callable[[HsmClient], object]) -> list[str]:
    """What every client hears, asked at the same time: ``done`` or a code."""

    def attempt(client: HsmClient) -> str:
        try:
            call(client)
        except KeyStoreError as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(len(clients)) as threads:
        return list(threads.map(attempt, clients))


def test_guesses_are_counted_across_workers(clients: list[HsmClient]) -> None:
    """Twelve wrong tries at the same time, in three processes: five are looked at, the others find it locked."""
    app = pyotp.parse_uri(clients[0].enrol("specimen", PERSON_PIN).provisioning_uri)
    assert isinstance(app, pyotp.TOTP)
    clients[1].confirm("specimen", app.at(SystemClock().now()))
    said = each(clients, lambda client: client.check("specimen", "739146", "000000"))
    assert (said.count(PinIncorrect.code), said.count(PinLocked.code)) == (FREE_TRIES, CLIENTS - FREE_TRIES)


def test_an_answer_and_an_activation_are_good_once_across_workers(clients: list[HsmClient]) -> None:
    """Of twelve that bring the same answer, one gets an activation; of twelve that redeem it, one signs."""
    device, first = Authenticator(), clients[0]
    first.finish_passkey("specimen", device.register(clients[1].begin_passkey("specimen")))
    key = clients[2].generate_wrapped("specimen", KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
    request = clients[3].prepare_activation(key.info.key_id, [ONE], "specimen", Method.PASSKEY)
    answer = PasskeyAssertion(device.answer(request.options or ""))
    tokens: list[bytes] = []
    said = each(clients, lambda client: tokens.append(client.approve(request.nonce, answer).token))
    assert (said.count("done"), len(tokens)) == (1, 1)
    said = each(clients, lambda client: client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [ONE], activation=tokens[0]))
    assert said.count("done") == 1
