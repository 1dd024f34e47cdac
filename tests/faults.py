"""A key store that fails as hardware does: it wraps any key store, and tests of services say what goes wrong next.

    keys = FaultyKeys(token)
    keys.next(Fault.LOST_ANSWER, "sign")          # the next signature is made, and nobody hears of it
    keys.next(Fault.STORM, "sign", times=3)       # three errors, each another

A fault is used up by a call that it names. ``keys.met`` counts the faults that were met, so that a test can say that
its fault was really there.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Sequence
from enum import Enum, auto
from time import sleep
from typing import Any

from foundation.keys.errors import KeyStoreError, NotLoggedIn, TokenInUse, TokenUnavailable

SIGNING = ("sign", "sign_many", "sign_wrapped")
_STORM: tuple[type[KeyStoreError], ...] = (TokenUnavailable, NotLoggedIn, KeyStoreError, TokenInUse)
_SLOWNESS = 0.05  # seconds: enough for calls to overtake each other


class Fault(Enum):
    """What can go wrong with one call."""

    SESSION_LOST = auto()
    """Nothing was done, and the caller hears NotLoggedIn."""
    GONE = auto()
    """Nothing was done, and the caller hears TokenUnavailable."""
    STORM = auto()
    """Nothing was done, and the caller hears one error after another."""
    LOST_ANSWER = auto()
    """It was done, and the caller hears TokenUnavailable."""
    GARBAGE = auto()
    """A signature that is none: random octets."""
    FLIPPED = auto()
    """A signature with one bit turned over."""
    REPLAYED = auto()
    """A good signature of the same key, over what it signed before (else a bit turned over)."""
    TOO_FEW = auto()
    """Of several signatures the last is missing; of one, an empty one comes."""
    SLOW = auto()
    """It takes its time, and is right."""


REFUSALS = (Fault.SESSION_LOST, Fault.GONE, Fault.STORM, Fault.LOST_ANSWER)
WRONG_SIGNATURES = (Fault.GARBAGE, Fault.FLIPPED, Fault.REPLAYED, Fault.TOO_FEW)


class FaultyKeys:
    """Any key store, with its factors and person keys where it has them. Threads may share it."""

    def __init__(self, keys: Any) -> None:
        self._keys = keys
        self._planned: list[tuple[Fault, frozenset[str]]] = []
        self._lock = threading.Lock()
        self._storm = itertools.cycle(_STORM)
        self._last: dict[bytes, bytes] = {}
        self.met = 0

    def next(self, fault: Fault, *calls: str, times: int = 1) -> None:
        """The next ``times`` calls of these names meet the fault."""
        assert calls
        with self._lock:
            self._planned += [(fault, frozenset(calls))] * times

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._keys, name)
        if name.startswith("_") or not callable(found):
            return found

        def call(*args: Any, **more: Any) -> Any:
            return self._call(name, found, args, more)

        return call

    def _call(self, name: str, work: Any, args: tuple[Any, ...], more: dict[str, Any]) -> Any:
        fault = self._due(name)
        if fault in (Fault.SESSION_LOST, Fault.GONE, Fault.STORM):
            raise (
                NotLoggedIn
                if fault is Fault.SESSION_LOST
                else TokenUnavailable
                if fault is Fault.GONE
                else next(self._storm)
            )
        if fault is Fault.SLOW:
            sleep(_SLOWNESS)
        made = work(*args, **more)
        if fault is Fault.LOST_ANSWER:
            raise TokenUnavailable
        return self._signature(fault, str(args[0]).encode(), made) if name in SIGNING else made

    def _due(self, name: str) -> Fault | None:
        with self._lock:
            for planned in self._planned:
                if name in planned[1]:
                    self._planned.remove(planned)
                    self.met += 1
                    return planned[0]
        return None

    def _signature(self, fault: Fault | None, key: bytes, made: bytes | Sequence[bytes]) -> bytes | list[bytes]:
        if not isinstance(made, bytes):
            if fault is Fault.TOO_FEW:
                return list(made)[:-1]
            return [self._wrong(fault, key, one) for one in made]
        return b"" if fault is Fault.TOO_FEW else self._wrong(fault, key, made)

    def _wrong(self, fault: Fault | None, key: bytes, made: bytes) -> bytes:
        before, self._last[key] = self._last.get(key), made
        if fault is Fault.GARBAGE:
            return os.urandom(len(made))
        if fault is Fault.REPLAYED and before is not None:
            return before
        if fault in (Fault.FLIPPED, Fault.REPLAYED):
            return made[:-1] + bytes([made[-1] ^ 1])
        return made
