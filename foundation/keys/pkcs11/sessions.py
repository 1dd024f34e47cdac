"""Sessions of a token: logged in once, kept open, shared by all threads; opened again when they are lost.

Login belongs to the token and not to a session (PKCS#11 v2.40 §2.6.5), so one session logs in and is kept for that
alone; the others are opened without. A wrong PIN is never tried twice: real tokens lock.
"""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from pkcs11 import exceptions as ckr
from pkcs11.constants import TokenFlag

from foundation.keys import errors
from foundation.keys.pkcs11 import module as modules
from foundation.keys.pkcs11.errors import TokenNotFound
from foundation.keys.pkcs11.module import Module
from foundation.keys.pkcs11.uri import Pkcs11Uri

_log = logging.getLogger("camtrust.pkcs11")

T = TypeVar("T")

SESSIONS = 16
"""How many calls run in a token at once; more wait."""

_ATTEMPTS = 3
_SEARCHES = 50

GONE = (ckr.ObjectHandleInvalid, ckr.KeyHandleInvalid)
"""What a module says of an object that was destroyed."""

_LOST = (
    ckr.SessionHandleInvalid,
    ckr.SessionClosed,
    ckr.UserNotLoggedIn,
    ckr.DeviceRemoved,
    ckr.DeviceError,
    ckr.TokenNotPresent,
)
_ERRORS: Mapping[type[errors.KeyStoreError], tuple[type[ckr.PKCS11Error], ...]] = {
    errors.KeyHandleInvalid: (ckr.KeyHandleInvalid, ckr.ObjectHandleInvalid, ckr.NoSuchKey),
    errors.MechanismInvalid: (
        ckr.MechanismInvalid,
        ckr.MechanismParamInvalid,
        ckr.KeyTypeInconsistent,
        ckr.KeySizeRange,
        ckr.DomainParamsInvalid,
        ckr.FunctionNotSupported,
    ),
    errors.DataInvalid: (ckr.DataInvalid, ckr.DataLenRange),
    errors.KeyUnextractable: (ckr.KeyUnextractable, ckr.AttributeSensitive),
    errors.TokenPinIncorrect: (ckr.PinIncorrect, ckr.PinInvalid, ckr.PinLenRange),
    errors.TokenPinInvalid: (ckr.PinExpired, ckr.PinTooWeak),
    errors.TokenPinLocked: (ckr.PinLocked,),
    errors.TokenNotInitialised: (ckr.TokenNotRecognised, ckr.UserPinNotInitialized),
    errors.NotLoggedIn: (ckr.UserNotLoggedIn,),
    errors.TokenInUse: (ckr.UserAlreadyLoggedIn, ckr.AnotherUserAlreadyLoggedIn, ckr.SessionReadWriteSOExists),
    errors.TokenUnavailable: (
        *_LOST,
        ckr.SlotIDInvalid,
        ckr.SessionCount,
        ckr.DeviceMemory,
        ckr.HostMemory,
        ckr.GeneralError,
    ),
}


def translated(error: ckr.PKCS11Error) -> errors.KeyStoreError:
    """The key store's word for a module's return value."""
    if _not_initialised(error):
        return errors.TokenUnavailable()
    found = next((ours for ours, theirs in _ERRORS.items() if isinstance(error, theirs)), errors.KeyStoreError)
    return found()


class TokenSession:
    """One session, used by one thread at a time. ``known`` keeps what was found through it: handles of its objects."""

    def __init__(self, session: Any, epoch: int) -> None:
        self.raw = session
        self.epoch = epoch
        self.known: dict[str, Any] = {}

    def search(self, attributes: Mapping[Any, Any]) -> list[Any]:
        """The objects that have these attributes. Any of them can be gone the next moment."""
        for _ in range(_SEARCHES):
            with suppress(*GONE):  # destroyed by somebody else between being found and being looked at
                return list(self.raw.get_objects(dict(attributes)))
        raise ckr.FunctionFailed

    def values(self, attributes: Mapping[Any, Any], wanted: Any) -> list[Any]:
        """One attribute of each object that has these attributes."""
        found = []
        for one in self.search(attributes):
            with suppress(*GONE):
                found.append(one[wanted])
        return found


