"""Whether the machine's clock can be trusted, and how far it may be off."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol


@dataclass(frozen=True)
class TimeHealth:
    """``synchronised``: a time server disciplines the clock. ``error``: how far it may be off at most, where that was
    measured."""

    synchronised: bool
    error: timedelta | None


class TimeSource(Protocol):
    """Whoever vouches for the clock."""

    def health(self) -> TimeHealth:
        """How the clock is now. Raises nothing: what cannot be asked is not synchronised."""
        ...


class AssumedTime:
    """Nobody has measured the clock; somebody said that it is right. For specimens and tests."""

    def health(self) -> TimeHealth:
        return TimeHealth(True, None)


class KernelTime:
    """What the kernel knows of the clock's discipline: ``adjtimex(2)``, read only.

    The maximum error is the kernel's own: it grows by 500 us every second since the last correction by a time daemon
    (RFC 5905, RFC 1589), and at 16 s the kernel says that the clock is not synchronised.
    """

    _UNSYNCHRONISED = 0x40  # STA_UNSYNC
    _ERROR = 5  # TIME_ERROR

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def health(self) -> TimeHealth:
        state = _Timex()
        said = self._libc.adjtimex(ctypes.byref(state))
        sound = said not in (-1, self._ERROR) and not state.status & self._UNSYNCHRONISED
        return TimeHealth(sound, timedelta(microseconds=state.maxerror) if said != -1 else None)


class _Timex(ctypes.Structure):
    """``struct timex`` of Linux; ``modes`` 0 changes nothing and needs no privilege."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    )
