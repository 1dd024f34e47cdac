"""The tokens of a home: making them, running their daemons, logging in.

``hsm`` is the services' token; ``root/token`` and ``trust/token`` are the offline ones, used in ceremonies and when a
trust bundle is signed. In production the offline ones are on other machines; here each still has a daemon and PINs of
its own, so that nothing the services hold opens them.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from camtrust.errors import KeysUnsupported, ModulePinMissing
from camtrust.home import Home
from foundation.keys.errors import CardsRequired, KeyStoreError, NoCards, TokenInUse
from hsm_emulation.client import HsmClient
from hsm_emulation.passkeys import RelyingParty
from hsm_emulation.process import KeyDaemon, initialise, socket_path
from hsm_emulation.sealing import Cost, Costs
from hsm_emulation.store import FILE as TOKEN_FILE

if TYPE_CHECKING:  # the offline root is installed without what settings are read with
    from camtrust.settings import KeySettings, Settings
    from camtrust.split_keys import SplitKeys

_log = logging.getLogger(__name__)

AskCards = Callable[[str], Sequence[str]]
"""Asks the holders for their cards; told how many are needed of how many, as ``3of5``."""

SERVICES = "hsm"
ROOT = "root/token"
TRUST_LIST = "trust/token"

WITNESSED = "witness"  # the last checkpoint of each token: not in its directory, and not in its backups

_EMULATED = "emulated:"
_LOOK, _LONGEST_WAIT = 0.5, 30.0  # seconds between two looks at the daemon
_REHEARSAL = Costs(operator=Cost(8192, 1), person=Cost(8192, 1))  # a token that lives for one rehearsal


def relying_party(public_url: str) -> RelyingParty:
    """Whose passkeys the services' token takes: those of the origin that the services stand at.

    WebAuthn takes names alone: for a loopback address it is ``localhost``, which browsers take without TLS.
    """
    parts = urlsplit(public_url)
    host, port = parts.hostname or "localhost", f":{parts.port}" if parts.port else ""
    if host in ("127.0.0.1", "::1", "localhost"):
        return RelyingParty("localhost", (f"http://localhost{port}",))
    return RelyingParty(host, (f"{parts.scheme}://{host}{port}",))


def make_token(home: Home, name: str, public_url: str | None = None) -> bool:
    """Initialise a token of the home with PINs made at random, unless it is there; tells whether it was made.

    ``public_url``: where the services of this token stand; without it the token takes no passkeys.
    """
    directory = home.path / name
    if (directory / TOKEN_FILE).exists():
        return False
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    initialise(
        directory,
        so_pin=home.pin(f"{name}/so.pin"),
        user_pin=home.pin(f"{name}/user.pin"),
        relying_party=relying_party(public_url) if public_url and name == SERVICES else None,
    )
    return True


def make_token_with_cards(home: Home, name: str, cards: str, public_url: str | None = None) -> tuple[str, ...]:
    """Initialise a token of the home that no PIN opens, but ``3of5`` cards, say; they are in what comes back alone.

    TokenAlreadyInitialised, CardsInvalid.
    """
    directory = home.path / name
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    party = relying_party(public_url) if public_url and name == SERVICES else None
    return initialise(directory, None, None, relying_party=party, cards=cards)


@contextmanager
def opened_by_cards(home: Home, name: str, cards: Sequence[str] | AskCards, role: str = "user") -> Iterator[HsmClient]:
    """A client that is logged in to a token of the home with its cards, or with those that ``cards`` asks for."""
    with _daemon_of(home.path / name) as path, HsmClient(path, witness=_witness(home, name)) as client:
        _login_with_cards(client, cards, role)
        yield client


def _login_with_cards(client: HsmClient, cards: Sequence[str] | AskCards, role: str) -> None:
    if callable(cards):
        size = client.status()["cards"]
        if size is None:
            raise NoCards
        cards = cards(size)
    client.login_quorum(cards, role)


@contextmanager
def _daemon_of(directory: Path) -> Iterator[Path]:
    """The socket of a token's daemon: one that runs already, or one of ours, for as long as the block runs."""
    try:
        daemon = KeyDaemon.start(directory)
    except TokenInUse:
        yield socket_path(directory)
        return
    with daemon:
        yield daemon.socket_path


def _witness(home: Home, name: str) -> Path:
    return home.path / WITNESSED / f"{name.replace('/', '-')}.json"


@contextmanager
def open_token(
    home: Home,
    name: str,
    settings: KeySettings | None = None,
    *,
    supervised: bool = False,
    cards: AskCards | None = None,
) -> Iterator[HsmClient]:
    """A client that is logged in to a token of the home.

    Starts its daemon for as long as the block runs; where one runs already (the services are up), talks to that one.
    ``supervised``: a daemon that dies is started again; the client logs in to it by itself. ``cards``: asks for the
    cards of a token that has no PIN. Raises CardsRequired and what the token raises.
    """
    directory = home.path / name
    with ExitStack() as stack:
        daemon: KeyDaemon | None
        try:
            daemon = KeyDaemon.start(directory)
        except TokenInUse:
            daemon = None  # somebody else's: it may end with them
        path = daemon.socket_path if daemon else socket_path(directory)
        if supervised:
            stack.enter_context(_Supervisor(directory, daemon))
        elif daemon is not None:
            stack.enter_context(daemon)
        client = stack.enter_context(
            HsmClient(path, pin=lambda: _pin(directory, settings), witness=_witness(home, name))
        )
        if cards is not None and client.status()["cards"] and not (directory / "user.pin").exists():
            _login_with_cards(client, cards, "user")
        else:
            client.login(_pin(directory, settings))
        try:
            yield client
        finally:
            with suppress(KeyStoreError):  # what was signed meanwhile is witnessed; the next login would do it too
                client.witness()