class Connection:
    """A token in which we are logged in."""

    def __init__(self, module: Module, uri: Pkcs11Uri, pin: str) -> None:
        self.module = module
        self._uri = uri
        self._pin = pin
        self._changed = threading.Condition()
        self._epoch = 0
        self._generation = -1
        self._anchor: Any = None
        self._idle: list[TokenSession] = []
        self._open = 0
        self._proved = False  # the token has taken this PIN once
        self._refused: type[errors.KeyStoreError] | None = None
        self.users = 0

    @property
    def ended(self) -> bool:
        """Closed, or refused by the token: no call will be tried again."""
        return self._refused is not None

    def same_pin(self, pin: str) -> bool:
        """Whether this is the PIN that we are logged in with."""
        return hmac.compare_digest(pin.encode(), self._pin.encode())

    def run(self, work: Callable[[TokenSession], T], *, writes: bool = False, repeat: bool = True) -> T:
        """Do ``work`` with a session that is there and logged in; the module's errors become ours.

        ``writes``: it makes or destroys objects, and does so alone. When sessions turn out to be lost, they are
        opened anew and ``work`` is done again; with ``repeat`` off only if it had not begun. Raises TokenUnavailable
        when it does not help.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            begun = False
            try:
                self._log_in()
                with self.module.writing() if writes else self.module.gate.shared(), self._session() as session:
                    if not self.module.logged_in(session.raw):
                        raise ckr.SessionHandleInvalid
                    begun = True
                    return work(session)
            except ckr.PKCS11Error as error:
                if _not_initialised(error):
                    self.module.forget()
                if attempt == _ATTEMPTS or not _lost(error) or (begun and not repeat):
                    raise translated(error) from error
                _log.warning("sessions of a token were lost (%s); opening new ones", type(error).__name__)
        raise AssertionError  # the last attempt returns or raises

    def close(self) -> None:
        """Log out and close the sessions."""
        self.module.ready()
        with self.module.gate.shared(), self._changed:
            self._refused = errors.NotLoggedIn
            self._drop()

    @contextmanager
    def _session(self) -> Iterator[TokenSession]:
        session = self._take()
        try:
            yield session
        except ckr.PKCS11Error as error:
            # After a failure nobody knows what the session is in the middle of.
            self._discard(session)
            if _lost(error):
                self._forget(session.epoch)
            raise
        except BaseException:
            self._give_back(session)
            raise
        self._give_back(session)

    def _take(self) -> TokenSession:
        with self._changed:
            while True:
                if self._refused is not None:
                    raise self._refused()
                if self._anchor is None or self._generation != self.module.generation:
                    raise ckr.SessionHandleInvalid  # lost since the login, a moment ago
                if self._idle:
                    return self._idle.pop()
                if self._open < SESSIONS:
                    try:
                        session = TokenSession(self._anchor.token.open(rw=True), self._epoch)
                    except ckr.SessionCount:
                        if not self._open:
                            raise
                    else:
                        self._open += 1
                        return session
                self._changed.wait()

    def _log_in(self) -> None:
        """Where that is not done. Under the machine's lock: a cold start ends when the first session is logged in."""
        self.module.ready()
        if self._anchor is not None and self._generation == self.module.generation:
            return
        with self.module.alone_on_this_machine(), self.module.gate.shared(), self._changed:
            if self._refused is not None:
                raise self._refused()
            if self._generation != self.module.generation:
                # Initialised anew: the handles are void, and their numbers may be somebody else's by now.
                self._idle.clear()
                self._anchor, self._open = None, 0
                self._epoch += 1
                self._generation = self.module.generation
            if self._anchor is not None:
                return
            token = find_token(self.module, self._uri)
            try:
                self._anchor = token.open(rw=True, user_pin=self._pin)
            except ckr.UserAlreadyLoggedIn:
                if not self._proved:  # by somebody else in this process: then nobody has checked our PIN
                    raise
                self._anchor = token.open(rw=True)
            except (ckr.PinIncorrect, ckr.PinInvalid, ckr.PinLenRange, ckr.PinExpired, ckr.PinLocked) as error:
                self._refused = type(translated(error))
                raise
            self._proved = True

    def _give_back(self, session: TokenSession) -> None:
        with self._changed:
            if session.epoch == self._epoch and self._refused is None:
                self._idle.append(session)
                self._changed.notify()
                return
        with suppress(ckr.PKCS11Error):
            session.raw.close()

    def _discard(self, session: TokenSession) -> None:
        with self._changed:
            if session.epoch == self._epoch:
                self._open -= 1
                self._changed.notify()
        with suppress(ckr.PKCS11Error):
            session.raw.close()

    def _forget(self, epoch: int) -> None:
        """Sessions of this epoch are lost: close what is left of them, begin a new one."""
        with self._changed:
            if epoch == self._epoch:
                self._drop()

    def _drop(self) -> None:
        for session in self._idle:
            with suppress(ckr.PKCS11Error):
                session.raw.close()
        if self._anchor is not None:
            with suppress(ckr.PKCS11Error):
                self._anchor.close()  # logs out too
        self._idle.clear()
        self._anchor, self._open = None, 0
        self._epoch += 1
        self._changed.notify_all()


def find_token(module: Module, uri: Pkcs11Uri) -> Any:
    """The one initialised token that the address means. Raises TokenNotFound for none, or for more than one.

    Under the machine's lock: SoftHSM fails with CKR_GENERAL_ERROR when it tells of a token while a login writes it.
    """
    found = [token for token in module.tokens() if uri.fits(token) and token.flags & TokenFlag.TOKEN_INITIALIZED]
    if len(found) != 1:
        raise TokenNotFound
    return found[0]


_connections: dict[tuple[str, bytes, str], Connection] = {}


def connect(uri: Pkcs11Uri, pin: str) -> Connection:
    """Log in, or join those of this process who are logged in to the token already with the same PIN."""
    module = modules.module_at(uri.module_path)
    with modules.loading:
        module.ready()
        try:
            with module.alone_on_this_machine(), module.gate.shared():
                token = find_token(module, uri)
        except ckr.PKCS11Error as error:
            raise translated(error) from error
        place = (str(module.path), token.serial, token.label)
        connection = _connections.get(place)
        if connection is None or connection.ended:
            connection = Connection(module, uri, pin)
            connection.run(lambda _: None)
            _connections[place] = connection
        elif not connection.same_pin(pin):
            raise errors.TokenPinIncorrect
        connection.users += 1
        return connection


def disconnect(connection: Connection) -> None:
    """Leave; the last one logs out."""
    with modules.loading:
        connection.users -= 1
        if connection.users:
            return
        for place in [place for place, one in _connections.items() if one is connection]:
            del _connections[place]
        connection.close()


def _lost(error: ckr.PKCS11Error) -> bool:
    return isinstance(error, _LOST) or _not_initialised(error)


def _not_initialised(error: ckr.PKCS11Error) -> bool:
    # python-pkcs11 has no class for CKR_CRYPTOKI_NOT_INITIALIZED.
    return type(error) is ckr.PKCS11Error and "not initialized" in str(error)
