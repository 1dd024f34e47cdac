"""pkilint's verdict, as a set of findings: ``SEVERITY code``. Run as a program: it leaves files open."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def findings(linter: str, file: Path, options: Sequence[str] = ()) -> frozenset[str]:
    """What ``lint_<linter>`` finds in a file, notices and above."""
    command = [sys.executable, "-m", f"pkilint.bin.lint_{linter}", "lint", *options]
    command += ["--severity", "NOTICE", "--format", "JSON", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    return frozenset(
        f"{finding['severity']} {finding['code']}"
        for result in json.loads(done.stdout)["results"]
        for finding in result["finding_descriptions"]
    )
