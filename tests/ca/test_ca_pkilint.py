"""pkilint, an independent linter, on one certificate of each profile, on a CRL and on OCSP responses."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.keys.port import KeyAlgorithm, KeyStore
from foundation.x509.profile import PoliciesRule
from issuing_ca.config import IssuingCaSettings
from issuing_ca.model import CertificateRequest, Reason
from issuing_ca.service import packaged_profiles
from tests.ca.ca_world import OPERATOR, World, make_world
from tests.ca.pkilint_verdict import findings

SEAL = (
    ("C", "KH"),
    ("O", "SPECIMEN Ministry"),
    ("organizationIdentifier", "GO:KH-000000"),
    ("CN", "SPECIMEN Ministry seal"),
)
OFFICER = (("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Officer 1"))
SERVER_NAME = "ministry.example.org"
SERVER = (("C", "KH"), ("O", "SPECIMEN Ministry"), ("CN", SERVER_NAME))
MEMBER = (
    ("C", "KH"),
    ("O", "SPECIMEN Member"),
    ("businessCategory", "GOV"),
    ("serialNumber", "0000041"),
    ("CN", "SPECIMEN Member"),
)
MEMBER_SERVER = (("C", "KH"), ("O", "SPECIMEN Member"), ("serialNumber", "0000041"), ("CN", SERVER_NAME))
ETSI = (
    ("citizen-sign", "NATURAL"),
    ("citizen-auth", "NATURAL"),
    ("organisation-seal", "LEGAL"),
    ("organisation-auth", "LEGAL"),
)


def verdicts(world: World) -> Mapping[str, frozenset[str]]:
    """The findings on everything that the CA makes, by what it is."""
    citizen, revoked = world.citizen(), world.citizen()
    world.ca.revoke(revoked.serial, Reason.KEY_COMPROMISE, OPERATOR)

    def by_request(profile: str, subject: tuple[tuple[str, str], ...], *names: str) -> bytes:
        rsa_only = KeyAlgorithm.EC_P256 not in world.ca.profiles[profile].key.algorithms
        new = rsa.generate_private_key(65537, 2048) if rsa_only else ec.generate_private_key(ec.SECP256R1())
        request = CertificateRequest(
            "issuing", profile, subject, new.public_key(), f"owner-{profile}", OPERATOR, dns_names=names
        )
        return world.ca.issue_now(request).certificate.public_bytes(Encoding.PEM)

    responder = world.ca.units.ocsp_responder(world.ca.authorities.get("issuing"))
    signer = world.ca.units.cmp_signer(world.ca.authorities.get("issuing"))
    person = world.ca.certificate(citizen.serial).owner
    device = ec.generate_private_key(ec.SECP256R1())
    spki = device.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    approved = world.approve_login(person, spki)
    assert approved is not None
    login = world.ca.issue_now(
        CertificateRequest(
            "issuing", "citizen-auth", approved.subject, device.public_key(), person, OPERATOR,
            evidence=approved.evidence, policies=(world.ca.settings.policies[approved.level],),
            approval=approved.document,
        )
    )  # fmt: skip
    certificates = {
        "citizen-sign": citizen.certificate.public_bytes(Encoding.PEM),
        "organisation-seal": by_request("organisation-seal", SEAL),
        "officer": by_request("officer", OFFICER),
        "organisation-auth": by_request("organisation-auth", SEAL),
        "citizen-auth": login.certificate.public_bytes(Encoding.PEM),
        "tls-server": by_request("tls-server", SERVER, SERVER_NAME, f"www.{SERVER_NAME}"),
        "camdx-sign": by_request("camdx-sign", MEMBER),
        "camdx-sign-ec": by_request("camdx-sign-ec", MEMBER),
        "camdx-auth": by_request("camdx-auth", MEMBER_SERVER, SERVER_NAME),
        "camdx-auth-ec": by_request("camdx-auth-ec", MEMBER_SERVER, SERVER_NAME),
        "tsa": world.ca.timestamps.certificate().public_bytes(Encoding.PEM),
        "cmp-signer": signer.certificate.public_bytes(Encoding.PEM),
        "ocsp-responder": responder.certificate.public_bytes(Encoding.PEM),
    }
    jobs: list[tuple[str, str, Path, tuple[str, ...]]] = []
    for name, pem in certificates.items():
        jobs.append((name, "pkix_cert", world.write(f"{name}.pem", pem), ()))
    for name, kind in ETSI:
        file = world.folder / f"{name}.pem"
        jobs.append((f"etsi {name}", "etsi_cert", file, ("-t", f"NCP-{kind}-PERSON-CERTIFICATE")))
    crl = world.write("issuing.crl", world.ca.current_crl("issuing"))
    jobs.append(("crl", "crl", crl, ("-t", "CRL", "-p", "PKIX")))
    for scope in ("delta", "16-3"):
        part = world.write(f"{scope}.crl", world.ca.lists.renew("issuing", scope).crl)
        jobs.append((scope, "crl", part, ("-t", "CRL", "-p", "PKIX")))
    for number, certificate in enumerate((citizen.certificate, revoked.certificate)):
        response = world.write(f"{number}.ocsp", world.ca.fresh_ocsp(certificate) or b"")
        jobs.append(("ocsp", "ocsp_response", response, ()))
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda job: findings(*job[1:]), jobs)
    found: dict[str, frozenset[str]] = {}
    for job, result in zip(jobs, results, strict=True):
        found[job[0]] = found.get(job[0], frozenset()) | result
    return found


def test_what_remains_is_explained(small_world: World) -> None:
    """With the packaged settings: exactly the findings that pkilint-findings.toml explains."""
    text = Path(__file__).with_name("pkilint-findings.toml").read_text(encoding="utf-8")
    explained: dict[str, set[str]] = {}
    for entry in tomllib.loads(text)["finding"]:
        assert entry["reason"].strip()
        for name in entry["on"]:
            explained.setdefault(name, set()).add(entry["code"])
    found = {name: set(codes) for name, codes in verdicts(small_world).items() if codes}
    assert found == explained


def test_nothing_remains_with_an_assigned_arc_and_a_public_name(
    sqlite_database: Database, clock: SetClock, token: KeyStore, tmp_path: Path
) -> None:
    """The same profiles with policies that pkilint can read, and a host name: no finding, ETSI's included."""
    arc = "1.3.6.1.4.1.55555"
    settings = IssuingCaSettings(public_url="http://pki.example.com", policies={"high": f"{arc}.1"})
    profiles = {
        name: profile.model_copy(
            update={
                "specimen": False,  # our own lint holds a specimen to the example arc
                "policies": PoliciesRule(clause="for pkilint alone", oids=(f"{arc}.{number}",)),
            }
        )
        for number, (name, profile) in enumerate(packaged_profiles().items())
    }
    world = make_world(sqlite_database, clock, token, tmp_path, settings, profiles)
    assert {name: set(codes) for name, codes in verdicts(world).items() if codes} == {}
