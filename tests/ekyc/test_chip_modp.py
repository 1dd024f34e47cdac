"""Chip authentication over prime fields (DH): as over curves, copies, forged parameters and downgrades do not count."""

from __future__ import annotations

import base64
import re
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ekyc.chip import Agreement, ChipOutcome, ChipVerdict, Standing, agreement, authenticate, prove_by_agreement
from ekyc.chip.agreement import SECRET_OCTETS, announces, read_chip_key
from ekyc.chip.curves import CurveForged
from ekyc.chip.der import Malformed
from ekyc.chip.messaging import TRIPLE_DES
from ekyc.chip.modp import GROUPS, ModpGroup, ModpKey, read_modp_key
from ekyc.chip.signatures import AlgorithmUnsupported
from foundation.x509 import der
from tests.ekyc.chip_parties import NOW, authority, document_signer, ec_key
from tests.ekyc.chip_relay import CIPHERS, ModpChipKey, agreement_dg14, dg14_of, modp_infos, relay
from tests.ekyc.chip_specimen import Chip, chip, com, dg1, sod
from tests.programs import run

AGREEMENT = Agreement(bytes(range(SECRET_OCTETS)), NOW + timedelta(minutes=5))
WEAK, _, STRONG, PLAIN = GROUPS
KEY = ModpChipKey(STRONG, 0x5EC1_7E57 << 200 | 12345)
OTHER = ModpChipKey(STRONG, 0xC0_FFEE << 200 | 54321)


def passive(dg14: bytes) -> ChipVerdict:
    """The verdict on a chip with this DG14, which a state signed."""
    issuer = authority()
    groups = {1: dg1(), 14: dg14}
    files = {f"DG{number}": data for number, data in groups.items()}
    files["EF.COM"] = com(sorted(groups))
    files["EF.SOD"] = sod(groups, document_signer(issuer), issuer.name)
    good = chip()
    one = Chip(files, good.anchors, good.crls)
    verdict = authenticate(one.files, one.anchors, one.crls, NOW)
    assert verdict.passed
    return verdict


def answered(dg14: bytes, key: ModpChipKey = KEY, drawn: Agreement = AGREEMENT) -> bytes:
    """What a chip with this key answers."""
    return relay(key, dg1(), *drawn.commands(dg14))


def proved(dg14: bytes, response: bytes) -> ChipVerdict:
    return prove_by_agreement(passive(dg14), AGREEMENT, response, NOW)


@pytest.mark.parametrize("cipher", list(CIPHERS))
@pytest.mark.parametrize("group", GROUPS[1:], ids=lambda one: str(one.name))
def test_a_chip_that_agrees_lifts_the_cap(cipher: str, group: ModpGroup) -> None:
    """A chip in a process of its own that computes by Python's integers, by each cipher and each group that counts."""
    key = ModpChipKey(group, KEY.x)
    dg14 = dg14_of(modp_infos(key, [cipher]))
    after = proved(dg14, answered(dg14, key))
    assert (after.passed, after.possession_proved, after.capped) == (True, True, False)
    assert after.evidence()["possession_by"] == "chip-authentication"


@pytest.mark.parametrize("form", ["X9.42", "PKCS #3", "number"])
def test_parameters_in_each_form(form: str) -> None:
    """In full, as X9.42 or PKCS #3 has them, or by ICAO's number; with the number of a key."""
    dg14 = dg14_of(modp_infos(KEY, ["AES-256"], key_id=300, info=KEY.info(form)))
    assert proved(dg14, answered(dg14)).possession_proved


def test_a_key_alone_means_3des() -> None:
    """DG14 of older chips names no protocol."""
    dg14 = dg14_of(modp_infos(KEY, []))
    assert read_chip_key(dg14).suite is TRIPLE_DES
    assert proved(dg14, answered(dg14)).possession_proved


