"""The commands ``camtrust verify``, ``camtrust bundle show`` and ``camtrust bundle check``.

Exit codes: 0 valid, 1 not valid, 3 indeterminate, 2 wrong usage; anything else is a CamTrustError for the roof to map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from foundation.catalogue import text
from foundation.clock import Clock, parse_rfc3339
from foundation.terminal import Terminal
from signing.verify.model import FileVerdict, Indication

BUNDLE_IN_HOME = Path("trust") / "camtrust.bundle"
PIN_IN_HOME = Path("trust") / "bundle-signer.txt"
_MAX_SIDE_FILE = 1024 * 1024  # password, anchor and pin files, in octets

Files = Annotated[list[Path], typer.Argument(help="Signed documents, or folders of them.", show_default=False)]
BundleFile = Annotated[Path | None, typer.Option("--bundle", help="The trust bundle (else the home's).")]
Anchors = Annotated[
    list[Path] | None, typer.Option("--trust-anchor", help="A root certificate to trust besides; repeatable.")
]
Pins = Annotated[
    list[str] | None,
    typer.Option("--bundle-signer", help="SHA-256 of the bundle signer's certificate (else the home's pin)."),
]
MinSequence = Annotated[int | None, typer.Option("--min-sequence", min=0, help="Refuse an older bundle.")]
TrustLists = Annotated[
    list[Path] | None,
    typer.Option("--trust-list", help="Trust the authorities of this country's list too (TS 119 612); repeatable."),
]
ListPins = Annotated[
    list[str] | None, typer.Option("--list-signer", help="SHA-256 of the certificate that signs the trust list.")
]
Detached = Annotated[Path | None, typer.Option("--detached", help="The document that a .p7s signature is about.")]
PasswordFile = Annotated[Path | None, typer.Option("--password-file", help="A file whose first line is the password.")]
At = Annotated[str | None, typer.Option("--at", help="Judge as of this time (RFC 3339), not now.")]
Report = Annotated[
    Path | None,
    typer.Option("--report", help="Write a report: .xml (ETSI TS 119 102-2), .pdf, .json, or .zip with all evidence."),
]
Picture = Annotated[Path | None, typer.Option("--picture", help="Write what was signed to this folder, as images too.")]
Jobs = Annotated[int, typer.Option("--jobs", min=1, max=64, help="Processes to use.")]
BundleArgument = Annotated[Path | None, typer.Argument(help="The trust bundle (else the home's).")]


@dataclass(frozen=True)
class Commands:
    """The command functions, for typer to register."""

    verify: Callable[..., None]
    bundle_show: Callable[..., None]
    bundle_check: Callable[..., None]


def create_commands(
    terminal: Callable[[], Terminal],
    home: Callable[[], Path | None],
    clock: Clock,
    printer: Callable[[], Any] = lambda: None,
) -> Commands:
    """The commands, bound to whoever knows how to speak, where the home is, and what time it is.

    ``printer`` gives a `signing.verify.report_files.Printer` where there are fonts; it is asked for when needed.
    """

    def verify(
        files: Files,
        bundle: BundleFile = None,
        trust_anchor: Anchors = None,
        bundle_signer: Pins = None,
        min_sequence: MinSequence = None,
        trust_list: TrustLists = None,
        list_signer: ListPins = None,
        detached: Detached = None,
        password_file: PasswordFile = None,
        at: At = None,
        report: Report = None,
        picture: Picture = None,
        jobs: Jobs = 1,
    ) -> None:
        """Verify signed documents offline: can I rely on this, yes, no or not yet, and why."""
        request = _request(home(), clock, bundle, trust_anchor, bundle_signer, min_sequence, at)
        request = _with_files(request, password_file, detached)
        request = _with_lists(request, trust_list, list_signer)
        print_with = printer() if report is not None else None
        raise typer.Exit(run_verify(terminal(), files, request, jobs, report, print_with, picture))

    def bundle_show(
        bundle: BundleArgument = None, bundle_signer: Pins = None, min_sequence: MinSequence = None, at: At = None
    ) -> None:
        """Show what a trust bundle holds, and whether it may be used."""
        _show(terminal(), _request(home(), clock, bundle, None, bundle_signer, min_sequence, at))

    def bundle_check(
        bundle: BundleArgument = None, bundle_signer: Pins = None, min_sequence: MinSequence = None, at: At = None
    ) -> None:
        """Check a trust bundle: exit 0 when it is sound, pinned and fresh, else 3."""
        sound = _show(terminal(), _request(home(), clock, bundle, None, bundle_signer, min_sequence, at))
        raise typer.Exit(0 if sound else 3)

    return Commands(verify, bundle_show, bundle_check)


def run_verify(
    terminal: Terminal,
    paths: Sequence[Path],
    request: Any,
    jobs: int = 1,
    report: Path | None = None,
    printer: Any = None,
    picture: Path | None = None,
) -> int:
    """Judge the files, print the answer, write reports and pictures, give the exit code.

    ``request``: a `signing.verify.batch.Request`; ``printer``: for reports on paper, where there is one; ``picture``: a
    folder that is empty or not there yet.
    """
    from signing.verify.batch import find_files, judge_all
    from signing.verify.presentation import all_lines

    files, passed_over = find_files(paths)
    if passed_over:
        terminal.note(text("signing.verify_skipped", terminal.language, count=passed_over))
    if not files:
        raise typer.BadParameter("there is no document to verify")
    if report is not None:
        from dataclasses import replace

        from signing.verify.report_files import check_target

        check_target(report, len(files), printer)
        request = replace(request, digests=True)
    if picture is not None and picture.exists() and (not picture.is_dir() or any(picture.iterdir())):
        raise typer.BadParameter("--picture takes a folder that is empty or not there yet")
    trust = request.trust()
    _remember(terminal, request, trust)
    with _progress(len(files)) as advance:
        verdicts = judge_all(files, request, jobs, advance)
    if picture is not None:
        verdicts = _pictures(terminal, picture, files, verdicts, request)
    document = {"files": [verdict.json() for verdict in verdicts], "bundle": trust.json()}
    terminal.result(document, [] if terminal.json else list(all_lines(verdicts, trust, terminal.language)))
    if report is not None:
        _reports(terminal, report, verdicts, request, trust, printer)
    return exit_code(verdicts)


def _pictures(
    terminal: Terminal, folder: Path, files: Sequence[Path], verdicts: Sequence[FileVerdict], request: Any
) -> list[FileVerdict]:
    """The verdicts, with what the pictures say."""
    from dataclasses import replace

    from signing.verify.picture import draw_pictures

    folder.mkdir(parents=True, exist_ok=True)
    judged: list[FileVerdict] = []
    count = 0
    for number, (path, verdict) in enumerate(zip(files, verdicts, strict=True), 1):
        if verdict.format == "PDF" and verdict.signatures:
            stem = path.stem if len(files) == 1 else f"{number:03}-{path.stem}"
            drawn = draw_pictures(_whole_file(path), stem, folder, request.rules, request.password)
            count += len(drawn.files)
            verdict = replace(verdict, reasons=(*verdict.reasons, *drawn.reasons))
        judged.append(verdict)
    terminal.note(text("signing.verify_pictures", terminal.language, count=count, folder=str(folder)))
    return judged


def _reports(
    terminal: Terminal, target: Path, verdicts: Sequence[FileVerdict], request: Any, trust: Any, printer: Any
) -> None:
    """What cannot be read has no digest and gets no report; its verdict says so already."""
    from signing.verify.report import ReportSource
    from signing.verify.report_files import Judged, write_reports

    every = [
        Judged(
            ReportSource(one, one.sha256, request.at, request.policy),
            trust,
            request.bundle,
            request.pins,
            lambda path=Path(one.file): _whole_file(path),  # type: ignore[misc]
        )
        for one in verdicts
        if one.sha256 is not None
    ]
    for path in write_reports(target, every, printer):
        terminal.note(text("signing.verify_report_written", terminal.language, name=path))


def _remember(terminal: Terminal, request: Any, trust: Any) -> None:
    """Keep the sequence of a bundle that stood up, where the home's pin vouches for it."""
    from signing.verify.bundle_memory import Seen, remember

    if request.memory is None or trust.bundle is None or trust.reasons:
        return
    if not remember(request.memory, Seen(trust.bundle.contents.sequence, trust.bundle.operators_version)):
        terminal.note(text("signing.bundle_not_remembered", terminal.language))


