"""``camtrust verify``: documents, offline, against a pinned trust bundle."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import typer

from camtrust.cli.context import Context
from signing.verify.cli import create_commands


def create(context: Context) -> typer.Typer:
    """The command, bound to the global options."""
    app = typer.Typer(add_completion=False)
    home = context.home_if_any()
    commands = create_commands(lambda: context.terminal, lambda: home.path if home else None, context.clock, _printer)
    app.command("verify")(commands.verify)
    return app


def _printer() -> Any:
    """What prints reports, where the fonts and the library that shapes Khmer are installed; else None."""
    if find_spec("fpdf") is None or find_spec("uharfbuzz") is None:
        return None
    from camtrust.verdict_page import print_verdict

    return print_verdict
