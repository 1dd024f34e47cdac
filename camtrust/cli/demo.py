"""``camtrust demo``: the whole story, station by station."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from camtrust.cli.context import Context
from camtrust.errors import DocumentsMissing
from camtrust.home import Home

_STATIONS = 8


def create(context: Context) -> typer.Typer:
    """The command, bound to the global options."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def demo(
        serve: Annotated[bool, typer.Option("--serve", help="go on serving afterwards, until Ctrl-C")] = False,
        port: Annotated[int, typer.Option(min=0, max=65535, help="for --serve")] = 8440,
    ) -> None:
        """Tell the whole story: root, issuing CA, eKYC, signing, verification offline.

        Signs the PDFs in the folder that DEMO_PDFS names, or documents it makes itself. A second run keeps the root
        and the CAs and enrols another specimen person.
        """
        home = context.new_home()
        with home.locked():
            _tell(context, home, serve, port)

    return app


def _tell(context: Context, home: Home, serve: bool, port: int) -> None:
    import httpx2

    from camtrust.demo import authorities, people, verdicts
    from camtrust.demo.story import Story, relative, stopwatch, write_json
    from camtrust.doors import application
    from camtrust.server import listening, opened
    from camtrust.server import serve as serve_forever
    from camtrust.settings import load_settings

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    story = Story(context.terminal, context.clock, _STATIONS, stopwatch)
    context.terminal.note(f"CamTrust, told in {_STATIONS} stations. Everything made is a SPECIMEN. Home: {home.path}")
    settings = load_settings(home.settings_file)
    with story.station("tokens", "Emulated HSM: three tokens, one offline for the root") as station:
        authorities.make_tokens(station, home, settings.public_url)
    with opened(home, settings, context.clock) as services:
        with story.station("root", "Root ceremony, offline, P-384") as station:
            authorities.hold_ceremony(story, station, services)
        with story.station("ca", "Issuing CA and timestamping CA") as station:
            authorities.install_authorities(station, services)
        with story.station("services", "Services on the loopback interface") as station:
            web = application(services)
        with listening(web) as at, httpx2.Client(base_url=at.url, timeout=120, trust_env=False) as http:
            officer = people.review_officer(services, http)
            with story.station("ekyc", "eKYC: a specimen person enrols") as station:
                person = people.enrol(story, station, services, http, officer)
            with story.station("sign", "Signing with PIN and one-time code") as station:
                documents = _documents(home, context)
                signed, refused = people.sign(story, services, person, documents)
                station.made += relative([*documents, *signed], home.path)
                station.notes.update(signed=len(signed), refused=len(refused))
        with story.station("bundle", "Trust bundle, signed by the trust-list operator") as station:
            bundle = authorities.export_bundle(station, services)
        with story.station("verify", "Verification offline") as station:
            counts = verdicts.verify_all(story, station, home, signed, bundle.sequence)
            for file, problem in refused.items():
                write_json(verdicts.verdict_file(file), {"refused": problem})
                station.made.append(f"documents/{verdicts.verdict_file(file).name}")
            station.notes.update(verdicts=counts)
        summary = story.summary(
            documents={"signed": len(signed), "refused": len(refused), "verdicts": counts},
            home=home.path.name,
        )
        write_json(home.path / "summary.json", summary)
        bad = len(signed) - counts.get("TOTAL-PASSED", 0)
        first = signed[0].name if signed else "FILE"
        context.terminal.result(
            summary,
            [
                "",
                f"Told in {summary['seconds']:.1f} s: {len(signed)} signed and {counts.get('TOTAL-PASSED', 0)} valid "
                f"offline, {len(refused)} refused with the cause. All of it is in {home.path}.",
                f"Look further:  {as_called(sys.argv[0])} verify --home {home.path} {home.path / 'documents' / first}",
            ],
        )
        if bad:
            raise typer.Exit(1)
        if serve:
            from camtrust.job_handlers import worked_off

            context.terminal.note(f"Serving at http://127.0.0.1:{port}/ (API: /docs). Ctrl-C ends it.")
            with worked_off(services):
                serve_forever(application(services), port)


def as_called(program: str) -> str:
    """``camtrust`` where the shell finds it, else the path by which it was started, so that the line can be typed."""
    if shutil.which("camtrust") or Path(program).name != "camtrust":
        return "camtrust"
    return program


def _documents(home: Home, context: Context) -> list[Path]:
    """Copies of what DEMO_PDFS holds, or specimen documents of our own; of earlier runs nothing stays."""
    folder = home.folder("documents")
    for old in folder.iterdir():
        old.unlink()
    given = os.environ.get("DEMO_PDFS")
    if not given:
        from camtrust.documents import make_specimen_documents

        return make_specimen_documents(folder, context.clock.now().replace(microsecond=0))
    files = (
        sorted(file for file in Path(given).glob("*") if file.suffix.lower() == ".pdf") if Path(given).is_dir() else []
    )
    if not files:
        raise DocumentsMissing(folder=given)
    return [Path(shutil.copyfile(file, folder / f"{file.stem}.pdf")) for file in files]
