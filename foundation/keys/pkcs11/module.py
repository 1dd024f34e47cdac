"""A PKCS#11 module in this process: loaded once, told about threads, started one process at a time, started anew in a
forked child.

python-pkcs11 calls ``C_Initialize(NULL)``, which tells the module that one thread uses it, and then lets the
interpreter run other threads during calls: modules crash. So after loading it is finalised, and initialised again
with CKF_OS_LOCKING_OK, by ctypes (PKCS#11 v2.40 §5.4).
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pkcs11._pkcs11 import lib as _Library
from pkcs11.exceptions import PKCS11Error, TokenNotPresent, TokenNotRecognised

from foundation.keys.errors import TokenUnavailable
from foundation.keys.pkcs11.errors import ModuleInvalid

_log = logging.getLogger("camtrust.pkcs11")

_CKF_OS_LOCKING_OK = 2
_CKR_OK = 0
_CKR_CANT_LOCK = 0x0A
_CKR_NOT_INITIALIZED = 0x190
_CKR_ALREADY_INITIALIZED = 0x191
_CKS_RW_USER_FUNCTIONS = 3
_PATIENCE = 60.0  # seconds that a process waits for the cold starts and key generations of others
_FAREWELL = 5.0  # seconds that the end of the process waits for calls that run


class _InitializeArgs(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS."""

    _fields_ = (("mutexes", ctypes.c_void_p * 4), ("flags", ctypes.c_ulong), ("reserved", ctypes.c_void_p))


class _SessionInfo(ctypes.Structure):
    """CK_SESSION_INFO."""

    _fields_ = tuple((name, ctypes.c_ulong) for name in ("slot", "state", "flags", "device_error"))


_OfPointer = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)
_OfSession = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p)


class _Functions(ctypes.Structure):
    """The head of CK_FUNCTION_LIST, as far as it is used here."""

    _fields_ = (
        ("version", ctypes.c_ubyte * 2),
        ("C_Initialize", _OfPointer),
        ("C_Finalize", _OfPointer),
        ("others", ctypes.c_void_p * 13),  # C_GetInfo … C_CloseAllSessions
        ("C_GetSessionInfo", _OfSession),
    )


class Gate:
    """Either many calls at once, or one act alone: to initialise, to fork."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._alone = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """A call into the module. Not to be nested."""
        with self._changed:
            while self._alone:
                self._changed.wait()
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self, timeout: float | None = None) -> bool:
        """Wait until nobody is inside and keep everybody out. False when that took longer than ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._alone, timeout):
                return False
            self._alone = True
            if not self._changed.wait_for(lambda: not self._inside, timeout):
                self._alone = False
                self._changed.notify_all()
                return False
            return True

    def open(self) -> None:
        """Let them in again."""
        with self._changed:
            self._alone = False
            self._changed.notify_all()


