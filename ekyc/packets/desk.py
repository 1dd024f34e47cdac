"""Taking over what stations collected without a network. Controls: EKYC-PACKET, and each that an enrolment has anyway.

A packet begins an enrolment and takes its steps: consent, document, images, chip, by the desks that a person's own
requests go through, with their checks and refusals. Nothing is passed over because an officer brought it: the contact
is proved by the person, with a code that is sent there; the registry is asked; another officer sees the person. Who
collected never reviews (`ekyc.review.desk`). What is recorded has the collecting officer as its actor, so that it can
be called back.

Killed at any time, the same packet brought again goes on behind the last item that was taken over.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import x25519
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from sqlalchemy import Row

from ekyc import store
from ekyc.blind_index import OWNER
from ekyc.casefile import CaseFiles
from ekyc.contacts.desk import Channel, ContactDesk, canonical_address
from ekyc.documents.chips import ChipDesk
from ekyc.documents.desk import DocumentDesk
from ekyc.documents.images import ImageDesk, Side
from ekyc.enrolment import EnrolmentDesk, Started
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.model import TAKES_CONTACT, Enrolment, State
from ekyc.packets import store as packet_store
from ekyc.packets.errors import (
    ClaimUnknown,
    PacketExpired,
    PacketOutOfOrder,
    PacketReplayed,
    PacketTimesWrong,
    PacketUnreadable,
    StationUnknown,
)
from ekyc.packets.packet import GENESIS, Item, ItemKind, Packet, check_signature, open_items, read
from ekyc.packets.station import Kit
from ekyc.ports import Officers
from ekyc.terms import Acceptance
from foundation.canonical import canonical_json
from foundation.clock import rfc3339
from foundation.db.engine import StaleWrite
from foundation.errors import CamTrustError, Kind
from foundation.http.actor import Actor, ActorKind

ROLE = "ekyc-station"
_ORDER = list(ItemKind)  # in which they are taken over, whatever came first at the station
_AHEAD = timedelta(minutes=5)  # how far a station's clock may go before ours


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_C = TypeVar("_C", bound=_Content)


class _Contact(_Content):
    channel: Channel
    address: SecretStr


class _Document(_Content):
    lines: list[str]
    surname_km: str | None = None
    given_names_km: str | None = None


class _Image(_Content):
    side: Side
    data: str


class _Chip(_Content):
    files: dict[str, str]


class _Claim(_Content):
    code: str


@dataclass(frozen=True)
class _Collected(Actor):
    """Takes the steps of a person's enrolment, and is written down as the officer who collected."""

    collector: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        return f"officer:{self.collector}"


@dataclass(frozen=True)
class Taken:
    """What became of a packet: each item's kind, and ``taken`` or the code by which it was refused. What was refused
    is the person's to show again.
    """

    enrolment: Enrolment
    items: tuple[tuple[ItemKind, str], ...]


