"""The whole story with `specimen = false` and an arc of the operator's own: from the root to an offline verdict.

The arc is one that nobody has, below Cambodia's; what is made here is thrown away. Two things stand in for what a test
machine does not have, at the seams that production has for them: the simulated registry behind `registry.url`, and a
kernel that says that its clock is disciplined. Everything else is as an operator runs it.
"""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from asn1crypto import cms, tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from camtrust.assembly import Services
from camtrust.cli.doctor import examine
from camtrust.code_card import PdfCards
from camtrust.demo import authorities
from camtrust.demo.story import Station
from camtrust.documents import make_specimen_documents
from camtrust.doors import application
from camtrust.errors import AuthoritiesRefused
from camtrust.keys import ROOT, open_token
from camtrust.organisations import make_seal_credential
from camtrust.server import listening, opened
from camtrust.settings import EkycSection, PolicySettings, RegistrySettings, Settings
from ekyc.contacts.outbox import ROLE as OUTBOX_ROLE
from ekyc.registry_simulation.process import RegistryProcess
from foundation.arc import SANDBOX_SEAL_POLICY
from foundation.clock import SystemClock
from foundation.http.actor import Actor, ActorKind
from foundation.time_source import KernelTime
from issuing_ca.background_lint import EXAMPLE_ARC, pkilint
from issuing_ca.service import packaged_profiles
from root_ca.ceremonies import ISSUING_SUBJECT, OCSP_SUBJECT, TSA_SUBJECT, Place, specimen_acts
from root_ca.ceremony_file import load_ceremony
from root_ca.service import perform, verify
from tests import programs
from tests.story.installation import Applicant, Installation, logged, make_home

OWN = "2.16.116.99999"
COMMAND = [sys.executable, "-P", "-c", "from camtrust.cli.main import main; main()"]
SUBJECTS = {"issuing": ISSUING_SUBJECT, "tsa": TSA_SUBJECT, "root-ocsp": OCSP_SUBJECT}


SERVICES = {
    "client": "KH-TEST/GOV/1/EKYC",
    "service": "KH-TEST/GOV/2/PERSONS/match",
    "residents_service": "KH-TEST/GOV/3/RESIDENTS/match",
    "relations_service": "KH-TEST/GOV/2/PERSONS/relation",
}
TERMS = """
[consent]
purpose = "enrolment"
version = "test.1"
en = "Consent of the tests."
km = "ការយល់ព្រមសម្រាប់ការសាកល្បង។"

[agreement]
version = "test.1"
en = "Agreement of the tests."
km = "កិច្ចព្រមព្រៀងសម្រាប់ការសាកល្បង។"
"""


class Disciplined:
    """The C library of a machine whose clock a time daemon keeps within a millisecond (adjtimex(2))."""

    def adjtimex(self, state: Any) -> int:
        told = ctypes.cast(state, ctypes.POINTER(_Beginning)).contents
        told.maxerror, told.status = 1000, 0
        return 0  # TIME_OK


class _Beginning(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int),
    )  # fmt: skip


def hold_ceremony(services: Services) -> Path:
    """The acts as an operator writes them: names without SPECIMEN, and the arc in every file. Gives the last record."""
    folder, clock = services.home.folder("root"), services.clock
    for name, subject in SUBJECTS.items():
        own = [(attribute, value.replace("SPECIMEN ", "")) for attribute, value in subject]
        (folder / f"{name}.csr").write_bytes(services.ca.init(name, own, "operator:test"))
    url = services.settings.public_url
    acts = specimen_acts(clock.now(), Place(f"{url}/ocsp", f"{url}/aia/root.cer", f"{url}/crl/root.crl"))
    with open_token(services.home, ROOT) as token:
        for act in acts:
            text = act.text.replace("SPECIMEN ", "") + f'\n[policies]\narc = "{OWN}"\n'
            (folder / act.file).write_text(text, encoding="utf-8")
            perform(load_ceremony(folder / act.file), token, clock, lambda shown: " ".join(shown.words))
    return folder / acts[-1].transcript


