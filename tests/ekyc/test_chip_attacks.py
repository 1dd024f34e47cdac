"""Attacks on chips: each is refused by one control, and would pass with that control off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import ekyc.chip.curves as curves
import ekyc.chip.issuer as issuers
import ekyc.chip.sod as security
from ekyc.chip import ChipOutcome, Rule, Standing, authenticate
from ekyc.chip.der import Malformed
from foundation.x509 import der
from tests.ekyc.chip_parties import (
    DIGITAL_SIGNATURE,
    IS_CA,
    NOW,
    OTHER_PURPOSE,
    authority,
    crl,
    curve_of,
    document_signer,
    ec_key,
    explicit_info,
    point_of,
    rsa_key,
)
from tests.ekyc.chip_specimen import Chip, Sealing, chip, dg1, dg15, sod

engine = import_module("ekyc.chip.authenticate")  # the package has a function of this name
Switch = Callable[[pytest.MonkeyPatch], None]


def judge(one: Chip):  # type: ignore[no-untyped-def]
    return authenticate(one.files, one.anchors, one.crls, NOW)


def rule_off(rule: Rule) -> Switch:
    """A switch that makes one rule hold, whatever it found."""
    note, check = engine._Examination.note, engine._Examination.check

    def blind_note(self, one, standing, detail=""):  # type: ignore[no-untyped-def]
        note(self, one, Standing.HOLDS if one is rule else standing, detail)

    def blind_check(self, one, holds, detail=""):  # type: ignore[no-untyped-def]
        return check(self, one, True if one is rule else holds, detail)

    def switch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine._Examination, "note", blind_note)
        monkeypatch.setattr(engine._Examination, "check", blind_check)

    return switch


def replaced(module: object, name: str, value: object) -> Switch:
    return lambda monkeypatch: monkeypatch.setattr(module, name, value)


@dataclass(frozen=True)
class Attack:
    """How it is made, how it must come out and by which rule, and the switch that turns the control off."""

    make: Callable[[], Chip]
    rule: Rule
    off: Switch
    outcome: ChipOutcome = ChipOutcome.FAILED


def _rogue(copied: bool) -> Chip:
    """A signer certified by somebody who calls himself like the authority, and copies its key identifier."""
    real, rogue = authority(), authority(ec_key(ec.SECP384R1, "rogue"))
    signer = document_signer(rogue, key_id=real.key_id if copied else None)
    return replace(chip(signer, rogue), anchors=[real.certificate], crls=[crl(real)])


def _wrong_generator() -> Chip:
    """The signer's curve is P-256 with the signer's own public point as generator: its private key is 1."""
    issuer, key = authority(), ec_key(ec.SECP256R1, "dsc")
    info = explicit_info(curve_of(key), point_of(key), generator=point_of(key))
    return chip(document_signer(issuer, key, info=info), issuer)


def _swapped_by_trailing_data() -> Chip:
    """A certificate of the attacker's, with the authority's signature of a real one and the real one behind."""
    issuer = authority()
    real = document_signer(issuer)
    forged = document_signer(issuer, ec_key(ec.SECP256R1, "attacker"))
    tbs_real, algorithm, signature = der.children(real.certificate)
    tbs_forged = der.children(forged.certificate)[0]
    mixed = der.sequence([tbs_forged, algorithm, signature, tbs_real])
    return chip(replace(forged, certificate=mixed), issuer)


def _bomb() -> Chip:
    """All is signed and right, and one signed attribute nests 2,000 deep."""
    nested = b""
    for _ in range(2000):
        nested = der.tlv(0x30, nested)
    return _with_attribute(der.sequence([der.oid("2.999.1"), der.tlv(0x31, nested)]))


def _with_attribute(attribute: bytes) -> Chip:
    """The attribute stands in for the signing time, so that it is signed with the others."""
    import tests.ekyc.chip_specimen as specimen

    with pytest.MonkeyPatch.context() as patch:
        real = der.sequence
        patch.setattr(
            specimen.der,
            "sequence",
            lambda parts: attribute if (parts := list(parts))[:1] == [der.oid("1.2.840.113549.1.9.5")] else real(parts),
        )
        return chip(how=Sealing(signing_time=NOW))


def _foreign_state() -> Chip:
    return chip(issuing_state="THA")


def _foreign_signer() -> Chip:
    issuer = authority()
    return chip(document_signer(issuer, country="TH"), issuer)


def _foreign_authority() -> Chip:
    issuer = authority(country="TH")
    return chip(document_signer(issuer), issuer)


def _signer(*extensions: bytes) -> Chip:
    issuer = authority()
    return chip(document_signer(issuer, extensions=extensions), issuer)


def _wrong_signature() -> Chip:
    issuer = authority()
    signer = document_signer(issuer)
    return chip(replace(signer, key=ec_key(ec.SECP256R1, "attacker")), issuer)


def _two(count_signers: int, count_certificates: int) -> Chip:
    issuer = authority()
    signer = document_signer(issuer)
    return chip(signer, issuer, Sealing(signers=count_signers, certificates=[signer.certificate] * count_certificates))


def _first(elements, what):  # type: ignore[no-untyped-def]
    """Takes the first of several, as a careless reader would."""
    return elements[0]


ATTACKS = {
    "changed portrait": Attack(
        lambda: chip().with_files(DG2=der.tlv(0x75, b"another face")), Rule.DG_HASH, rule_off(Rule.DG_HASH)
    ),
    "data of another chip": Attack(
        lambda: chip().with_files(DG1=dg1(number="N00000099")), Rule.DG_HASH, rule_off(Rule.DG_HASH)
    ),
    "group that is not signed": Attack(
        lambda: chip().with_files(DG15=dg15(rsa_key())), Rule.DG_LISTED, rule_off(Rule.DG_LISTED)
    ),
    "file of another name": Attack(
        lambda: chip().with_files(DG17=b"whatever"), Rule.DG_LISTED, rule_off(Rule.DG_LISTED)
    ),
    "another signer's key": Attack(_wrong_signature, Rule.SOD_SIGNATURE, rule_off(Rule.SOD_SIGNATURE)),
    "rogue issuer": Attack(
        lambda: _rogue(copied=True), Rule.DSC_SIGNATURE, replaced(issuers, "verify", lambda *_: True)
    ),
    "explicit-curve forgery": Attack(_wrong_generator, Rule.CURVE, replaced(curves, "_is_generator", lambda *_: True)),
    "swapped by trailing data": Attack(
        _swapped_by_trailing_data, Rule.DSC_SIGNATURE, replaced(issuers, "verify", lambda *_: True)
    ),
    "issued by another state": Attack(_foreign_state, Rule.COUNTRY, rule_off(Rule.COUNTRY)),
    "signer of another state": Attack(_foreign_signer, Rule.COUNTRY, rule_off(Rule.COUNTRY)),
    "authority of another state": Attack(_foreign_authority, Rule.COUNTRY, rule_off(Rule.COUNTRY)),
    "revoked signer": Attack(
        lambda: replace(chip(), crls=[crl(authority(), [5, 77])]), Rule.DSC_STATUS, rule_off(Rule.DSC_STATUS)
    ),
    "signer of master lists": Attack(
        lambda: _signer(DIGITAL_SIGNATURE, OTHER_PURPOSE), Rule.DSC_PROFILE, rule_off(Rule.DSC_PROFILE)
    ),
    "an authority as signer": Attack(
        lambda: _signer(DIGITAL_SIGNATURE, IS_CA), Rule.DSC_PROFILE, rule_off(Rule.DSC_PROFILE)
    ),
    "nesting bomb": Attack(_bomb, Rule.FORMAT, replaced(security, "check_bounds", lambda _: None)),
    "two signers": Attack(lambda: _two(2, 1), Rule.SOD_PROFILE, replaced(security, "_sole", _first)),
    "two certificates": Attack(lambda: _two(1, 2), Rule.SOD_PROFILE, replaced(security, "_sole", _first)),
    "SHA-1": Attack(
        lambda: chip(how=Sealing(lds_hash="sha1")), Rule.ALGORITHM, rule_off(Rule.ALGORITHM), ChipOutcome.WEAK
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_is_refused(name: str) -> None:
    """It does not pass, and the rule that refuses it is the one that should."""
    attack = ATTACKS[name]
    verdict = judge(attack.make())
    assert verdict.outcome is attack.outcome
    assert attack.rule in {step.rule for step in verdict.reasons}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_would_pass_without_the_control(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With just that control off the verdict is AUTHENTIC: nothing else refuses it by chance."""
    attack = ATTACKS[name]
    one = attack.make()
    attack.off(monkeypatch)
    assert judge(one).outcome is ChipOutcome.AUTHENTIC