class Module:
    """One module. ``generation`` counts its initialisations: handles of an earlier one mean nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.gate = Gate()
        self.generation = 0
        self._initialised = False
        self._locks: dict[int, int] = {}  # thread: the descriptor by which it keeps other processes out
        try:
            with self.alone_on_this_machine():
                self._library = _Library(str(path))
                self._library.finalize()
                self._functions = _function_list(path)
                self._initialise()
        except (OSError, PKCS11Error) as error:
            _log.error("the PKCS#11 module %s cannot be loaded: %s", path, type(error).__name__)
            raise ModuleInvalid from error

    def ready(self) -> None:
        """Initialise where that is not done, or was undone by a fork or from outside. Never called inside the gate."""
        if not self._initialised:
            with self.writing():
                if not self._initialised:
                    self._initialise()

    def forget(self) -> None:
        """The module said that it is not initialised: it will be, before the next call."""
        self._initialised = False

    def tokens(self) -> Iterator[Any]:
        """The tokens that are there, as python-pkcs11 shows them."""
        for slot in self._library.get_slots(token_present=True):
            with suppress(TokenNotPresent, TokenNotRecognised):
                yield slot.get_token()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """To start, to make and to destroy objects: alone on this machine in that, and alone in this process at all.

        The machine first, then the process: always in this order. SoftHSM fails with CKR_GENERAL_ERROR when an object
        is read while it is being written. Writing is rare here.
        """
        with self.alone_on_this_machine():
            self.gate.close()
            try:
                yield
            finally:
                self.gate.open()

    def logged_in(self, session: Any) -> bool:
        """Whether a session is there and the token's user is logged in (C_GetSessionInfo)."""
        info = _SessionInfo()
        answer = self._functions.C_GetSessionInfo(session.handle, ctypes.addressof(info))
        if answer == _CKR_NOT_INITIALIZED:
            self.forget()
        return bool(answer == _CKR_OK and info.state == _CKS_RW_USER_FUNCTIONS)

    @contextmanager
    def alone_on_this_machine(self) -> Iterator[None]:
        """Keep out the other processes of this machine, and the other threads of this process.

        Cold starts of several processes at once fail now and then, and PKCS#11 has no label that is used once. The
        lock is an advisory one (flock) on the module's own file: no path that somebody else could take first.
        Raises TokenUnavailable after a minute; ModuleInvalid when the file cannot be opened. A thread can nest it.
        """
        thread = threading.get_ident()
        if thread in self._locks:
            yield
            return
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ModuleInvalid from error
        try:
            until = time.monotonic() + _PATIENCE
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        _log.error("another process keeps the lock on %s for more than %d s", self.path, _PATIENCE)
                        raise TokenUnavailable from None
                    time.sleep(0.005)
            self._locks[thread] = descriptor
            yield
        finally:
            self._locks.pop(thread, None)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # though a child that was forked meanwhile has it open
            os.close(descriptor)

    def _initialise(self) -> None:
        arguments = _InitializeArgs(flags=_CKF_OS_LOCKING_OK)
        answer = self._functions.C_Initialize(ctypes.addressof(arguments))
        if answer == _CKR_ALREADY_INITIALIZED:
            # A forked child of a module that does not notice forks: it holds the parent's state, which is not ours.
            self._functions.C_Finalize(None)
            answer = self._functions.C_Initialize(ctypes.addressof(arguments))
        if answer == _CKR_CANT_LOCK:
            _log.error("the PKCS#11 module %s cannot be used by several threads", self.path)
            raise ModuleInvalid
        if answer != _CKR_OK:
            _log.error("the PKCS#11 module %s does not start: %#x", self.path, answer)
            raise TokenUnavailable
        self._initialised = True
        self.generation += 1

    def _after_fork(self) -> None:
        """In the child: nothing that the parent opened is ours (PKCS#11 v2.40 §5.4, C_Initialize and fork)."""
        self.gate = Gate()
        self._initialised = False
        for descriptor in self._locks.values():
            os.close(descriptor)
        self._locks.clear()

    def _finish(self) -> None:
        if self._initialised and self.gate.close(_FAREWELL):
            self._initialised = False
            self._functions.C_Finalize(None)


def _function_list(path: Path) -> _Functions:
    functions = ctypes.POINTER(_Functions)()
    get = ctypes.CDLL(str(path)).C_GetFunctionList
    get.restype = ctypes.c_ulong
    if get(ctypes.byref(functions)) != _CKR_OK or not functions:
        raise OSError("no function list")
    return functions.contents


_modules: dict[str, Module] = {}
loading = threading.RLock()
"""Held while modules are loaded and tokens opened or closed; no fork happens meanwhile."""


def module_at(path: Path) -> Module:
    """The module in this file, loaded once in this process. Raises ModuleInvalid, TokenUnavailable."""
    with loading:
        real = str(path.resolve())
        if real not in _modules:
            _modules[real] = Module(Path(real))
        return _modules[real]


def _before_fork() -> None:
    # A lock that a thread holds inside the module at this moment would be held in the child for ever.
    loading.acquire()
    for module in _modules.values():
        module.gate.close()


def _after_fork_in_parent() -> None:
    for module in _modules.values():
        module.gate.open()
    loading.release()


def _after_fork_in_child() -> None:
    global loading
    loading = threading.RLock()
    for module in _modules.values():
        module._after_fork()


def _at_exit() -> None:
    for module in _modules.values():
        module._finish()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
