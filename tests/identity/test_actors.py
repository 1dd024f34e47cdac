"""Registering and disabling officers, clients and operators."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select
from starlette.testclient import TestClient

from foundation.db.audit import events
from foundation.http.actor import ActorKind
from identity.errors import ActorInvalid, ActorKeyRegistered, ActorPersonRegistered, CursorInvalid
from tests.web.world import Officer, World

PATH = "/identity/v1/actors"


def new_pem() -> str:
    public_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class Admin:
    """An operator with the role, at a client."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.operator: Officer = world.register(ActorKind.OPERATOR, "identity-admin")
        self.client: TestClient = world.client()

    def call(self, method: str, path: str, value: Any = None) -> Any:
        body = b"" if value is None else json.dumps(value).encode()
        headers = {"Authorization": self.operator.sign(self.world, method, path, body)}
        if body:
            headers["Content-Type"] = "application/json"
        return self.client.request(method, path, content=body or None, headers=headers)


def test_an_operator_registers_an_officer(both_worlds: World) -> None:
    """The registered officer is listed, shown, and can act with its key; the act is in the audit trail by ids alone."""
    admin = Admin(both_worlds)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    value = {"kind": "officer", "label": "SPECIMEN មន្ត្រីពិនិត្យ", "roles": ["ekyc-review"], "public_key": pem}
    registered = admin.call("POST", PATH, value)
    assert registered.status_code == 201
    made = registered.json()
    assert (made["kind"], made["roles"], made["status"]) == ("officer", ["ekyc-review"], "active")
    assert made["registered_by"] == f"operator:{admin.operator.actor.id}"
    assert admin.call("GET", f"{PATH}/{made['id']}").json() == made
    with both_worlds.database.read() as connection:
        event = connection.execute(select(events).order_by(events.c.sequence.desc()).limit(1)).one()
    assert (event.action, event.subject) == ("identity.actor_registered", made["id"])
    assert "SPECIMEN" not in event.details
    officer = Officer(both_worlds.identity.actor(made["id"]), key)
    refused = admin.client.get(PATH, headers={"Authorization": officer.sign(both_worlds, "GET", PATH)})
    assert refused.status_code == 403


def test_one_key_is_one_actor(both_worlds: World) -> None:
    """The same key cannot stand for two actors, even when the first is disabled: dual control needs two keys."""
    admin, pem = Admin(both_worlds), new_pem()
    first = both_worlds.identity.register_actor(None, ActorKind.OFFICER, "SPECIMEN 1", [], pem.encode())
    both_worlds.identity.disable_actor(None, first.id)
    with pytest.raises(ActorKeyRegistered):
        both_worlds.identity.register_actor(None, ActorKind.OFFICER, "SPECIMEN 2", [], pem.encode())
    value = {"kind": "officer", "label": "SPECIMEN 2", "roles": [], "public_key": pem}
    answer = admin.call("POST", PATH, value)
    assert (answer.status_code, answer.json()["code"]) == (409, "identity.actor_key_registered")


def test_two_officers_are_two_people(both_worlds: World) -> None:
    """Whoever is an officer is not registered as another one beside it: alone they would be both of two officers. The
    old registration disabled, they are, with a new key; of officers without a person id nothing is known."""
    register, person = both_worlds.identity.register_actor, "KH-SPECIMEN"
    first = register(None, ActorKind.OFFICER, "SPECIMEN 1", [], new_pem().encode(), person)
    with pytest.raises(ActorPersonRegistered):
        register(None, ActorKind.OFFICER, "SPECIMEN 2", [], new_pem().encode(), person)
    register(None, ActorKind.OFFICER, "SPECIMEN 3", [], new_pem().encode())
    register(None, ActorKind.OFFICER, "SPECIMEN 4", [], new_pem().encode())
    both_worlds.identity.disable_actor(None, first.id)
    assert register(None, ActorKind.OFFICER, "SPECIMEN 2", [], new_pem().encode(), person).person_id == person


