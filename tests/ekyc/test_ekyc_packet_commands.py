"""`camtrust ekyc packet`: at the station, and where its packets arrive."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from camtrust.cli import ekyc as commands
from camtrust.cli import ekyc_packet, review
from camtrust.cli.context import Context
from ekyc.packets.errors import PacketReplayed, StationUnknown
from ekyc.registry_simulation.persons import specimens
from foundation.terminal import Terminal
from tests.ekyc import images
from tests.ekyc.story import BRINGER, COLLECTOR, PHONE, World

Command = Callable[..., dict[str, Any]]


@pytest.fixture
def command(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs one command of the group over the services of the world; gives its JSON."""

    @contextmanager
    def services_of(_: Context) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(database=world.database, ekyc=world.service)

    class Colleague:
        def post_octets(self, path: str, content: bytes) -> dict[str, Any]:
            assert path == "/ekyc/v1/packets"
            taken = world.service.packets.bring(BRINGER, content)
            items = [{"kind": kind.value, "outcome": outcome} for kind, outcome in taken.items]
            return {"enrolment": {"id": taken.enrolment.id}, "items": items}

    @contextmanager
    def officer_at(*_: Any) -> Iterator[Colleague]:
        yield Colleague()

    monkeypatch.setattr(ekyc_packet, "services_of", services_of)
    monkeypatch.setattr(review, "officer_at", officer_at)
    terminal = Terminal(json=True)
    group = typer.main.get_command(commands.create(Context(terminal=terminal, home_path=None, clock=world.clock)))

    def call(*arguments: str | Path) -> dict[str, Any]:
        group(["packet", *map(str, arguments)], standalone_mode=False)
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return call


def test_from_the_kit_to_the_enrolment(
    world: World, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator equips a station; its officer collects and closes without anything but the folder; later the packets
    are sent, and their items are gone from it."""
    world.staff.add(COLLECTOR)
    kit, folder, key = tmp_path / "kit.json", tmp_path / "station", tmp_path / "officer.pem"
    pem = world.staff.keys[COLLECTOR.id].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key.write_bytes(pem)
    equipped = command("station", COLLECTOR.id, "--out", kit)
    begun = command("start", folder, "--kit", kit, "--level", "IAL2", "--language", "en")
    case, one = begun["case"], specimens()["adult"]
    assert begun["code"].count("-") == 3
    assert command("terms", folder, "--language", "en")["agreement"] == world.service.enrolment.terms.agreement["en"]
    command("add", folder, case, "consent")
    contact = json.dumps({"channel": "sms", "address": PHONE}).encode()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(contact)))
    command("add", folder, case, "contact")
    names = {"surname_km": one.surname_km, "given_names_km": one.given_names_km}
    (tmp_path / "card.json").write_text(json.dumps({"lines": list(one.card()), **names}))
    command("add", folder, case, "document", tmp_path / "card.json")
    (tmp_path / "front.jpg").write_bytes(images.photograph())
    held = command("add", folder, case, "image", tmp_path / "front.jpg", "--side", "front")
    assert held["items"] == ["claim", "consent", "contact", "document", "image"]
    with pytest.raises(typer.BadParameter, match="one of consent"):
        command("add", folder, case, "claim")
    assert [item["case"] for item in command("list", folder)["cases"]] == [case]
    made = Path(command("close", folder, case, "--key", key)["packet"])
    assert command("list", folder) == {"cases": [], "packets": [made.name]}
    octets = made.read_bytes()
    [sent] = command("send", folder, "--officer", BRINGER.id, "--key", key)["sent"]
    assert {item["outcome"] for item in sent["items"]} == {"taken"}
    assert world.state(sent["enrolment"]).level == "IAL2"
    assert command("send", folder, "--officer", BRINGER.id, "--key", key)["sent"] == []
    with pytest.raises(PacketReplayed):
        world.service.packets.bring(BRINGER, octets)
    command("withdraw", equipped["station"])
    with pytest.raises(StationUnknown):
        world.service.packets.bring(BRINGER, octets)


def test_no_station_for_whoever_has_no_registered_key(world: World, command: Command, tmp_path: Path) -> None:
    """Nothing is written, and a kit that is there is not written over."""
    with pytest.raises(StationUnknown):
        command("station", "act_nobody", "--out", tmp_path / "kit.json")
    assert not (tmp_path / "kit.json").exists()
    world.staff.add(COLLECTOR)
    (tmp_path / "kit.json").write_text("{}")
    with pytest.raises(FileExistsError):
        command("station", COLLECTOR.id, "--out", tmp_path / "kit.json")
