"""Attacks on packets, each with its control on and off."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ekyc.config import EkycSettings
from ekyc.errors import NotAssigned, SelfReview
from ekyc.model import State
from ekyc.packets import packet as packets
from ekyc.packets import store as packet_store
from ekyc.packets.desk import PacketDesk
from ekyc.packets.errors import (
    PacketExpired,
    PacketInvalid,
    PacketOutOfOrder,
    PacketReplayed,
    PacketSignatureInvalid,
    PacketTimesWrong,
    PacketUnreadable,
    StationUnknown,
)
from ekyc.packets.packet import Item, ItemKind, Packet, digest_of, read, sign, written
from ekyc.registry_simulation.persons import specimens
from foundation.db.engine import StaleWrite
from foundation.http.actor import Actor, ActorKind
from tests.ekyc.stations import Collecting
from tests.ekyc.story import BRINGER, COLLECTOR, OFFICER, World

OTHER_PHONE = "012 987 655"


@pytest.fixture
def here(world: World, tmp_path: Path) -> Collecting:
    """A station whose officer may review as well."""
    return Collecting.equipped(world, tmp_path / "station")


def signed_anew(here: Collecting, data: bytes, key: ec.EllipticCurvePrivateKey | None = None, **changed: Any) -> bytes:
    """A packet with another manifest, signed by the collecting officer (an insider) or another key."""
    one = read(data)
    manifest = packets.Manifest(**{**vars(one.manifest), **changed})
    return written(sign(key or here.world.staff.keys[COLLECTOR.id], manifest), one.items)


def test_a_packet_brought_twice(here: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken over once. Were its place in the chain not kept, a second enrolment would begin."""
    data, _ = here.packet()
    here.bring(data)
    with pytest.raises(PacketReplayed):
        here.bring(data)
    with pytest.raises(StaleWrite):  # whoever comes past the first look meets the chain itself
        here.world.service.packets._begin(BRINGER, read(data), _opened(here, data))
    monkeypatch.setattr(packet_store, "append", lambda *_: True)  # the control is off
    here.world.service.packets._begin(BRINGER, read(data), _opened(here, data))
    with here.world.database.read() as connection:
        begun = connection.exec_driver_sql("SELECT count(*) FROM ekyc_evidence WHERE kind = 'packet'").scalar_one()
    assert begun == 2


def _opened(here: Collecting, data: bytes) -> tuple[Item, ...]:
    packet = read(data)
    with here.world.database.read() as connection:
        row = packet_store.station(connection, packet.manifest.station)
    assert row is not None
    private = here.world.service.files.vault.open("service:ekyc", f"packet-key:{row.id}", bytes(row.private_sealed))
    return packets.open_items(packet, private)


