"""Readers that take nothing for granted: what a lenient one would let through, one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import ekyc.chip.issuer as issuers
from ekyc.chip import ChipOutcome, ChipVerdict, Rule, Standing, authenticate
from ekyc.chip.certificates import read_certificate
from ekyc.chip.der import Malformed
from ekyc.chip.signatures import read_hash
from ekyc.chip.sod import _attributes
from foundation.x509 import der
from tests.ekyc.chip_parties import (
    DIGITAL_SIGNATURE,
    IS_CA,
    NOW,
    SIGNS_CERTIFICATES,
    Method,
    Party,
    authority,
    certify,
    crl,
    digest_id,
    document_signer,
    ec_key,
    extension,
)
from tests.ekyc.chip_specimen import Chip, Sealing, chip, dg1, security_object


def judge(one: Chip) -> ChipVerdict:
    return authenticate(one.files, one.anchors, one.crls, NOW)


def standing(verdict: ChipVerdict, rule: Rule) -> Standing:
    return next(step.standing for step in verdict.steps if step.rule is rule)


def test_content_under_the_attributes_of_another_is_refused() -> None:
    """Another person's data, a security object with their hashes, and the signed attributes of the old one: the
    signature over the attributes still holds, the message digest in them does not (RFC 5652 §5.4)."""
    one = chip()
    groups = {1: one.files["DG1"], 2: one.files["DG2"]}
    changed = {**groups, 1: dg1(number="N00000099")}
    swapped = one.files["EF.SOD"].replace(security_object(groups, Sealing()), security_object(changed, Sealing()))
    verdict = judge(one.with_files(EF_SOD=swapped, DG1=changed[1]))
    assert standing(verdict, Rule.DG_HASH) is Standing.HOLDS
    assert standing(verdict, Rule.SOD_SIGNATURE) is Standing.FAILED
    assert verdict.outcome is ChipOutcome.FAILED


def test_the_digests_that_are_announced_are_those_that_are_used() -> None:
    """digestAlgorithms is not signed: it has the one value that the signed parts ask for."""
    one = chip()
    announced, other = digest_id("sha256"), digest_id("sha384")
    changed = one.files["EF.SOD"].replace(announced, other, 1)
    assert standing(judge(one.with_files(EF_SOD=changed)), Rule.SOD_PROFILE) is Standing.UNSUPPORTED


def test_attributes_of_another_content_type_are_refused() -> None:
    """A signature that was made over something else is not one over a security object (RFC 5652 §11.1)."""
    digest = der.sequence([der.oid("1.2.840.113549.1.9.4"), der.tlv(0x31, der.octet_string(bytes(32)))])
    kinds = {
        name: der.sequence([der.oid("1.2.840.113549.1.9.3"), der.tlv(0x31, der.oid(name))])
        for name in ("2.23.136.1.1.1", "1.2.840.113549.1.7.1")
    }
    assert _attributes(kinds["2.23.136.1.1.1"] + digest, "2.23.136.1.1.1")
    for wrong in (
        kinds["1.2.840.113549.1.7.1"] + digest,
        kinds["2.23.136.1.1.1"],
        digest,
        kinds["2.23.136.1.1.1"] + digest * 2,
    ):
        with pytest.raises(Malformed):
            _attributes(wrong, "2.23.136.1.1.1")


def test_parameters_are_null_or_absent() -> None:
    """Nothing hides in the parameters of a digest algorithm."""
    identifier = der.oid("2.16.840.1.101.3.4.2.1")
    assert read_hash(der.sequence([identifier])) == read_hash(digest_id("sha256")) == "sha256"
    for more in (b"\x05\x01\x00", b"\x04\x00", b"\x05\x00\x05\x00"):
        with pytest.raises(Malformed):
            read_hash(der.sequence([identifier, more]))


def test_a_certificate_states_one_algorithm() -> None:
    """The algorithm outside of the signed part is that inside (RFC 5280 §4.1.1.2); lengths are minimal."""
    tbs, _, signature = der.children(authority().certificate)
    other = Method("sha384").identifier(ec_key(ec.SECP256R1, "dsc"))
    with pytest.raises(Malformed):
        read_certificate(der.sequence([tbs, other, signature]))
    whole = authority().certificate
    assert whole[:2] == b"\x30\x82"
    with pytest.raises(Malformed):
        read_certificate(b"\x30\x83\x00" + whole[2:])


def _anchor(*extensions: bytes) -> Party:
    party = authority()
    certificate = certify(
        party.key, party.name, (party.key, party.name), serial=2, extensions=extensions, method=party.method
    )
    return replace(party, certificate=certificate)


@pytest.mark.parametrize(
    "extensions",
    [
        (SIGNS_CERTIFICATES,),
        (DIGITAL_SIGNATURE, IS_CA),
        (SIGNS_CERTIFICATES, IS_CA, extension("2.999.7", b"\x05\x00", critical=True)),
    ],
    ids=["not a CA", "no keyCertSign", "critical extension"],
)
def test_an_anchor_that_may_not_sign_certificates_does_not(extensions: tuple[bytes, ...]) -> None:
    """A certificate that was imported by mistake makes nobody a document signer."""
    verdict = judge(replace(chip(), anchors=[_anchor(*extensions).certificate]))
    assert (verdict.outcome, standing(verdict, Rule.ANCHOR)) == (ChipOutcome.FAILED, Standing.FAILED)


def test_an_anchor_that_may_not_sign_crls_does_not() -> None:
    """With keyCertSign alone, its CRL does not count."""
    only_certificates = extension("2.5.29.15", b"\x03\x02\x02\x04", critical=True)
    verdict = judge(replace(chip(), anchors=[_anchor(only_certificates, IS_CA).certificate]))
    assert (verdict.outcome, standing(verdict, Rule.DSC_STATUS)) == (ChipOutcome.WEAK, Standing.WEAK)


def test_a_signer_with_an_unknown_critical_extension_is_refused() -> None:
    """RFC 5280 §4.2: what must be understood and is not."""
    issuer = authority()
    signer = document_signer(issuer, extensions=(DIGITAL_SIGNATURE, extension("2.999.7", b"\x05\x00", critical=True)))
    verdict = judge(chip(signer, issuer))
    assert (verdict.outcome, standing(verdict, Rule.DSC_PROFILE)) == (ChipOutcome.FAILED, Standing.FAILED)


def test_crls_beyond_the_limit_leave_the_status_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not looked at might revoke."""
    monkeypatch.setattr(issuers, "MAX_CRLS", 2)
    current = crl(authority())
    assert judge(replace(chip(), crls=[current] * 2)).passed
    assert judge(replace(chip(), crls=[current] * 3)).outcome is ChipOutcome.WEAK


def test_a_file_has_the_tag_of_its_name() -> None:
    """DG2 under the name of DG1, and data behind a file."""
    one = chip()
    for changed in (
        one.with_files(DG1=one.files["DG2"]),
        one.with_files(DG2=one.files["DG2"] + b"\x00"),
        one.with_files(EF_SOD=one.files["EF.SOD"] + b"\x00"),
    ):
        assert standing(judge(changed), Rule.FORMAT) is Standing.FAILED
    missing = {name: data for name, data in one.files.items() if name != "DG1"}
    assert standing(judge(replace(one, files=missing)), Rule.FORMAT) is Standing.FAILED