def test_disabling_works_at_once_and_once(both_worlds: World) -> None:
    """A disabled actor's next request is refused; disabling twice says so; the entry stays to be seen."""
    admin, client = Admin(both_worlds), both_worlds.register(ActorKind.CLIENT, "x-role")
    path = f"{PATH}/{client.actor.id}"
    assert admin.call("DELETE", path).status_code == 204
    answer = admin.client.get(PATH, headers={"Authorization": client.sign(both_worlds, "GET", PATH)})
    assert answer.status_code == 401
    again = admin.call("DELETE", path)
    assert (again.status_code, again.json()["code"]) == (409, "identity.actor_disabled")
    assert admin.call("GET", path).json()["status"] == "disabled"
    assert admin.call("DELETE", f"{PATH}/act_nobody").status_code == 404


def test_nobody_disables_themselves(world: World) -> None:
    """An operator cannot lock everybody out by disabling their own registration."""
    admin = Admin(world)
    answer = admin.call("DELETE", f"{PATH}/{admin.operator.actor.id}")
    assert (answer.status_code, answer.json()["code"]) == (403, "identity.actor_is_yourself")


def test_the_list_is_paged_by_cursor(both_worlds: World) -> None:
    """Pages follow each other without gap or repetition, and the last one has no cursor."""
    admin = Admin(both_worlds)
    made = {admin.operator.actor.id} | {both_worlds.register(ActorKind.CLIENT).actor.id for _ in range(6)}
    seen: list[str] = []
    cursor, pages = "", 0
    while True:
        answer = admin.client.get(
            PATH,
            params={"limit": "3"} | ({"cursor": cursor} if cursor else {}),
            headers={"Authorization": admin.operator.sign(both_worlds, "GET", PATH)},
        )
        page = answer.json()
        pages += 1
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
        assert pages < 10
    assert pages == 3
    assert len(seen) == len(set(seen)) == 7
    assert set(seen) == made
    with pytest.raises(CursorInvalid):
        both_worlds.identity.list_actors("€€")
    with pytest.raises(CursorInvalid):  # a NUL, which PostgreSQL does not take
        both_worlds.identity.list_actors(base64.urlsafe_b64encode(b"act\x00").decode())


@pytest.mark.parametrize(
    ("label", "roles"),
    [("", []), ("x" * 101, []), ("two\nlines", []), ("bidi\u202e", []), ("fine", ["Not A Role"]), ("fine", ["x"] * 1)],
)
def test_odd_labels_and_roles_are_refused(world: World, label: str, roles: list[str]) -> None:
    """A label is one visible line; a role is a lower-case name of two characters or more."""
    with pytest.raises(ActorInvalid):
        world.identity.register_actor(None, ActorKind.OFFICER, label, roles, new_pem().encode())


def test_a_person_is_never_registered(world: World) -> None:
    """Persons come from enrolments alone, so that no operator can make one who signs."""
    with pytest.raises(ActorInvalid):
        world.identity.register_actor(None, ActorKind.PERSON, "SPECIMEN", [], new_pem().encode())
    answer = Admin(world).call("POST", PATH, {"kind": "person", "label": "x", "roles": [], "public_key": new_pem()})
    assert answer.status_code == 422


def test_an_officer_s_own_person_id_is_kept(both_worlds: World) -> None:
    """An officer who is enrolled as a citizen is known by that person id; a stranger by none."""
    service = both_worlds.identity
    officer = service.register_actor(
        None, ActorKind.OFFICER, "SPECIMEN reviewer", ["ekyc-review"], new_pem().encode(), "KH-SPECIMEN"
    )
    assert service.person_of(officer.id) == "KH-SPECIMEN"
    assert service.actor(officer.id).person_id == "KH-SPECIMEN"
    assert service.person_of("act_unknown") is None
