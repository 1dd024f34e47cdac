"""``camtrust verify``: documents, offline, against a pinned trust bundle."""

from __future__ import annotations

import typer

from camtrust.cli.context import Context
from signing.verify.cli import create_commands


def create(context: Context) -> typer.Typer:
    """The command, bound to the global options."""
    app = typer.Typer(add_completion=False)
    home = context.home_if_any()
    commands = create_commands(lambda: context.terminal, lambda: home.path if home else None, context.clock)
    app.command("verify")(commands.verify)
    return app
