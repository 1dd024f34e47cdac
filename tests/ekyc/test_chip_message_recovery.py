"""Active authentication with RSA keys (ISO/IEC 9796-2 scheme 1): what proves, what is weak, what is forged."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given
from hypothesis import strategies as st

from ekyc.chip import (
    Challenge,
    ChipOutcome,
    ChipVerdict,
    Standing,
    active,
    authenticate,
    message_recovery,
    prove_possession,
)
from ekyc.chip.der import Malformed
from ekyc.chip.message_recovery import read_representative, verify_recovered
from ekyc.chip.signatures import AlgorithmUnsupported
from tests.ekyc.chip_parties import NOW, digest, rsa_key
from tests.ekyc.chip_specimen import TRAILERS, chip, raised, representative, rsa_answer

KEY = rsa_key()
OCTETS = KEY.key_size // 8
NONCE = bytes(range(8))
CHALLENGE = Challenge(NONCE, NOW + timedelta(minutes=2))


def passive(key: rsa.RSAPrivateKey = KEY) -> ChipVerdict:
    one = chip(possession_key=key)
    return authenticate(one.files, one.anchors, one.crls, NOW)


@pytest.mark.parametrize("hash_name", ["sha224", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("bits", [2048, 3072])
def test_a_chip_with_an_rsa_key_that_answers_lifts_the_cap(bits: int, hash_name: str) -> None:
    """The signature names its hash by its trailer."""
    key = rsa_key(bits)
    verdict = prove_possession(passive(key), CHALLENGE, rsa_answer(key, NONCE, hash_name), NOW)
    assert (verdict.passed, verdict.possession_proved, verdict.capped) == (True, True, False)
    assert verdict.evidence()["possession_by"] == "active-authentication"


@pytest.mark.parametrize(("bits", "hash_name", "why"), [(2048, "sha1", "sha1"), (1024, "sha256", "rsa-1024")])
def test_a_right_answer_on_weak_ground_proves_nothing_and_refuses_nobody(bits: int, hash_name: str, why: str) -> None:
    """Chips of their time: the data stay authentic, possession stays unproved, the reason is told."""
    key = rsa_key(bits)
    verdict = prove_possession(passive(key), CHALLENGE, rsa_answer(key, NONCE, hash_name), NOW)
    assert (verdict.outcome, verdict.steps[-1].standing) == (ChipOutcome.AUTHENTIC, Standing.WEAK)
    assert (verdict.possession_proved, verdict.steps[-1].detail) == (False, why)


def _forged(kind: str) -> bytes:
    """Answers that nobody may take, though the key is the chip's own."""
    good = representative(OCTETS, NONCE)
    modulus = KEY.public_key().public_numbers().n
    answer = rsa_answer(KEY, NONCE)
    number = int.from_bytes(answer, "big")
    short = b"\x6a" + good[1:9] + digest("sha256", good[1:9] + NONCE) + b"\x34\xcc"
    padded = b"\x6b" + b"\xbb" * (OCTETS - len(short) - 1) + b"\xba" + short[1:]
    whole = good[1 : OCTETS - 34]
    return {
        "wrong nonce": rsa_answer(KEY, b"earlier!"),
        "digest": raised(KEY, good[:-3] + bytes([good[-3] ^ 1]) + good[-2:]),
        "trailer of another hash": raised(KEY, good[:-2] + b"\x35\xcc"),
        "trailer nobody knows": raised(KEY, good[:-2] + b"\x37\xcc"),
        "no trailer": raised(KEY, good[:-1] + b"\xcd"),
        "trailer of SHA-1 in two octets": raised(KEY, good[: OCTETS - 22] + bytes(20) + b"\x33\xcc"),
        "header of full recovery": raised(KEY, b"\x4a" + whole + digest("sha256", whole) + b"\x34\xcc"),
        "header without padding end": raised(KEY, b"\x6b" + good[1:]),
        "header bits": raised(KEY, b"\x2a" + good[1:]),
        "long padding, short message": raised(KEY, padded[:OCTETS]),
        "hash to the left, garbage after it": raised(KEY, short + bytes(OCTETS - len(short) - 2) + b"\x34\xcc"),
        "n + s": (modulus + number).to_bytes(OCTETS + 1, "big"),
        "an octet more in front": b"\x00" + answer,
        "an octet less": answer[1:],
        "one more at the end": answer + b"\x00",
        "n": modulus.to_bytes(OCTETS, "big"),
        "zero": bytes(OCTETS),
        "one": b"\x01".rjust(OCTETS, b"\x00"),
        "empty": b"",
        "another key": raised(rsa_key(3072), representative(384, NONCE)),
        "PKCS #1": raised(KEY, b"\x00\x01" + b"\xff" * (OCTETS - 35) + b"\x00" + digest("sha256", NONCE)),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "wrong nonce",
        "digest",
        "trailer of another hash",
        "trailer nobody knows",
        "no trailer",
        "trailer of SHA-1 in two octets",
        "header of full recovery",
        "header without padding end",
        "header bits",
        "long padding, short message",
        "hash to the left, garbage after it",
        "n + s",
        "an octet more in front",
        "an octet less",
        "one more at the end",
        "n",
        "zero",
        "one",
        "empty",
        "another key",
        "PKCS #1",
    ],
)
def test_forged_answers_fail(kind: str) -> None:
    """One form, octet by octet: whatever differs from it takes the verdict with it."""
    verdict = prove_possession(passive(), CHALLENGE, _forged(kind), NOW)
    assert (verdict.outcome, verdict.steps[-1].standing) == (ChipOutcome.FAILED, Standing.FAILED)
    assert (verdict.possession_proved, verdict.mrz) == (False, None)


