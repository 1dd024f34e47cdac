"""Passive authentication: chips that pass, old and odd ones that do not quite, and the two published specimens."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ekyc.chip import CLAUSES, ChipOutcome, ChipVerdict, Rule, Standing, authenticate
from ekyc.chip.curves import CURVES
from foundation.catalogue import Language, text
from foundation.x509 import der
from tests.ekyc.chip_parties import (
    ISSUED,
    NOW,
    YEAR,
    Method,
    Party,
    authority,
    crl,
    curve_of,
    document_signer,
    ec_key,
    explicit_info,
    extension,
    point_of,
    rsa_key,
)
from tests.ekyc.chip_specimen import Chip, Sealing, chip, dg1


def judge(one: Chip) -> ChipVerdict:
    return authenticate(one.files, one.anchors, one.crls, NOW)


def standing(verdict: ChipVerdict, rule: Rule) -> Standing:
    return next(step.standing for step in verdict.steps if step.rule is rule)


def test_a_good_chip_passes_and_is_capped() -> None:
    """Every step but possession holds, in order; the evidence is capped until the chip has signed a challenge."""
    verdict = judge(chip())
    assert verdict.outcome is ChipOutcome.AUTHENTIC
    assert verdict.passed
    assert [step.rule for step in verdict.steps] == list(Rule)
    assert not verdict.reasons
    assert verdict.capped
    assert not verdict.possession_proved
    assert verdict.mrz is not None
    assert verdict.mrz.document_number == "N00000017"
    assert verdict.country == "KH"


@pytest.mark.parametrize(
    ("key", "method"),
    [
        (ec_key(ec.SECP224R1), Method("sha224")),
        (ec_key(ec.SECP384R1), Method("sha384")),
        (ec_key(ec.SECP521R1), Method("sha512")),
        (ec_key(ec.BrainpoolP256R1), Method("sha256")),
        (ec_key(ec.BrainpoolP384R1), Method("sha384")),
        (ec_key(ec.BrainpoolP512R1), Method("sha512")),
        (rsa_key(), Method("sha256")),
        (rsa_key(), Method("sha256", plain_rsa_name=True)),
        (rsa_key(), Method("sha512", pss=True)),
    ],
    ids=lambda value: getattr(getattr(value, "curve", None), "name", None) or type(value).__name__,
)
def test_every_algorithm_of_the_list_passes(key: ec.EllipticCurvePrivateKey, method: Method) -> None:
    """Named curves, brainpool, RSA by both schemes: as document signer."""
    issuer = authority()
    assert judge(chip(document_signer(issuer, key, method=method), issuer)).passed


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.BrainpoolP256R1, ec.BrainpoolP384R1])
def test_explicit_curves_pass_when_they_are_exactly_the_named_ones(curve: type[ec.EllipticCurve]) -> None:
    """Signer and authority state their curves in full; CRL and certificate verify by the mapped keys."""
    key = ec_key(curve, "explicit")
    info = explicit_info(curve_of(key), point_of(key))
    issuer = authority(key, info=info)
    assert judge(chip(document_signer(issuer, key, info=info), issuer)).passed


@pytest.mark.parametrize("method", [Method("sha256"), Method("sha384", pss=True)])
def test_an_rsa_authority_passes(method: Method) -> None:
    """The certificate and the CRL carry RSA signatures by either scheme."""
    issuer = authority(rsa_key(), method=method)
    assert judge(chip(document_signer(issuer), issuer)).passed


@pytest.mark.parametrize(
    "how",
    [
        Sealing(attributes=False),
        Sealing(lds_version=1),
        Sealing(by_key_id=True),
        Sealing(lds_hash="sha512"),
        Sealing(signing_time=ISSUED),
        Sealing(listed={3: b"fingerprints that were not read"}),
    ],
)
def test_what_the_profile_allows_passes(how: Sealing) -> None:
    """Without signed attributes, LDS version 1, by key identifier, another hash, a signing time, unread groups."""
    assert judge(chip(how=how)).outcome is ChipOutcome.AUTHENTIC


def test_a_certificate_with_trailing_data_is_verified_by_its_raw_bytes() -> None:
    """Elements after the signature, and octets after an anchor, are not read; what is signed counts."""
    issuer = authority()
    signer = document_signer(issuer, after_signature=der.octet_string(b"left over"))
    one = chip(signer, issuer)
    assert judge(replace(one, anchors=[issuer.certificate + b"\x00\x00"])).passed


def test_sha1_is_weak() -> None:
    """In the hashes of the groups, in the signature of the chip or in that of the signer: all holds, and no pass."""
    issuer, old = authority(), authority(method=Method("sha1"))
    for one in (
        chip(how=Sealing(lds_hash="sha1")),
        chip(document_signer(issuer, method=Method("sha1")), issuer),
        replace(chip(document_signer(old), old), crls=[crl(issuer)]),
    ):
        verdict = judge(one)
        assert verdict.outcome is ChipOutcome.WEAK
        assert not verdict.passed
        assert any("sha1" in step.detail for step in verdict.reasons)


def test_a_short_rsa_key_is_weak() -> None:
    """1024 bits: checked, told, no pass."""
    issuer = authority()
    verdict = judge(chip(document_signer(issuer, rsa_key(1024)), issuer))
    assert (verdict.outcome, standing(verdict, Rule.ALGORITHM)) == (ChipOutcome.WEAK, Standing.WEAK)


def test_an_expired_signer_is_told() -> None:
    """It was valid at issuing, so nothing failed; but it may have dropped out of the CRLs."""
    issuer = authority()
    verdict = judge(chip(document_signer(issuer, ends=NOW - timedelta(days=1)), issuer))
    assert (verdict.outcome, verdict.signer_expired) == (ChipOutcome.WEAK, True)
    assert standing(verdict, Rule.DSC_VALIDITY) is Standing.WEAK


@pytest.mark.parametrize(
    ("signed_at", "begins"),
    [(ISSUED - YEAR, ISSUED - timedelta(days=10)), (NOW + timedelta(days=1), ISSUED), (None, NOW + timedelta(days=1))],
    ids=["before", "in the future", "not yet valid"],
)
def test_a_signer_that_was_not_valid_at_issuing_fails(signed_at, begins) -> None:  # type: ignore[no-untyped-def]
    """A signing time out of the certificate's time, or a certificate of tomorrow."""
    issuer = authority()
    verdict = judge(chip(document_signer(issuer, begins=begins), issuer, Sealing(signing_time=signed_at)))
    assert (verdict.outcome, standing(verdict, Rule.DSC_VALIDITY)) == (ChipOutcome.FAILED, Standing.FAILED)


