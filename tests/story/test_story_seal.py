"""Agencies seal through the service: a client gets its credential on the machine itself, and seals over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import httpx2
import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.dss import DocumentSecurityStore

from camtrust.cli.main import run as command
from camtrust.documents import make_specimen_documents
from camtrust.errors import (
    ClientCannotSeal,
    OrganisationIdentifierInvalid,
    SealNamedOtherwise,
    SealOnHold,
    SealWithdrawn,
)
from camtrust.organisations import ROLE, SealCredential, make_seal_credential
from foundation.clock import SystemClock
from foundation.http.actor import ActorKind
from foundation.keys.port import KeyUse
from foundation.x509.errors import NameInvalid
from identity.errors import ActorUnknown
from issuing_ca.model import CertificateState, Reason
from tests.story.installation import Installation, Staff, new_key

BY = "operator:test"
ORGANISATION, IDENTIFIER, NAME = "SPECIMEN Agency", "GO:KH-000041", "SPECIMEN Agency seal"
SEALS = "/sign/v1/seals"


@pytest.fixture(scope="module")
def letter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A PDF that can be sealed."""
    folder = tmp_path_factory.mktemp("letter")
    make_specimen_documents(folder, SystemClock().now().replace(microsecond=0))
    return min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()


def seal_credential(assembled: Installation, client: str, **changes: str) -> SealCredential:
    """What `camtrust actors seal-credential` does, with specimen names unless ``changes`` says otherwise."""
    given = {"organisation": ORGANISATION, "identifier": IDENTIFIER, "common_name": NAME} | changes
    return make_seal_credential(assembled.services, BY, client, **given)


def seal(
    client: Staff,
    http: httpx2.Client,
    credential: str,
    document: bytes,
    body: bytes | None = None,
    kind: str = "multipart/form-data",
) -> httpx2.Response:
    """The form as a client sends it, under an assertion bound to its octets (or to ``body``, where that is given)."""
    form = {"file": ("SPECIMEN permit.pdf", document, "application/pdf")}
    request = http.build_request("POST", SEALS, files=form, data={"credential": credential, "level": "B-LT"})
    content = request.read()
    request.headers["Authorization"] = client.authorization("POST", SEALS, content if body is None else body)
    request.headers["Idempotency-Key"] = new_key()
    request.headers["Content-Type"] = request.headers["Content-Type"].replace("multipart/form-data", kind)
    return http.send(request)


def seal_keys(assembled: Installation, owner: str) -> list[str]:
    """The client's keys in the token, oldest first."""
    return [key.key_id for key in assembled.services.token.find(use=KeyUse.ORGANISATION_SEAL, owner=owner)]


