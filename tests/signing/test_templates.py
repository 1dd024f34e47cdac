"""Templates of organisations: whose they are, who approves, what is used of them, on both databases."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.http.actor import Actor, ActorKind
from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.randomness import SystemRandomness
from foundation.vault import Vault
from signing.agencies import store as agency_store
from signing.agencies.errors import AgencyNotFound, AgencyOfficerInvolved, AgencyStateConflict
from signing.agencies.model import Agency, AgencyClient, AgencyState, Representative
from signing.agencies.service import Agencies
from signing.errors import OptionInvalid, SealNotAllowed, TemplateUnknown
from signing.forms import PADES
from signing.model import Level
from signing.pdf_options import PdfOptions, Visible, Where
from signing.seal_policy import SealPolicy
from signing.sign.pades import Stamps
from signing.templates import store
from signing.templates.appearance import Appearance
from signing.templates.errors import (
    SealImageRefused,
    SealImageTaken,
    TemplateInvalid,
    TemplateNotFound,
    TemplateOther,
    TemplateStateConflict,
)
from signing.templates.model import Template, TemplateState
from signing.templates.service import MAX_TEMPLATES, Templates
from tests.signing.conftest import Desk, Person
from tests.signing.sample_pdf import sample
from tests.signing.seal_images import InThisProcess, specimen

ASKED: dict[str, Any] = {
    "lines": [{"text": "ព្រះរាជាណាចក្រកម្ពុជា", "bold": True}, {"text": "Sealed by {organisation}, {time}"}],
    "size": [260, 90],
    "ink": "#7a1010",
}
OFFICER = Actor(ActorKind.OFFICER, "officer-1", frozenset({"agency-approve"}))
_numbers = itertools.count(1)


@dataclass
class Registered:
    """`signing.ports.AgencyClients`: who officers are as persons."""

    persons: dict[str, str] = field(default_factory=lambda: {OFFICER.id: "person-of-officer-1"})

    def person_of(self, officer_id: str) -> str | None:
        return self.persons.get(officer_id)


@dataclass
class Ministry:
    """An approved organisation with one representative and one client that has a credential."""

    agency_id: str
    person: Person
    client: Actor
    credential: str


class World:
    """The templates of some organisations."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.registered = desk, Registered()
        nothing: Any = None
        self.agencies = Agencies(
            desk.database, desk.trail, desk.clock, SystemRandomness(), Vault(desk.keys), desk.service, nothing, nothing,
            self.registered, nothing,  # type: ignore[arg-type]
        )  # fmt: skip
        stamps = Stamps(Path(str(files("camtrust") / "fonts")), "https://trust.specimen.invalid/verify")
        self.templates = Templates(
            desk.database, desk.trail, desk.clock, SystemRandomness(), self.agencies, InThisProcess(), stamps
        )

    def ministry(self, state: AgencyState = AgencyState.PRODUCTION) -> Ministry:
        number, person = next(_numbers), self.desk.person()
        client = Actor(ActorKind.CLIENT, f"client-{number}", frozenset({"sign-seal"}))
        key = self.desk.keys.generate(f"seal-{client.id}", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL, client.id)
        signatory = self.desk.pki.signatory(key)
        made = self.desk.service.register_credential(
            "system:test", client.id, key.key_id, signatory.certificate, signatory.chain
        )
        now = self.desk.clock.now()
        agency = Agency(
            f"{number:032x}", "គំរូ", f"SPECIMEN Agency {number}", f"GO:KH-{number}", state, 0, str(person.actor), now,
            representatives=(Representative(person.owner),),
        )  # fmt: skip
        with self.desk.database.unit_of_work() as connection:
            agency_store.insert(connection, agency)
            agency_store.add_client(connection, agency.agency_id, AgencyClient(client.id, "x", "system:test", now))
        return Ministry(agency.agency_id, person, client, made.credential_id)

    def approved(self, of: Ministry, name: str = "official", **asked: Any) -> Template:
        image = specimen(colour=(next(_numbers) % 256, 20, 20))
        one = self.templates.propose(of.client, of.agency_id, name, ASKED | asked, image)
        return self.templates.approve(OFFICER, of.agency_id, one.template_id, one.digest)

    def seal(self, of: Ministry, visible: str = "template=official", **more: Any) -> bytes:
        options = PdfOptions(visible=Visible.parse(visible))
        return self.desk.service.seal(of.client, of.credential, sample(), options=options, **more)


