"""Chip authentication: the chip agrees on a key with the server; copies, replays and downgrades do not count."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from ekyc.chip import Agreement, ChipOutcome, ChipVerdict, Rule, Standing, agreement, authenticate, prove_by_agreement
from ekyc.chip.agreement import SECRET_OCTETS, announces, read_chip_key
from ekyc.chip.curves import CurveForged, CurveUnsupported
from ekyc.chip.der import Malformed
from ekyc.chip.messaging import AES_128, AES_192, AES_256, TRIPLE_DES, Session, session_of
from ekyc.chip.signatures import AlgorithmUnsupported
from foundation.x509 import der
from tests.ekyc.chip_parties import NOW, authority, curve_of, document_signer, ec_key, explicit_info, point_of
from tests.ekyc.chip_relay import CIPHERS, agreement_dg14, relay
from tests.ekyc.chip_specimen import Chip, chip, com, dg1, sod

KEY = ec_key(ec.BrainpoolP256R1, "agreement")
SECRET = bytes(range(SECRET_OCTETS))
AGREEMENT = Agreement(SECRET, NOW + timedelta(minutes=5))
SUITES = {"3DES": TRIPLE_DES, "AES-128": AES_128, "AES-192": AES_192, "AES-256": AES_256}


def signed(dg14: bytes | None, **more: bytes) -> Chip:
    """A chip whose files a state signed."""
    issuer = authority()
    files = {"DG1": dg1(), **({} if dg14 is None else {"DG14": dg14}), **more}
    groups = {int(name[2:]): data for name, data in files.items()}
    files["EF.COM"] = com(sorted(groups))
    files["EF.SOD"] = sod(groups, document_signer(issuer), issuer.name)
    good = chip()
    return Chip(files, good.anchors, good.crls)


def passive(one: Chip) -> ChipVerdict:
    verdict = authenticate(one.files, one.anchors, one.crls, NOW)
    assert verdict.passed
    return verdict


def answered(dg14: bytes, key: ec.EllipticCurvePrivateKey, drawn: Agreement = AGREEMENT) -> bytes:
    """What a chip with this key answers."""
    return relay(key, dg1(), *drawn.commands(dg14))


@pytest.mark.parametrize("cipher", list(CIPHERS))
@pytest.mark.parametrize("curve", [ec.BrainpoolP256R1, ec.SECP521R1], ids=lambda one: str(one.name))
def test_a_chip_that_agrees_lifts_the_cap(cipher: str, curve: type[ec.EllipticCurve]) -> None:
    """A chip in a process of its own, by each cipher: possession is proved by chip authentication."""
    key = ec_key(curve, "agreement")
    dg14 = agreement_dg14(key, [cipher])
    verdict = passive(signed(dg14))
    assert (verdict.capped, verdict.possession_announced) == (True, True)
    after = prove_by_agreement(verdict, AGREEMENT, answered(dg14, key), NOW)
    assert (after.passed, after.possession_proved, after.capped) == (True, True, False)
    assert after.evidence()["possession_by"] == "chip-authentication"


@pytest.mark.parametrize(
    "curve",
    [ec.SECP224R1, ec.SECP256R1, ec.SECP384R1, ec.BrainpoolP384R1, ec.BrainpoolP512R1],
    ids=lambda one: str(one.name),
)
def test_every_curve_of_the_table(curve: type[ec.EllipticCurve]) -> None:
    """Named and stated in full, with the number of a key."""
    key = ec_key(curve, "agreement")
    named = agreement_dg14(key, ["AES-256"], key_id=300)
    for dg14 in (named, _in_full(key)):
        after = prove_by_agreement(passive(signed(dg14)), AGREEMENT, answered(dg14, key), NOW)
        assert after.possession_proved


def _in_full(key: ec.EllipticCurvePrivateKey, generator: bytes = b"") -> bytes:
    info = explicit_info(curve_of(key), point_of(key), generator=generator)
    infos = [
        der.sequence([der.oid("0.4.0.127.0.7.2.2.3.2.2"), der.integer(1)]),
        der.sequence([der.oid("0.4.0.127.0.7.2.2.1.2"), info]),
    ]
    return der.tlv(0x6E, der.tlv(0x31, b"".join(infos)))


def test_a_key_alone_means_3des() -> None:
    """DG14 of older chips names no protocol."""
    dg14 = agreement_dg14(KEY, [])
    assert read_chip_key(dg14).suite is TRIPLE_DES
    assert prove_by_agreement(passive(signed(dg14)), AGREEMENT, answered(dg14, KEY), NOW).possession_proved


@pytest.mark.parametrize("attack", ["clone", "replay", "other-dg1", "short", "empty", "status", "late", "own-dg14"])
def test_what_is_not_the_chip_s_answer_fails(attack: str) -> None:
    """A copy without the key, an answer in an earlier agreement, another chip's DG1, an answer that was cut, none, too
    late; and whoever begins with a DG14 of their own and then brings the signed one."""
    dg14, own = agreement_dg14(KEY), ec_key(ec.BrainpoolP256R1, "own")
    copied = agreement_dg14(own)
    good = answered(dg14, KEY)
    response = {
        "clone": answered(copied, own),
        "replay": answered(dg14, KEY, Agreement(bytes(SECRET_OCTETS), AGREEMENT.expires_at)),
        "other-dg1": relay(KEY, dg1(number="N00000018"), *AGREEMENT.commands(dg14)),
        "short": good[:-3] + good[-2:],
        "empty": b"",
        "status": b"\x69\x88",
        "late": good,
        "own-dg14": relay(own, dg1(), *AGREEMENT.commands(copied)),
    }[attack]
    at = AGREEMENT.expires_at if attack == "late" else NOW
    after = prove_by_agreement(passive(signed(dg14)), AGREEMENT, response, at)
    assert (after.outcome, after.possession_proved, after.mrz) == (ChipOutcome.FAILED, False, None)


def test_a_dg14_that_nobody_signed_fails_before_the_answer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clone's own key in its own DG14: the hash is not the signed one, and the good answer mends nothing. Were
    hashes not compared, the clone would prove possession of its own key."""
    own = ec_key(ec.BrainpoolP256R1, "own")
    mine = agreement_dg14(own)
    response = answered(mine, own)
    one = signed(agreement_dg14(KEY)).with_files(DG14=mine)
    verdict = authenticate(one.files, one.anchors, one.crls, NOW)
    assert prove_by_agreement(verdict, AGREEMENT, response, NOW) == verdict
    assert verdict.outcome is ChipOutcome.FAILED
    examination = import_module("ekyc.chip.authenticate")._Examination

    def unchecked(self: Any, *_: object) -> None:
        for rule in (Rule.DG_LISTED, Rule.DG_HASH):
            self.note(rule, Standing.HOLDS)

    monkeypatch.setattr(examination, "_hashes", unchecked)  # the control is off
    assert prove_by_agreement(passive(one), AGREEMENT, response, NOW).possession_proved


