"""The station of verification: every document, in a process of its own, without any network where that is possible."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from camtrust.demo.story import Station, Story, write_json
from camtrust.errors import DemoRefused
from camtrust.home import Home

_COMMAND = [sys.executable, "-P", "-c", "from camtrust.cli.main import main; main()"]
_ISOLATED = ["unshare", "--map-root-user", "--net"]


def isolation() -> list[str]:
    """How to start a process without any network interface; nothing where this system does not permit it."""
    try:
        done = subprocess.run([*_ISOLATED, "true"], capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return _ISOLATED if done.returncode == 0 else []


def judge(home: Home, files: list[Path], *extra: str) -> dict[str, Any]:
    """``camtrust verify`` on the files with the home's bundle and pin; gives its JSON document."""
    arguments = [
        "verify",
        "--json",
        "--bundle",
        str(home.bundle),
        "--bundle-signer",
        home.bundle_signer.read_text(encoding="ascii").strip(),
        *extra,
        *map(str, files),
    ]
    done = subprocess.run([*isolation(), *_COMMAND, *arguments], capture_output=True, text=True, timeout=300)
    if done.returncode not in (0, 1, 3):
        raise DemoRefused(code=done.stderr.strip().splitlines()[-1] if done.stderr.strip() else str(done.returncode))
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def verify_all(story: Story, station: Station, home: Home, signed: list[Path], sequence: int) -> dict[str, int]:
    """Judge every signed document, and one with a changed byte; writes a verdict beside each."""
    story.step(
        "no network interface" if isolation() else "this system gives no namespace without a network; verifying anyway"
    )
    counts: dict[str, int] = {}
    if signed:
        answer = judge(home, signed, "--min-sequence", str(sequence))
        for file, verdict in zip(signed, answer["files"], strict=True):
            counts[verdict["indication"]] = counts.get(verdict["indication"], 0) + 1
            target = verdict_file(file)
            write_json(target, {"files": [verdict], "bundle": answer["bundle"]})
            station.made.append(f"documents/{target.name}")
            story.step(f"{file.name}: {verdict['indication']}{_why(verdict)}")
        counts["changed byte"] = _changed_byte(story, home, signed[0])
    return counts


def verdict_file(file: Path) -> Path:
    """``documents/NAME.verdict.json`` of ``NAME.pdf`` or ``NAME.signed.pdf``."""
    return file.with_name(f"{file.stem.removesuffix('.signed')}.verdict.json")


def _changed_byte(story: Story, home: Home, file: Path) -> int:
    """Change one byte of what is signed: the verdict must fail."""
    data = bytearray(file.read_bytes())
    data[len(data) // 4] ^= 0x01
    changed = file.with_name("changed-byte.pdf")
    changed.write_bytes(bytes(data))
    try:
        verdict = judge(home, [changed])["files"][0]
    finally:
        changed.unlink()
    story.step(f"the first one with one byte changed: {verdict['indication']}{_why(verdict)}")
    if verdict["indication"] != "TOTAL-FAILED":
        raise DemoRefused(code=f"a changed byte gave {verdict['indication']}")
    return 1


def _why(verdict: dict[str, Any]) -> str:
    return f" / {verdict['sub_indication']}" if verdict.get("sub_indication") else ""
