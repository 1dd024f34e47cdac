"""Time, as an argument. The only module that reads the system's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Whoever needs the time takes a Clock."""

    def now(self) -> datetime:
        """The current time: aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SetClock:
    """A clock that stands where it is put: for rehearsals, replays and tests."""

    def __init__(self, at: datetime) -> None:
        self._at = _utc(at)

    def now(self) -> datetime:
        return self._at

    def set(self, at: datetime) -> None:
        self._at = _utc(at)

    def advance(self, by: timedelta) -> None:
        self._at += by


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a time without a zone is not a time")
    return at.astimezone(UTC)


def rfc3339(at: datetime) -> str:
    """RFC 3339 in UTC with a ``Z``; microseconds only where there are any."""
    return _utc(at).isoformat().replace("+00:00", "Z")


def parse_rfc3339(value: str) -> datetime:
    """The inverse of :func:`rfc3339`; ValueError for anything without a zone."""
    return _utc(datetime.fromisoformat(value))
