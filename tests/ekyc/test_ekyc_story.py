"""The whole enrolment through the HTTP API, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyotp
import pytest
from cryptography import x509
from sqlalchemy import MetaData, select
from starlette.testclient import TestClient

import ekyc.store
import foundation.db.audit
from ekyc.model import State
from ekyc.registry_simulation.persons import specimens
from ekyc.review import statement as review_statement
from foundation.db.engine import Database
from foundation.keys.attestation import DestructionCertificate, verify
from foundation.keys.errors import OwnerDestroyed
from foundation.keys.port import KeyUse
from tests.ekyc.story import OFFICER, OPERATOR, PHONE, PHONE_E164, PIN, World

ADULT = specimens()["adult"]


class Caller:
    """A person at the API."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        started = client.post("/ekyc/v1/enrolments", json={"level": "IAL2", "language": "en"})
        assert started.status_code == 201
        body = started.json()
        self.id, self.person = body["enrolment"]["id"], body["enrolment"]["person_id"]
        self.headers = {"Authorization": f"Bearer {body['session_token']}"}
        assert started.headers["Location"] == f"/ekyc/v1/enrolments/{self.id}"

    def post(self, step: str, body: Any = None, **headers: str) -> Any:
        path = f"/ekyc/v1/enrolments/{self.id}/{step}"
        return self.client.post(path, json=body, headers={**self.headers, **headers})

    def prove_contact(self, code: str) -> Any:
        """Show the code, and go on in the new session."""
        proved = self.post("contact/verification", {"code": code})
        self.headers = {"Authorization": f"Bearer {proved.json()['session_token']}"}
        return proved

    def consent(self) -> Any:
        terms = self.client.get("/ekyc/v1/terms").json()
        wanted = ("purpose", "consent_version", "agreement_version", "agreement_digest")
        return self.post("consent", {name: terms[name] for name in wanted})


def test_a_specimen_person_enrols_over_http(both_worlds: World) -> None:
    """Consent, contact, card, registry, officer, factors, key, certificate: each answer says what is next."""
    client = both_worlds.client()
    caller = Caller(client)
    assert [action["code"] for action in caller.consent().json()["next"]] == [
        "contact",
        "verify-contact",
        "document",
        "withdraw",
    ]
    sent = caller.post("contact", {"channel": "sms", "address": PHONE})
    assert sent.status_code == 202
    verified = caller.prove_contact(both_worlds.code(caller.person))
    assert verified.json()["state"] == "CONTACT_VERIFIED"
    card = {"lines": ADULT.card(), "surname_km": ADULT.surname_km, "given_names_km": ADULT.given_names_km}
    assert caller.post("document", card).json()["state"] == "DOCUMENT_VALIDATED"
    assert caller.post("registry-match").json()["state"] == "REGISTRY_MATCHED"

    officer = {"Authorization": "Staff officer"}
    queue = client.get("/ekyc/v1/reviews", headers=officer).json()
    assert caller.id in [item["id"] for item in queue["items"]]
    case = client.get(f"/ekyc/v1/reviews/{caller.id}", headers=officer).json()
    shown = {record["kind"]: record["content"] for record in case["evidence"]}
    assert shown["document"]["document_number"] == ADULT.document_number
    assert shown["contact"] is None
    verdict = {"decision": "bind", "method": "remote-video", "reason": "person-is-holder"}
    said = review_statement.statement(caller.id, case["evidence_digest"], *verdict.values())
    signature = review_statement.sign(both_worlds.staff.keys[OFFICER.id], said)
    body = {**verdict, "evidence_digest": case["evidence_digest"], "signature": signature}
    approved = client.post(f"/ekyc/v1/reviews/{caller.id}", json=body, headers=officer)
    assert approved.json()["state"] == "APPROVED"
    decision = client.get(f"/ekyc/v1/enrolments/{caller.id}/decision", headers=caller.headers).json()
    assert decision["outcome"] == "approved"
    assert {one["rule"] for one in decision["reasons"] if one["met"] and one["km"]} >= {"EKYC-IAL2-BINDING"}

    factors = caller.post("factors", {"pin": PIN})
    assert factors.status_code == 201
    authenticator = pyotp.parse_uri(factors.json()["provisioning_uri"])
    assert caller.post("factors/confirmation", {"code": authenticator.now()}).json()["state"] == "FACTOR_BOUND"  # type: ignore[union-attr]
    done = caller.post("certificate").json()
    assert (done["state"], done["next"]) == ("ACTIVATED", [])
    assert caller.post("certificate").json() == done  # asking again changes nothing

    pem = client.get(f"/ekyc/v1/enrolments/{caller.id}/certificate", headers=caller.headers).json()["certificate"]
    certificate = x509.load_pem_x509_certificate(pem.encode())
    assert format(certificate.serial_number, "x") == done["certificate_serial"]
    assert ADULT.document_number not in certificate.subject.rfc4514_string()
    [key] = both_worlds.token.wrapped_keys(caller.person)
    assert (key.use, key.enabled) == (KeyUse.CITIZEN_SIGN, True)
    assert both_worlds.token.find(owner=caller.person) == ()  # the token keeps nothing of it but its state
    both_worlds.audit.verify(both_worlds.database)
    assert len(both_worlds.service.decider.replay(caller.id)) == 1