def test_a_weaker_cipher_than_the_chip_names_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands were made for a DG14 that names 3DES alone; the signed one names AES-256 too, and is what counts.
    Were the phone's word taken, the answer by 3DES would do."""
    weaker, true = agreement_dg14(KEY, ["3DES"]), agreement_dg14(KEY, ["3DES", "AES-256"])
    response = answered(weaker, KEY)
    assert prove_by_agreement(passive(signed(true)), AGREEMENT, response, NOW).outcome is ChipOutcome.FAILED
    monkeypatch.setattr(agreement, "read_chip_key", lambda _: read_chip_key(weaker))  # the control is off
    assert prove_by_agreement(passive(signed(true)), AGREEMENT, response, NOW).possession_proved


def test_a_chip_that_could_answer_and_did_not_is_told() -> None:
    """DG14 names a key, or was left out although the signed object lists it: announced, and capped."""
    one = signed(agreement_dg14(KEY))
    assert passive(one).evidence()["possession_announced"] == "true"
    without = Chip({name: data for name, data in one.files.items() if name != "DG14"}, one.anchors, one.crls)
    assert passive(without).evidence()["possession_announced"] == "true"
    assert passive(without).capped
    assert passive(signed(None)).evidence()["possession_announced"] == "false"
    after = prove_by_agreement(passive(without), AGREEMENT, b"any", NOW)
    assert (after.outcome, after.possession_proved) == (ChipOutcome.AUTHENTIC, False)
    assert after.steps[-1].standing is Standing.UNSUPPORTED


