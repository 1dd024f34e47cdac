"""Opening a home's services for one command, by whoever may run commands on the machine itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from camtrust.cli.context import Context

if TYPE_CHECKING:
    from camtrust.assembly import Services

ACTOR = "operator:console"
"""How the audit trail names whoever runs commands on the machine."""


@contextmanager
def services_of(context: Context, *, rolled_back: bool = False) -> Iterator[Services]:
    """The services of the home that was named; the key daemon is shared with services that are running."""
    from camtrust.server import opened
    from camtrust.settings import load_settings

    home = context.home()
    with opened(home, load_settings(home.settings_file), context.clock, rolled_back=rolled_back) as services:
        yield services
