"""What was once true, kept outside of the database: a file to which status changes and heads are only ever added.

A database that is restored from an older backup knows fewer changes than this file, and so is found out. Each line is
canonical JSON and ends with a line feed; what a crash cut off in the middle is dropped when the next line is written.
The file is for the process's own account alone. Other keepers (a counter of a token, another machine) implement
`issuing_ca.ports.StatusWitness` in its place.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foundation.canonical import canonical_json
from issuing_ca.errors import StatusWitnessUnreadable
from issuing_ca.ports import Witnessed

_ENDS = b"\n"


class FileWitness:
    """Implements `issuing_ca.ports.StatusWitness` in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._newest: dict[str, Witnessed] = {}
        self._read = 0  # octets of the file that are in it

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
        for line, end in self._lines(self._read):
            if line["again"]:
                self._newest.clear()
            self._newest[line["authority"]] = _witnessed(line)
            self._read = end
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
