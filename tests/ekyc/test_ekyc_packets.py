"""Packets of stations without a network: they pass no gate by, lose nothing, and tell nobody anything."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from ekyc.errors import EvidenceFirst, WrongState
from ekyc.evidence.errors import ImageReaderBusy
from ekyc.evidence.record import EvidenceKind, latest, verify_chain
from ekyc.model import State
from ekyc.packets import station as stations
from ekyc.packets.desk import Taken
from ekyc.packets.errors import CaseIncomplete, CaseUnknown, ClaimUnknown, PacketReplayed, StationFolderInvalid
from ekyc.packets.packet import ItemKind, read
from ekyc.packets.station import Station
from ekyc.registry_simulation.persons import specimens
from foundation.clock import SetClock
from foundation.db.engine import StaleWrite
from foundation.http.actor import Actor, ActorKind
from tests.ekyc.chip_parties import NOW
from tests.ekyc.stations import Collecting
from tests.ekyc.story import COLLECTOR, OPERATOR, PHONE, PHONE_E164, World
from tests.ekyc.test_ekyc_chips import anchored, chip_of
from tests.ekyc.test_ekyc_races import at_once


@pytest.fixture
def clock() -> SetClock:
    """The day for which the specimen chips are made."""
    return SetClock(NOW)


def test_a_person_who_was_collected_goes_the_whole_way(both_worlds: World, tmp_path: Path) -> None:
    """Consent, contact, document, picture and chip from a station; then the person goes on by their code, proves the
    contact, and another officer sees them. What was collected is written down as the collecting officer's."""
    world = anchored(both_worlds)
    here = Collecting.equipped(world, tmp_path / "station")
    case, code = here.start()
    here.person(case)
    files = {name: base64.b64encode(data).decode() for name, data in chip_of().files.items()}
    here.add(case, ItemKind.CHIP, {"files": files})
    taken = here.bring(here.close(case))
    assert {outcome for _, outcome in taken.items} == {"taken"}
    assert [kind for kind, _ in taken.items] == list(ItemKind)
    name, person = taken.enrolment.id, Actor(ActorKind.PERSON, taken.enrolment.person_id)
    assert taken.enrolment.state is State.CONSENTED  # no contact is proved
    ledger = world.service.files.ledger(taken.enrolment)
    verify_chain(ledger)
    assert {one.actor for one in ledger} == {f"officer:{COLLECTOR.id}"}
    record = latest(ledger, EvidenceKind.PACKET)
    assert record is not None
    assert (record.control, record.facts["presence"], record.facts["sequence"]) == ("EKYC-PACKET", "in-person", "1")
    chip = latest(ledger, EvidenceKind.CHIP)
    assert chip is not None
    assert (chip.outcome, chip.facts["capped"]) == ("authentic", "true")  # files prove no possession
    with pytest.raises((WrongState, EvidenceFirst)):
        world.service.registry.match(person, name)
    started = world.service.packets.claim(f"{code[:4]}-{code[4:8]} {code[8:].lower()}")
    assert world.sessions.tokens[started.session_token] == person.id
    message = world.outbox.read(OPERATOR, person.id)[0]
    assert message.address == PHONE_E164
    moved = world.service.contact.verify(person, name, world.code(person.id))
    assert moved.state is State.DOCUMENT_VALIDATED
    assert world.service.registry.match(person, name).state is State.REGISTRY_MATCHED
    assert world.approve(name).state is State.APPROVED
    reviewed = [one.actor for one in world.service.files.ledger(world.state(name)) if one.kind is EvidenceKind.REVIEW]
    assert f"officer:{COLLECTOR.id}" not in reviewed
    world.bind_factors(person, name)
    assert world.service.issuance.certificate(person, name).state is State.ACTIVATED


@pytest.mark.parametrize(
    ("person", "code", "state"),
    [
        ("expired-card", "ekyc.document_expired", State.NEEDS_INPUT),
        ("child", "ekyc.under_age", State.REJECTED),
    ],
)
def test_what_is_refused_of_anybody_is_refused_of_a_packet(
    world: World, tmp_path: Path, person: str, code: str, state: State
) -> None:
    """The document's own checks judge it, and the answer says so; the person goes on where that leaves them."""
    here = Collecting.equipped(world, tmp_path / "station")
    data, claim = here.packet(person)
    taken = here.bring(data)
    assert dict(taken.items)[ItemKind.DOCUMENT] == code
    assert taken.enrolment.state is state
    assert world.service.packets.claim(claim).enrolment.state is state


