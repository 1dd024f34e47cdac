"""``camtrust extend``: raise a signature's level, or renew its archive timestamp."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camtrust.cli.context import Context
from foundation.errors import NotImplementedYet


def create(context: Context) -> typer.Typer:  # noqa: ARG001 - every command takes the global options
    """The command, bound to the global options."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def extend(files: Annotated[list[Path], typer.Argument(help="signed documents", exists=True)]) -> None:  # noqa: ARG001
        """Raise signatures to LT or LTA, or renew the archive timestamp (not built yet)."""
        raise NotImplementedYet

    return app