def exit_code(verdicts: Sequence[FileVerdict]) -> int:
    """1 if any file failed, else 3 if any is indeterminate, else 0."""
    indications = {verdict.indication for verdict in verdicts}
    if Indication.TOTAL_FAILED in indications:
        return 1
    return 3 if Indication.INDETERMINATE in indications else 0


def _progress(count: int) -> Any:
    """A progress bar on standard error where there is more than a few files; gives the function that advances it."""
    if count < 3:
        return nullcontext(lambda _verdict: None)
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar() -> Any:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("verify", total=count)
            yield lambda _verdict: progress.advance(task)

    return bar()


def _show(terminal: Terminal, request: Any) -> bool:
    from signing.verify.presentation import bundle_lines

    if request.bundle is None:
        raise typer.BadParameter("there is no bundle: name one, or a --home that has one")
    trust = request.trust()
    _remember(terminal, request, trust)
    shown = trust.bundle or trust.claimed
    value = trust.json()
    lines = list(bundle_lines(trust, terminal.language))
    if shown is not None:
        counts = {
            "anchors": len(shown.contents.anchors),
            "twins": len(shown.contents.twins) // 2,
            "seals": len(shown.contents.seals),
            "intermediates": len(shown.contents.intermediates),
            "tsa": len(shown.contents.tsa),
            "crls": len(shown.contents.crls),
            "ocsp": len(shown.contents.ocsp),
        }
        value["contents"] = counts
        lines.append("    " + ", ".join(f"{count} {name}" for name, count in counts.items()))
        lines.extend(f"    signer {signer}" for signer in shown.signers)
        lines.extend(
            f"    operators {one.version}: {one.threshold} of {len(one.operators)}, {one.sha256}" for one in shown.sets
        )
    terminal.result(value, lines)
    return trust.bundle is not None and not trust.reasons


