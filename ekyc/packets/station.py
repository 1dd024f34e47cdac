"""A station without a network: its folder, in which what is captured is sealed at once and never lies in the clear.

    station.json            the kit: who the station is, the key that it seals to, the terms in force
    cases/CAS-…/case.json   a person who is being collected: level, language, when it began; nothing of the person
    cases/CAS-…/NN.KIND     an item, sealed to the service; the station cannot open it
    packets/NNNNNN.packet   a closed case, signed; its number and the one before it make the chain

Each file is written beside its place and moved there when it is whole, so that whoever pulls the plug loses what was
being written and nothing else. Pure of network and database; the clock and randomness are arguments.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from ekyc.packets.errors import CaseIncomplete, CaseUnknown, StationFolderInvalid
from ekyc.packets.packet import (
    GENESIS,
    MOST_ITEMS,
    Item,
    ItemKind,
    Manifest,
    digest_of,
    manifest_of,
    read,
    seal_item,
    sign,
    written,
)
from foundation.base64url import encoded
from foundation.canonical import canonical_json
from foundation.clock import rfc3339
from foundation.randomness import Randomness

_ITEM = re.compile(r"([0-9]{2})\.([a-z]+)")
_CASE = re.compile(r"CAS-[A-Z2-7]{16}")
_PACKET = "{:06}.packet"
_NEEDED = (ItemKind.CLAIM, ItemKind.CONSENT, ItemKind.CONTACT, ItemKind.DOCUMENT)
_ONCE = frozenset(ItemKind) - {ItemKind.IMAGE}
CLAIM_OCTETS = 10


@dataclass(frozen=True)
class Kit:
    """What the service gives a station: its name, whose it is, the key that it seals to, and the terms to read out."""

    station: str
    officer: str
    recipient: bytes
    terms: Mapping[str, str]
    issued_at: str

    def written(self) -> bytes:
        values = {**vars(self), "recipient": encoded(self.recipient), "terms": dict(self.terms)}
        return canonical_json(values)

    @classmethod
    def parse(cls, data: bytes) -> Kit:
        """Raises StationFolderInvalid."""
        try:
            given = json.loads(data)
            recipient = base64.urlsafe_b64decode(given.pop("recipient") + "=")
            kit = cls(recipient=recipient, **given)
            if len(recipient) != 32:
                raise ValueError
        except (ValueError, TypeError, KeyError, AttributeError):
            raise StationFolderInvalid(what="station.json") from None
        return kit


class Station:
    """One station's folder. ``kit`` begins it; later it is read from there."""

    def __init__(self, folder: Path, kit: Kit | None = None) -> None:
        self._folder = folder
        named = folder / "station.json"
        if kit is not None and not named.exists():
            (folder / "cases").mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / "packets").mkdir(exist_ok=True, mode=0o700)
            _put(named, kit.written())
        try:
            self.kit = Kit.parse(named.read_bytes())
        except OSError:
            raise StationFolderInvalid(what="station.json") from None
        if kit is not None and kit != self.kit:
            raise StationFolderInvalid(what="station.json")

    def start(self, level: str, language: str, at: datetime, randomness: Randomness) -> tuple[str, str]:
        """Begin with a person: the case, and the code by which they go on later, which is theirs and kept nowhere."""
        case = "CAS-" + base64.b32encode(randomness.bytes(10)).decode()
        code = base64.b32encode(randomness.bytes(CLAIM_OCTETS)).decode()
        folder = self._folder / "cases" / case
        folder.mkdir(mode=0o700)
        _put(folder / "case.json", canonical_json({"language": language, "level": level, "started_at": rfc3339(at)}))
        self.capture(case, Item(ItemKind.CLAIM, {"code": code}))
        return case, code

    def consent(self, case: str) -> None:
        """The person accepted the terms of the kit, which were read to them."""
        self.capture(case, Item(ItemKind.CONSENT, dict(self.kit.terms)))

    def capture(self, case: str, item: Item) -> int:
        """Seal one item and keep it; gives its place. Images may be several, anything else is captured once.

        Raises CaseUnknown, StationFolderInvalid (captured before, or too many).
        """
        held = self._items(case)
        if len(held) >= MOST_ITEMS or (item.kind in _ONCE and any(kind is item.kind for kind, _ in held)):
            raise StationFolderInvalid(what=item.kind.value)
        place = len(held)
        sealed = seal_item(self.kit.recipient, item, self.kit.station, case, place)
        _put(self._case(case) / f"{place:02}.{item.kind.value}", sealed)
        return place

    def cases(self) -> tuple[tuple[str, tuple[ItemKind, ...]], ...]:
        """The cases that are open, with what each has."""
        found = sorted(one.name for one in (self._folder / "cases").iterdir() if _CASE.fullmatch(one.name))
        return tuple((case, tuple(kind for kind, _ in self._items(case))) for case in found)

    def packets(self) -> tuple[Path, ...]:
        """The packets that are closed and not settled, in their order."""
        return tuple(sorted((self._folder / "packets").glob("[0-9]*.packet")))

    def close(self, case: str, key: ec.EllipticCurvePrivateKey, at: datetime) -> Path:
        """Sign what was collected; the case is a packet then. Killed in between, it is done again and is the same case.

        Raises CaseUnknown, CaseIncomplete.
        """
        folder, signed = self._case(case), self._signed()
        done = next((number for number, one in signed.items() if manifest_of(one).case == case), None)
        if done is not None:  # it was signed, and what was left over is cleared away
            shutil.rmtree(folder)
            return self._packet(done)
        items = self._items(case)
        missing = [kind.value for kind in _NEEDED if kind not in {one for one, _ in items}]
        if missing:
            raise CaseIncomplete(missing=", ".join(missing))
        begun = json.loads((folder / "case.json").read_bytes())
        octets = [path.read_bytes() for _, path in items]
        last = max(signed, default=0)
        manifest = Manifest(
            station=self.kit.station,
            officer=self.kit.officer,
            case=case,
            sequence=last + 1,
            previous=digest_of(signed[last]) if last else GENESIS,
            level=begun["level"],
            language=begun["language"],
            started_at=datetime.fromisoformat(begun["started_at"]),
            closed_at=at,
            items=tuple((kind, hashlib.sha256(one).hexdigest()) for (kind, _), one in zip(items, octets, strict=True)),
        )
        _put(self._packet(last + 1), written(sign(key, manifest), octets), new=True)
        shutil.rmtree(folder)
        return self._packet(last + 1)

    def settle(self, packet: Path) -> None:
        """The service has taken a packet over: its items go, its signed manifest stays, for the chain."""
        signed = read(packet.read_bytes()).signed
        _put(packet.with_suffix(".settled"), signed.encode("ascii"))
        packet.unlink()

    def _signed(self) -> Mapping[int, str]:
        """The signed manifests of all packets, settled or not, by number."""
        found = {}
        for path in (self._folder / "packets").glob("[0-9]*.*"):
            data = path.read_bytes()
            found[int(path.stem)] = read(data).signed if path.suffix == ".packet" else data.decode("ascii")
        return found

    def _case(self, case: str) -> Path:
        folder = self._folder / "cases" / case
        if not _CASE.fullmatch(case) or not folder.is_dir():
            raise CaseUnknown(case=case)
        return folder

    def _items(self, case: str) -> tuple[tuple[ItemKind, Path], ...]:
        """The items in their order. Raises CaseUnknown; StationFolderInvalid where one is missing in between."""
        found: list[tuple[ItemKind, Path]] = []
        for path in sorted(self._case(case).iterdir()):
            parts = _ITEM.fullmatch(path.name)
            if parts is None:
                continue
            if int(parts[1]) != len(found) or parts[2] not in {one.value for one in ItemKind}:
                raise StationFolderInvalid(what=path.name)
            found.append((ItemKind(parts[2]), path))
        return tuple(found)

    def _packet(self, sequence: int) -> Path:
        return self._folder / "packets" / _PACKET.format(sequence)


def read_content(kind: ItemKind, data: bytes) -> Mapping[str, Any]:
    """What was captured, from the octets that a command was given: an image as it is, else JSON. Raises
    StationFolderInvalid.
    """
    if kind is ItemKind.IMAGE:
        return {"data": encoded(data)}
    try:
        content = json.loads(data)
        if not isinstance(content, dict):
            raise TypeError
    except (ValueError, TypeError, RecursionError):
        raise StationFolderInvalid(what=kind.value) from None
    return content


def _put(path: Path, data: bytes, *, new: bool = False) -> None:
    """Write a file whole or not at all. ``new``: FileExistsError where there is one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        if new:
            os.link(beside, path)
        else:
            os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