def test_terms_of_before_are_the_person_s_to_accept_anew(world: World, tmp_path: Path) -> None:
    """A kit of older terms: the consent is refused, nothing behind it is recorded, and the code still leads on."""
    here = Collecting.equipped(world, tmp_path / "station")
    here.station.kit.terms["agreement_version"] = "1999.1"  # type: ignore[index]
    data, claim = here.packet()
    taken = here.bring(data)
    assert dict(taken.items)[ItemKind.CONSENT] == "ekyc.terms_outdated"
    assert taken.enrolment.state is State.DRAFT
    kinds = {one.kind for one in world.service.files.ledger(taken.enrolment)}
    assert kinds == {EvidenceKind.PACKET}
    started = world.service.packets.claim(claim)
    person = Actor(ActorKind.PERSON, started.enrolment.person_id)
    moved = world.service.enrolment.consent(person, started.enrolment.id, world.accept())
    assert moved.state is State.CONSENTED


def test_the_person_s_code_opens_until_a_contact_is_proved(world: World, tmp_path: Path) -> None:
    """A wrong code opens nothing; asked again, the session of before ends; with the contact proved it is over. The code
    stands nowhere, neither at the station nor in the database."""
    here = Collecting.equipped(world, tmp_path / "station")
    data, code = here.packet()
    with pytest.raises(ClaimUnknown):
        world.service.packets.claim(code)  # not brought yet
    here.bring(data)
    with pytest.raises(ClaimUnknown):
        world.service.packets.claim("A" * 16)
    first = world.service.packets.claim(code)
    world.clock.advance(timedelta(seconds=61))
    second = world.service.packets.claim(code)
    assert first.session_token not in world.sessions.tokens
    person = Actor(ActorKind.PERSON, second.enrolment.person_id)
    world.service.contact.verify(person, second.enrolment.id, world.code(person.id))
    with pytest.raises(ClaimUnknown):
        world.service.packets.claim(code)


def test_nothing_personal_lies_in_the_clear_at_the_station(world: World, tmp_path: Path) -> None:
    """While it is collected, closed and settled: no name, number, phone, picture or code in any file or file name."""
    here, folder = Collecting.equipped(world, tmp_path / "station"), tmp_path / "station"
    case, code = here.start()
    here.person(case)
    one = specimens()["adult"]
    secrets = [one.surname_km, *one.card(), one.card()[0][5:14], PHONE, PHONE_E164, code]

    def lying() -> list[str]:
        found = []
        for path in folder.rglob("*"):
            data = path.read_bytes() if path.is_file() else b""
            plain = data + b"".join(_opened(part) for part in data.replace(b'"', b"\n").split(b"\n"))
            found += [path.name for text in secrets if text.encode() in plain or text in path.name]
            found += [path.name for mark in (b"JFIF", b"\xff\xd8\xff\xe0") if mark in plain]
        return found

    assert lying() == []
    packet = here.station.close(case, world.staff.keys[COLLECTOR.id], world.clock.now())
    assert lying() == []
    here.bring(packet.read_bytes())
    here.station.settle(packet)
    assert lying() == []
    assert here.station.packets() == ()
    assert all((path.stat().st_mode & 0o077) == 0 for path in folder.rglob("*") if path.is_file())


def _opened(part: bytes) -> bytes:
    """What a piece of text says where it is Base64."""
    try:
        return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        return b""


