"""What was once true, kept outside of the database: a file to which status changes and heads are only ever added.

A database that is restored from an older backup knows fewer changes than this file, and so is found out. Each line is
canonical JSON and ends with a line feed; what a crash cut off in the middle is dropped when the next line is written.
Now and then the heads of all authorities are written again, one after the other, counted down (``left`` of ``of``):
whoever starts reads from the last such place on, however long the file has become.
The file is for the process's own account alone. Other keepers (a counter of a token, another machine) implement
`issuing_ca.ports.StatusWitness` in its place.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from foundation.canonical import canonical_json
from issuing_ca.errors import StatusWitnessUnreadable
from issuing_ca.ports import Witnessed

_ENDS = b"\n"
_SUMMARY = b'"left":0,"of":'  # no value of ours has a quotation mark in it
_SUMMARY_AFTER = 1 << 18  # octets


class FileWitness:
    """Implements `issuing_ca.ports.StatusWitness` in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._newest: dict[str, Witnessed] = {}
        self._read = 0  # octets of the file that are in it
        self._summary = 0  # where the last summary begins

    @contextmanager
    def held(self) -> Iterator[None]:
        """No other process adds anything during the block."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def newest(self) -> Mapping[str, Witnessed]:
        """The last that was written of every authority. Raises StatusWitnessUnreadable."""
        start = self._read or self._last_summary()
        for line, end in self._lines(start):
            if line["again"]:
                self._newest.clear()
            if line.get("left") == 0:
                self._summary = start
            self._newest[line["authority"]] = _witnessed(line)
            self._read = start = end
        return dict(self._newest)

    def all(self) -> Sequence[Witnessed]:
        """Everything since officers last agreed to begin again, oldest first."""
        found: list[Witnessed] = []
        for line, _ in self._lines(0):
            if line["again"]:
                found.clear()
            found.append(_witnessed(line))
        return found

    def add(self, seen: Sequence[Witnessed], *, again: bool = False) -> None:
        """Add lines; on the disk when it returns. ``again``: what was written before counts no more."""
        if not seen:
            return
        data = b"".join(
            canonical_json({**_plain(one), "again": again and at == 0}) + _ENDS for at, one in enumerate(seen)
        )
        heads = [] if again else [replace(one, serial=None, state=None, reason=None, at=None) for one in self._due()]
        last = len(heads) - 1
        counted = [_plain(one) | {"again": False, "left": last - at, "of": last + 1} for at, one in enumerate(heads)]
        data = b"".join(canonical_json(one) + _ENDS for one in counted) + data
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            whole = self._whole_length(file)
            os.ftruncate(file, whole)
            os.lseek(file, whole, os.SEEK_SET)
            while data:
                data = data[os.write(file, data) :]
            os.fsync(file)
        finally:
            os.close(file)

    def _due(self) -> Sequence[Witnessed]:
        """The newest of every authority, where they are to be written again."""
        newest = self.newest()
        return tuple(newest.values()) if self._read - self._summary > _SUMMARY_AFTER else ()

    def _last_summary(self) -> int:
        """Where to begin reading: at the last summary that is whole, otherwise at the beginning."""
        try:
            with self._path.open("rb") as file:
                size, window = file.seek(0, os.SEEK_END), _SUMMARY_AFTER // 4
                while True:
                    window = min(window * 4, size)
                    file.seek(size - window)
                    at = _begin_of_summary(file.read(window))
                    if at is not None:
                        return size - window + at
                    if window == size:
                        return 0
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise StatusWitnessUnreadable(file=self._path.name) from error

    def _lines(self, start: int) -> Iterator[tuple[dict[str, Any], int]]:
        """The whole lines from an offset on, each with the offset behind it."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < start:
                    raise StatusWitnessUnreadable(file=self._path.name)  # it has become shorter
                end = file.seek(start)
                for line in file:
                    if line.endswith(_ENDS):
                        end += len(line)
                        yield json.loads(line), end
        except FileNotFoundError:
            if start:
                raise StatusWitnessUnreadable(file=self._path.name) from None
        except (OSError, ValueError) as error:
            raise StatusWitnessUnreadable(file=self._path.name) from error

    @staticmethod
    def _whole_length(file: int) -> int:
        """Up to where the lines are whole."""
        end = os.lseek(file, 0, os.SEEK_END)
        while end > 0 and os.pread(file, 1, end - 1) != _ENDS:
            end -= 1
        return end


def _begin_of_summary(data: bytes) -> int | None:
    """Where the last summary begins whose last line is there; None where it does not begin in ``data``.

    Lines are written one after the other, so that all of it is there where its last line is.
    """
    found = data.rfind(_SUMMARY)
    begin = data.rfind(_ENDS, 0, found) + 1 if found >= 0 else 0
    if not begin or _ENDS not in data[begin:]:
        return None
    for _ in range(json.loads(data[begin : data.index(_ENDS, begin)])["of"] - 1):
        begin = data.rfind(_ENDS, 0, begin - 1) + 1
        if not begin:
            return None
    return begin


def _plain(one: Witnessed) -> dict[str, Any]:
    return {
        "authority": one.authority,
        "size": one.size,
        "root": one.root.hex(),
        "crl_number": one.crl_number,
        "serial": one.serial,
        "state": one.state,
        "reason": one.reason,
        "at": one.at,
    }


def _witnessed(line: Mapping[str, Any]) -> Witnessed:
    try:
        return Witnessed(
            authority=line["authority"],
            size=line["size"],
            root=bytes.fromhex(line["root"]),
            crl_number=line["crl_number"],
            serial=line["serial"],
            state=line["state"],
            reason=line["reason"],
            at=line["at"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StatusWitnessUnreadable(file="-") from error
