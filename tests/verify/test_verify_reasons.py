"""The reasons of a verdict: each is said once, and names whose it is."""

from __future__ import annotations

from foundation.catalogue import Language
from signing.verify.model import (
    About,
    Indication,
    SubIndication,
    about,
    distinct,
    indeterminate,
    noted,
    worst,
)
from signing.verify.policy import POLICIES, STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests.verify.verify_world import NOW, UNIT_EXTENSIONS, YEAR, World, issue, rsa_key


def test_a_timestamp_that_cannot_be_relied_on_is_not_denied(world: World, signed: bytes) -> None:
    """Under a bundle that is stale, not pinned or missing the answer says that there is a timestamp, names whose each
    reason is, in both languages, and says nothing twice."""
    bundle, pins = world.bundle(), frozenset({world.pin})
    for given, at, rule in (
        ((bundle, pins), NOW + YEAR / 2, "BND-STALE"),
        ((bundle, frozenset[str]()), NOW, "BND-PINNED"),
        ((None, pins), NOW, "BND-NONE"),
    ):
        for policy in POLICIES.values():
            verdict = verify_file(signed, "a.pdf", build_trust(*given, [], at, policy), at, policy)
            assert verdict.indication is Indication.INDETERMINATE
            (signature,) = verdict.signatures
            spoken = [one.rule for one in signature.reasons]
            assert (spoken.count(rule), spoken.count("TST-UNUSED"), "TST-NONE" in spoken) == (1, 1, False)
            said = [one.message(language) for one in signature.reasons for language in Language]
            assert len(said) == len(set(said))
            for reason in signature.reasons:
                if reason.rule.startswith(("PATH-", "REV-")):
                    assert reason.message(Language.EN).startswith(("For the signer: ", "For the timestamping unit: "))
                    assert "ចុះហត្ថលេខា៖ " in reason.message(Language.KM) or "ត្រាពេលវេលា៖ " in reason.message(Language.KM)
            if rule != "BND-STALE":
                assert {one.about for one in signature.reasons} == {None, About.SIGNER, About.UNIT}


def test_reasons_about_one_ca_say_whose_it_is(world: World, plain: bytes) -> None:
    """Where one CA stands above signer and timestamping unit, what is said of it is said for each by name."""
    unit = issue("SPECIMEN TSU 2", world.issuing, UNIT_EXTENSIONS, key=rsa_key())
    verdict = verify_file(world.sign(plain, unit=unit), "a.pdf", build_trust(None, frozenset(), [], NOW, STRICT), NOW)
    told = {one.about: one.message(Language.EN) for one in verdict.signatures[0].reasons if one.rule.startswith("PATH")}
    sentence = "The issuer of SPECIMEN Issuing CA is not known to the trust that you gave."
    assert told == {About.SIGNER: f"For the signer: {sentence}", About.UNIT: f"For the timestamping unit: {sentence}"}


def test_a_reason_is_said_once_at_its_worst() -> None:
    """Of reasons that say the same of the same the worst stays, so that the indication stays what it was."""
    note = noted("BND-STALE", "-", "bundle_stale", days="31", issued="-")
    grave = indeterminate("BND-STALE", "-", "bundle_stale", SubIndication.BUNDLE_STALE, days="31", issued="-")
    other = indeterminate("BND-STALE", "-", "bundle_stale", SubIndication.BUNDLE_STALE, days="32", issued="-")
    assert distinct((note, grave, note, other, grave)) == (grave, other)
    assert worst(distinct((note, grave))) == worst((note, grave))
    assert distinct((*about(About.SIGNER, (note,)), *about(About.UNIT, (note,)))) == (
        *about(About.SIGNER, (note,)),
        *about(About.UNIT, (note,)),
    )
