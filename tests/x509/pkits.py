"""The NIST Public Key Interoperability Test Suite (PKITS 1.0.1): its files and what each test expects.

Files: the package `cryptography_vectors` (directory ``x509/PKITS_data``; a work of NIST, not subject to copyright in
the United States). Expectations: the titles say ``Valid`` or ``Invalid``; the policy tests, which run several times
with other initial values, are listed here from the suite's description (§4.8 to §4.12).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import message_from_bytes
from functools import cache
from pathlib import Path

import cryptography_vectors
from asn1crypto import cms
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from foundation.x509 import der
from foundation.x509.path import PathRules
from foundation.x509.path_search import TrustAnchor
from foundation.x509.status_evidence import Evidence, EvidenceKind, read_evidence

AT = datetime(2026, 1, 1, tzinfo=UTC)
_DATA = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
_POLICY = "2.16.840.1.101.3.2.1.48."

_ANY = PathRules(max_depth=12)
_EXPLICIT = replace(_ANY, explicit_policy=True)


def _only(*numbers: int) -> PathRules:
    return replace(_ANY, required_policies=frozenset(f"{_POLICY}{number}" for number in numbers))


# Title: (initial values, whether the path is to be valid), for the tests whose titles do not say it all.
_RUNS: dict[str, list[tuple[PathRules, bool]]] = {
    "AllCertificatesSamePolicyTest1": [(_EXPLICIT, True), (_only(1), True), (_only(2), False), (_only(1, 2), True)],
    "AllCertificatesNoPoliciesTest2": [(_ANY, True), (_EXPLICIT, False)],
    "DifferentPoliciesTest3": [(_ANY, True), (_EXPLICIT, False), (_only(1, 2), False)],
    "DifferentPoliciesTest4": [(_ANY, False)],
    "DifferentPoliciesTest5": [(_ANY, False)],
    "OverlappingPoliciesTest6": [(_ANY, True), (_only(1), True), (_only(2), False)],
    "DifferentPoliciesTest7": [(_ANY, False)],
    "DifferentPoliciesTest8": [(_ANY, False)],
    "DifferentPoliciesTest9": [(_ANY, False)],
    "AllCertificatesSamePoliciesTest10": [(_ANY, True), (_only(1), True), (_only(2), True)],
    "AllCertificatesAnyPolicyTest11": [(_ANY, True), (_only(1), True)],
    "DifferentPoliciesTest12": [(_ANY, False)],
    "AllCertificatesSamePoliciesTest13": [(_only(1), True), (_only(2), True), (_only(3), True)],
    "AnyPolicyTest14": [(_only(1), True), (_only(2), False)],
    "UserNoticeQualifierTest15": [(_ANY, True)],
    "UserNoticeQualifierTest16": [(_ANY, True)],
    "UserNoticeQualifierTest17": [(_ANY, True)],
    "UserNoticeQualifierTest18": [(_only(1), True), (_only(2), True)],
    "UserNoticeQualifierTest19": [(_ANY, True)],
    "CPSPointerQualifierTest20": [(_EXPLICIT, True)],
    "ValidPolicyMappingTest1": [
        (_only(1), True),
        (_only(2), False),
        (replace(_ANY, inhibit_policy_mapping=True), False),
    ],
    "InvalidPolicyMappingTest2": [(_ANY, False), (replace(_ANY, inhibit_policy_mapping=True), False)],
    "ValidPolicyMappingTest3": [(_only(1), False), (_only(2), True)],
    "ValidPolicyMappingTest5": [(_only(1), True), (_only(6), False)],
    "ValidPolicyMappingTest6": [(_only(1), True), (_only(6), False)],
    "ValidPolicyMappingTest12": [(_only(1), True), (_only(2), True)],
    "inhibitAnyPolicyTest3": [(_ANY, True), (replace(_ANY, inhibit_any_policy=True), False)],
    "MissingCRLTest1": [(_ANY, False)],
}

# Title: why our answer is another than the suite's.
DEVIATIONS = {
    "ValidDSASignaturesTest4": "DSA is not among the algorithms that count",
    "ValidDSAParameterInheritanceTest5": "DSA is not among the algorithms that count",
    "ValidcRLIssuerTest30": "the CRL issuer's own status rests on a CRL that it signed itself: unknown, not good",
}


@dataclass(frozen=True)
class Case:
    """One run of one test: its target, what came with it in its own message, the initial values, and the answer.

    ``target`` None: it cannot be read.
    """

    title: str
    run: int
    target: x509.Certificate | None
    certificates: tuple[x509.Certificate, ...]
    evidence: tuple[Evidence, ...]
    rules: PathRules
    valid: bool

    def __str__(self) -> str:
        return f"{self.title}.{self.run}"


def _message(path: Path) -> tuple[x509.Certificate | None, list[x509.Certificate], list[bytes]]:
    """The signer's certificate, the others, and the CRLs of a signed message."""
    for part in message_from_bytes(path.read_bytes()).walk():
        if part.get_content_type() in ("application/x-pkcs7-signature", "application/pkcs7-signature"):
            octets = part.get_payload(decode=True)
            assert isinstance(octets, bytes)
            signed = cms.ContentInfo.load(octets)["content"]
            signer = signed["signer_infos"][0]["sid"].chosen
            serial, issuer = signer["serial_number"].native, signer["issuer"].dump()
            certificates = _certificates(_octets_of_certificates(octets))
            targets = [one for one in certificates if (_serial(one), one.issuer.public_bytes()) == (serial, issuer)]
            others = [one for one in certificates if one not in targets]
            return targets[0] if targets else None, others, [one.chosen.dump() for one in signed["crls"]]
    raise AssertionError(f"{path.name} holds no signature")


