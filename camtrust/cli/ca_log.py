"""``camtrust ca witness`` and ``log-transcript``: vouching for issuance logs, and what goes into ours by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camtrust.cli.context import Context
from camtrust.cli.services import services_of


def add_log_commands(app: typer.Typer, context: Context) -> None:
    """The commands, bound to the global options."""

    @app.command(name="log-transcript")
    def log_transcript(
        transcript: Annotated[Path, typer.Argument(help="the last one of a root's ceremonies", exists=True)],
    ) -> None:
        """Put the digests of a ceremony's transcript and all before it into the issuance log; again is no change."""
        from camtrust.ceremonies import log_transcripts

        with services_of(context) as services:
            logged = log_transcripts(transcript, services.ca, services.log)
            size = services.log.integrate()
        lines = [f"{file}  {digest}" for file, digest in logged.items()]
        context.terminal.result({"transcripts": logged, "size": size}, [*lines, f"The log has {size} entries."])

    @app.command()
    def witness(
        log: Annotated[list[str], typer.Option(help="verifier key of a log to vouch for; may be repeated")],
        name: Annotated[str, typer.Option(help="of this witness: where it is reached, without the scheme")],
        port: Annotated[int, typer.Option(min=0, max=65535, help="on 127.0.0.1")] = 8441,
    ) -> None:
        """Cosign checkpoints of logs that have only grown (C2SP tlog-witness), until Ctrl-C.

        For another machine than the log's: the home given gets a token of its own for the witness's key.
        """
        from camtrust.keys import make_token, open_token
        from camtrust.server import serve
        from camtrust.witnesses import FOLDER, own_witness, witness_application
        from foundation.signed_note import NoteKey

        logs = [NoteKey.parse(one) for one in log]
        home = context.new_home()
        make_token(home, FOLDER)
        with home.locked(), open_token(home, FOLDER, supervised=True) as keys:
            one = own_witness(home, keys, context.clock, name, logs)
            context.terminal.result(
                {"witness": str(one.key), "logs": [str(each) for each in logs], "port": port},
                [f"Witness {one.key}", f"takes checkpoints at http://127.0.0.1:{port}/add-checkpoint. Ctrl-C ends it."],
            )
            serve(witness_application(one), port)