def test_a_signer_certified_outside_of_the_authoritys_time_fails() -> None:
    """The authority was not valid yet when it certified."""
    issuer = authority()
    verdict = judge(chip(document_signer(issuer, begins=ISSUED - 2 * YEAR), issuer))
    assert standing(verdict, Rule.DSC_VALIDITY) is Standing.FAILED


def test_signed_but_not_anchored_is_an_outcome_of_its_own() -> None:
    """No anchor, an anchor of another name, one of this name with another key: never a pass."""
    one = chip()
    stranger = authority(ec_key(ec.SECP384R1, "stranger"), country="TH")
    rollover = authority(ec_key(ec.SECP384R1, "rollover"))
    for anchors in ([], [stranger.certificate], [rollover.certificate], [b"not a certificate"]):
        verdict = judge(replace(one, anchors=anchors))
        assert verdict.outcome is ChipOutcome.SIGNED_NOT_ANCHORED
        assert not verdict.passed


def test_a_state_may_have_several_keys() -> None:
    """Of several authorities of one name the one with the right key is found, and a CRL by the newer key counts."""
    older, newer = authority(), authority(ec_key(ec.SECP384R1, "rollover"))
    one = replace(chip(), anchors=[newer.certificate, older.certificate], crls=[crl(newer)])
    assert judge(one).passed
    assert judge(replace(one, crls=[crl(newer, [77])])).outcome is ChipOutcome.FAILED


