"""``camtrust root``: ceremonies of the offline root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from camtrust.ceremony_room import equipment
from camtrust.cli.context import Context
from camtrust.cli.hsm_cards import ask_cards
from camtrust.keys import ROOT, make_token, open_token, throwaway_token
from foundation.keys.port import KeyStore
from root_ca.cli import create_app, key_password
from root_ca.outputs import publish
from root_ca.service import verify


def create(context: Context) -> typer.Typer:
    """The group, bound to the global options; the root's token is made when it is first needed."""

    @contextmanager
    def root_token() -> Iterator[KeyStore]:
        home = context.new_home()
        make_token(home, ROOT)
        with open_token(home, ROOT, cards=ask_cards) as client:
            yield client

    app = create_app(root_token, throwaway_token, lambda: context.terminal, context.clock, equipment)

    @app.command("record")
    def record_command(
        transcript: Annotated[Path, typer.Argument(metavar="TRANSCRIPT", help="The last transcript.")],
        output: Annotated[Path, typer.Option(metavar="PDF", help="Where the record is written; must not exist.")],
        wall: Annotated[
            Path | None, typer.Option(metavar="PDF", help="Where the sheet for the wall is written.")
        ] = None,
        key: Annotated[
            Path | None, typer.Option(metavar="PEM", help="Sign the record with the key that signed the transcript.")
        ] = None,
    ) -> None:
        """Render a transcript that verifies, and all before it, as a PDF/A record and a sheet for the wall.

        Example: camtrust root record transcript.json --output record.pdf --wall wall.pdf
        """
        from camtrust.ceremony_record import make_record, make_wall_sheet, sign_record  # beyond the base installation

        result = verify(transcript, timestamps=equipment().timestamps)
        record = make_record(result)
        if key is not None:
            record = sign_record(record, result, key, key_password(key))
        written = {output: record} | ({wall: make_wall_sheet(result)} if wall else {})
        for path, content in written.items():
            publish(path.parent, {path.name: content})
        value = {"record": str(output), "wall": str(wall) if wall else None, "signed": key is not None}
        context.terminal.result(value, [f"Written {path}" for path in written])

    return app