@contextmanager
def open_officer(home: Home, name: str) -> Iterator[HsmClient]:
    """The security officer, logged in to a token whose daemon runs: inside a block of :func:`open_token`."""
    with HsmClient(socket_path(home.path / name)) as client:
        client.login(home.pin(f"{name}/so.pin"), "so")
        yield client


class _Supervisor:
    """Starts the daemon again when it is gone, until the end of the block. What it had committed is still there.

    ``daemon`` is None while another process's daemon serves the token; when that one ends, ours takes its place.
    """

    def __init__(self, directory: Path, daemon: KeyDaemon | None) -> None:
        self._directory = directory
        self._daemon = daemon
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="key-daemon-watch", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        if self._daemon is not None:
            self._daemon.stop()

    def _watch(self) -> None:
        wait = _LOOK
        while not self._ending.wait(wait):
            if self._daemon is not None and self._daemon.alive:
                wait = _LOOK
                continue
            if self._daemon is not None:
                self._daemon.stop()  # it is gone; its pipes are still ours
            try:
                self._daemon = KeyDaemon.start(self._directory)
                _log.warning("the key daemon was gone and runs again as process %d", self._daemon.pid)
            except TokenInUse:
                self._daemon, wait = None, _LOOK
            except KeyStoreError as error:
                wait = min(wait * 2, _LONGEST_WAIT)
                _log.error("the key daemon does not come back: %s", error.code)


@contextmanager
def services_token(home: Home, settings: Settings, *, supervised: bool = False) -> Iterator[HsmClient]:
    """The emulated token of the services: persons' keys and factors, and by default the services' own keys."""
    _check_uri(settings.keys)
    with open_token(home, SERVICES, settings.keys, supervised=supervised) as client:
        yield client


@contextmanager
def attached_token(home: Home, settings: Settings) -> Iterator[HsmClient]:
    """The services' token through the daemon that another process runs and watches; none is started here.

    Raises TokenUnavailable where none answers, CardsRequired and what the token raises.
    """
    _check_uri(settings.keys)
    path = socket_path(home.path / SERVICES)
    with HsmClient(
        path, pin=lambda: _pin(home.path / SERVICES, settings.keys), witness=_witness(home, SERVICES)
    ) as client:
        client.login(_pin(home.path / SERVICES, settings.keys))
        try:
            yield client
        finally:
            with suppress(KeyStoreError):
                client.witness()


@contextmanager
def service_keys(settings: Settings, token: HsmClient) -> Iterator[HsmClient | SplitKeys]:
    """Where the services' keys are: in the emulated ``token`` itself, or in the PKCS#11 module of ``keys.uri``, with
    persons' keys staying in ``token``. Raises what opening the module raises, ModulePinMissing.
    """
    if settings.keys.uri == _EMULATED:
        yield token
        return
    from camtrust.split_keys import SplitKeys
    from foundation.keys.pkcs11 import open_pkcs11

    try:
        pin = settings.keys.pin_file.read_text(encoding="utf-8").strip() if settings.keys.pin_file else ""
    except (OSError, UnicodeDecodeError):
        pin = ""
    if not pin:
        raise ModulePinMissing
    with open_pkcs11(settings.keys.uri, pin) as module:
        can = module.capabilities()
        _log.warning(
            "services' keys are in a PKCS#11 module (%s) that enforces no policy of ours; it sees whole messages: %s; "
            "persons' keys and factors are emulated",
            "emulated" if can.emulated else "its maker says: hardware",
            can.sees_message,
        )
        yield SplitKeys(module, token)


def _check_uri(settings: KeySettings) -> None:
    if settings.uri != _EMULATED and not settings.uri.lower().startswith("pkcs11:"):
        raise KeysUnsupported(uri=settings.uri.partition("?")[0])  # the query may hold a PIN (RFC 7512 §2.4)


@contextmanager
def throwaway_daemon() -> Iterator[tuple[KeyDaemon, str]]:
    """The daemon and the user's PIN of a token that is gone at the end of the block."""
    with TemporaryDirectory(prefix="camtrust-throwaway-") as folder:
        directory, pin = Path(folder) / "token", secrets.token_hex(8)
        initialise(directory, so_pin=secrets.token_hex(8), user_pin=pin, costs=_REHEARSAL)
        with KeyDaemon.start(directory) as daemon:
            yield daemon, pin


@contextmanager
def throwaway_token() -> Iterator[HsmClient]:
    """A token that is gone at the end of the block: for rehearsals."""
    with throwaway_daemon() as (daemon, pin), HsmClient(daemon.socket_path) as client:
        client.login(pin)
        yield client


def _pin(directory: Path, settings: KeySettings | None) -> str:
    own = settings is not None and settings.uri == _EMULATED  # else pin_file is the module's
    file = settings.pin_file if settings is not None and own and settings.pin_file else directory / "user.pin"
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise CardsRequired from None