def test_an_agency_seals_and_the_seal_passes(
    assembled: Installation, letter: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command's work, asked twice, is one key, certificate and credential; a document sealed with it over HTTP is
    TOTAL-PASSED against an exported bundle, in the organisation's name. The trail has every step."""
    client = assembled.staff(ActorKind.CLIENT, ROLE)
    rows = len(assembled.audit())
    made = seal_credential(assembled, client.id)
    assert seal_credential(assembled, client.id) == made
    assert len(seal_keys(assembled, client.id)) == 1
    assert len(assembled.services.ca.certificates(owner=client.id)) == 1

    answer = seal(client, assembled.http, made.credential_id, letter)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content.startswith(letter)
    trail = [(row["action"], row["subject"], row["actor"]) for row in assembled.audit()[rows:]]
    # The first seal of an installation also brings out its timestamping unit and OCSP responder.
    assert [row for row in trail if not row[2].startswith("service:")] == [
        ("issuing_ca.certificate_prepared", made.serial, BY),
        ("issuing_ca.certificate_issued", made.serial, BY),
        ("signing.credential_registered", made.credential_id, BY),
        ("signing.sealed", made.credential_id, f"client:{client.id}"),
    ]

    file = tmp_path / "permit.signed.pdf"
    file.write_bytes(answer.content)
    bundle, pin = assembled.bundle()
    capsys.readouterr()
    assert command(["verify", "--json", "--bundle", str(bundle), "--bundle-signer", pin, str(file)]) == 0
    verdict = json.loads(capsys.readouterr().out)["files"][0]
    assert verdict["indication"] == "TOTAL-PASSED"
    [signature] = verdict["signatures"]
    assert signature["level"] == "B-LT"
    assert NAME in signature["signer"]


@pytest.mark.parametrize("kind", ["multipart/form-data", "Multipart/Form-Data"])
def test_only_the_client_itself_seals_with_its_credential(assembled: Installation, letter: bytes, kind: str) -> None:
    """Without the role 403, with another client's credential 404, over another body 401; disabled, 401. The same where
    the endpoint is answered directly and where the framework answers it, as it does for a type in other letters."""
    client, other = assembled.staff(ActorKind.CLIENT, ROLE), assembled.staff(ActorKind.CLIENT, ROLE)
    stranger = assembled.staff(ActorKind.CLIENT, "other-role")
    mine = seal_credential(assembled, client.id).credential_id
    assert seal_credential(assembled, other.id).credential_id != mine

    def told(who: Staff, body: bytes | None = None) -> tuple[int, str]:
        answer = seal(who, assembled.http, mine, letter, body, kind)
        return answer.status_code, answer.json()["code"]

    assert told(stranger) == (403, "foundation.forbidden")
    assert told(assembled.staff(ActorKind.OFFICER, ROLE)) == (403, "foundation.forbidden")
    assert told(other) == (404, "signing.credential_not_found")
    assert told(client, b"another body") == (401, "foundation.unauthenticated")
    assert seal(client, assembled.http, mine, letter, kind=kind).status_code == 200
    assembled.services.identity.disable_actor(None, client.id)
    assert told(client) == (401, "foundation.unauthenticated")


def test_who_cannot_seal_gets_no_credential(assembled: Installation) -> None:
    """Unknown, without the role, no client, or disabled; an identifier or name of the wrong form: no key is made."""
    client, disabled = assembled.staff(ActorKind.CLIENT, ROLE), assembled.staff(ActorKind.CLIENT, ROLE)
    assembled.services.identity.disable_actor(None, disabled.id)
    keys = len(assembled.services.token.find(use=KeyUse.ORGANISATION_SEAL))
    with pytest.raises(ActorUnknown):
        seal_credential(assembled, "act_nobody")
    for refused in (assembled.staff(ActorKind.CLIENT), assembled.staff(ActorKind.OPERATOR, ROLE), disabled):
        with pytest.raises(ClientCannotSeal):
            seal_credential(assembled, refused.id)
    for identifier in ("", "000041", "GO:KH", "GO:KH-", "GO:TH-000041", "go:kh-000041", "GO:KH-000041\n", "GO:KH-ក"):
        with pytest.raises(OrganisationIdentifierInvalid):
            seal_credential(assembled, client.id, identifier=identifier)
    with pytest.raises(NameInvalid):
        seal_credential(assembled, client.id, organisation="SPECIMEN \u202eAgency")
    assert len(assembled.services.token.find(use=KeyUse.ORGANISATION_SEAL)) == keys


def test_every_seal_of_a_specimen_installation_says_so(assembled: Installation) -> None:
    """Names without the mark get it; the same names with it are the same seal, other names are refused."""
    client = assembled.staff(ActorKind.CLIENT, ROLE)
    made = seal_credential(assembled, client.id, organisation="Agency", common_name="Agency seal")
    assert made.subject == (
        ("C", "KH"),
        ("O", ORGANISATION),
        ("organizationIdentifier", IDENTIFIER),
        ("CN", NAME),
    )
    assert seal_credential(assembled, client.id) == made
    for changed in ({"organisation": "Another agency"}, {"identifier": "GO:KH-000042"}, {"common_name": "Another"}):
        with pytest.raises(SealNamedOtherwise):
            seal_credential(assembled, client.id, **changed)


def test_a_seal_on_hold_or_revoked_seals_nothing(assembled: Installation, letter: bytes) -> None:
    """On hold it seals nothing and gets no successor; released it seals; revoked it is over, and the client gets a new
    key and credential by the same command."""
    client = assembled.staff(ActorKind.CLIENT, ROLE)
    first = seal_credential(assembled, client.id)

    def sealed(made: SealCredential) -> bool:
        answer = seal(client, assembled.http, made.credential_id, letter)
        assert answer.status_code == 200 or answer.json()["code"] == "foundation.key_disabled", answer.text
        return answer.status_code == 200

    ca = assembled.services.ca
    ca.revoke(first.serial, Reason.CERTIFICATE_HOLD, BY)
    assert not sealed(first)
    with pytest.raises(SealOnHold):
        seal_credential(assembled, client.id)
    ca.revoke(first.serial, Reason.REMOVE_FROM_CRL, BY)
    assert seal_credential(assembled, client.id) == first
    assert sealed(first)

    ca.revoke(first.serial, Reason.KEY_COMPROMISE, BY)
    assert not sealed(first)
    second = seal_credential(assembled, client.id)
    assert second.credential_id != first.credential_id
    assert len(set(seal_keys(assembled, client.id))) == 2
    assert seal_credential(assembled, client.id) == second
    assert not sealed(first)
    assert sealed(second)
    assert ca.certificate(first.serial).state is CertificateState.REVOKED


def test_a_withdrawn_credential_is_not_handed_out_again(assembled: Installation) -> None:
    """While its certificate is good, asking again is refused; once that is revoked, there is a new one."""
    client = assembled.staff(ActorKind.CLIENT, ROLE)
    first = seal_credential(assembled, client.id)
    assembled.services.signing.withdraw_credential(BY, first.credential_id)
    with pytest.raises(SealWithdrawn):
        seal_credential(assembled, client.id)
    assembled.services.ca.revoke(first.serial, Reason.CESSATION_OF_OPERATION, BY)
    assert seal_credential(assembled, client.id).credential_id != first.credential_id


@pytest.fixture
def console(
    assembled: Installation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Runs `camtrust actors` on the installation's home while its services run; gives exit code and output."""
    if url := assembled.services.settings.database.url:
        monkeypatch.setenv("CAMTRUST_DATABASE__URL", url)

    def call(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = command(["--home", str(assembled.home.path), "actors", *arguments])
        return code, capsys.readouterr().out

    return call


def test_the_command(assembled: Installation, console: Callable[..., tuple[int, str]], letter: bytes) -> None:
    """`camtrust actors seal-credential` prints the credential, which seals at once; an unknown client ends with 4."""
    client = assembled.staff(ActorKind.CLIENT, ROLE)
    names = ("--organisation", ORGANISATION, "--organisation-identifier", IDENTIFIER, "--common-name", NAME)
    code, told = console("--json", "seal-credential", client.id, *names)
    made = json.loads(told)
    assert (code, made["client"], made["subject"]["O"]) == (0, client.id, ORGANISATION)
    code, told = console("seal-credential", client.id, *names)
    assert (code, told.splitlines()[-1]) == (0, f"Credential: {made['credential']}")
    assert seal(client, assembled.http, made["credential"], letter).status_code == 200
    code, told = console("--json", "seal-credential", "act_nobody", *names)
    assert (code, json.loads(told)["error"]["code"]) == (4, "identity.actor_unknown")


def test_a_hybrid_seal(
    assembled: Installation,
    console: Callable[..., tuple[int, str]],
    letter: bytes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two credentials by two commands, a policy that pairs them, and a seal over HTTP: both signatures pass against an
    exported bundle; the certificate over the ML-DSA key came from the issuing CA like any other."""
    client = assembled.staff(ActorKind.CLIENT, ROLE)
    names = ("--organisation", ORGANISATION, "--organisation-identifier", IDENTIFIER, "--common-name", NAME)
    curve, lattice = (
        json.loads(console("--json", "seal-credential", client.id, *names, *more)[1])
        for more in ((), ("--algorithm", "ml-dsa-65"))
    )
    assert curve["credential"] != lattice["credential"]
    code, told = console("--json", "seal-policy", client.id, "--parallel", lattice["credential"])
    assert (code, json.loads(told)["parallel"]) == (0, lattice["credential"])
    answer = seal(client, assembled.http, curve["credential"], letter)
    assert answer.status_code == 200, answer.text
    file = tmp_path / "permit.signed.pdf"
    file.write_bytes(answer.content)
    bundle, pin = assembled.bundle()
    capsys.readouterr()
    assert command(["verify", "--json", "--bundle", str(bundle), "--bundle-signer", pin, str(file)]) == 0
    verdict = json.loads(capsys.readouterr().out)["files"][0]
    assert verdict["indication"] == "TOTAL-PASSED"
    assert [one["level"] for one in verdict["signatures"]] == ["B-LT", "B-LT"]
    serials = [one["certificate"]["serial"] for one in verdict["signatures"]]
    assert serials == [curve["certificate"], lattice["certificate"]]
    assert all("CMS-PARALLEL" in {each["rule"] for each in one["reasons"]} for one in verdict["signatures"])


def test_pyhanko_accepts_a_seal_by_what_the_document_carries(assembled: Installation, letter: bytes) -> None:
    """Its validator, without a network: the root is all that it needs beside the document. (A CRL that pointed to a
    delta made it ask for the delta.)"""
    client = assembled.staff(ActorKind.CLIENT, ROLE)
    made = seal_credential(assembled, client.id)
    reader = PdfFileReader(BytesIO(seal(client, assembled.http, made.credential_id, letter).content))
    root = x509.load_pem_x509_certificate((assembled.home.path / "root/root.pem").read_bytes())
    arguments = {
        "trust_roots": [asn1_x509.Certificate.load(root.public_bytes(Encoding.DER))],
        "allow_fetching": False,
        "revocation_mode": "require",
    }
    trusted = DocumentSecurityStore.read_dss(reader).as_validation_context(arguments)
    assert validate_pdf_signature(reader.embedded_signatures[0], trusted, trusted).bottom_line