class PacketDesk:
    """Stations, their packets, and the persons who go on by themselves."""

    def __init__(
        self,
        files: CaseFiles,
        officers: Officers,
        enrolment: EnrolmentDesk,
        contact: ContactDesk,
        document: DocumentDesk,
        images: ImageDesk,
        chips: ChipDesk,
    ) -> None:
        self._files = files
        self._officers = officers
        self._enrolment = enrolment
        self._contact = contact
        self._document = document
        self._images = images
        self._chips = chips

    def equip(self, by: str, officer_id: str) -> Kit:
        """A new station of an officer, with a key of its own. The private key is sealed under one that stays in the
        token. Raises StationUnknown where the officer has no registered key.
        """
        files, now = self._files, self._files.clock.now()
        if self._officers.key_of(officer_id) is None:
            raise StationUnknown
        station = files.new_id("STA-")
        private = x25519.X25519PrivateKey.from_private_bytes(files.randomness.bytes(32))
        public = private.public_key().public_bytes_raw()
        sealed = files.vault.seal(OWNER, _purpose(station), private.private_bytes_raw())
        with files.database.unit_of_work() as connection:
            row = {"id": station, "officer_id": officer_id, "public_key": public, "private_sealed": sealed}
            chain = {"sequence": 0, "head": GENESIS, "last_closed_at": now, "issued_at": now}
            connection.execute(packet_store.stations.insert().values(**row, **chain))
            files.audit.append(connection, by, "ekyc.station_equipped", station, {"officer": officer_id})
        terms = self._enrolment.terms
        accepted = {
            "purpose": terms.purpose,
            "consent_version": terms.consent_version,
            "agreement_version": terms.agreement_version,
            "agreement_digest": terms.agreement_digest,
        }
        return Kit(station, officer_id, public, accepted, rfc3339(now))

    def withdraw(self, by: str, station_id: str) -> None:
        """A station that was lost, or is needed no more: nothing more is taken from it. Raises StationUnknown."""
        files = self._files
        with files.database.unit_of_work() as connection:
            if packet_store.station(connection, station_id) is None:
                raise StationUnknown
            stations = packet_store.stations
            at = {"withdrawn_at": files.clock.now()}
            connection.execute(stations.update().where(stations.c.id == station_id).values(at))
            files.audit.append(connection, by, "ekyc.station_withdrawn", station_id, {})

    def bring(self, officer: Actor, data: bytes) -> Taken:
        """Take a packet over. Raises the Packet errors and StationUnknown (nothing taken), and what is unavailable
        just now: then the same packet goes on when it is brought again.
        """
        packet = read(data)
        manifest = packet.manifest
        with self._files.database.read() as connection:
            station = packet_store.station(connection, manifest.station)
            known = packet_store.packet(connection, manifest.station, manifest.sequence)
        if station is None or station.withdrawn_at is not None or station.officer_id != manifest.officer:
            raise StationUnknown
        check_signature(packet, self._officers.key_of(manifest.officer))
        private = self._files.vault.open(OWNER, _purpose(station.id), bytes(station.private_sealed))
        items = tuple(sorted(open_items(packet, private), key=lambda one: _ORDER.index(one.kind)))
        if known is not None and (known.done or known.digest != packet.digest):
            raise PacketReplayed
        if known is None:
            self._in_order(packet, station)
            known = self._begin(officer, packet, items)
        return self._take(known, items)

    def claim(self, code: str) -> Started:
        """The person of a packet goes on: every session of theirs ends, a new one begins, and a code goes to the
        contact that was collected. Good until a contact is proved. Raises ClaimUnknown; ResendThrottled where it is
        asked for again too soon.
        """
        files = self._files
        index = self._claim_index(code)
        with files.database.read() as connection:
            row = packet_store.claimed(connection, index)
            if row is None or not row.done:
                raise ClaimUnknown
            enrolment = store.load(connection, row.enrolment_id)
            proved = latest(store.ledger(connection, enrolment.id), EvidenceKind.CONTACT)
        if proved is not None or enrolment.erased_at is not None:
            raise ClaimUnknown
        sealed, person = bytes(row.contact_sealed), Actor(ActorKind.PERSON, enrolment.person_id)
        with files.database.unit_of_work() as connection:
            files.audit.append(connection, str(person), "ekyc.packet_claimed", enrolment.id, {})
        if enrolment.state in TAKES_CONTACT:
            contact = _Contact.model_validate_json(files.vault.open(enrolment.person_id, "packet-contact", sealed))
            address = contact.address.get_secret_value()
            enrolment = self._contact.send(person, enrolment.id, contact.channel, address).enrolment
        return self._enrolment.new_session(enrolment)

    def _in_order(self, packet: Packet, station: Row[Any]) -> None:
        """Raises PacketReplayed, PacketOutOfOrder, PacketTimesWrong."""
        manifest, now = packet.manifest, self._files.clock.now()
        if manifest.sequence <= station.sequence:
            raise PacketReplayed
        if manifest.sequence != station.sequence + 1 or manifest.previous != station.head:
            raise PacketOutOfOrder(expected=station.sequence + 1)
        in_turn = station.issued_at - _AHEAD <= manifest.started_at <= manifest.closed_at <= now + _AHEAD
        if not in_turn or manifest.closed_at < station.last_closed_at - _AHEAD:
            raise PacketTimesWrong

    def _begin(self, officer: Actor, packet: Packet, items: tuple[Item, ...]) -> Row[Any]:
        """The packet's place in the chain, its enrolment and its record, all at once. Raises PacketExpired,
        PacketReplayed (its case came before), PacketUnreadable, LevelUnknown.
        """
        files, manifest = self._files, packet.manifest
        now = files.clock.now()
        row: dict[str, Any] = {
            "station_id": manifest.station,
            "sequence": manifest.sequence,
            "case_id": manifest.case,
            "digest": packet.digest,
            "officer_id": manifest.officer,
            "brought_by": str(officer),
            "taken": 0,
            "done": False,
            "at": now,
        }
        if now - manifest.closed_at > timedelta(days=files.settings.packet_days):
            with files.database.unit_of_work() as connection:
                packet_store.append(connection, {**row, "done": True}, manifest.previous, manifest.closed_at)
                files.audit.append(connection, str(officer), "ekyc.packet_expired", manifest.station, {})
            raise PacketExpired(days=files.settings.packet_days)
        contact = _one(items, ItemKind.CONTACT, _Contact)
        address = canonical_address(contact.channel, contact.address.get_secret_value())
        claim = self._claim_index(_one(items, ItemKind.CLAIM, _Claim).code)
        enrolment = files.create(manifest.level, manifest.language)
        kept = canonical_json({"address": address, "channel": contact.channel.value})
        row |= {
            "enrolment_id": enrolment.id,
            "claim_index": claim,
            "contact_sealed": files.vault.seal(enrolment.person_id, "packet-contact", kept),
        }
        facts = {
            "station": manifest.station,
            "sequence": str(manifest.sequence),
            "manifest": packet.digest,
            "collected_at": rfc3339(manifest.closed_at),
            "presence": "in-person",
        }
        sealed = files.seal(enrolment, EvidenceKind.PACKET, {"manifest": packet.signed})
        collector = str(_collector(enrolment, manifest.officer))
        with files.step(enrolment) as connection:
            if not packet_store.append(connection, row, manifest.previous, manifest.closed_at):
                raise PacketReplayed
            files.record(connection, enrolment, EvidenceKind.PACKET, "collected", sealed, collector, facts)
            files.touch(connection, enrolment)
            details = {"station": manifest.station, "sequence": manifest.sequence}
            files.audit.append(connection, str(officer), "ekyc.packet_brought", enrolment.id, details)
        with files.database.read() as connection:
            found = packet_store.packet(connection, manifest.station, manifest.sequence)
        if found is None:
            raise PacketReplayed
        return found

    def _take(self, row: Row[Any], items: tuple[Item, ...]) -> Taken:
        """Each item by its desk. One that is refused is told, and the next is tried; what is unavailable stops here."""
        with self._files.database.read() as connection:
            enrolment = store.load(connection, row.enrolment_id)
        actor, outcomes = _collector(enrolment, row.officer_id), []
        for place, item in enumerate(items[row.taken :], start=row.taken + 1):
            try:
                self._step(actor, enrolment.id, item)
                outcome = "taken"
            except StaleWrite:  # somebody brings the same packet at the same time
                raise
            except CamTrustError as error:
                if error.kind in (Kind.UNAVAILABLE, Kind.THROTTLED, Kind.INTERNAL):
                    raise
                outcome = error.code
            outcomes.append((item.kind, outcome))
            with self._files.database.unit_of_work() as connection:
                packet_store.took(connection, row, place, done=place == len(items))
                details = {"item": item.kind.value, "outcome": outcome}
                self._files.audit.append(connection, str(actor), "ekyc.packet_item", enrolment.id, details)
        with self._files.database.read() as connection:
            return Taken(store.load(connection, row.enrolment_id), tuple(outcomes))

    def _step(self, actor: Actor, enrolment_id: str, item: Item) -> None:
        match item.kind:
            case ItemKind.CONSENT:
                if self._files.of_person(actor, enrolment_id).state is State.DRAFT:
                    self._enrolment.consent(actor, enrolment_id, _acceptance(item.content))
            case ItemKind.DOCUMENT:
                shown = _read(_Document, item)
                self._document.submit(actor, enrolment_id, shown.lines, shown.surname_km, shown.given_names_km)
            case ItemKind.IMAGE:
                image = _read(_Image, item)
                self._images.take(actor, enrolment_id, image.side, _octets(image.data))
            case ItemKind.CHIP:
                files = {name: _octets(value) for name, value in _read(_Chip, item).files.items()}
                self._chips.submit(actor, enrolment_id, files)
            case ItemKind.CLAIM | ItemKind.CONTACT:
                pass  # kept when the packet came; the person proves the contact

    def _claim_index(self, code: str) -> bytes:
        plain = code.strip().upper().replace("-", "").replace(" ", "")
        return self._files.index.of("packet-claim", plain.encode())


