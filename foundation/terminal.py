"""How a command speaks: people read lines, programs read one JSON document.

With ``--json`` standard output carries exactly one JSON document; progress and notes go to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foundation.catalogue import Language


@dataclass(frozen=True)
class Terminal:
    """What the global options say about output. Commands take it and print through it alone."""

    language: Language = Language.EN
    json: bool = False

    def note(self, line: str) -> None:
        """Progress and notes, on standard error."""
        print(line, file=sys.stderr, flush=True)

    def result(self, value: Any, lines: Sequence[str]) -> None:
        """The answer: ``value`` as JSON with ``--json``, else ``lines`` for people."""
        if self.json:
            print(json.dumps(value, ensure_ascii=False, indent=2), flush=True)
        else:
            for line in lines:
                print(line, flush=True)