@pytest.mark.parametrize("kind", ["none", "stale", "of tomorrow", "rogue", "another state", "weak", "partial", "junk"])
def test_without_a_current_crl_it_is_weak(kind: str) -> None:
    """No CRL, an old one, one that the authority did not sign or that covers a part only: no pass."""
    issuer = authority()
    rogue = authority(ec_key(ec.SECP384R1, "rogue"))
    good = crl(issuer)
    lists = {
        "none": [],
        "stale": [crl(issuer, begins=NOW - timedelta(days=60))],
        "of tomorrow": [crl(issuer, begins=NOW + timedelta(days=1))],
        "rogue": [crl(rogue)],
        "another state": [crl(authority(country="TH"))],
        "weak": [crl(replace(issuer, method=Method("sha1")))],
        "partial": [_partial(issuer)],
        "junk": [b"", good[:-1], b"\x30\x84\xff\xff\xff\xff"],
    }
    verdict = judge(replace(chip(), crls=lists[kind]))
    assert (verdict.outcome, standing(verdict, Rule.DSC_STATUS)) == (ChipOutcome.WEAK, Standing.WEAK)


def test_what_is_not_supported_says_so() -> None:
    """brainpoolP224r1, unsigned attributes and an unknown issuing state: UNSUPPORTED with the reason."""
    issuer, key = authority(), ec_key(ec.SECP256R1, "dsc")
    absent = next(one for one in CURVES if one.name == "brainpoolP224r1")
    point = b"\x04" + bytes(2 * absent.octets)
    cases = {
        Rule.CURVE: chip(document_signer(issuer, key, info=explicit_info(absent, point)), issuer),
        Rule.SOD_PROFILE: chip(how=Sealing(unsigned=der.tlv(0xA1, b""))),
        Rule.COUNTRY: chip(issuing_state="XXX"),
    }
    for rule, one in cases.items():
        verdict = judge(one)
        assert (verdict.outcome, standing(verdict, rule)) == (ChipOutcome.UNSUPPORTED, Standing.UNSUPPORTED)


def test_an_announcement_that_differs_is_weak() -> None:
    """EF.COM is not signed: hiding a group there (so that nobody asks the chip to prove itself) is told."""
    one = chip(possession_key=ec_key(ec.SECP256R1, "aa"))
    hidden = one.with_files(EF_COM=chip().files["EF.COM"])
    assert judge(one).passed
    assert standing(judge(hidden), Rule.DG_LISTED) is Standing.WEAK


def test_the_evidence_holds_no_personal_data() -> None:
    """Neither the facts for the ledger nor what a log would print of a verdict names the person or the document."""
    verdict = judge(chip())
    facts = verdict.evidence()
    assert facts["outcome"] == "authentic"
    assert (facts["possession_proved"], facts["capped"]) == ("false", "true")
    assert all(isinstance(value, str) for value in facts.values())
    for told in (repr(facts), repr(verdict)):
        assert "SOKHA" not in told
        assert "N00000017" not in told
        assert "900101" not in told


def test_a_failed_chip_gives_no_data() -> None:
    """What failed is not handed on as if it had not."""
    verdict = judge(chip().with_files(DG1=dg1(number="N00000099")))
    assert verdict.outcome is ChipOutcome.FAILED
    assert verdict.mrz is None
    assert not verdict.groups


def test_every_rule_and_outcome_has_its_words() -> None:
    """In both languages, and every rule has its clause."""
    assert CLAUSES.keys() == set(Rule)
    for key in [rule.text for rule in Rule] + [outcome.text for outcome in ChipOutcome]:
        assert all(text(key, language) for language in Language)