def test_a_group_of_1024_bits_proves_nothing_and_refuses_nobody() -> None:
    """The right answer is told as weak; a wrong one still fails."""
    key = ModpChipKey(WEAK, 0x5EC1_7E57 << 100 | 12345)
    dg14 = dg14_of(modp_infos(key))
    after = proved(dg14, answered(dg14, key))
    assert (after.outcome, after.steps[-1].standing) == (ChipOutcome.AUTHENTIC, Standing.WEAK)
    assert (after.steps[-1].detail, after.possession_proved) == ("dh-1024", False)
    assert proved(dg14, answered(dg14, ModpChipKey(WEAK, 77777))).outcome is ChipOutcome.FAILED


@pytest.mark.parametrize("attack", ["clone", "replay", "other-dg1", "short", "empty", "status", "own-dg14"])
def test_what_is_not_the_chip_s_answer_fails(attack: str) -> None:
    """A copy without the key, an answer in an earlier agreement, another chip's DG1, one that was cut, none; and
    whoever begins with a DG14 of their own and then brings the signed one."""
    dg14, own = dg14_of(modp_infos(KEY)), dg14_of(modp_infos(OTHER))
    good = answered(dg14)
    response = {
        "clone": answered(dg14, OTHER),
        "replay": answered(dg14, KEY, Agreement(bytes(SECRET_OCTETS), AGREEMENT.expires_at)),
        "other-dg1": relay(KEY, dg1(number="N00000018"), *AGREEMENT.commands(dg14)),
        "short": good[:-3] + good[-2:],
        "empty": b"",
        "status": b"\x69\x88",
        "own-dg14": answered(own, OTHER),
    }[attack]
    after = proved(dg14, response)
    assert (after.outcome, after.possession_proved, after.mrz) == (ChipOutcome.FAILED, False, None)


def test_a_weaker_cipher_than_the_chip_names_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands were made for a DG14 that names 3DES alone; the signed one names AES-256 too, and is what counts.
    Were the phone's word taken, the answer by 3DES would do."""
    weaker, true = dg14_of(modp_infos(KEY, ["3DES"])), dg14_of(modp_infos(KEY, ["3DES", "AES-256"]))
    response = answered(weaker)
    assert proved(true, response).outcome is ChipOutcome.FAILED
    monkeypatch.setattr(agreement, "read_chip_key", lambda _: read_chip_key(weaker))  # the control is off
    assert proved(true, response).possession_proved


def test_a_weak_group_is_not_chosen_where_the_chip_has_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """1024 bits with AES-256 beside a curve with AES-128: the curve counts. An answer by the weak key fails, where
    otherwise it would be told as weak; were the signed DG14 read for it alone, it would be."""
    weak, curve = ModpChipKey(WEAK, 0x5EC1_7E57 << 100), ec_key(ec.BrainpoolP256R1, "agreement")
    only = dg14_of(modp_infos(weak, ["AES-256"], key_id=1))
    both = agreement_dg14(curve, ["AES-128"], key_id=2, also=modp_infos(weak, ["AES-256"], key_id=1))
    assert isinstance(read_chip_key(both).public, ec.EllipticCurvePublicKey)
    after = prove_by_agreement(passive(both), AGREEMENT, relay(curve, dg1(), *AGREEMENT.commands(both)), NOW)
    assert after.possession_proved
    response = answered(only, weak)
    assert proved(both, response).outcome is ChipOutcome.FAILED
    monkeypatch.setattr(agreement, "read_chip_key", lambda _: read_chip_key(only))  # the control is off
    assert proved(both, response).outcome is ChipOutcome.AUTHENTIC


@pytest.mark.parametrize("forgery", ["generator", "order", "public value as generator"])
def test_forged_parameters_are_refused(forgery: str) -> None:
    """A group's prime with another generator or order: whoever chose it may know what nobody should."""
    info = {
        "generator": KEY.info(g=4),
        "order": KEY.info(q=WEAK.q),
        "public value as generator": KEY.info("PKCS #3", g=KEY.y),
    }[forgery]
    dg14 = dg14_of(modp_infos(KEY, info=info))
    with pytest.raises(CurveForged):
        AGREEMENT.commands(dg14)
    assert proved(dg14, b"any").outcome is ChipOutcome.FAILED


