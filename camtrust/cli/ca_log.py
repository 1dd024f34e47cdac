"""``camtrust ca lint``, ``log-transcript`` and ``witness``: what others say of what was issued, and of the log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camtrust.cli.context import Context
from camtrust.cli.services import ACTOR, services_of


def add_log_commands(app: typer.Typer, context: Context) -> None:
    """The commands, bound to the global options."""

    @app.command()
    def lint(
        acknowledge: Annotated[
            str | None, typer.Option(help='a finding that was seen to, as "ERROR pkix.some_code"')
        ] = None,
        run: Annotated[int, typer.Option(min=0, max=1000, help="how often to have the next ones looked at")] = 0,
    ) -> None:
        """What pkilint found in certificates after they were issued; exit 4 while a finding is open."""
        with services_of(context) as services:
            looked = sum(services.lint.run_once() for _ in range(run))
            if acknowledge is not None:
                services.lint.acknowledge(acknowledge, ACTOR)
            found, count = services.lint.findings(), services.lint.open_findings()
            behind = services.lint.behind()
        rows = [{"serial": one.serial, "finding": one.finding, "acknowledged": one.acknowledged} for one in found]
        lines = [f"{'    ' if one.acknowledged else 'OPEN'}  {one.serial}  {one.finding}" for one in found]
        value = {"looked_at": looked, "open": count, "behind_seconds": int(behind.total_seconds()), "findings": rows}
        context.terminal.result(value, [*lines, f"{count} open findings; {behind} behind."])
        if count:
            raise typer.Exit(4)

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