def _request(
    home: Path | None,
    clock: Clock,
    bundle: Path | None,
    anchors: Sequence[Path] | None,
    pins: Sequence[str] | None,
    min_sequence: int | None,
    at: str | None,
) -> Any:
    from signing.verify.batch import Request
    from signing.verify.bundle import read_pin
    from signing.verify.bundle_memory import SEQUENCE_IN_HOME, remembered

    if bundle is None and home is not None and (home / BUNDLE_IN_HOME).is_file():
        bundle = home / BUNDLE_IN_HOME
    found = {_pin(written) for written in pins or ()}
    memory, min_operators = None, 0
    if not pins and home is not None and (home / PIN_IN_HOME).is_file():
        memory = home / SEQUENCE_IN_HOME
        seen = remembered(memory)
        if seen is not None:
            min_sequence, min_operators = max(min_sequence or 0, seen.sequence), seen.operators
        lines = _side_file(home / PIN_IN_HOME).decode("utf-8", "replace").splitlines()
        found.update(pin for line in lines if (pin := read_pin(line)) is not None)
    try:
        when = clock.now() if at is None else parse_rfc3339(at)
    except ValueError:
        raise typer.BadParameter("--at takes a time as RFC 3339 has it, such as 2026-11-23T09:00:00Z") from None
    return Request(
        at=when,
        bundle=None if bundle is None else _whole_file(bundle),
        pins=frozenset(found),
        anchors=tuple(_anchor(path) for path in anchors or ()),
        min_sequence=min_sequence,
        min_operators=min_operators,
        memory=memory,
    )


def _with_lists(request: Any, lists: Sequence[Path] | None, pins: Sequence[str] | None) -> Any:
    from dataclasses import replace

    read = tuple(_whole_file(path) for path in lists or ())
    return replace(request, lists=read, list_pins=frozenset(_pin(written) for written in pins or ()))


def _pin(written: str) -> str:
    from signing.verify.bundle import read_pin
    from signing.verify.errors import PinUnreadable

    pin = read_pin(written)
    if pin is None:
        raise PinUnreadable
    return pin


def _with_files(request: Any, password_file: Path | None, detached: Path | None) -> Any:
    from dataclasses import replace

    if password_file is not None:
        first = _side_file(password_file).split(b"\n", 1)[0].rstrip(b"\r")
        request = replace(request, password=first)
    if detached is not None:
        request = replace(request, detached=_whole_file(detached))
    return request


def _anchor(path: Path) -> bytes:
    from foundation.x509.errors import PemInvalid
    from foundation.x509.pem import read_certificate
    from signing.verify.errors import AnchorUnreadable

    octets = _side_file(path)
    try:
        read_certificate(octets, path.name)
    except PemInvalid:
        raise AnchorUnreadable(name=str(path)) from None
    return octets


def _side_file(path: Path) -> bytes:
    return _whole_file(path, _MAX_SIDE_FILE)


def _whole_file(path: Path, limit: int = -1) -> bytes:
    from signing.verify.errors import FileUnreadable

    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError:
        raise FileUnreadable(name=str(path)) from None
