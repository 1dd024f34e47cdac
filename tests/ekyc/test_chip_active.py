"""Active authentication: the chip signs a challenge; copies, replays and unsupported keys do not count."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ekyc.chip import Challenge, ChipOutcome, ChipVerdict, Rule, Standing, authenticate, prove_possession
from foundation.x509 import der
from tests.ekyc.chip_parties import NOW, PrivateKey, authority, document_signer, ec_key, explicit_info
from tests.ekyc.chip_specimen import Chip, answer, chip, dg14, dg15, sod

KEY = ec_key(ec.SECP256R1, "aa")
CHALLENGE = Challenge(bytes(range(8)), NOW + timedelta(minutes=2))


def passive(key: PrivateKey | None = KEY) -> ChipVerdict:
    one = chip(possession_key=key)
    return authenticate(one.files, one.anchors, one.crls, NOW)


def last(verdict: ChipVerdict) -> Standing:
    assert verdict.steps[-1].rule is Rule.POSSESSION
    return verdict.steps[-1].standing


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1, ec.BrainpoolP256R1])
def test_a_chip_that_answers_lifts_the_cap(curve: type[ec.EllipticCurve]) -> None:
    """The answer is by the key that the state signed."""
    key = ec_key(curve, "aa")
    verdict = prove_possession(passive(key), CHALLENGE, answer(key, CHALLENGE.nonce), NOW)
    assert verdict.passed
    assert verdict.possession_proved
    assert not verdict.capped
    assert verdict.evidence()["possession_proved"] == "true"


@pytest.mark.parametrize("response", ["another key", "another nonce", "short", "empty", "zeros", "late"])
def test_a_wrong_answer_fails(response: str) -> None:
    """A copy has the files and not the key; an answer to an earlier challenge is not one to this."""
    responses = {
        "another key": answer(ec_key(ec.SECP256R1, "copy"), CHALLENGE.nonce),
        "another nonce": answer(KEY, b"earlier!"),
        "short": answer(KEY, CHALLENGE.nonce)[:-1],
        "empty": b"",
        "zeros": bytes(64),
        "late": answer(KEY, CHALLENGE.nonce),
    }
    at = CHALLENGE.expires_at if response == "late" else NOW
    verdict = prove_possession(passive(), CHALLENGE, responses[response], at)
    assert (verdict.outcome, last(verdict)) == (ChipOutcome.FAILED, Standing.FAILED)
    assert not verdict.possession_proved
    assert verdict.mrz is None


def test_a_replay_is_refused_by_the_store() -> None:
    """The order that the function asks of its caller: the challenge leaves the store before the answer is judged."""
    store = {CHALLENGE.nonce: CHALLENGE}

    def submit(nonce: bytes, response: bytes) -> ChipVerdict | None:
        challenge = store.pop(nonce, None)
        return None if challenge is None else prove_possession(passive(), challenge, response, NOW)

    recorded = answer(KEY, CHALLENGE.nonce)
    first = submit(CHALLENGE.nonce, recorded)
    assert first is not None
    assert first.possession_proved
    assert submit(CHALLENGE.nonce, recorded) is None


def _groups(groups: dict[int, bytes]) -> Chip:
    issuer = authority()
    files = {f"DG{number}": data for number, data in groups.items()}
    files["DG1"] = chip().files["DG1"]
    signed = {**groups, 1: files["DG1"]}
    files["EF.SOD"] = sod(signed, document_signer(issuer), issuer.name)
    good = chip()
    return Chip(files, good.anchors, good.crls)


@pytest.mark.parametrize(
    ("groups", "standing"),
    [
        ({}, Standing.UNSUPPORTED),
        ({15: dg15(KEY)}, Standing.UNSUPPORTED),
        ({15: dg15(KEY), 14: dg14("0.4.0.127.0.7.1.1.4.1.1")}, Standing.UNSUPPORTED),
        ({15: dg15(KEY), 14: der.tlv(0x6E, b"junk")}, Standing.FAILED),
        ({15: der.tlv(0x6F, b"junk"), 14: dg14()}, Standing.FAILED),
    ],
    ids=["no key", "no hash named", "SHA-1", "junk in DG14", "junk in DG15"],
)
def test_without_key_or_hash_the_cap_stays(groups: dict[int, bytes], standing: Standing) -> None:
    """Nothing is guessed: what the chip does not state is not tried."""
    one = _groups(groups)
    verdict = authenticate(one.files, one.anchors, one.crls, NOW)
    assert verdict.passed
    after = prove_possession(verdict, CHALLENGE, answer(KEY, CHALLENGE.nonce), NOW)
    assert last(after) is standing
    assert after.capped


def test_a_forged_curve_in_the_chips_key_fails() -> None:
    """Its generator is its own public point: everybody knows the private key."""
    from tests.ekyc.chip_parties import curve_of, point_of

    info = explicit_info(curve_of(KEY), point_of(KEY), generator=point_of(KEY))
    one = _groups({14: dg14(), 15: der.tlv(0x6F, info)})
    verdict = authenticate(one.files, one.anchors, one.crls, NOW)
    after = prove_possession(verdict, CHALLENGE, answer(KEY, CHALLENGE.nonce), NOW)
    assert (after.outcome, last(after)) == (ChipOutcome.FAILED, Standing.FAILED)


def test_an_answer_does_not_mend_a_chip() -> None:
    """A chip that failed stays failed; one that is not anchored stays so, and its possession is told."""
    one = chip(possession_key=KEY)
    good = answer(KEY, CHALLENGE.nonce)
    failed = authenticate(one.with_files(DG2=der.tlv(0x75, b"x")).files, one.anchors, one.crls, NOW)
    assert prove_possession(failed, CHALLENGE, good, NOW) == failed
    loose = prove_possession(authenticate(one.files, [], [], NOW), CHALLENGE, good, NOW)
    assert (loose.outcome, loose.possession_proved) == (ChipOutcome.SIGNED_NOT_ANCHORED, True)


def test_a_challenge_has_eight_octets() -> None:
    """Anything else is a mistake of the caller."""
    with pytest.raises(ValueError, match="eight octets"):
        Challenge(b"short", NOW)