def _rows(database: Database, *tables: MetaData) -> str:
    with database.read() as connection:
        return "\n".join(
            repr([value.hex() if isinstance(value, bytes) else value for value in row])
            for metadata in tables
            for table in metadata.sorted_tables
            for row in connection.execute(select(table))
        )


def test_nothing_personal_is_stored_in_the_clear(
    both_worlds: World, sqlite_path_or_none: Path | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Name, number, birth, phone and code of an enrolled person stand in no row, no audit detail, no file, no log."""
    actor, _ = both_worlds.until(State.ACTIVATED)
    code = next(one.params["code"] for one in both_worlds.outbox.read(OPERATOR, actor.id) if "code" in one.params)
    secret = [
        ADULT.document_number,
        ADULT.given_names,
        ADULT.given_names_km,
        ADULT.date_of_birth,
        ADULT.card()[1][:7],
        PHONE_E164,
        PHONE_E164[4:],
    ]
    rows = _rows(both_worlds.database, ekyc.store.metadata, foundation.db.audit.metadata)
    assert actor.id in rows  # that the search would find something
    for one in [*secret, f"'{code}'", ADULT.given_names.encode().hex(), ADULT.document_number.encode().hex()]:
        assert one not in rows
        assert one not in caplog.text
    if sqlite_path_or_none is not None:
        for file in sqlite_path_or_none.parent.glob(sqlite_path_or_none.name + "*"):
            content = file.read_bytes()
            assert all(one.encode() not in content for one in secret)


def test_erasure_makes_sealed_data_unreadable(both_worlds: World) -> None:
    """After a withdrawal nothing that was sealed opens, in the database as it is or as it was copied before."""
    actor, name = both_worlds.until(State.REGISTRY_MATCHED)
    with both_worlds.database.read() as connection:
        backup = [
            (row.kind, bytes(row.sealed))
            for row in connection.execute(select(ekyc.store.evidence).where(ekyc.store.evidence.c.enrolment_id == name))
        ]
    assert all(both_worlds.vault.open(actor.id, f"evidence:{kind}", sealed) for kind, sealed in backup)
    gone = both_worlds.service.enrolment.withdraw(actor, name)
    assert (gone.state, gone.subject_index) == (State.WITHDRAWN, None)
    assert gone.erased_at is not None
    assert both_worlds.service.enrolment.withdraw(actor, name) == gone
    answer = both_worlds.client().get(f"/ekyc/v1/enrolments/{name}/destruction")  # no session: it was ended
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    said = verify(answer.content, both_worlds.token.token_key(), DestructionCertificate)
    assert said.owner == actor.id
    for kind, sealed in backup:
        with pytest.raises(OwnerDestroyed):
            both_worlds.vault.open(actor.id, f"evidence:{kind}", sealed)
    assert both_worlds.outbox.read(OPERATOR, actor.id) == ()
    assert actor.id not in both_worlds.sessions.tokens.values()


def test_there_is_no_certificate_of_what_was_not_destroyed(world: World) -> None:
    """Before leaving, and for enrolments that never were: not found."""
    _, name = world.until(State.CONSENTED)
    for one in (name, "ENR-AAAAAAAAAAAAAAAA"):
        assert world.client().get(f"/ekyc/v1/enrolments/{one}/destruction").status_code == 404


def test_an_interrupted_erasure_is_completed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the withdrawal and the destruction of the key, the sweep destroys it."""
    actor, name = world.until(State.DOCUMENT_VALIDATED)

    def killed(_person: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.vault, "destroy", killed)
    with pytest.raises(KeyboardInterrupt):
        world.service.enrolment.withdraw(actor, name)
    monkeypatch.undo()
    assert world.state(name).erased_at is None
    assert world.restarted().enrolment.sweep() == 1
    assert world.state(name).erased_at is not None
    assert verify(world.service.enrolment.destruction(name), world.token.token_key(), DestructionCertificate)
    with pytest.raises(OwnerDestroyed):
        world.vault.seal(actor.id, "anything", b"")


def test_officer_looking_is_written_down(world: World) -> None:
    """Who looked at whose data stands in the audit trail, by opaque ids."""
    _, name = world.until(State.REGISTRY_MATCHED)
    world.service.review.show(world.sessions.staff["officer"], name)
    events = foundation.db.audit.events
    with world.database.read() as connection:
        [event] = connection.execute(select(events).where(events.c.action == "ekyc.evidence_viewed")).all()
    assert (event.actor, event.subject) == ("officer:OFF-SPECIMEN", name)


def test_problem_documents_name_code_and_hint_in_both_languages(world: World) -> None:
    """A typing error in the card names its field, in the language asked for; nothing that was sent comes back."""
    caller = Caller(world.client())
    caller.consent()
    caller.post("contact", {"channel": "sms", "address": PHONE})
    caller.prove_contact(world.code(caller.person))
    lines = list(ADULT.card())
    lines[0] = lines[0].replace("100000001", "100000007")
    card = {"lines": lines, "surname_km": ADULT.surname_km, "given_names_km": ADULT.given_names_km}
    english = caller.post("document", card)
    khmer = caller.post("document", card, **{"Accept-Language": "km"})
    assert english.status_code == 422
    assert english.json()["code"] == "ekyc.mrz_check_digit_wrong"
    assert "document number" in english.json()["detail"]
    assert "លេខឯកសារ" in khmer.json()["detail"]
    assert english.json()["hint"]
    assert khmer.json()["hint"]
    assert "100000007" not in english.text
    proposal = caller.post("document/proposal", {"lines": [lines[0].replace("0", "O", 1), *lines[1:]]})
    assert proposal.json() == {"fields": ["document_number", "composite"], "lines": None}
    mended = caller.post("document/proposal", {"lines": [ADULT.card()[0].replace("1", "I", 1), *lines[1:]]})
    assert tuple(mended.json()["lines"]) == ADULT.card()
    early = caller.post("registry-match")
    assert (early.status_code, early.json()["code"]) == (409, "ekyc.wrong_state")
    assert "give the identity card" in early.json()["hint"]


def test_another_version_than_was_seen_is_refused(world: World) -> None:
    """``If-Match`` with an old version is a conflict; with the current one the step is taken."""
    caller = Caller(world.client())
    assert caller.consent().headers["ETag"] == '"2"'
    contact = {"channel": "email", "address": "specimen@example.org"}
    stale = caller.post("contact", contact, **{"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (409, "foundation.stale_write")
    assert caller.post("contact", contact, **{"If-Match": "nonsense"}).status_code == 409
    assert caller.post("contact", contact, **{"If-Match": '"2"'}).status_code == 202


def test_strict_inputs(world: World) -> None:
    """Unknown keys and oversize strings are refused without being quoted; nothing comes before consent."""
    caller = Caller(world.client())
    refused = caller.post("consent", {"purpose": "x" * 61, "person_id": "KH-SOMEBODY"})
    assert refused.status_code == 422
    assert "KH-SOMEBODY" not in refused.text
    assert caller.post("document/images").status_code == 409
    assert world.client().get("/ekyc/v1/enrolments/nonsense", headers=caller.headers).status_code == 422


def test_nobody_touches_anothers_enrolment(world: World) -> None:
    """Every step on another person's enrolment answers as if there were none; staff and strangers do not get in."""
    client = world.client()
    mine, theirs = Caller(client), Caller(client)
    for path, method in _person_paths(theirs.id):
        for headers, status in (
            (mine.headers, 404),
            ({"Authorization": "Staff officer"}, 403),
            ({"Authorization": "Staff operator"}, 403),
            ({}, 401),
        ):
            answer = client.request(method, path, headers=headers, json=_BODIES.get(path.rsplit("/", 1)[1]))
            assert answer.status_code == status, (path, answer.text)
    for method, path in (("GET", "/ekyc/v1/reviews"), ("GET", f"/ekyc/v1/reviews/{mine.id}")):
        assert client.request(method, path, headers=mine.headers).status_code == 403
        assert client.request(method, path, headers={"Authorization": "Staff operator"}).status_code == 403
    assert world.state(theirs.id).version == 1


_BODIES: dict[str, Any] = {
    "consent": {
        "purpose": "enrolment",
        "consent_version": "1",
        "agreement_version": "1",
        "agreement_digest": "0" * 64,
    },
    "contact": {"channel": "sms", "address": PHONE},
    "verification": {"code": "000000"},
    "confirmation": {"code": "000000"},
    "document": {"lines": list(ADULT.card()), "surname_km": "ក", "given_names_km": "ខ"},
    "proposal": {"lines": list(ADULT.card())},
    "factors": {"pin": PIN},
}


def _person_paths(name: str) -> list[tuple[str, str]]:
    base = f"/ekyc/v1/enrolments/{name}"
    posts = ("consent", "contact", "contact/verification", "document", "document/proposal", "registry-match")
    later = ("factors", "factors/confirmation", "certificate")
    return [
        (base, "GET"),
        (base, "DELETE"),
        (f"{base}/certificate", "GET"),
        (f"{base}/decision", "GET"),
        *((f"{base}/{step}", "POST") for step in (*posts, *later)),
    ]


def test_every_failure_and_text_is_in_both_languages() -> None:
    """Every error class, state, action, field and reason has its Khmer and its English, with the same placeholders."""
    import string

    import ekyc.errors as errors
    from ekyc.model import Action
    from ekyc.mrz.layouts import COMPOSITE, TD1, TD3
    from ekyc.policy import default_policy
    from foundation.catalogue import catalogue
    from foundation.errors import CamTrustError

    entries = catalogue("ekyc")

    def holes(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for entry in entries.values():
        assert holes(entry["en"]) == holes(entry["km"])
        assert holes(entry.get("hint_en", "")) == holes(entry.get("hint_km", ""))
    codes = {
        one.code.removeprefix("ekyc.")
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, CamTrustError) and one.code.startswith("ekyc.")
    }
    assert all({"hint_en", "hint_km"} <= set(entries[code]) for code in codes)
    policy = default_policy()
    wanted = {f"state_{state.value.lower()}" for state in State} | {f"action_{action.value}" for action in Action}
    wanted |= {f"field_{field.name}" for layout in (TD1, TD3) for field in layout.fields} | {f"field_{COMPOSITE}"}
    wanted |= {rule.text for level in policy.levels.values() for rule in level.rules}
    wanted |= {refusal.text for refusal in policy.refusals}
    assert wanted <= set(entries)
    assert json.loads(policy.document())["version"] == policy.version


@pytest.mark.parametrize("state", [State.DRAFT, State.FACTOR_BOUND])
def test_leaving_early_or_late_destroys_everything(world: World, state: State) -> None:
    """Before anything was sealed and after factors were bound, leaving ends the person in the token; twice is safe."""
    actor, name = world.until(state)
    gone = world.service.enrolment.withdraw(actor, name)
    assert gone.erased_at is not None
    world.vault.destroy(actor.id)
    with pytest.raises(OwnerDestroyed):
        world.vault.seal(actor.id, "anything", b"")
