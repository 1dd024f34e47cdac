"""Organisations: proposed by persons who sign a mandate with their own keys, approved by an officer, left at once."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from camtrust.cli.main import run as command
from camtrust.documents import make_specimen_documents
from camtrust.organisations import make_seal_credential
from foundation.clock import SystemClock
from foundation.http.actor import ActorKind
from foundation.keys.port import KeyUse
from issuing_ca.model import CertificateState, Reason
from signing.agencies.api import ROLE
from signing.errors import CredentialNotUsable
from signing.seal_policy import SealPolicy
from signing.verify.model import Indication
from signing.verify.policy import POLICIES
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests.story.installation import Applicant, Installation, Staff, new_key

AGENCIES, SEALS, HELD, BATCHES = (f"/sign/v1/{name}" for name in ("agencies", "seals", "held-seals", "batches"))
_numbers = itertools.count(500)


@pytest.fixture(scope="module")
def letter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A PDF that can be sealed."""
    folder = tmp_path_factory.mktemp("letter")
    make_specimen_documents(folder, SystemClock().now().replace(microsecond=0))
    return min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()


def officer_of(site: Installation, person_id: str | None) -> Staff:
    """An officer who approves organisations, enrolled as this person."""
    key = ec.generate_private_key(ec.SECP256R1())
    actor = site.services.identity.register_actor(
        None, ActorKind.OFFICER, "SPECIMEN officer", {ROLE}, _pem(key), person_id
    )
    return Staff(site.http, key, actor.id, site.services.settings.public_url)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Organisation:
    """An organisation that one person proposed."""

    def __init__(self, site: Installation, *others: str) -> None:
        self.site, self.person = site, site.applicant().until("certificate")
        self.officer = officer_of(site, f"SPECIMEN-officer-{next(_numbers)}")
        self.number = f"GO:KH-{next(_numbers):06d}"
        proposal = {"name_km": "ទីភ្នាក់ងារគំរូ", "name": "SPECIMEN Agency", "number": self.number}
        answer = self.person.ask("POST", AGENCIES, proposal | {"representatives": list(others)})
        assert answer.status_code == 201, answer.text
        self.told: dict[str, Any] = answer.json()
        self.at = f"{AGENCIES}/{self.told['id']}"

    def signature(self, person: Applicant | None = None, octets: bytes | None = None) -> str:
        """A person's own detached signature over the mandate (or other octets), as Base64."""
        person = person or self.person
        mandate = person.ask("GET", f"{self.at}/mandate").content if octets is None else octets
        document = person.uploaded("mandate.txt", mandate, format="cades", packaging="detached")
        return base64.b64encode(person.sign(document)[0]).decode()

    def sign(self) -> httpx2.Response:
        return self.person.ask("POST", f"{self.at}/mandate", {"signature": self.signature()})

    def approve(self, stage: str, officer: Staff | None = None) -> httpx2.Response:
        body = {"stage": stage, "mandate": self.told["mandate"]}
        return (officer or self.officer).ask("POST", f"{self.at}/approval", body)

    def approved(self, stage: str) -> Organisation:
        assert self.sign().status_code == 200
        answer = self.approve(stage)
        assert (answer.status_code, answer.json().get("state")) == (200, stage), answer.text
        return self

    def client(self) -> tuple[Staff, dict[str, Any]]:
        """A client with its key and credential."""
        key = ec.generate_private_key(ec.SECP256R1())
        body = {"label": "permits", "public_key": _pem(key).decode()}
        answer = self.person.ask("POST", f"{self.at}/clients", body)
        assert answer.status_code == 201, answer.text
        told = answer.json()
        return Staff(self.site.http, key, told["id"], self.site.services.settings.public_url), told


def form(client: Staff, http: httpx2.Client, path: str, credential: str, document: bytes) -> httpx2.Response:
    """A form with a file, under an assertion bound to its octets."""
    file = {"file": ("SPECIMEN permit.pdf", document, "application/pdf")}
    request = http.build_request("POST", path, files=file, data={"credential": credential, "level": "B-LT"})
    request.headers["Authorization"] = client.authorization("POST", path, request.read())
    request.headers["Idempotency-Key"] = new_key()
    return http.send(request)


