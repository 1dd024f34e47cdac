"""A station in tests: its officer, what it captures from a specimen person, and the packets that it closes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ekyc.packets.desk import Taken
from ekyc.packets.packet import Item, ItemKind
from ekyc.packets.station import Station, read_content
from ekyc.registry_simulation.persons import specimens
from foundation.randomness import SystemRandomness
from tests.ekyc import images
from tests.ekyc.story import BRINGER, COLLECTOR, PHONE, World


@dataclass
class Collecting:
    """A station of COLLECTOR in a folder, over a world whose services know it."""

    world: World
    station: Station

    @classmethod
    def equipped(cls, world: World, folder: Path) -> Collecting:
        if COLLECTOR.id not in world.staff.keys:
            world.staff.add(COLLECTOR)
        return cls(world, Station(folder, world.service.packets.equip("operator:console", COLLECTOR.id)))

    def start(self, level: str = "IAL2") -> tuple[str, str]:
        return self.station.start(level, "en", self.world.clock.now(), SystemRandomness())

    def add(self, case: str, kind: ItemKind, content: dict[str, Any]) -> None:
        self.station.capture(case, Item(kind, read_content(kind, json.dumps(content).encode())))

    def person(self, case: str, person: str = "adult", phone: str = PHONE) -> None:
        """Consent, contact and document of a specimen person, and a picture of the card."""
        one = specimens()[person]
        self.station.consent(case)
        self.add(case, ItemKind.CONTACT, {"channel": "sms", "address": phone})
        names = {"surname_km": one.surname_km, "given_names_km": one.given_names_km}
        self.add(case, ItemKind.DOCUMENT, {"lines": list(one.card()), **names})
        picture = dict(read_content(ItemKind.IMAGE, images.photograph()))
        self.station.capture(case, Item(ItemKind.IMAGE, picture | {"side": "front"}))

    def close(self, case: str) -> bytes:
        key = self.world.staff.keys[COLLECTOR.id]
        return self.station.close(case, key, self.world.clock.now()).read_bytes()

    def packet(self, person: str = "adult", phone: str = PHONE, level: str = "IAL2") -> tuple[bytes, str]:
        """A closed packet of a person, and the person's code."""
        case, code = self.start(level)
        self.person(case, person, phone)
        return self.close(case), code

    def bring(self, data: bytes) -> Taken:
        return self.world.service.packets.bring(BRINGER, data)