@dataclass(frozen=True)
class Told:
    """What the story left: the installation, somebody enrolled, and what they signed."""

    site: Installation
    settings: Settings
    transcript: Path
    person: Applicant
    document: bytes
    signed: bytes
    seals: dict[str, bytes]


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    """The story, once for this module."""
    folder = Path(tempfile.mkdtemp(prefix="camtrust-arc-", dir="/tmp"))  # short: it holds Unix sockets
    try:
        with pytest.MonkeyPatch.context() as patch, RegistryProcess.start() as registry, logged() as logs:
            patch.setattr(KernelTime, "__init__", lambda self: setattr(self, "_libc", Disciplined()))
            (folder / "terms.toml").write_text(TERMS, encoding="utf-8")
            settings = Settings(
                specimen=False,
                policies=PolicySettings(arc=OWN),
                registry=RegistrySettings(url=registry.url, timeout_seconds=60, **SERVICES),
                ekyc=EkycSection(terms=folder / "terms.toml"),
            )
            home, clock = make_home(folder / "home"), SystemClock()
            with opened(home, settings, clock) as services:
                transcript = hold_ceremony(services)
                authorities.install_authorities(Station("root", "root"), services)
                app = application(services)
                with listening(app) as at, httpx2.Client(base_url=at.url, timeout=60, trust_env=False) as http:
                    site = Installation(services, app, at.url, http, logs)
                    person = site.applicant().until("certificate")
                    make_specimen_documents(folder, clock.now().replace(microsecond=0))
                    document = min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()
                    [signed] = person.sign(person.uploaded("letter.pdf", document))
                    yield Told(site, settings, transcript, person, document, signed, seals_of(services, site))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def seals_of(services: Services, site: Installation) -> dict[str, bytes]:
    """The certificates (DER) of an organisation's seal and of its seal of the sandbox."""
    made = {}
    for sandbox in (False, True):
        client = site.staff(ActorKind.CLIENT, "sign-seal")
        names = ("Organisation of the tests", "GO:KH-000099", "Seal of the tests")
        make_seal_credential(services, "operator:test", client.id, *names, sandbox=sandbox)
        [record] = services.ca.certificates(owner=client.id, limit=2)
        assert record.certificate is not None
        made[record.profile] = record.certificate
    return made


def policies_of(certificate: x509.Certificate) -> tuple[str, ...]:
    found = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    return tuple(one.policy_identifier.dotted_string for one in found)


def text_of(certificate: bytes) -> str:
    """What openssl reads in a certificate (DER)."""
    return str(programs.run("openssl", "x509", "-inform", "DER", "-noout", "-text", input=certificate, text=False)
               .stdout.decode())  # fmt: skip


def issued(told: Told) -> dict[str, list[bytes]]:
    """Every certificate that the services issued, by profile."""
    found: dict[str, list[bytes]] = {}
    for record in told.site.services.ca.certificates(limit=200):
        assert record.certificate is not None
        found.setdefault(record.profile, []).append(record.certificate)
    return found