def told(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def verdict(site: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes) -> dict[str, Any]:
    """What `camtrust verify` says against the bundle of this moment."""
    file = tmp_path / "sealed.pdf"
    file.write_bytes(data)
    bundle, pin = site.bundle()
    capsys.readouterr()
    command(["verify", "--json", "--bundle", str(bundle), "--bundle-signer", pin, str(file)])
    one: dict[str, Any] = json.loads(capsys.readouterr().out)["files"][0]
    return one


def at_the_console(site: Installation, capsys: pytest.CaptureFixture[str], client: Staff, names: dict[str, str]) -> str:
    """What `camtrust actors seal-credential` gives for a client in these names: the credential, or why not."""
    options = [part for name, value in names.items() for part in (f"--{name}", value)]
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        if url := site.services.settings.database.url:
            patch.setenv("CAMTRUST_DATABASE__URL", url)
        command(["--home", str(site.home.path), "--json", "actors", "seal-credential", client.id, *options])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return str(said["error"]["code"] if "error" in said else said["credential"])


def test_from_a_proposal_over_the_sandbox_to_a_real_seal(
    assembled: Installation, letter: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A seal of the sandbox says SANDBOX SPECIMEN and passes under neither policy; in production, which needs the
    officer again, the client's old credential seals nothing, and the new one seals what passes."""
    one = Organisation(assembled)
    assert one.told["state"] == "proposed"
    key = {"label": "permits", "public_key": _pem(ec.generate_private_key(ec.SECP256R1())).decode()}
    assert told(one.person.ask("POST", f"{one.at}/clients", key)) == (409, "signing.agency_state_conflict")
    assert told(one.approve("sandbox")) == (409, "signing.mandate_not_signed")
    one.approved("sandbox")

    client, made = one.client()
    assert made["stage"] == "sandbox"
    sealed = form(client, assembled.http, SEALS, made["credential"], letter)
    assert sealed.status_code == 200, sealed.text
    found = verdict(assembled, tmp_path, capsys, sealed.content)
    assert found["indication"] == "INDETERMINATE"
    [signature] = found["signatures"]
    assert "SANDBOX SPECIMEN Agency" in signature["signer"]
    bundle, pin = assembled.bundle()
    for policy in POLICIES.values():
        now = assembled.services.clock.now()
        trust = build_trust(bundle.read_bytes(), frozenset({pin}), [], now, policy)
        judged = verify_file(sealed.content, "sealed.pdf", trust, now, policy).signatures[0]
        bad = [each.rule for each in judged.reasons if each.indication is not Indication.TOTAL_PASSED]
        assert bad == ["SGN-SANDBOX"]  # nothing else stands in its way: without this rule it passes

    names = {"organisation": "SPECIMEN Agency", "organisation-identifier": one.number, "common-name": "SPECIMEN Agency"}
    assert at_the_console(assembled, capsys, client, names) == "signing.agency_seal_otherwise"
    assert told(one.person.ask("POST", f"{one.at}/approval", {"stage": "production", "mandate": "0" * 64}))[0] == 403
    assert one.approve("production").json()["state"] == "production"
    stopped = told(form(client, assembled.http, SEALS, made["credential"], letter))
    assert stopped == (409, "signing.credential_not_usable")
    again = one.person.ask("POST", f"{one.at}/clients/{client.id}/credential").json()
    assert (again["stage"], again["credential"] == made["credential"]) == ("production", False)
    for other in ({"organisation": "SPECIMEN Bank"}, {"common-name": "SPECIMEN Bank"}):
        assert at_the_console(assembled, capsys, client, names | other) == "signing.agency_seal_otherwise"
    assert at_the_console(assembled, capsys, client, names) == again["credential"]
    sealed = form(client, assembled.http, SEALS, again["credential"], letter)
    found = verdict(assembled, tmp_path, capsys, sealed.content)
    assert found["indication"] == "TOTAL-PASSED"
    assert "SANDBOX" not in found["signatures"][0]["signer"]
    states = {record.profile: record.state for record in assembled.services.ca.certificates(owner=client.id, limit=10)}
    assert states == {
        "organisation-seal-sandbox": CertificateState.REVOKED,
        "organisation-seal": CertificateState.ISSUED,
    }
    keys = {record.key_id for record in assembled.services.ca.certificates(owner=client.id, limit=10)}
    assert len(keys) == 2
    actions = [row["action"] for row in assembled.audit() if row["subject"] == one.told["id"]]
    assert actions == [
        "signing.agency_proposed",
        "signing.agency_mandate_signed",
        "signing.agency_approved",
        "signing.agency_approved",
    ]


def test_a_mandate_needs_each_representative_s_own_key(assembled: Installation) -> None:
    """Another person's signature, one over other octets, and no signature at all are refused; so is the approval while
    one of two has not signed, of another mandate than was looked at, and once a certificate is revoked."""
    other = assembled.applicant().until("certificate")
    one = Organisation(assembled, other.person_id)
    theirs = one.signature(other)
    for wrong in (theirs, base64.b64encode(b"no signature").decode()):
        answer = one.person.ask("POST", f"{one.at}/mandate", {"signature": wrong})
        assert told(answer) == (422, "signing.mandate_not_held")
    assert one.sign().status_code == 200
    assert told(one.approve("sandbox")) == (409, "signing.mandate_not_signed")
    assert other.ask("POST", f"{one.at}/mandate", {"signature": theirs}).status_code == 200
    wrong = {"stage": "sandbox", "mandate": hashlib.sha256(b"another").hexdigest()}
    assert told(one.officer.ask("POST", f"{one.at}/approval", wrong)) == (409, "signing.mandate_other")
    [record] = assembled.services.ca.certificates(owner=other.person_id)
    assembled.services.ca.revoke(record.serial, Reason.KEY_COMPROMISE, "operator:test")
    assert told(one.approve("sandbox")) == (409, "signing.mandate_not_signed")
    assert told(other.ask("POST", AGENCIES, {"name_km": "គំរូ", "name": "X", "number": "GO:KH-1"})) == (
        403,
        "signing.representative_without_certificate",
    )


def test_a_signature_over_other_octets_is_no_mandate(assembled: Installation) -> None:
    """A person's good signature over a text that is not this mandate counts for nothing."""
    one = Organisation(assembled)
    mandate = one.person.ask("GET", f"{one.at}/mandate").content
    assert hashlib.sha256(mandate).hexdigest() == one.told["mandate"]
    other = one.signature(octets=mandate.replace(b"SPECIMEN Agency", b"SPECIMEN Agencies"))
    assert told(one.person.ask("POST", f"{one.at}/mandate", {"signature": other})) == (422, "signing.mandate_not_held")
    assert one.person.get(one.at)["representatives"][0]["signed_at"] is None


def test_nobody_approves_their_own(assembled: Installation) -> None:
    """An officer who is a representative, or of whom it is not known which person they are, decides nothing; nor do
    persons, clients or officers without the role. A second organisation with the number is not approved."""
    one = Organisation(assembled)
    assert one.sign().status_code == 200
    for involved in (officer_of(assembled, one.person.person_id), officer_of(assembled, None)):
        assert told(one.approve("production", involved)) == (403, "signing.agency_officer_involved")
        assert told(involved.ask("POST", f"{one.at}/refusal")) == (403, "signing.agency_officer_involved")
    for stranger in (assembled.staff(ActorKind.OFFICER), assembled.staff(ActorKind.CLIENT, ROLE)):
        assert told(one.approve("production", stranger)) == (403, "foundation.forbidden")
    assert one.person.get(one.at)["state"] == "proposed"
    assert one.approve("sandbox").status_code == 200

    twin = Organisation(assembled)
    body = {"name_km": "គំរូ", "name": "SPECIMEN Twin", "number": one.number}
    twin.told = twin.person.ask("POST", AGENCIES, body).json()
    twin.at = f"{AGENCIES}/{twin.told['id']}"
    assert twin.sign().status_code == 200
    assert told(twin.approve("production")) == (409, "signing.agency_number_taken")
    assert twin.officer.ask("POST", f"{twin.at}/refusal").json()["state"] == "refused"
    assert told(twin.approve("production")) == (409, "signing.agency_state_conflict")


def test_who_is_withdrawn_has_no_rights_from_then_on(assembled: Installation, letter: bytes) -> None:
    """A client withdrawn by a representative: its assertions are 401, its credential and certificate are over, the
    seal that waits is refused and cannot be released, its batch is cancelled; another client seals on. Then the
    officer withdraws the organisation, and with it the other client; nobody adds one or renews a credential."""
    one = Organisation(assembled).approved("production")
    (leaving, made), (staying, kept) = one.client(), one.client()
    services, releaser = assembled.services, assembled.staff(ActorKind.CLIENT, "sign-release")
    batch = leaving.ask("POST", BATCHES, {"credential": made["credential"]}).json()["id"]
    policy = SealPolicy(releasers=(releaser.id,))
    services.signing.seal_policies.set("operator:test", leaving.id, policy, services.clock.now())
    held = form(leaving, assembled.http, HELD, made["credential"], letter).json()
    assert held["state"] == "waiting"

    answer = one.person.ask("POST", f"{one.at}/clients/{leaving.id}/withdrawal")
    assert (answer.status_code, answer.json()["withdrawn_at"] is None) == (200, False)
    assert told(form(leaving, assembled.http, SEALS, made["credential"], letter)) == (401, "foundation.unauthenticated")
    gone = services.identity.actor(leaving.id).acting()
    with pytest.raises(CredentialNotUsable):  # by itself, whatever the key's switch says
        services.signing.credential(gone, made["credential"], KeyUse.ORGANISATION_SEAL)
    [record] = services.ca.certificates(owner=leaving.id)
    assert record.state is CertificateState.REVOKED
    assert releaser.ask("GET", f"{HELD}/{held['id']}").json()["state"] == "refused"
    release = releaser.ask("POST", f"{HELD}/{held['id']}/release", {"sha256": held["sha256"]})
    assert release.status_code in (403, 409)
    found, _ = services.batches.batch(gone, batch)
    assert found.state.value == "cancelled"
    again = f"{one.at}/clients/{leaving.id}/credential"
    assert told(one.person.ask("POST", again)) == (409, "signing.agency_state_conflict")
    assert form(staying, assembled.http, SEALS, kept["credential"], letter).status_code == 200

    assert one.officer.ask("POST", f"{one.at}/withdrawal").json()["state"] == "withdrawn"
    assert told(form(staying, assembled.http, SEALS, kept["credential"], letter)) == (401, "foundation.unauthenticated")
    assert one.officer.ask("POST", f"{one.at}/withdrawal").status_code == 200  # again: nothing is left to do
    key = {"label": "permits", "public_key": _pem(ec.generate_private_key(ec.SECP256R1())).decode()}
    assert told(one.person.ask("POST", f"{one.at}/clients", key)) == (409, "signing.agency_state_conflict")
    assert told(one.approve("production")) == (409, "signing.agency_state_conflict")


def test_a_representative_who_left_does_nothing_more(assembled: Installation) -> None:
    """Withdrawn, a person sees the organisation as one that never was; with a certificate on hold they add no client,
    and may still end rights."""
    one = Organisation(assembled).approved("sandbox")
    client, _ = one.client()
    [record] = assembled.services.ca.certificates(owner=one.person.person_id)
    assembled.services.ca.revoke(record.serial, Reason.CERTIFICATE_HOLD, "operator:test")
    key = {"label": "permits", "public_key": _pem(ec.generate_private_key(ec.SECP256R1())).decode()}
    refused = one.person.ask("POST", f"{one.at}/clients", key)
    assert told(refused) == (403, "signing.representative_without_certificate")
    assert one.person.ask("POST", f"{one.at}/clients/{client.id}/withdrawal").status_code == 200
    gone = one.officer.ask("POST", f"{one.at}/representatives/{one.person.person_id}/withdrawal")
    assert gone.json()["representatives"][0]["withdrawn_at"] is not None
    assert told(one.person.ask("GET", one.at)) == (404, "signing.agency_not_found")
    assert one.person.get(AGENCIES)["items"] == []
    assert one.officer.ask("GET", one.at).status_code == 200


def test_keys_of_the_sandbox_and_of_production_are_two(assembled: Installation) -> None:
    """For one client, the console's credential and one of the sandbox never share a key, in either order."""
    for order in ((True, False), (False, True)):
        client = assembled.staff(ActorKind.CLIENT, "sign-seal")
        for sandbox in order:
            names = ("SPECIMEN Agency", "GO:KH-000041", "SPECIMEN Agency seal")
            make_seal_credential(assembled.services, "operator:test", client.id, *names, sandbox=sandbox)
        records = assembled.services.ca.certificates(owner=client.id)
        assert len({record.key_id for record in records}) == len(records) == 2


def test_two_officers_where_the_settings_say_so(assembled: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two officers the first changes nothing but that they approved, and is not the second. Another stage begins
    anew; a second officer lets it in."""
    monkeypatch.setattr(assembled.services.agencies, "_officers", 2)
    one = Organisation(assembled)
    assert one.sign().status_code == 200
    first, other = (officer_of(assembled, f"SPECIMEN-officer-{next(_numbers)}") for _ in range(2))
    assert one.approve("sandbox", first).json()["state"] == "proposed"
    assert told(one.approve("sandbox", first)) == (403, "signing.agency_second_officer")
    assert one.approve("production", other).json()["first_officer"] == f"officer:{other.id}"
    assert told(one.person.ask("POST", f"{one.at}/clients", {"label": "x", "public_key": "x"}))[0] == 409
    done = one.approve("production").json()
    assert (done["state"], done["first_officer"]) == ("production", None)
    acts = [row["action"] for row in assembled.audit() if row["subject"] == one.told["id"]]
    assert acts.count("signing.agency_approved_first") == 2
    assert acts.count("signing.agency_approved") == 1
