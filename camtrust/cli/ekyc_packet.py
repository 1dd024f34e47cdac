"""``camtrust ekyc packet``: an officer's station without a network, and sending what it collected."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camtrust.cli.context import Context
from camtrust.cli.services import ACTOR, services_of

if TYPE_CHECKING:
    from ekyc.packets.station import Station

_Folder = Annotated[Path, typer.Argument(help="the station's folder")]
_Case = Annotated[str, typer.Argument(help="CAS-…")]
_Officer = Annotated[str, typer.Option(help="your actor id, act_…")]
_Key = Annotated[Path, typer.Option(help="your private key, PEM", exists=True, dir_okay=False)]


def add_packet(app: typer.Typer, context: Context) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Collect evidence in person without a network, and send it later.", no_args_is_help=True)
    _add_services(group, context)
    _add_collecting(group, context)
    _add_sending(group, context)
    app.add_typer(group, name="packet")


def _add_services(group: typer.Typer, context: Context) -> None:
    @group.command("station")
    def station(
        officer: Annotated[str, typer.Argument(help="whose station it is, act_…")],
        out: Annotated[Path, typer.Option(help="where its kit is written; a new file")],
    ) -> None:
        """On the machine of the services: equip a new station of an officer. Bring the kit there by hand."""
        with services_of(context) as services:
            kit = services.ekyc.packets.equip(ACTOR, officer)
        with out.open("xb") as file:
            file.write(kit.written())
        value = {"station": kit.station, "officer": kit.officer, "recipient": kit.recipient.hex()}
        context.terminal.result(value, [f"{kit.station} of {kit.officer}", f"  seals to {kit.recipient.hex()}"])

    @group.command("withdraw")
    def withdraw(station: Annotated[str, typer.Argument(help="STA-…")]) -> None:
        """On the machine of the services: take nothing more from a station, which was lost or has done its work."""
        with services_of(context) as services:
            services.ekyc.packets.withdraw(ACTOR, station)
        context.terminal.result({"station": station}, [f"Nothing more is taken from {station}."])


def _add_collecting(group: typer.Typer, context: Context) -> None:
    @group.command("start")
    def start(
        folder: _Folder,
        kit: Annotated[Path | None, typer.Option(help="the station's kit, the first time", exists=True)] = None,
        level: Annotated[str, typer.Option(help="CONTACT, IAL2, IAL3")] = "IAL3",
        language: Annotated[str, typer.Option(help="km or en")] = "km",
    ) -> None:
        """Begin with a person. The code is theirs: write it down for them, it is shown this once."""
        from ekyc.packets.station import Kit, Station
        from foundation.randomness import SystemRandomness

        given = None if kit is None else Kit.parse(kit.read_bytes())
        case, code = Station(folder, given).start(level, language, context.clock.now(), SystemRandomness())
        shown = "-".join(code[at : at + 4] for at in range(0, len(code), 4))
        context.terminal.result({"case": case, "code": shown}, [case, f"  the person's code: {shown}"])

    @group.command("terms")
    def terms(
        folder: _Folder,
        language: Annotated[str, typer.Option(help="km or en")] = "km",
        terms_file: Annotated[
            Path | None, typer.Option("--terms", help="the services' ekyc.terms; default: the packaged specimens")
        ] = None,
    ) -> None:
        """What is read to the person before they accept: the texts whose versions and digest the kit names."""
        from ekyc.terms import Acceptance, check_acceptance, read_terms

        kit, texts = _station(folder).kit, read_terms(terms_file)
        check_acceptance(texts, Acceptance(**kit.terms))
        if language not in texts.agreement:
            raise typer.BadParameter("km or en", param_hint="--language")
        said = {"consent": texts.consent[language], "agreement": texts.agreement[language]}
        context.terminal.result(said, [said["consent"], "", said["agreement"]])

    @group.command("add")
    def add(
        folder: _Folder,
        case: _Case,
        kind: Annotated[str, typer.Argument(help="consent, contact, document, image, chip")],
        file: Annotated[Path | None, typer.Argument(help="what was captured; default: standard input")] = None,
        side: Annotated[str, typer.Option(help="of an image: front, back, data-page, portrait")] = "front",
    ) -> None:
        """Seal one thing that was captured. Nobody at the station can read it again.

        consent: the person accepted the terms that were read to them; nothing is read. contact, document, chip: JSON,
        as the enrolment's own steps take it. image: the picture.
        """
        from ekyc.packets.packet import Item, ItemKind
        from ekyc.packets.station import read_content

        kinds = [one.value for one in ItemKind if one is not ItemKind.CLAIM]
        if kind not in kinds:
            raise typer.BadParameter(f"one of {', '.join(kinds)}", param_hint="KIND")
        what, here = ItemKind(kind), _station(folder)
        if what is ItemKind.CONSENT:
            here.consent(case)
        else:
            data = sys.stdin.buffer.read() if file is None else file.read_bytes()
            content = dict(read_content(what, data)) | ({"side": side} if what is ItemKind.IMAGE else {})
            here.capture(case, Item(what, content))
        held = [one.value for one in dict(here.cases())[case]]
        context.terminal.result({"case": case, "items": held}, [f"{case}: {', '.join(held)}"])

    @group.command("list")
    def list_cases(folder: _Folder) -> None:
        """The open cases with what each has, and the packets that wait to be sent."""
        here = _station(folder)
        cases = [{"case": case, "items": [one.value for one in kinds]} for case, kinds in here.cases()]
        packets = [one.name for one in here.packets()]
        lines = [f"{case}  {', '.join(one.value for one in kinds)}" for case, kinds in here.cases()]
        context.terminal.result({"cases": cases, "packets": packets}, [*lines, *packets] or ["Nothing waits."])

    @group.command("close")
    def close(folder: _Folder, case: _Case, key: _Key) -> None:
        """Sign what was collected from a person who is before you, with your own key."""
        from camtrust.cli.review import read_key

        made = _station(folder).close(case, read_key(key), context.clock.now())
        context.terminal.result({"packet": str(made)}, [str(made)])


def _add_sending(group: typer.Typer, context: Context) -> None:
    @group.command("send")
    def send(
        folder: _Folder,
        officer: _Officer,
        key: _Key,
        url: Annotated[str | None, typer.Option(help="where the services are; default: the home's public URL")] = None,
        origin: Annotated[str | None, typer.Option(help="their public URL, where --url is another address")] = None,
    ) -> None:
        """With a network again, as an officer with the role ekyc-station: send the packets in their order. What was
        taken over is removed from the folder.
        """
        from camtrust.cli.review import officer_at

        here, sent = _station(folder), []
        with officer_at(context, url, origin, officer, key) as colleague:
            for packet in here.packets():
                answer = colleague.post_octets("/ekyc/v1/packets", packet.read_bytes())
                here.settle(packet)
                sent.append({"packet": packet.name, "enrolment": answer["enrolment"]["id"], "items": answer["items"]})
        lines = [
            f"{one['packet']}  {one['enrolment']}  "
            + ", ".join(f"{item['kind']}: {item['outcome']}" for item in one["items"])
            for one in sent
        ]
        context.terminal.result({"sent": sent}, lines or ["Nothing waits."])


def _station(folder: Path) -> Station:
    from ekyc.packets.station import Station

    return Station(folder)