@pytest.fixture
def world(both_desks: Desk) -> World:
    """Once on SQLite and once on PostgreSQL."""
    return World(both_desks)


@pytest.fixture
def here(desk: Desk) -> World:
    """On SQLite alone."""
    return World(desk)


def test_only_its_organisation_seals_by_a_template(world: World) -> None:
    """A client of the organisation seals by an approved template; another organisation's, one without, and a person
    cannot, nor by one that waits, was refused or is withdrawn; and not once the client or the organisation has left."""
    one, other = world.ministry(), world.ministry()
    waiting = world.templates.propose(one.client, one.agency_id, "official", ASKED, specimen())
    with pytest.raises(TemplateUnknown):
        world.seal(one)
    approved = world.templates.approve(OFFICER, one.agency_id, waiting.template_id, waiting.digest)
    assert (approved.state, approved.decided_by) == (TemplateState.APPROVED, str(OFFICER))
    assert world.seal(one).startswith(sample())
    for stranger in (other, replace(one, client=one.person.actor)):
        with pytest.raises(TemplateUnknown):
            world.desk.service.appearance(
                stranger.client, Level.B_LT, PADES, PdfOptions(visible=Visible.parse("template=official"))
            )
    with pytest.raises(TemplateUnknown):
        world.seal(other)
    with pytest.raises(TemplateUnknown):
        world.desk.service.upload(
            one.person.actor, "a.pdf", sample(), options=PdfOptions(visible=Visible.parse("template=official"))
        )
    with pytest.raises(AgencyNotFound):
        world.templates.withdraw(other.client, one.agency_id, approved.template_id)
    with pytest.raises(TemplateNotFound):
        world.templates.show(other.client, other.agency_id, approved.template_id)
    assert world.templates.withdraw(one.client, one.agency_id, approved.template_id).state is TemplateState.WITHDRAWN
    with pytest.raises(TemplateUnknown):
        world.seal(one)
    refused = world.templates.propose(one.person.actor, one.agency_id, "official", ASKED, None)
    world.templates.refuse(OFFICER, one.agency_id, refused.template_id)
    with pytest.raises(TemplateUnknown):
        world.seal(one)
    assert [name for name in world.desk.actions() if "template" in name] == [
        "signing.template_proposed",
        "signing.template_approved",
        "signing.template_withdrawn",
        "signing.template_proposed",
        "signing.template_refused",
    ]


@pytest.mark.parametrize("left", ["client", "agency"])
def test_who_left_has_no_templates(world: World, left: str) -> None:
    """The client alone, or the whole organisation: its template is of no use, whatever its credential says."""
    one = world.ministry()
    world.approved(one)
    with world.desk.database.unit_of_work() as connection:
        if left == "client":
            agency_store.change_client(connection, one.client.id, withdrawn_at=world.desk.clock.now())
        else:
            agency = agency_store.find(connection, one.agency_id)
            assert agency is not None
            agency_store.change(connection, agency, state=AgencyState.WITHDRAWN.value)
    with pytest.raises(TemplateUnknown):
        world.seal(one)
    with pytest.raises(AgencyNotFound if left == "client" else AgencyStateConflict):
        world.templates.propose(one.client, one.agency_id, "another", ASKED, None)


def test_an_officer_approves_exactly_what_they_saw(world: World) -> None:
    """Another digest, a row that was edited, an officer who represents the organisation or of whom it is not known who
    they are: nothing is approved. Whoever proposed is no officer, and an officer of a proposal's own person is none."""
    one = world.ministry()
    waiting = world.templates.propose(one.person.actor, one.agency_id, "official", ASKED, specimen())
    with pytest.raises(TemplateOther):
        world.templates.approve(OFFICER, one.agency_id, waiting.template_id, "0" * 64)
    world.registered.persons["officer-2"] = one.person.owner
    for involved in ("officer-2", "officer-3"):
        with pytest.raises(AgencyOfficerInvolved):
            world.templates.approve(replace(OFFICER, id=involved), one.agency_id, waiting.template_id, waiting.digest)
    with world.desk.database.unit_of_work() as connection:
        connection.execute(store.templates.update().values(picture=InThisProcess().clean(specimen("JPEG"))))
    with pytest.raises(TemplateOther):
        world.templates.approve(OFFICER, one.agency_id, waiting.template_id, waiting.digest)
    assert world.templates.show(OFFICER, one.agency_id, waiting.template_id).state is TemplateState.PROPOSED


