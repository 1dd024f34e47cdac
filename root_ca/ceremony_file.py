"""Reading a ceremony file: TOML into an act, strictly."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from root_ca.acts import ACTS, Act, Ceremony
from root_ca.errors import CeremonyInvalid

MAX_BYTES = 256 * 1024


def load_ceremony(path: Path) -> Ceremony:
    """The ceremony in a file. CeremonyInvalid names the first key that is wrong."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CeremonyInvalid(file=path.name, where="file", reason=error.strerror or "it cannot be read") from None
    return parse_ceremony(path, raw)


def parse_ceremony(path: Path, raw: bytes) -> Ceremony:
    """The ceremony in octets that were read from ``path``; raises as `load_ceremony` does."""
    if len(raw) > MAX_BYTES:
        raise CeremonyInvalid(file=path.name, where="file", reason="it is too long")
    try:
        table = tomllib.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CeremonyInvalid(file=path.name, where="file", reason=str(error)) from None
    act = table.get("act")
    if not isinstance(act, str) or act not in ACTS:
        raise CeremonyInvalid(file=path.name, where="act", reason=f"it is one of {', '.join(ACTS)}")
    try:
        parsed: Act = TypeAdapter(ACTS[act]).validate_python(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise CeremonyInvalid(file=path.name, where=where, reason=first["msg"]) from None
    return Ceremony(path, raw, parsed)