def test_n_less_s_proves_nothing_and_refuses_nobody() -> None:
    """Chips may answer so by ISO/IEC 9796-2 B.4, and anybody can make it of an answer by B.6: told, and the cap stays.
    To another nonce it is no answer at all."""
    modulus = KEY.public_key().public_numbers().n
    for nonce, standing in ((NONCE, Standing.UNSUPPORTED), (b"earlier!", Standing.FAILED)):
        answer = (modulus - int.from_bytes(rsa_answer(KEY, nonce), "big")).to_bytes(OCTETS, "big")
        verdict = prove_possession(passive(), CHALLENGE, answer, NOW)
        assert (verdict.steps[-1].standing, verdict.possession_proved) == (standing, False)


def test_s_beyond_the_modulus_is_refused_where_it_fits_into_the_octets() -> None:
    """s + n opens to what s opens to: a second writing of the same answer, refused by its size alone."""
    public = KEY.public_key().public_numbers()
    numbers = (int.from_bytes(rsa_answer(KEY, bytes([n]) * 8), "big") for n in range(256))
    nonce, beyond = next(
        (bytes([n]) * 8, s + public.n) for n, s in enumerate(numbers) if s + public.n < 1 << KEY.key_size
    )
    opened = pow(beyond, public.e, public.n).to_bytes(OCTETS, "big")
    assert read_representative(opened, nonce) == "sha256"  # what it opens to is right
    with pytest.raises(Malformed):
        verify_recovered(KEY.public_key(), beyond.to_bytes(OCTETS, "big"), nonce)