def test_what_was_edited_after_its_approval_is_not_used(world: World) -> None:
    """The image or the texts in the table are others than were approved: no seal."""
    one = world.ministry()
    world.approved(one)
    assert world.seal(one)
    with world.desk.database.unit_of_work() as connection:
        connection.execute(store.templates.update().values(picture=InThisProcess().clean(specimen("JPEG"))))
    with pytest.raises(TemplateUnknown):
        world.seal(one)


def test_the_next_of_a_name_takes_over_when_it_is_approved(world: World) -> None:
    """Until then the one before is used; afterwards it is withdrawn, and one decision is one."""
    one = world.ministry()
    first = world.approved(one, size=[260, 90])
    second = world.templates.propose(one.client, one.agency_id, "official", ASKED | {"size": [300, 100]}, None)
    asked = PdfOptions(visible=Visible.parse("template=official"))
    before = world.desk.service.appearance(one.client, Level.B_LT, PADES, asked)
    assert before is not None
    assert before.size == (260, 90)
    world.templates.approve(OFFICER, one.agency_id, second.template_id, second.digest)
    after = world.desk.service.appearance(one.client, Level.B_LT, PADES, asked)
    assert after is not None
    assert after.size == (300, 100)
    states = {each.template_id: each.state for each in world.templates.list(OFFICER, one.agency_id)}
    assert states == {first.template_id: TemplateState.WITHDRAWN, second.template_id: TemplateState.APPROVED}
    for act in (world.templates.refuse, world.templates.withdraw):
        with pytest.raises(TemplateStateConflict):
            act(OFFICER, one.agency_id, first.template_id)
    with pytest.raises(TemplateStateConflict):
        world.templates.approve(OFFICER, one.agency_id, second.template_id, second.digest)


def test_another_s_seal_is_not_taken(world: World) -> None:
    """The image of another organisation's approved template is refused, when proposed and when approved."""
    one, other = world.ministry(), world.ministry()
    image = specimen(colour=(10, 10, 200))
    early = world.templates.propose(other.client, other.agency_id, "official", ASKED, image)
    mine = world.templates.propose(one.client, one.agency_id, "official", ASKED, image)
    world.templates.approve(OFFICER, one.agency_id, mine.template_id, mine.digest)
    with pytest.raises(SealImageTaken):
        world.templates.propose(other.client, other.agency_id, "official", ASKED, image)
    with pytest.raises(SealImageTaken):
        world.templates.approve(OFFICER, other.agency_id, early.template_id, early.digest)
    again = world.templates.propose(one.client, one.agency_id, "small", ASKED, image)
    assert world.templates.approve(OFFICER, one.agency_id, again.template_id, again.digest).sound


def test_the_policy_says_which(world: World) -> None:
    """A policy that names templates: another one, or none, is refused and uses up nothing; an unseen seal is free."""
    one = world.ministry()
    world.approved(one)
    world.approved(one, "small")
    policy = SealPolicy(appearances=("official",), per_day=2)
    world.desk.service.seal_policies.set("system:test", one.client.id, policy, world.desk.clock.now())
    for words in ("template=small", "auto"):
        with pytest.raises(SealNotAllowed) as told:
            world.seal(one, words)
        assert told.value.params["rule"] == "SP-APPEARANCE"
    with pytest.raises(SealNotAllowed):  # it may have an area, and then it is seen
        world.desk.service.seal(one.client, one.credential, sample(), options=PdfOptions(field="buyer"))
    assert world.seal(one)
    assert world.desk.service.seal(one.client, one.credential, sample())
    policy = replace(policy, appearances=("plain",), per_day=None)
    world.desk.service.seal_policies.set("system:test", one.client.id, policy, world.desk.clock.now())
    assert world.seal(one, "auto")
    with pytest.raises(SealNotAllowed):
        world.seal(one)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("TP-NAMED", {"lines": [{"text": "Ministry of Everything {time}"}]}),
        ("lines", {"lines": [{"text": "{organisation} {password}"}]}),
        ("lines", {"lines": [{"text": "{organisation} \u202egnol"}]}),
        ("lines", {"lines": [{"text": "{organisation} } {"}]}),
        ("lines", {"lines": [{"text": "{organisation}"}] * 9}),
        ("lines", {"lines": []}),
        ("size", {"size": [260, 10]}),
        ("size", {"size": [70, 30], "lines": [{"text": "{organisation} " + "much " * 20}] * 6}),
        ("place", {"place": "field"}),
        ("place", {"place": "template=official"}),
        ("ink", {"ink": "red"}),
        ("unknown", {"unknown": 1}),
    ],
)
def test_what_a_template_cannot_be(here: World, field: str, wrong: dict[str, Any]) -> None:
    """Each part that cannot be is told by its name; nothing is kept."""
    one = here.ministry()
    with pytest.raises(TemplateInvalid) as told:
        here.templates.propose(one.client, one.agency_id, "official", ASKED | wrong, None)
    assert told.value.params["field"] == field
    assert here.templates.list(OFFICER, one.agency_id) == ()


