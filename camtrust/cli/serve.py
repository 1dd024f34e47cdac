"""``camtrust serve``: all services of a home in one process."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from camtrust.cli.context import Context


def create(context: Context) -> typer.Typer:
    """The command, bound to the global options."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def serve(
        config: Annotated[Path | None, typer.Option(help="settings; default: HOME/camtrust.toml")] = None,
        port: Annotated[int, typer.Option(min=0, max=65535, help="on 127.0.0.1")] = 8440,
    ) -> None:
        """Run all services in one process on 127.0.0.1, until Ctrl-C.

        Documentation of the API is at /docs, the portal at /. In production a reverse proxy with TLS stands in front.
        """
        from camtrust.assembly import application
        from camtrust.server import opened, serve
        from camtrust.settings import load_settings
        from camtrust.upkeep import kept_up

        logging.basicConfig(level=logging.INFO, format="%(message)s")
        logging.getLogger("alembic").setLevel(logging.WARNING)
        home = context.home()
        settings = load_settings(config or home.settings_file)
        if port and "public_url" not in settings.model_fields_set:
            settings = settings.model_copy(update={"public_url": f"http://127.0.0.1:{port}"})
        with home.locked(), opened(home, settings, context.clock, supervised=True) as services:
            web = application(services)
            for part in ("key store", "notifications", *(("base registry",) if settings.registry.url is None else ())):
                context.terminal.note(f"EMULATED: {part}. Nothing made here is more than a specimen.")
            context.terminal.note(
                f"CamTrust serves {home.path} at http://127.0.0.1:{port}/ (API: /docs). Ctrl-C ends it."
            )
            with kept_up(services):
                serve(web, port)

    return app
