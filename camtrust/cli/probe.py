"""``camtrust hsm probe URI``: a readable report of any PKCS#11 module, or of the emulated HSM."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camtrust.cli.context import Context
from camtrust.errors import ProbePinMissing

if TYPE_CHECKING:
    from camtrust.probe.run import Report

_WIDTH, _CHECK, _VERDICT = 110, 22, 10


def add_probe(app: typer.Typer, context: Context) -> None:
    """The command ``probe``."""

    @app.command()
    def probe(
        uri: Annotated[
            str,
            typer.Argument(
                help="'emulated:' (a token made for this and thrown away), or RFC 7512: "
                "'pkcs11:token=LABEL?module-path=/usr/lib/module.so&pin-source=file:/run/pin'",
                metavar="URI",
            ),
        ],
        pin_file: Annotated[
            Path | None, typer.Option(help="a file with the user's PIN; default: pin-source, or ask")
        ] = None,
        sample: Annotated[
            int, typer.Option(min=8, max=100_000, help="keys made to judge whether 17 million will work")
        ] = 120,
        seconds: Annotated[float, typer.Option(min=0.1, max=60, help="how long each rate is measured")] = 1.0,
        cold_starts: Annotated[int, typer.Option(min=2, max=200, help="processes that start at the same moment")] = 20,
        spoil_pin: Annotated[
            bool, typer.Option("--spoil-pin", help="try wrong PINs too, on a token whose label says 'may be spoilt'")
        ] = False,
    ) -> None:
        """Report on a PKCS#11 module: threads, fork, cold start, what it lets out, PIN lock-out, mechanisms, rates, and
        whether 17 million keys will work. Makes keys, and leaves none behind.

        Exit code 0: no check failed; 1: one failed; 3: none failed and one came to nothing.
        """
        from camtrust.probe.run import Options, probe
        from foundation.keys.probe.report import EXIT_CODES

        pin = _pin(uri, pin_file)
        with _progress(context) as progress:
            report = probe(uri, pin, Options(sample, seconds, cold_starts, spoil_pin), progress)
        context.terminal.result(report.data(), lines(report))
        if code := EXIT_CODES[report.verdict]:
            raise typer.Exit(code)


def lines(report: Report) -> Sequence[str]:
    """The report for people."""
    from foundation.keys.probe.report import Verdict

    said = [f"Probe of {report.target}, {report.seconds:.0f} s", ""]
    indent = " " * (_VERDICT + _CHECK + 2)
    for finding in report.findings:
        plain = finding.verdict in (Verdict.PASS, Verdict.NOT_TRIED)
        mark = finding.verdict.value if plain else finding.verdict.value.upper()
        head = f"  {mark:<{_VERDICT}}{finding.check:<{_CHECK}}"
        said += textwrap.wrap(finding.summary, _WIDTH, initial_indent=head, subsequent_indent=indent)
    counts = [sum(one.verdict is verdict for one in report.findings) for verdict in Verdict]
    told = ", ".join(f"{count} {verdict.value}" for verdict, count in zip(Verdict, counts, strict=True) if count)
    derived = next((one.details["derived"] for one in report.findings if "derived" in one.details), None)
    if derived:
        said += ["", *textwrap.wrap(f"17 million keys: {derived}.", _WIDTH)]
    if any(one.verdict is Verdict.CAUTION for one in report.findings):
        said += [
            "",
            "CAUTION: it holds with the care that CamTrust takes; other programs on this module may not take it.",
        ]
    return [*said, "", f"{report.verdict.value.upper()}: {told}"]


def _pin(uri: str, pin_file: Path | None) -> str:
    """Where the user's PIN comes from: --pin-file, pin-source, or the terminal."""
    from camtrust.probe.targets import EMULATED, read_pin
    from foundation.keys.pkcs11.uri import parse_uri

    if uri == EMULATED:
        return ""
    address = parse_uri(uri, pin_source=True)
    try:
        pin = pin_file.read_text(encoding="utf-8").rstrip("\r\n") if pin_file else read_pin(address)
    except (OSError, UnicodeDecodeError) as error:
        raise ProbePinMissing from error
    if pin is None and sys.stdin.isatty():
        pin = str(typer.prompt("PIN of the token", hide_input=True, err=True))
    if not pin:
        raise ProbePinMissing
    return pin


@contextmanager
def _progress(context: Context) -> Iterator[Callable[[str], None]]:
    """A line that changes on a terminal; elsewhere a note for each check."""
    if not sys.stderr.isatty():
        seen: set[str] = set()

        def note(said: str) -> None:
            check = said.partition(":")[0]
            if check not in seen:
                seen.add(check)
                context.terminal.note(f"probing: {check}")

        yield note
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("probing")
        yield lambda said: shown.update(task, description=f"probing {said}")
