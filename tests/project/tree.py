"""What the project's rules look at: its packages, their sources, and all of its text files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("camtrust", "root_ca", "issuing_ca", "ekyc", "identity", "signing", "hsm_emulation", "foundation")
_NOT_OURS = {".git", ".venv", "demo-home", "build", "dist", "__pycache__"}
_NOT_TEXT = {".ttf", ".png", ".pdf", ".der", ".pyc", ".bin", ".woff2", ".ico"}


@cache
def modules(*folders: str) -> tuple[Path, ...]:
    """The Python files of these folders (of the packages, when none is named)."""
    found = [path for folder in folders or PACKAGES for path in (ROOT / folder).rglob("*.py")]
    return tuple(sorted(path for path in found if not _NOT_OURS & set(path.parts)))


@cache
def syntax(path: Path) -> ast.Module:
    """A file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name(path: Path) -> str:
    """A path as it is written in this project."""
    return path.relative_to(ROOT).as_posix()


def texts() -> Iterator[tuple[str, str]]:
    """Name and content of every text file that belongs to the project."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        ours = not any(part in _NOT_OURS or part.endswith(("_cache", ".egg-info")) for part in parts)
        if ours and parts[0] != ".hypothesis" and path.is_file() and path.suffix not in _NOT_TEXT:
            yield name(path), path.read_text(encoding="utf-8")
