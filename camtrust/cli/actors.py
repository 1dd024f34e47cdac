"""``camtrust actors``: officers, API clients and operators; the first operator has nobody else to register them."""

from __future__ import annotations

from contextlib import ExitStack

import typer

from camtrust.cli.context import Context
from identity.cli import create as create_group
from identity.service import IdentityService


def create(context: Context) -> typer.Typer:
    """The group, bound to the global options."""
    stack = ExitStack()

    def service() -> IdentityService:
        from camtrust.server import opened
        from camtrust.settings import load_settings

        home = context.home()
        return stack.enter_context(opened(home, load_settings(home.settings_file), context.clock)).identity

    app = create_group(service, context.terminal)

    @app.callback()
    def group(command: typer.Context) -> None:
        command.call_on_close(stack.close)

    return app
