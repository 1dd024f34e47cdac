"""Which CRLs and OCSP responses count, rule by rule (RFC 5280 §6.3, RFC 6960)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from foundation.x509.revocation import Recency, Standing, examine, status_of
from foundation.x509.signature_check import AlgorithmRules
from foundation.x509.status_evidence import Evidence, EvidenceKind, read_evidence
from tests.verify.verify_world import (
    NOW,
    RESPONDER_EXTENSIONS,
    SIGNER_EXTENSIONS,
    Holder,
    ca_extensions,
    crl,
    issue,
    ocsp_response,
    usage,
)

RULES = AlgorithmRules()
AT = NOW - timedelta(hours=1)


@pytest.fixture(scope="module")
def ca() -> Holder:
    return issue("SPECIMEN CA", None, ca_extensions())


@pytest.fixture(scope="module")
def subject(ca: Holder) -> Holder:
    return issue("SPECIMEN Subject", ca, SIGNER_EXTENSIONS)


def read(kind: EvidenceKind, octets: bytes) -> Evidence:
    found = read_evidence(kind, octets, "document")
    assert found is not None
    return found


def standing(subject: Holder, ca: Holder, *evidence: Evidence, recency: Recency | None = None) -> Standing:
    findings = examine(subject.certificate, ca.certificate, evidence, NOW, RULES)
    return status_of(findings, recency or Recency(NOW, after_use=False)).standing


def rejected(subject: Holder, ca: Holder, *evidence: Evidence) -> set[str]:
    findings = examine(subject.certificate, ca.certificate, evidence, NOW, RULES)
    assert not findings.statements
    return {one.rule for one in findings.rejected}


def test_good_and_revoked_by_list(subject: Holder, ca: Holder) -> None:
    """A CRL of the issuer says good by silence and revoked by name, with date and reason."""
    assert standing(subject, ca, read(EvidenceKind.CRL, crl(ca))) is Standing.GOOD
    listed = crl(ca, [(subject, AT, x509.ReasonFlags.key_compromise)])
    findings = examine(subject.certificate, ca.certificate, [read(EvidenceKind.CRL, listed)], NOW, RULES)
    assert findings.revoked is not None
    assert findings.revoked.revoked_at == AT
    assert findings.revoked.reason is x509.ReasonFlags.key_compromise


def test_the_earlier_invalidity_date_counts(subject: Holder, ca: Holder) -> None:
    """A key known to be in other hands before its revocation counts as revoked from then on."""
    earlier = AT - timedelta(days=3)
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(subject.certificate.serial_number)
        .revocation_date(AT)
        .add_extension(x509.InvalidityDate(earlier.replace(tzinfo=None)), False)
        .build()
    )
    built = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(AT)
        .next_update(NOW + timedelta(days=1))
        .add_revoked_certificate(entry)
        .sign(ca.key, hashes.SHA256())
    )
    one = read(EvidenceKind.CRL, built.public_bytes(Encoding.DER))
    findings = examine(subject.certificate, ca.certificate, [one], NOW, RULES)
    assert findings.revoked is not None
    assert findings.revoked.revoked_at == earlier


def test_lists_that_do_not_count(subject: Holder, ca: Holder) -> None:
    """Each for its reason: signature, key usage, time, scope."""
    other = issue("SPECIMEN CA", None, ca_extensions())
    assert rejected(subject, ca, read(EvidenceKind.CRL, crl(other))) == {"REV-CRL-SIGNATURE"}
    future = crl(ca, this_update=NOW + timedelta(hours=1))
    assert rejected(subject, ca, read(EvidenceKind.CRL, future)) == {"REV-TIME"}
    delta = crl(ca, extensions=[(x509.DeltaCRLIndicator(1), True)])
    assert rejected(subject, ca, read(EvidenceKind.CRL, delta)) == {"REV-CRL-DELTA"}  # without a list below it
    silent = issue("SPECIMEN CA", None, [(x509.BasicConstraints(True, None), True), (usage("key_cert_sign"), True)])
    child = issue("SPECIMEN Subject", silent, SIGNER_EXTENSIONS)
    assert rejected(child, silent, read(EvidenceKind.CRL, crl(silent))) == {"REV-CRL-USAGE"}


def test_distribution_point_scope(ca: Holder) -> None:
    """A partition counts for certificates that name it, and for no others."""
    here = x509.UniformResourceIdentifier("http://specimen.invalid/1.crl")
    there = x509.UniformResourceIdentifier("http://specimen.invalid/2.crl")
    point = x509.CRLDistributionPoints([x509.DistributionPoint([here], None, None, None)])
    subject = issue("SPECIMEN Subject", ca, [*SIGNER_EXTENSIONS, (point, False)])

    def partition(url: x509.GeneralName) -> Evidence:
        scope = x509.IssuingDistributionPoint([url], None, False, False, None, False, False)
        return read(EvidenceKind.CRL, crl(ca, extensions=[(scope, True)]))

    assert standing(subject, ca, partition(here)) is Standing.GOOD
    assert rejected(subject, ca, partition(there)) == {"REV-CRL-SCOPE"}
    assert rejected(issue("SPECIMEN Other", ca, SIGNER_EXTENSIONS), ca, partition(here)) == {"REV-CRL-SCOPE"}


def test_responders(subject: Holder, ca: Holder) -> None:
    """The CA itself and a delegate that it certified directly may answer; nobody else."""
    responder = issue("SPECIMEN Responder", ca, RESPONDER_EXTENSIONS)
    for one in (ca, responder):
        answer = read(EvidenceKind.OCSP, ocsp_response(subject, ca, one, this_update=AT))
        assert standing(subject, ca, answer, recency=Recency(AT, after_use=True)) is Standing.GOOD
    root = issue("SPECIMEN Root", None, ca_extensions())
    outsiders = {
        "no purpose": issue("SPECIMEN Responder", ca, [(usage("digital_signature"), True)]),
        "any purpose": issue(
            "SPECIMEN Responder",
            ca,
            [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False), (x509.OCSPNoCheck(), False)],
        ),
        "another CA's": issue("SPECIMEN Responder", root, RESPONDER_EXTENSIONS),
        "self-signed": issue("SPECIMEN Responder", None, RESPONDER_EXTENSIONS),
        "with an unknown critical extension": issue(
            "SPECIMEN Responder",
            ca,
            [
                *RESPONDER_EXTENSIONS,
                (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.999.1"), b"\x05\x00"), True),
            ],
        ),
    }
    for what, outsider in outsiders.items():
        answer = read(EvidenceKind.OCSP, ocsp_response(subject, ca, outsider, this_update=AT))
        assert rejected(subject, ca, answer) == {"REV-OCSP-RESPONDER"}, what
    tampered = read(EvidenceKind.OCSP, ocsp_response(subject, ca, responder, this_update=AT, tampered=True))
    assert rejected(subject, ca, tampered) == {"REV-OCSP-SIGNATURE"}


def test_a_delegate_without_nocheck_needs_a_status_of_its_own(subject: Holder, ca: Holder) -> None:
    """Without id-pkix-ocsp-nocheck a list of the CA must show that the delegate is not revoked."""
    delegate = issue("SPECIMEN Responder", ca, RESPONDER_EXTENSIONS[:2])
    answer = read(EvidenceKind.OCSP, ocsp_response(subject, ca, delegate, this_update=NOW - timedelta(minutes=1)))
    need = Recency(NOW - timedelta(minutes=1), after_use=True)
    assert standing(subject, ca, answer, recency=need) is Standing.UNKNOWN
    clean = read(EvidenceKind.CRL, crl(ca))
    assert standing(subject, ca, answer, clean, recency=need) is Standing.GOOD
    revoked = read(EvidenceKind.CRL, crl(ca, [(delegate, AT, None)]))
    assert standing(subject, ca, answer, revoked, recency=need) is Standing.UNKNOWN


def test_certificate_id_must_be_ours(subject: Holder, ca: Holder) -> None:
    """An answer about the same serial number of another issuer is about another certificate."""
    other_ca = issue("SPECIMEN Other CA", None, ca_extensions())
    twin = issue("SPECIMEN Twin", other_ca, SIGNER_EXTENSIONS, serial=subject.certificate.serial_number)
    answer = read(EvidenceKind.OCSP, ocsp_response(twin, other_ca, other_ca, this_update=AT))
    assert rejected(subject, ca, answer) == {"REV-OCSP-CERTID"}


def test_unknown_is_not_good(subject: Holder, ca: Holder) -> None:
    """A responder that does not know the certificate says nothing good about it (RFC 6960 §2.2)."""
    built = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            subject.certificate,
            ca.certificate,
            hashes.SHA1(),  # noqa: S303
            ocsp.OCSPCertStatus.UNKNOWN,
            AT,
            NOW + timedelta(hours=1),
            None,
            None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.NAME, ca.certificate)
        .sign(ca.key, hashes.SHA256())
    )
    one = read(EvidenceKind.OCSP, built.public_bytes(Encoding.DER))
    assert rejected(subject, ca, one) == {"REV-OCSP-UNKNOWN"}


@pytest.mark.parametrize(
    ("used_at", "after_use", "vouched_at", "good"),
    [
        (AT, True, None, True),
        (AT + timedelta(seconds=1), True, None, False),
        (AT.replace(microsecond=999), True, None, True),
        (NOW, False, None, True),
        (NOW + timedelta(days=30), False, None, False),
        (NOW + timedelta(days=30), False, NOW, True),
        (NOW + timedelta(days=30), True, NOW, False),
    ],
)
def test_recency(
    subject: Holder, ca: Holder, used_at: datetime, after_use: bool, vouched_at: datetime | None, good: bool
) -> None:
    """After the use, current at the use, or vouched for: each where it is asked for, and no more."""
    one = read(EvidenceKind.CRL, crl(ca, this_update=AT, next_update=NOW + timedelta(days=1)))
    recency = Recency(used_at, after_use, "document" if vouched_at else None, vouched_at)
    assert standing(subject, ca, one, recency=recency) is (Standing.GOOD if good else Standing.UNKNOWN)


def test_revoked_wins_over_good(subject: Holder, ca: Holder) -> None:
    """However many good answers lie beside it, and in whatever order."""
    good = read(EvidenceKind.CRL, crl(ca))
    bad = read(EvidenceKind.OCSP, ocsp_response(subject, ca, ca, this_update=AT, revoked_at=AT))
    for evidence in ((good, bad), (bad, good), (good, good, bad, good)):
        assert standing(subject, ca, *evidence) is Standing.REVOKED


@given(st.binary(max_size=200))
def test_noise_is_no_evidence(data: bytes) -> None:
    """Any octets: nothing, without an exception."""
    for kind in EvidenceKind:
        assert read_evidence(kind, b"\x30" + data, "document") is None
