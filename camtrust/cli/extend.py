"""``camtrust extend``: raise a signature's level, or renew its archive timestamp."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camtrust.cli.context import Context
from camtrust.cli.services import ACTOR, services_of
from camtrust.errors import OutputExists
from foundation.errors import CamTrustError


def create(context: Context) -> typer.Typer:
    """The command, bound to the global options."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def extend(
        files: Annotated[list[Path], typer.Argument(help="signed documents", exists=True, dir_okay=False)],
        level: Annotated[str, typer.Option(help="B-T, B-LT or B-LTA")] = "B-LTA",
        detached: Annotated[
            Path | None, typer.Option(help="the document that a detached signature is about", exists=True)
        ] = None,
        password_file: Annotated[Path | None, typer.Option(help="password of encrypted documents", exists=True)] = None,
        record: Annotated[
            bool,
            typer.Option("--record", help="evidence records instead: NAME.ers for each file, one timestamp for all"),
        ] = False,
        output: Annotated[
            Path | None, typer.Option("-o", "--output", help="for one file; else NAME.extended.SUFFIX beside it")
        ] = None,
    ) -> None:
        """Raise the signatures of PDFs, CAdES, XAdES, JAdES and ASiC to a level; at B-LTA, renew the archive timestamp.

        With --record, files of any kind get evidence records (RFC 4998), which prove that they existed; a record is
        renewed by extending it with its document as --detached. Needs the home's timestamps and status, and no key of
        any signer.
        """
        from camtrust.trust import write_new
        from signing.errors import LevelNotAllowed
        from signing.model import Level

        if (output is not None or detached is not None) and len(files) != 1:
            raise typer.BadParameter("-o and --detached are for one file")
        if level not in {one.value for one in Level}:
            raise LevelNotAllowed(level=level)
        added = {file: f"{file.name}.ers" if record else f"{file.stem}.extended{file.suffix}" for file in files}
        targets = {file: output or file.with_name(added[file]) for file in files}
        for target in targets.values():
            if target.exists():
                raise OutputExists(file=str(target))
        password = password_file.read_text(encoding="utf-8").splitlines()[0] if password_file else None
        outside = detached.read_bytes() if detached else None
        outcomes: list[dict[str, object]] = []
        with services_of(context) as services:
            if record:
                made = services.signing.record(ACTOR, [file.read_bytes() for file in targets])
                for target, octets in zip(targets.values(), made, strict=True):
                    write_new(target, octets)
                recorded = [
                    {"file": str(file), "extended": True, "detail": f"→ {target}"} for file, target in targets.items()
                ]
                lines = [f"recorded  {one['file']}  {one['detail']}" for one in recorded]
                context.terminal.result({"files": recorded}, lines)
                return
            for file, target in targets.items():
                try:
                    extended = services.signing.extend(
                        ACTOR, file.read_bytes(), level=Level(level), password=password, detached=outside
                    )
                except CamTrustError as refused:
                    detail = f"{refused.code}: {refused.message(context.terminal.language)}"
                    outcomes.append({"file": str(file), "extended": False, "detail": detail})
                    continue
                write_new(target, extended)
                outcomes.append({"file": str(file), "extended": True, "detail": f"→ {target}"})
        lines = [f"{'extended' if one['extended'] else 'REFUSED '}  {one['file']}  {one['detail']}" for one in outcomes]
        context.terminal.result({"files": outcomes}, lines)
        if not all(one["extended"] for one in outcomes):
            raise typer.Exit(4)

    return app