def test_a_packet_that_another_key_signed(here: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stolen station without its officer's key makes no packet. Were the signature not checked, it would."""
    data, _ = here.packet()
    forged = signed_anew(here, data, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(PacketSignatureInvalid):
        here.bring(forged)
    monkeypatch.setattr("ekyc.packets.desk.check_signature", lambda *_: None)  # the control is off
    assert here.bring(forged).enrolment.state is State.CONSENTED


def test_a_manifest_that_was_changed_after_it_was_signed(here: Collecting) -> None:
    """Every member is signed; the digests of items are held to them before anything is opened."""
    data, _ = here.packet()
    one = json.loads(data)
    for place in range(len(one["items"])):
        items = [*one["items"]]
        items[place] = items[place][:-4] + ("AAAA" if items[place][-4:] != "AAAA" else "BBBB")
        with pytest.raises(PacketInvalid):
            here.bring(json.dumps({**one, "items": items}).encode())
    with pytest.raises(PacketInvalid):
        here.bring(json.dumps({**one, "items": one["items"][1:]}).encode())
    head, body, tail = one["manifest"].split(".")
    for manifest in (f"{head}.{body}", f"{head}.{body[:-2]}.{tail}", f"{head}.{body}.{tail}.x", ""):
        with pytest.raises(PacketInvalid):
            here.bring(json.dumps({**one, "manifest": manifest}).encode())
    with pytest.raises(PacketSignatureInvalid):
        here.bring(json.dumps({**one, "manifest": f"{head}.{body}.{'A' * len(tail)}"}).encode())


def test_an_insider_puts_one_person_s_document_into_another_s_packet(
    here: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items are sealed for their case and place: the officer signs whatever they like, and it does not open. Were they
    not bound, somebody else's card would become this person's."""
    case, _ = here.start()
    here.person(case)
    victim = read(here.close(case))
    other, _ = here.packet("leading-zero", OTHER_PHONE)
    mixed = read(other)
    place = [kind for kind, _ in mixed.manifest.items].index(ItemKind.DOCUMENT)
    items = [*mixed.items]
    items[place] = victim.items[place]

    def insider() -> bytes:
        listed = [*mixed.manifest.items]
        listed[place] = (ItemKind.DOCUMENT, victim.manifest.items[place][1])
        changed = {"items": tuple(listed), "sequence": 1, "previous": packets.GENESIS}
        manifest = packets.Manifest(**{**vars(mixed.manifest), **changed})
        return written(sign(here.world.staff.keys[COLLECTOR.id], manifest), items)

    with pytest.raises(PacketUnreadable):
        here.bring(insider())


def test_the_binding_of_items_is_what_keeps_them_apart(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same attack with the binding off from the start: the victim's card goes through in another's packet."""
    monkeypatch.setattr(packets, "_info", lambda *_: b"")  # the control is off
    here = Collecting.equipped(world, tmp_path / "station")
    victim, mixed = read(here.packet()[0]), read(here.packet("leading-zero", OTHER_PHONE)[0])
    place = [kind for kind, _ in mixed.manifest.items].index(ItemKind.DOCUMENT)
    items, listed = [*mixed.items], [*mixed.manifest.items]
    items[place], listed[place] = victim.items[place], victim.manifest.items[place]
    changed = {"items": tuple(listed), "sequence": 1, "previous": packets.GENESIS}
    manifest = packets.Manifest(**{**vars(mixed.manifest), **changed})
    taken = here.bring(written(sign(world.staff.keys[COLLECTOR.id], manifest), items))
    assert dict(taken.items)[ItemKind.DOCUMENT] == "taken"


def test_a_packet_left_out_or_forked(here: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet that an officer would rather lose is missed by the next one; two with one number are told. Without the
    order, the second goes through alone."""
    first, second = here.packet()[0], here.packet("leading-zero", OTHER_PHONE)[0]
    with pytest.raises(PacketOutOfOrder) as refused:
        here.bring(second)
    assert refused.value.params["expected"] == 1
    fork = signed_anew(here, second, sequence=1, previous=packets.GENESIS)
    with pytest.raises(PacketOutOfOrder):
        here.bring(signed_anew(here, second, sequence=1))
    here.bring(first)
    with pytest.raises(PacketReplayed):
        here.bring(fork)
    with pytest.raises(PacketOutOfOrder):
        here.bring(signed_anew(here, second, previous="1" * 64))
    monkeypatch.setattr(PacketDesk, "_in_order", lambda *_: None)  # the control is off
    monkeypatch.setattr(packet_store, "compare_and_set", lambda *_: None)
    third = signed_anew(here, second, sequence=7, previous="1" * 64)
    assert here.bring(third).enrolment.state is State.CONSENTED


def test_one_case_in_two_packets(here: Collecting) -> None:
    """An insider closes a case again under the next number: its case came before."""
    data, _ = here.packet()
    here.bring(data)
    again = signed_anew(here, data, sequence=2, previous=read(data).digest)
    with pytest.raises(PacketReplayed):
        here.bring(again)


def test_old_packets(here: Collecting) -> None:
    """Too old: nothing is taken over, its number is used up, and the next packet goes through. Were packets good for
    longer, it would be taken."""
    old, _ = here.packet()
    here.world.clock.advance(timedelta(days=8))
    with pytest.raises(PacketExpired):
        here.bring(old)
    with pytest.raises(PacketReplayed):
        here.bring(old)
    assert here.bring(here.packet("leading-zero", OTHER_PHONE)[0]).enrolment.state is State.CONSENTED


def test_an_old_packet_where_packets_are_good_for_longer(here: Collecting) -> None:
    """The same packet with the limit off."""
    old, _ = here.packet()
    here.world.clock.advance(timedelta(days=8))
    lax = here.world.restarted(settings=EkycSettings(packet_days=60)).packets
    assert lax.bring(BRINGER, old).enrolment.state is State.CONSENTED


def test_times_that_cannot_be(here: Collecting) -> None:
    """In the future, before the station began, or closed before it was started: a clock that is set back keeps no old
    packet alive."""
    data, _ = here.packet()
    now = here.world.clock.now()
    for changed in (
        {"closed_at": now + timedelta(hours=1)},
        {"started_at": now - timedelta(days=400), "closed_at": now},
        {"started_at": now + timedelta(minutes=2), "closed_at": now},
    ):
        with pytest.raises(PacketTimesWrong):
            here.bring(signed_anew(here, data, **changed))
    assert here.bring(data).enrolment.state is State.CONSENTED


def test_a_station_that_was_withdrawn_or_is_another_officer_s(here: Collecting) -> None:
    """Nothing is taken from it any more; and no officer signs for another one's station."""
    data, _ = here.packet()
    with pytest.raises(StationUnknown):
        here.bring(signed_anew(here, data, here.world.staff.keys[OFFICER.id], officer=OFFICER.id))
    with pytest.raises(StationUnknown):
        here.bring(signed_anew(here, data, station="STA-" + "A" * 16))
    here.world.service.packets.withdraw("operator:console", here.station.kit.station)
    with pytest.raises(StationUnknown):
        here.bring(data)


def test_the_collecting_officer_never_reviews(here: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are drawn for it never, and refused where they look. Were it not known who collected, they would be the
    officer who saw the person, and approve what they brought."""
    world = here.world
    del world.staff.keys[OFFICER.id]  # the collecting officer is the only one who may review
    data, code = here.packet()
    taken = here.bring(data)
    name, person = taken.enrolment.id, Actor(ActorKind.PERSON, taken.enrolment.person_id)
    world.service.packets.claim(code)
    world.service.contact.verify(person, name, world.code(person.id))
    world.service.registry.match(person, name)
    collector = Actor(ActorKind.OFFICER, COLLECTOR.id, OFFICER.roles)
    assert world.service.review.assignments.turn_of(world.state(name)) is None
    with pytest.raises((SelfReview, NotAssigned)):
        world.service.review.show(collector, name)
    monkeypatch.setattr(packet_store, "collectors", lambda *_: frozenset())  # the control is off
    assert world.review(name, officer=collector).state is State.APPROVED


def test_whoever_has_the_packet_and_not_the_key_reads_nothing(here: Collecting) -> None:
    """Another station's key, or any other, opens none of its items."""
    data, _ = here.packet()
    one = read(data)
    with pytest.raises(PacketUnreadable):
        packets.open_items(one, bytes(range(32)))
    assert specimens()["adult"].card()[0].encode() not in data


def test_packets_beyond_the_limits(here: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many items, too many octets, too large a file, deep nesting: refused before anything is opened."""
    data, _ = here.packet()
    one = json.loads(data)
    with pytest.raises(PacketInvalid):
        here.bring(json.dumps({**one, "items": one["items"] * 5}).encode())
    with pytest.raises(PacketInvalid):
        here.bring(b"[" * 200_000)
    for name, least in (("LARGEST", 100), ("MOST_OCTETS", 100)):
        with monkeypatch.context() as patched:
            patched.setattr(packets, name, least)
            with pytest.raises(PacketInvalid):
                here.bring(data)
    assert isinstance(read(data), Packet)
    assert digest_of(one["manifest"]) == read(data).digest
