"""pkilint, an independent linter, on every certificate of the root's profiles and on its CRL."""

from __future__ import annotations

import tomllib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from foundation.x509.certificate import CertificateInput, Urls, certificate_builder, sign_certificate
from foundation.x509.names import subject_name
from foundation.x509.pem import certificate_pem, read_certificate
from foundation.x509.profile import parse_profile
from root_ca.building import profiles
from root_ca.ceremonies import ROOT_SUBJECT
from tests.ca.pkilint_verdict import findings
from tests.root.conftest import Done
from tests.root.root_world import BEGIN, PLACE

NAMES = ("root", "issuing", "tsa", "root-ocsp")


def test_what_pkilint_finds_is_explained(done: Done) -> None:
    """Exactly the findings that pkilint-findings.toml explains, on all four certificates and the CRL."""
    text = Path(__file__).with_name("pkilint-findings.toml").read_text(encoding="utf-8")
    explained: dict[str, set[str]] = {}
    for entry in tomllib.loads(text)["finding"]:
        assert entry["reason"].strip()
        for name in entry["on"]:
            explained.setdefault(name, set()).add(entry["code"])
    found = {name: set(findings("pkix_cert", done.folder / f"{name}.pem")) for name in NAMES}
    found["crl"] = set(findings("crl", done.folder / "root.crl", ("-t", "ARL", "-p", "PKIX")))
    assert {name: codes for name, codes in found.items() if codes} == explained


def test_what_pkilint_finds_in_later_acts_is_explained(lived: Done) -> None:
    """Twin, cross-certificate, licence, second root, links and the emergency CRL: exactly the explained findings.

    The statements of the twins are left out: pkilint refuses to load an extension below the example arc.
    """
    text = Path(__file__).with_name("pkilint-findings.toml").read_text(encoding="utf-8")
    explained = {(name, entry["code"]) for entry in tomllib.loads(text)["later"] for name in entry["on"]}
    assert all(entry["reason"].strip() for entry in tomllib.loads(text)["later"])
    found = {
        (name, code)
        for name in ("twin", "cross", "licensed", "root-2", "old-with-new", "new-with-old")
        for code in findings("pkix_cert", lived.folder / f"{name}.pem")
    }
    crl = findings("crl", lived.folder / "emergency.crl", ("-t", "ARL", "-p", "PKIX"))
    assert found | {("crl", code) for code in crl} == explained


def test_without_the_example_arc_nothing_remains(tmp_path: Path) -> None:
    """The responder's certificate with a policy below another arc has no finding: the arc was the cause."""
    data = profiles()["root-ocsp-responder"].data()
    data["policies"]["oids"] = ["1.3.6.1.4.1.99999.3.1"]
    issuer, key = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())
    root = read_certificate(_root(issuer))
    given = CertificateInput(
        parse_profile(data), root.subject, key.public_key(), 1 << 126 | 5, root.not_valid_before_utc,
        root.not_valid_before_utc.replace(month=12), root.subject, issuer.public_key(), Urls(issuer=PLACE.issuer),
    )  # fmt: skip
    file = tmp_path / "responder.pem"
    file.write_bytes(certificate_pem(sign_certificate(certificate_builder(given), issuer)))
    assert findings("pkix_cert", file) == frozenset()


def _root(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = subject_name(ROOT_SUBJECT)
    public = key.public_key()
    given = CertificateInput(
        profiles()["root"], name, public, 1 << 126 | 3, BEGIN, BEGIN.replace(year=2040), name, public
    )
    return certificate_pem(sign_certificate(certificate_builder(given), key))