def test_the_time_has_a_zone() -> None:
    """A time without one is a mistake of the caller."""
    one = chip()
    with pytest.raises(ValueError, match="time zone"):
        authenticate(one.files, one.anchors, one.crls, NOW.replace(tzinfo=None))


def test_it_is_pure() -> None:
    """Importing it brings neither a database nor an HTTP client."""
    program = "import sys, ekyc.chip; sys.exit(bool({'sqlalchemy', 'httpx2', 'fastapi'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


LOES = {"EF.COM": "ef011E", "EF.SOD": "ef011D", "DG1": "ef0101", "DG2": "ef0102", "DG15": "ef010F"}
BSI = {
    "EF.COM": "EF_COM",
    "EF.SOD": "EF_SOD",
    "DG1": "Datagroup1",
    "DG2": "Datagroup2",
    "DG14": "Datagroup14",
    "DG15": "Datagroup15",
}


def _specimen(folder: Path, names: dict[str, str]) -> dict[str, bytes]:
    return {name: (folder / f"{file}.bin").read_bytes() for name, file in names.items()}


def test_the_dutch_specimen(test_data: Path) -> None:
    """Hashes match, the signature is valid, the signer expired in 2011, the issuer is not anchored."""
    verdict = authenticate(_specimen(test_data / "emrtd" / "loes2006", LOES), [], [], NOW)
    assert verdict.outcome is ChipOutcome.SIGNED_NOT_ANCHORED
    for rule in (Rule.DG_LISTED, Rule.DG_HASH, Rule.SOD_SIGNATURE, Rule.MRZ, Rule.COUNTRY):
        assert standing(verdict, rule) is Standing.HOLDS
    assert verdict.signer_expired
    assert any("2011" in step.detail for step in verdict.steps)
    assert verdict.mrz is not None
    assert verdict.mrz.issuer == "NLD"


def test_the_german_specimen(test_data: Path) -> None:
    """DG15 is not covered by the signature: refused. Without it: a curve that cannot be computed with."""
    files = _specimen(test_data / "emrtd" / "bsi2008", BSI)
    verdict = authenticate(files, [], [], NOW)
    assert verdict.outcome is ChipOutcome.FAILED
    assert {(step.rule, step.standing, step.detail) for step in verdict.reasons} == {
        (Rule.DG_LISTED, Standing.FAILED, "DG15"),
        (Rule.CURVE, Standing.UNSUPPORTED, "brainpoolP224r1"),
    }
    del files["DG15"]
    assert authenticate(files, [], [], NOW).outcome is ChipOutcome.UNSUPPORTED


def _partial(issuer: Party) -> bytes:
    """A CRL with a critical issuingDistributionPoint: end entities alone."""
    point = extension("2.5.29.28", der.sequence([der.tlv(0x81, b"\xff")]), critical=True)
    algorithm = issuer.method.identifier(issuer.key)
    tbs = der.sequence(
        [
            der.integer(1),
            algorithm,
            issuer.name,
            der.time(NOW - timedelta(days=1)),
            der.time(NOW + timedelta(days=9)),
            der.explicit(0, der.sequence([extension("2.5.29.20", der.integer(9)), point])),
        ]
    )
    return der.sequence([tbs, algorithm, der.bit_string(issuer.method.sign(issuer.key, tbs))])


def test_the_partial_crl_of_these_tests_fails_for_its_scope_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the check of critical extensions off it would count: the test above tests what it says."""
    import ekyc.chip.issuer as issuer_module

    monkeypatch.setattr(issuer_module, "any", lambda _: False, raising=False)
    assert judge(replace(chip(), crls=[_partial(authority())])).passed


def test_a_signer_without_key_usage_does_not_count() -> None:
    """Without its one key usage a document signer does not count."""
    issuer = authority()
    verdict = judge(chip(document_signer(issuer, extensions=()), issuer))
    assert standing(verdict, Rule.DSC_PROFILE) is Standing.FAILED