@pytest.mark.parametrize("y", [0, 1, STRONG.p - 1, STRONG.p, STRONG.p + 5, 3], ids=str)
def test_public_values_outside_of_the_subgroup_are_refused(y: int) -> None:
    """With them the shared secret is one of few, and anybody could answer."""
    dg14 = dg14_of(modp_infos(KEY, info=KEY.info(y=y)))
    with pytest.raises(Malformed):
        AGREEMENT.commands(dg14)
    assert proved(dg14, b"any").outcome is ChipOutcome.FAILED


def test_groups_that_are_not_known_are_unsupported() -> None:
    """Announced and told, and the cap stays: parameters in full of another group, a number that is none."""
    other = ModpGroup("other", (1 << 2048) - 1942289, 2, ((1 << 2048) - 1942289) // 2)
    unknown = ModpChipKey(other, 99)
    number = der.sequence([der.oid("0.4.0.127.0.7.1.2"), der.integer(5)])
    for info in (unknown.info(), der.sequence([number, der.bit_string(der.integer(4))])):
        dg14 = dg14_of(modp_infos(unknown, info=info))
        assert announces(dg14)
        with pytest.raises(AlgorithmUnsupported):
            AGREEMENT.commands(dg14)
        after = proved(dg14, b"any")
        assert (after.outcome, after.capped) == (ChipOutcome.AUTHENTIC, True)
        assert after.steps[-1].standing is Standing.UNSUPPORTED


def test_a_shared_secret_keeps_its_leading_zeros() -> None:
    """As long as the prime, whatever it begins with (PKCS #3): one in 256 begins with nought."""
    secret, key = next(
        (bytes([0] * 70) + n.to_bytes(4, "big"), ModpKey(STRONG, KEY.y))
        for n in range(4096)
        if pow(KEY.y, n % (STRONG.q - 1) + 1, STRONG.p) >> (8 * (STRONG.octets - 1)) == 0
    )
    ours, shared = key.agree(secret)
    assert (len(shared), shared[0]) == (STRONG.octets, 0)
    assert shared == pow(int.from_bytes(ours, "big"), KEY.x, STRONG.p).to_bytes(STRONG.octets, "big")


def test_extended_length_is_asked_for_where_it_must_be() -> None:
    """A value of 2048 bits fits into no short command; one of 1024 does (ICAO 9303-11 §9.3.1)."""
    inside, _ = AGREEMENT.commands(dg14_of(modp_infos(KEY)))
    assert [one[4] == 0 for one in inside] == [False, True]
    inside, _ = AGREEMENT.commands(dg14_of(modp_infos(ModpChipKey(WEAK, 77777))))
    assert [one[4] == 0 for one in inside] == [False, False]


@pytest.mark.parametrize(
    ("group", "kind", "name"),
    [
        (GROUPS[0], "DHX", "dh_1024_160"),
        (GROUPS[1], "DHX", "dh_2048_224"),
        (GROUPS[2], "DHX", "dh_2048_256"),
        (GROUPS[3], "DH", "modp_2048"),
    ],
    ids=lambda one: getattr(one, "name", str(one)),
)
def test_the_groups_are_those_of_openssl(group: ModpGroup, kind: str, name: str) -> None:
    """Prime, generator and, where it is told, order (RFC 5114, RFC 3526); the order is that of the generator."""
    parameters = run("openssl", "genpkey", "-genparam", "-algorithm", kind, "-pkeyopt", f"group:{name}")
    told = run("openssl", "asn1parse", input=parameters.stdout)
    numbers = [int(one, 16) for one in re.findall(r"INTEGER\s+:([0-9A-F]+)", told.stdout)]
    assert numbers == [group.p, group.g, group.q][: len(numbers)]
    assert pow(group.g, group.q, group.p) == 1


def test_a_key_of_openssl_is_read() -> None:
    """A public key that OpenSSL makes over ICAO's standardised parameters."""
    parameters = run("openssl", "genpkey", "-algorithm", "DHX", "-pkeyopt", "group:dh_2048_256").stdout
    info = run("openssl", "pkey", "-pubout", input=parameters).stdout
    body = re.sub(r"-----[^-]+-----|\s", "", info)
    assert read_modp_key(base64.b64decode(body)).group is STRONG