@pytest.mark.parametrize("when", ["capturing", "closing", "clearing away"])
def test_interrupted_collecting_loses_nothing_that_was_captured(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Pulled the plug while a file is written, before the packet is in its place, or while the case is cleared away:
    another process goes on with everything that was captured, and the case becomes one packet."""
    here = Collecting.equipped(world, tmp_path / "station")
    case, code = here.start()
    here.person(case)
    held = dict(here.station.cases())[case]
    at = {"capturing": "replace", "closing": "link", "clearing away": "rmtree"}[when]

    def pulled(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stations.shutil if at == "rmtree" else stations.os, at, pulled)
        with pytest.raises(KeyboardInterrupt):
            here.add(case, ItemKind.CHIP, {"files": {}}) if when == "capturing" else here.close(case)
    again = Collecting(world, Station(tmp_path / "station"))
    assert dict(again.station.cases())[case] == held
    data = again.close(case)
    assert len(again.station.packets()) == 1
    assert again.station.cases() == ()
    assert {outcome for _, outcome in again.bring(data).items} == {"taken"}
    assert world.service.packets.claim(code).enrolment.state is State.CONSENTED


def test_interrupted_taking_over_goes_on_behind_the_last_item(
    both_worlds: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is unavailable stops it; the same packet brought again goes on: one enrolment, each item once."""
    world = both_worlds
    here = Collecting.equipped(world, tmp_path / "station")
    data, _ = here.packet()

    def busy(*_: object, **__: object) -> None:
        raise ImageReaderBusy(retry_after=1)

    with monkeypatch.context() as patched:
        patched.setattr(world.service.images, "take", busy)
        with pytest.raises(ImageReaderBusy):
            here.bring(data)
    taken = here.bring(data)
    assert taken.items == ((ItemKind.IMAGE, "taken"),)
    kinds = [one.kind for one in world.service.files.ledger(taken.enrolment)]
    assert [kinds.count(one) for one in (EvidenceKind.PACKET, EvidenceKind.CONSENT, EvidenceKind.IMAGE)] == [1, 1, 1]
    with pytest.raises(PacketReplayed):
        here.bring(data)


def test_many_bring_the_same_packet_at_once(both_worlds: World, tmp_path: Path) -> None:
    """One of them begins the enrolment; whoever meets another is told, and nothing is refused of the person for it."""
    here = Collecting.equipped(both_worlds, tmp_path / "station")
    data, code = here.packet()

    def brought(_: int) -> Taken | PacketReplayed:
        try:
            return here.bring(data)
        except PacketReplayed as refused:
            return refused

    answers = at_once(brought, 4)
    assert all(isinstance(one, Taken | StaleWrite | PacketReplayed) for one in answers), answers
    for _ in range(4):  # whatever was left when two met
        with suppress(PacketReplayed):
            answers.append(here.bring(data))
    said = [outcome for one in answers if isinstance(one, Taken) for _, outcome in one.items]
    assert set(said) == {"taken"}
    started = both_worlds.service.packets.claim(code)
    kinds = [one.kind for one in both_worlds.service.files.ledger(started.enrolment)]
    assert [kinds.count(one) for one in (EvidenceKind.PACKET, EvidenceKind.CONSENT)] == [1, 1]


def test_a_case_is_closed_whole_or_not(world: World, tmp_path: Path) -> None:
    """What every packet has is asked for; what was captured is captured once; a folder is one station's."""
    here = Collecting.equipped(world, tmp_path / "station")
    case, _ = here.start()
    with pytest.raises(CaseIncomplete) as refused:
        here.close(case)
    assert refused.value.params["missing"] == "consent, contact, document"
    here.person(case)
    with pytest.raises(StationFolderInvalid):
        here.station.consent(case)
    with pytest.raises(StationFolderInvalid):
        here.add(case, ItemKind.CONTACT, [1])  # type: ignore[arg-type]
    with pytest.raises(CaseUnknown):
        here.close("CAS-" + "A" * 16)
    with pytest.raises(CaseUnknown):
        here.close("../../etc")
    with pytest.raises(StationFolderInvalid):
        Station(tmp_path / "station", world.service.packets.equip("operator:console", COLLECTOR.id))
    with pytest.raises(StationFolderInvalid):
        Station(tmp_path / "nowhere")


def test_over_http(world: World, tmp_path: Path) -> None:
    """An officer with the role brings the octets; the person claims without a session; nobody else brings anything."""
    here = Collecting.equipped(world, tmp_path / "station")
    data, code = here.packet()
    with world.client() as client:
        headers = {"Content-Type": "application/octet-stream"}
        assert client.post("/ekyc/v1/packets", content=data, headers=headers).status_code == 401
        other = client.post("/ekyc/v1/packets", content=data, headers={**headers, "Authorization": "Staff officer"})
        assert other.status_code == 403
        mine = {**headers, "Authorization": "Staff station"}
        answer = client.post("/ekyc/v1/packets", content=data, headers=mine)
        assert answer.status_code == 201, answer.text
        assert answer.json()["items"][0] == {"kind": "claim", "outcome": "taken"}
        again = client.post("/ekyc/v1/packets", content=data, headers=mine)
        assert (again.status_code, again.json()["code"]) == (409, "ekyc.packet_replayed")
        broken = client.post("/ekyc/v1/packets", content=b"{}", headers=mine)
        assert (broken.status_code, broken.json()["code"]) == (422, "ekyc.packet_invalid")
        claimed = client.post("/ekyc/v1/packet-claims", json={"code": code})
        assert (claimed.status_code, claimed.headers["Cache-Control"]) == (201, "no-store")
        session = {"Authorization": f"Bearer {claimed.json()['session_token']}"}
        own = client.get(f"/ekyc/v1/enrolments/{claimed.json()['enrolment']['id']}", headers=session)
        assert own.json()["state"] == "CONSENTED"


def test_a_packet_says_nothing_of_the_person_before_it_is_opened(world: World, tmp_path: Path) -> None:
    """The manifest has the station, its officer, the case, numbers, times and digests."""
    here = Collecting.equipped(world, tmp_path / "station")
    data, _ = here.packet()
    said = json.loads(read(data).manifest.said())
    assert set(said) == {
        *("case", "closed_at", "items", "language", "level", "officer", "presence", "previous", "sequence"),
        *("started_at", "station", "type"),
    }