def test_a_document_is_signed_and_verified_without_a_network(told: Told, tmp_path: Path) -> None:
    """B-LT, TOTAL-PASSED by the command in a network namespace of its own, with the bundle alone; and nothing says
    SPECIMEN: neither the verdict nor the bundle."""
    bundle, pin = told.site.bundle()
    file = tmp_path / "letter.signed.pdf"
    file.write_bytes(told.signed)
    done = programs.run(
        "unshare", "--map-root-user", "--net", *COMMAND, "verify", "--json", "--bundle", bundle, "--bundle-signer", pin,
        file, timeout=120,
    )  # fmt: skip
    said = json.loads(done.stdout)
    [one] = said["files"]
    assert (one["indication"], one["signatures"][0]["level"]) == ("TOTAL-PASSED", "B-LT")
    assert (one["specimen"], one["signatures"][0]["specimen"]) == (False, False)
    assert said["bundle"]["specimen"] is False
    assert "SPECIMEN" not in [reason["rule"] for reason in one["signatures"][0]["reasons"]]
    changed = bytearray(told.signed)
    changed[len(told.document) // 2] ^= 1
    file.write_bytes(changed)
    again = programs.run(
        "unshare", "--map-root-user", "--net", *COMMAND, "verify", "--json", "--bundle", bundle, "--bundle-signer", pin,
        file, timeout=120, check=False,
    )  # fmt: skip
    assert json.loads(again.stdout)["files"][0]["indication"] == "TOTAL-FAILED"


def test_no_certificate_names_the_example_arc(told: Told) -> None:
    """Each profile that was issued has its number below the arc, by `cryptography` and by openssl; of `2.999` there is
    the sandbox's policy alone, and no authority says SPECIMEN."""
    profiles, found = packaged_profiles(OWN), issued(told)
    assert {"citizen-sign", "tsa", "organisation-seal", "organisation-seal-sandbox"} <= set(found)
    for name, certificates in found.items():
        for der in certificates:
            rule = profiles[name].policies
            assert rule is not None
            wanted = (f"{OWN}.1.1.2",) if name == "citizen-sign" else rule.oids
            assert policies_of(x509.load_der_x509_certificate(der)) == wanted
            text = text_of(der)
            assert re.findall(r"Policy: ([0-9.]+)", text) == list(wanted)
            examples = {SANDBOX_SEAL_POLICY} if name == "organisation-seal-sandbox" else set()
            assert set(re.findall(r"2\.999[0-9.]*", text)) == examples
    for authority in told.site.services.ca.authorities.all():
        for one in (authority.certificate, authority.root):
            text = text_of(one.public_bytes(Encoding.DER))
            assert "2.999" not in text
            assert "SPECIMEN" not in text


def test_pkilint_finds_nothing(told: Told) -> None:
    """An independent linter, which takes no policy below 2.999: it finds that on the sandbox's seal, and that alone."""
    found = issued(told)
    names = [name for name, certificates in found.items() for _ in certificates]
    answers = pkilint([der for certificates in found.values() for der in certificates])
    faults = {(name, one) for name, findings in zip(names, answers, strict=True) for one in findings}
    assert faults == {("organisation-seal-sandbox", EXAMPLE_ARC)}


def test_the_timestamp_names_the_operator_s_policy(told: Told, tmp_path: Path) -> None:
    """The one inside the signature, read by asn1crypto, and one that openssl asks for and reads."""
    contents = re.search(rb"/Contents <([0-9A-Fa-f]+)>", told.signed[len(told.document) :])
    assert contents is not None
    der = bytes.fromhex(contents[1].decode())
    signer = cms.ContentInfo.load(der)["content"]["signer_infos"][0]
    [token] = [
        one["values"][0] for one in signer["unsigned_attrs"] if one["type"].native == "signature_time_stamp_token"
    ]
    info = token["content"]["encap_content_info"]["content"].parsed
    assert isinstance(info, tsp.TSTInfo)
    assert info["policy"].dotted == f"{OWN}.2.2"
    (tmp_path / "data").write_bytes(b"data")
    programs.run("openssl", "ts", "-query", "-data", tmp_path / "data", "-sha256", "-out", tmp_path / "asked.tsq")
    headers = {"Content-Type": "application/timestamp-query"}
    answer = told.site.http.post("/tsa", content=(tmp_path / "asked.tsq").read_bytes(), headers=headers)
    (tmp_path / "answer.tsr").write_bytes(answer.content)
    text = programs.run("openssl", "ts", "-reply", "-in", tmp_path / "answer.tsr", "-text").stdout
    assert f"Policy OID: {OWN}.2.2" in text
    for policy, status in ((f"{OWN}.2.2", "Granted."), ("2.999.116.2.2", "Rejected.")):
        query = ("openssl", "ts", "-query", "-data", tmp_path / "data", "-sha256", "-tspolicy", policy)
        programs.run(*query, "-out", tmp_path / "asked.tsq")
        answer = told.site.http.post("/tsa", content=(tmp_path / "asked.tsq").read_bytes(), headers=headers)
        (tmp_path / "answer.tsr").write_bytes(answer.content)
        text = programs.run("openssl", "ts", "-reply", "-in", tmp_path / "answer.tsr", "-text").stdout
        assert f"Status: {status}" in text


def test_the_root_s_record_is_replayed(told: Told) -> None:
    """Every structure is rebuilt bit for bit from files that name the arc; the root's responder has its policy."""
    result = verify(told.transcript)
    assert (result.problems, result.notes, len(result.acts)) == ([], [], 5)
    responder = x509.load_pem_x509_certificate((told.transcript.parent / "root-ocsp.pem").read_bytes())
    assert policies_of(responder) == (f"{OWN}.3.1",)


def test_the_enrolment_s_decision_names_the_policy(told: Told) -> None:
    """What the person was told when the rules were judged is what the certificate has."""
    assert told.site.services.ekyc.decider.policy_oid(told.person.enrolment["id"]) == f"{OWN}.1.1.2"


def test_the_sandbox_stays_a_specimen(told: Told) -> None:
    """SANDBOX SPECIMEN in its name, though nothing else here says it."""
    sandbox = x509.load_der_x509_certificate(told.seals["organisation-seal-sandbox"])
    assert sandbox.subject.rfc4514_string().count("SANDBOX SPECIMEN") == 2
    assert "SPECIMEN" not in text_of(told.seals["organisation-seal"])


def test_people_are_told_nothing_of_specimens(told: Told) -> None:
    """The terms are the operator's, and no message says SPECIMEN, in either language; nor does a page or a card."""
    terms = told.person.get("/ekyc/v1/terms")
    assert terms["agreement"]["en"] == "Agreement of the tests."
    reader = Actor(ActorKind.OPERATOR, "test", frozenset({OUTBOX_ROLE}))
    messages = told.site.services.outbox.read(reader, told.person.person_id)
    assert messages
    for one in messages:
        assert "CamTrust" in one.text
        assert not re.search("SPECIMEN|គំរូ", one.text)
    page = told.site.http.get("/", headers={"Accept": "text/html"}, follow_redirects=True)
    assert "SPECIMEN" not in page.text
    card = PdfCards(specimen=False).card(["12345678"], "ENR-TEST", SystemClock().now())
    assert "SPECIMEN" not in text_of_pdf(card)
    assert "SPECIMEN" in text_of_pdf(PdfCards().card(["12345678"], "ENR-TEST", SystemClock().now()))


def text_of_pdf(data: bytes) -> str:
    """What poppler reads on its pages."""
    return str(programs.run("pdftotext", "-", "-", input=data, text=False).stdout.decode())


def test_doctor_tells_what_is_not_for_real_use(told: Told) -> None:
    """Emulated services' keys and an outbox that sends nothing, by their settings; the rest is set."""
    (found,) = [one for one in examine(told.site.services) if one["check"] == "production"]
    assert found["ok"] is False
    assert str(found["detail"]).endswith("not for real use: keys.uri, notify.smtp, notify.sms")
    assert f"policies below {OWN}" in str(found["detail"])


def test_the_same_home_is_no_specimen_s(told: Told) -> None:
    """Opened with `specimen = true`, above authorities that are real, nothing starts."""
    home, registry = told.site.home, told.settings.registry
    with pytest.raises(AuthoritiesRefused), opened(home, Settings(registry=registry), SystemClock()):
        pass
