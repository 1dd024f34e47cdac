"""What every command is given: where the state is, how to speak, and the time."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from camtrust.errors import HomeMissing
from camtrust.home import Home
from foundation.clock import Clock, SystemClock
from foundation.terminal import Terminal

DEFAULT_HOME = "camtrust-home"


@dataclass(frozen=True)
class Context:
    """The global options, as values."""

    terminal: Terminal
    home_path: Path | None
    clock: Clock = field(default_factory=SystemClock)

    def new_home(self) -> Home:
        """The home that was named, made when it is not there."""
        return Home.make(self.home_path or Path(DEFAULT_HOME))

    def home(self) -> Home:
        """The home that was named; HomeMissing when there is none."""
        return Home.open(self.home_path or Path(DEFAULT_HOME))

    def home_if_any(self) -> Home | None:
        """The home that was named, or the default one when it is there."""
        if self.home_path is not None:
            return Home.open(self.home_path)
        try:
            return Home.open(Path(DEFAULT_HOME))
        except HomeMissing:
            return None


def home_from_environment() -> Path | None:
    """``CAMTRUST_HOME``, when it is set."""
    value = os.environ.get("CAMTRUST_HOME")
    return Path(value) if value else None
