"""Which copies of an installation were made, and whether they are still there: what ``camtrust doctor`` looks at.

The home keeps a note of the newest copy of each part: where it was put, when, and its SHA-256. Nothing opens a copy
here; that it can be put back is tried by putting it back.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from camtrust.home import Home
from foundation.clock import parse_rfc3339, rfc3339

DATABASE, TOKEN = "database", "token"
_FILE = "backups.json"


@dataclass(frozen=True)
class Backup:
    """The newest copy of a part. ``file``: absolute; ``sha256``: hexadecimal, as it was when it was made."""

    file: str
    at: str
    sha256: str

    def fault(self, now: datetime, most: timedelta) -> str | None:
        """What is wrong with it, in a few words; None: it is there, unchanged, and not older than ``most``."""
        file = Path(self.file)
        if not file.is_file():
            return "is gone"
        if _sha256(file) != self.sha256:
            return "was changed"
        return "is old" if now - parse_rfc3339(self.at) > most else None


def note(home: Home, part: str, file: Path, at: datetime) -> None:
    """Note that a copy of a part was made."""
    made = Backup(str(file.absolute()), rfc3339(at.replace(microsecond=0)), _sha256(file))
    known = {**_read(home), part: made}
    text = json.dumps({name: asdict(one) for name, one in known.items()}, indent=2) + "\n"
    target = home.path / _FILE
    new = target.with_name(f"{_FILE}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o600)
    new.replace(target)


def findings(home: Home, parts: Sequence[str], now: datetime, most: timedelta) -> tuple[str, ...]:
    """What is wrong with the copies of these parts; nothing where each has a good one."""
    known = _read(home)
    faults = {part: known[part].fault(now, most) if part in known else "was never made" for part in parts}
    return tuple(f"the copy of the {part} {fault}" for part, fault in faults.items() if fault is not None)


def newest(home: Home) -> dict[str, Backup]:
    """The newest copy of each part that was ever copied."""
    return _read(home)


def _read(home: Home) -> dict[str, Backup]:
    file = home.path / _FILE
    if not file.exists():
        return {}
    try:
        return {str(part): Backup(**one) for part, one in json.loads(file.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError):
        return {}  # as if none had ever been made, which is told


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