def _collector(enrolment: Enrolment, officer_id: str) -> _Collected:
    return _Collected(ActorKind.PERSON, enrolment.person_id, collector=officer_id)


def _purpose(station: str) -> str:
    return f"packet-key:{station}"


def _acceptance(content: Mapping[str, Any]) -> Acceptance:
    """Raises PacketUnreadable."""
    try:
        return Acceptance(**{name: str(value) for name, value in content.items()})
    except TypeError:
        raise PacketUnreadable(place=ItemKind.CONSENT.value) from None


def _one(items: tuple[Item, ...], kind: ItemKind, model: type[_C]) -> _C:
    """The one item of a kind. Raises PacketUnreadable."""
    found = [one for one in items if one.kind is kind]
    if len(found) != 1:
        raise PacketUnreadable(place=kind.value)
    return _read(model, found[0])


def _read(model: type[_C], item: Item) -> _C:
    """Raises PacketUnreadable; nothing of the content is in what it says."""
    try:
        return model.model_validate(dict(item.content))
    except ValidationError:
        raise PacketUnreadable(place=item.kind.value) from None


def _octets(text: str) -> bytes:
    """Base64, of either alphabet. Raises PacketUnreadable."""
    try:
        plain = text.replace("-", "+").replace("_", "/").rstrip("=")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise PacketUnreadable(place=ItemKind.IMAGE.value) from None