def test_a_forged_curve_is_refused() -> None:
    """Its generator is the chip's own public point."""
    forged = _in_full(ec_key(ec.SECP256R1, "agreement"), point_of(ec_key(ec.SECP256R1, "agreement")))
    with pytest.raises(CurveForged):
        AGREEMENT.commands(forged)
    after = prove_by_agreement(passive(signed(forged)), AGREEMENT, b"any", NOW)
    assert after.outcome is ChipOutcome.FAILED


def test_the_published_specimen_names_a_curve_that_the_library_lacks(test_data: Path) -> None:
    """DG14 of BSI's specimen (2008): read to its end, brainpoolP224r1 stated in full, 3DES."""
    dg14 = (test_data / "emrtd" / "bsi2008" / "Datagroup14.bin").read_bytes()
    assert announces(dg14)
    with pytest.raises(CurveUnsupported, match="brainpoolP224r1"):
        read_chip_key(dg14)


def test_the_worked_example_of_icao() -> None:
    """ICAO 9303-11 Appendix D: keys from a seed, READ BINARY of four octets protected, its answer opened (3DES)."""
    derived = session_of(TRIPLE_DES, bytes.fromhex("239AB9CB282DAF66231DC5A4DF6BFBAE"))
    for key, printed in (
        (derived.encryption, "AB94FDECF2674FDFB9B391F85D7F76F2"),
        (derived.authentication, "7962D9ECE03D1ACD4C76089DCE131543"),
    ):  # printed with parity bits, which count for nothing
        assert [octet | 1 for octet in key] == [octet | 1 for octet in bytes.fromhex(printed)]
    encryption, authentication = "979EC13B1CBFE9DCD01AB0FED307EAE5", "F1CB1F1FB5ADF208806B89DC579DC1F8"
    session = Session(TRIPLE_DES, bytes.fromhex(encryption), bytes.fromhex(authentication))
    command = session.protect(bytes.fromhex("00B00000"), 4, 0x887022120C06C229)
    assert command.hex().upper() == "0CB000000D9701048E08ED6705417E96BA5500"
    response = bytes.fromhex("8709019FF0EC34F9922651990290008E08AD55CC17140B2DED9000")
    assert session.open(response, 0x887022120C06C22A) == bytes.fromhex("60145F01")
    with pytest.raises(Malformed):
        session.open(response, 0x887022120C06C22B)


@pytest.mark.parametrize("cipher", list(CIPHERS))
def test_an_answer_with_any_octet_changed_fails(cipher: str) -> None:
    """Each octet of the answer is either authenticated or has one value."""
    dg14 = agreement_dg14(KEY, [cipher])
    good = answered(dg14, KEY)
    assert AGREEMENT.opened(dg14, good) == dg1()[:77]
    for at in range(len(good)):
        with pytest.raises(Malformed):
            AGREEMENT.opened(dg14, good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])


@given(st.binary(max_size=300))
def test_nothing_in_an_answer_or_dg14_raises(junk: bytes) -> None:
    """Whatever is sent is judged: it fails, or is unsupported."""
    assert prove_by_agreement(_PASSIVE, AGREEMENT, junk, NOW).outcome is ChipOutcome.FAILED
    assert not announces(junk)
    with pytest.raises((Malformed, AlgorithmUnsupported)):
        AGREEMENT.commands(junk)


_PASSIVE = passive(signed(agreement_dg14(KEY)))


def test_an_agreement_has_all_its_octets() -> None:
    """Anything else is a mistake of the caller; and they are in no text about it."""
    with pytest.raises(ValueError, match="74 octets"):
        Agreement(b"short", NOW)
    assert SECRET.hex()[:16] not in repr(AGREEMENT)
    assert "\\x00" not in repr(AGREEMENT)