def test_names_numbers_and_files_that_cannot_be(here: World) -> None:
    """`plain` is no name; a WebP or too many octets are no seal image; an organisation has so many templates."""
    one = here.ministry()
    with pytest.raises(TemplateInvalid):
        here.templates.propose(one.client, one.agency_id, "plain", ASKED, None)
    for image, cause in ((specimen("WEBP"), "format"), (b"\x89PNG\r\n\x1a\n" + bytes(2 << 20), "too-large")):
        with pytest.raises(SealImageRefused) as told:
            here.templates.propose(one.client, one.agency_id, "official", ASKED, image)
        assert told.value.params["cause"] == cause
    for _ in range(MAX_TEMPLATES):
        here.templates.propose(one.client, one.agency_id, "official", ASKED, None)
    with pytest.raises(TemplateStateConflict):
        here.templates.propose(one.client, one.agency_id, "official", ASKED, None)
    proposed = here.ministry(AgencyState.PROPOSED)
    with pytest.raises(AgencyStateConflict):
        here.templates.propose(proposed.client, proposed.agency_id, "official", ASKED, None)


def test_the_words_for_it() -> None:
    """A template has a size of its own, and a place where none is asked for; what is kept of it reads back."""
    assert Visible.parse("template=official").where is Where.TEMPLATE
    assert Visible.parse("template=official at=10,20 page=2 qr") == Visible(
        Where.AT, 2, (10, 20), qr=True, template="official"
    )
    for wrong in ("template=Official", "template=", "template=a size=200x60"):
        with pytest.raises(OptionInvalid):
            Visible.parse(wrong)
    options = PdfOptions.parse(visible="template=official anchor=Signed by:")
    assert PdfOptions.decode(options.encode()) == options
    look = Appearance.read(ASKED | {"place": "at=1,2 page=-1", "qr": True}, None)
    fitted = look.fitted(Visible.parse("template=official"), in_field=False)
    assert (fitted.where, fitted.at, fitted.page, fitted.size, fitted.qr) == (Where.AT, (1, 2), -1, (260, 90), True)
    assert look.fitted(Visible.parse("template=official"), in_field=True).where is Where.FIELD
    assert look.fitted(Visible.parse("template=official auto"), in_field=False).where is Where.AUTO


_LOOKS = st.fixed_dictionaries(
    {
        "lines": st.lists(
            st.fixed_dictionaries(
                {
                    "text": st.sampled_from(["{organisation}", "{name} ត្រា", "{organisation}\u200b{number}"]),
                    "bold": st.booleans(),
                    "share": st.integers(50, 200),
                }
            ),
            min_size=1,
            max_size=8,
        ),
        "size": st.tuples(st.integers(60, 1000), st.integers(24, 1000)),
        "place": st.sampled_from(["auto", "at=1,2", "anchor=Signed by:"]),
        "border": st.none() | st.just("#102030"),
        "picture_at": st.sampled_from(["left", "right", "above"]),
        "align": st.sampled_from(["left", "centre"]),
        "qr": st.booleans(),
    }
)


@given(asked=_LOOKS, change=st.sampled_from(["name", "picture", "ink", "line"]))
def test_any_change_changes_the_digest(asked: dict[str, Any], change: str) -> None:
    """What is read from its own JSON is the same; whatever is seen otherwise has another digest."""
    picture = b"\xff\xd8\xff\xe0 SPECIMEN \xff\xd9"
    look = Appearance.read(asked, picture)
    assert Appearance.read(look.json(), picture) == look
    changed: dict[str, Callable[[], str]] = {
        "name": lambda: look.digest("other"),
        "picture": lambda: replace(look, picture=picture + picture).digest("one"),
        "ink": lambda: replace(look, ink="#000001").digest("one"),
        "line": lambda: replace(look, lines=look.lines[:-1]).digest("one"),
    }
    assert changed[change]() != look.digest("one")