def test_a_rogue_issuer_with_a_key_of_its_own_is_not_anchored() -> None:
    """Where it does not even copy the key identifier, the authority is just not known."""
    assert judge(_rogue(copied=False)).outcome is ChipOutcome.SIGNED_NOT_ANCHORED


def test_signed_attributes_are_no_content() -> None:
    """The attributes of a real signature, passed off as content without attributes, are not a security object."""
    issuer = authority()
    signer = document_signer(issuer)
    good = sod({1: dg1()}, signer, issuer.name)
    attributes = security.read_sod(good).signer.attributes
    assert attributes is not None
    assert attributes[0] == 0x31
    with pytest.raises(Malformed):
        security._security_object(attributes)


def test_a_forged_generator_order_or_cofactor_is_refused_and_an_absent_cofactor_too() -> None:
    """All six parameters count; a compressed generator is the same generator."""
    key = ec_key(ec.SECP256R1, "dsc")
    curve = curve_of(key)
    x = curve.x.to_bytes(32, "big")

    def read(info: bytes) -> object:
        return engine.read_public_key(info)

    assert read(explicit_info(curve, point_of(key)))
    assert read(explicit_info(curve, point_of(key), generator=bytes([2 + curve.y % 2]) + x))
    for info in (
        explicit_info(replace(curve, n=curve.n - 2), point_of(key)),
        explicit_info(replace(curve, h=2), point_of(key)),
        explicit_info(replace(curve, y=curve.p - curve.y), point_of(key)),
        explicit_info(curve, point_of(key), generator=bytes([3 - curve.y % 2]) + x),
        explicit_info(curve, point_of(key), generator=b"\x06" + point_of(key)[1:]),
        explicit_info(curve, point_of(key), cofactor=False),
    ):
        with pytest.raises(curves.CurveForged):
            read(info)
    for info in (
        explicit_info(replace(curve, a=curve.a + 1), point_of(key)),
        explicit_info(replace(curve, p=curve.p - 2), point_of(key)),
    ):
        with pytest.raises(curves.CurveUnsupported):
            read(info)