def _octets_of_certificates(signed_data: bytes) -> Iterator[bytes]:
    """As they stand: asn1crypto writes the bits of a unique identifier (§4.3.6) anew, and otherwise."""
    content = der.children(der.children(signed_data)[1])[0]
    certificates = next(one for one in der.children(content) if one[0] == 0xA0)
    yield from der.children(certificates)


def _certificates(all_octets: Iterable[bytes]) -> list[x509.Certificate]:
    """Those that can be read: a DSA key with inherited parameters (§4.1.5) cannot."""
    found = []
    with warnings.catch_warnings():  # §4.4.14: serial numbers below zero; the library warns of them
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for octets in all_octets:
            with suppress(ValueError):
                found.append(x509.load_der_x509_certificate(octets))
    return found


def _serial(certificate: x509.Certificate) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return certificate.serial_number


def _evidence(octets: bytes) -> Evidence:
    found = read_evidence(EvidenceKind.CRL, octets, "pkits")
    assert found is not None
    return found


@cache
def anchor() -> TrustAnchor:
    """The suite's trust anchor."""
    octets = (_DATA / "certs" / "TrustAnchorRootCertificate.crt").read_bytes()
    return TrustAnchor(x509.load_der_x509_certificate(octets), "pkits")


def cases() -> Iterator[Case]:
    """Every run of every test."""
    for path in sorted((_DATA / "smime").glob("Signed*.eml")):
        title = path.stem.removeprefix("Signed")
        target, others, lists = _message(path)
        runs = _RUNS.get(title)
        if runs is None:
            assert title.startswith(("Valid", "Invalid")), title
            runs = [(_ANY, title.startswith("Valid"))]
        evidence = tuple(_evidence(one) for one in lists)
        for number, (rules, valid) in enumerate(runs, 1):
            expected = valid and title not in DEVIATIONS
            yield Case(title, number, target, tuple(others), evidence, rules, expected)


@cache
def everything() -> tuple[tuple[x509.Certificate, ...], tuple[Evidence, ...]]:
    """All certificates and all CRLs of the suite."""
    certificates = _certificates(one.read_bytes() for one in sorted((_DATA / "certs").iterdir()))
    return tuple(certificates), tuple(_evidence(one.read_bytes()) for one in sorted((_DATA / "crls").iterdir()))
