"""``camtrust serve``: all services of a home on one port."""

from __future__ import annotations

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
        workers: Annotated[
            int | None, typer.Option(min=1, max=64, help="server processes; default: `workers` of the settings (1)")
        ] = None,
    ) -> None:
        """Run all services on 127.0.0.1, until Ctrl-C.

        Documentation of the API is at /docs, the portal at /. In production a reverse proxy with TLS stands in front.
        """
        from camtrust.doors import application
        from camtrust.job_handlers import worked_off
        from camtrust.server import bind, log_lines, opened, serve_on
        from camtrust.settings import load_settings
        from camtrust.upkeep import kept_up
        from camtrust.workers import Workers

        log_lines()
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
            further = (workers or settings.workers) - 1
            with (
                bind(port) as listener,
                Workers(services, listener, further) as beside,
                kept_up(services),
                worked_off(services),
            ):
                serve_on(web, listener, beside)

    return app