def test_without_the_comparison_of_hashes_any_answer_of_before_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nonce is bound by the hash alone: with that comparison off, an answer to another nonce goes through."""
    replayed = rsa_answer(KEY, b"earlier!")
    assert prove_possession(passive(), CHALLENGE, replayed, NOW).outcome is ChipOutcome.FAILED
    monkeypatch.setattr(message_recovery.constant_time, "bytes_eq", lambda *_: True)  # the control is off
    assert prove_possession(passive(), CHALLENGE, replayed, NOW).possession_proved


def test_the_worked_example_of_icao() -> None:
    """ICAO 9303-11 (8th edition) Appendix F: what a key of 1024 bits opens to, with SHA-1, for RND.IFD."""
    opened = bytes.fromhex(
        "6A9D2784A67F8E7C659973EA1AEA25D95B6C8F91E5002F369F0FBDCE8A3CEC1991B543F1696546C5524CF23A5303CD6C"
        "98599F40B79F377B5F3A1406B3B4D8F96784D23AA88DB7E1032A405E69325FA91A6E86F5C71AEA978264C4A207446DAD"
        "4E7292E2DCDA3024B47DA8C063AA1E6D22FBD976AB0FE73D94D2D9C6D88127BC"
    )
    nonce = bytes.fromhex("F173589974BF40C6")
    assert read_representative(opened, nonce) == "sha1"
    with pytest.raises(Malformed):
        read_representative(opened, nonce[::-1])
    key = rsa_key(1024)
    assert verify_recovered(key.public_key(), raised(key, opened), nonce) == ("sha1", "rsa-1024")


def test_a_signature_of_another_implementation() -> None:
    """Bouncy Castle's test vector (ISO9796Test of bc-java, MIT licence): 1024 bits, SHA-1, eight octets of nought."""
    key = load_der_public_key(
        bytes.fromhex(
            "30819f300d06092a864886f70d010101050003818d0030818902818100cdcbdabbf93be8e8294e32b055256bbd039773"
            "5189bf75816341bb0d488d05d627991221df7d59835c76a4bb4808adeeb779e7794504e956adc2a661b46904cdc71337"
            "dd29dddd454124ef79cfdd7bc2c21952573cefba485cc38c6bd2428809b5a31a898a6b5648caa4ed678d9743b589134b"
            "7187478996300edba16271a8610203010001"
        )
    )
    assert isinstance(key, rsa.RSAPublicKey)
    signature = bytes.fromhex(
        "482e20d1edded34359c38f5e7c01203f9d6b2641cdca5c404d49adaede034c7481d781d043722587761c90468de69c65"
        "85a1e8b9c322f90e1b580eedab3f6007d0c366cf92b4db8b41c8314929dce2be889c0129123484d2fd3d12763d2ebfd1"
        "2ac8e51d7061afca1a53dedec7b9a617472a78c952ccc72467ae008e5f132994"
    )
    assert verify_recovered(key, signature, bytes(8)) == ("sha1", "rsa-1024")
    with pytest.raises(Malformed):
        verify_recovered(key, signature, bytes(7) + b"\x01")


def test_a_modulus_that_is_not_of_whole_octets_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Header and padding would stand at other bits: told, and the cap stays."""
    odd = rsa.RSAPublicNumbers(65537, (1 << 2048) + 1).public_key()
    with pytest.raises(AlgorithmUnsupported, match="rsa-2049"):
        verify_recovered(odd, bytes(257), NONCE)
    monkeypatch.setattr(active, "read_public_key", lambda _: odd)
    verdict = prove_possession(passive(), CHALLENGE, bytes(257), NOW)
    assert (verdict.outcome, verdict.steps[-1].standing) == (ChipOutcome.AUTHENTIC, Standing.UNSUPPORTED)
    assert verdict.capped


@given(st.sampled_from(list(TRAILERS)), st.integers(0, OCTETS - 1), st.integers(1, 255))
def test_any_octet_of_what_is_signed_counts(hash_name: str, at: int, change: int) -> None:
    """Header, M1, hash and trailer: no octet can be another one."""
    good = representative(OCTETS, NONCE, hash_name)
    assert read_representative(good, NONCE) == hash_name
    with pytest.raises(Malformed):
        read_representative(good[:at] + bytes([good[at] ^ change]) + good[at + 1 :], NONCE)


@given(st.binary(max_size=300))
def test_nothing_in_an_answer_raises(junk: bytes) -> None:
    """Whatever is sent is judged."""
    assert prove_possession(_PASSIVE, CHALLENGE, junk, NOW).outcome is ChipOutcome.FAILED


_PASSIVE = passive()
