"""``camtrust bundle``: the signed offline trust bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camtrust.cli.bundle_operators import create_operators, say_written, sign_bundle
from camtrust.cli.context import Context
from signing.verify.cli import create_commands


def create(context: Context) -> typer.Typer:
    """The group, bound to the global options."""
    app = typer.Typer(help="The signed offline trust bundle.", no_args_is_help=True, add_completion=False)
    home = context.home_if_any()
    commands = create_commands(lambda: context.terminal, lambda: home.path if home else None, context.clock)
    app.command("show")(commands.bundle_show)
    app.command("check")(commands.bundle_check)

    @app.command()
    def export(
        roots: Annotated[
            Path | None,
            typer.Option(metavar="TRANSCRIPT", help="Also the root's twins and successors, from its last transcript."),
        ] = None,
    ) -> None:
        """Gather what the services publish now and have the trust-list operator's token sign it."""
        from camtrust.keys import TRUST_LIST, open_token
        from camtrust.server import opened
        from camtrust.settings import load_settings
        from camtrust.trust import Roots, roots_of, write_bundle

        place = context.home()
        settings = load_settings(place.settings_file)
        with opened(place, settings, context.clock) as services, open_token(place, TRUST_LIST) as operator:
            written = write_bundle(
                place,
                services.ca,
                operator,
                context.clock,
                days=settings.trust.bundle_days,
                contact=settings.trust.contact,
                specimen=settings.specimen,
                roots=roots_of(roots, services.ca) if roots else Roots(),
            )
        say_written(context, written)

    app.add_typer(create_operators(context), name="operators")

    @app.command()
    def sign(bundle: Annotated[Path, typer.Argument(help="A bundle that other operators signed.")]) -> None:
        """Add this home's operator's signature to a bundle, and publish it here once enough have signed."""
        sign_bundle(context, bundle)

    return app
