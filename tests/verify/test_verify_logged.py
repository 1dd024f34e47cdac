"""A certificate that is kept out of the log, or logged under another label, is worthless where the bundle says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from foundation.signed_note import SignatureType
from signing.verify.bundle import Bundle, BundleProblem, read_bundle
from signing.verify.errors import BundleNotMade
from signing.verify.logged import LogRequirement, judge_logged
from signing.verify.model import Indication, Reason
from tests.foundation.test_log_proofs import Log, make_log, note_key
from tests.verify.verify_world import World


@pytest.fixture
def log() -> Log:
    return make_log()


def required(log: Log, **changes: object) -> LogRequirement:
    return replace(LogRequirement(keys=(str(log.key),), required=True), **changes)  # type: ignore[arg-type]


def only(log: Log, proofs: list[bytes], requirement: LogRequirement) -> Reason:
    (reason,), _ = judge_logged(log.certificate, proofs, requirement, "CN=SPECIMEN")
    return reason


def test_a_good_proof_is_told_and_relied_on(log: Log) -> None:
    """Alone, beside broken ones, and under one of several logs."""
    other = make_log()
    good = bytes(log.proof())
    for proofs in ([good], [b"", b"not a proof", bytes(other.proof()), good]):
        for keys in ((str(log.key),), (str(other.key), str(log.key))):
            reasons, relied_on = judge_logged(log.certificate, proofs, required(log, keys=keys), "CN=SPECIMEN")
            assert [(one.rule, one.indication) for one in reasons] == [("LOG-PROVED", Indication.TOTAL_PASSED)]
            assert [one.kind for one in relied_on] == ["log-proof"]


@pytest.mark.parametrize("must", [True, False])
def test_what_a_bad_proof_does(log: Log, must: bool) -> None:
    """Each rule by name; it weighs where a proof is required, and only informs where none is."""
    expected = Indication.INDETERMINATE if must else Indication.TOTAL_PASSED
    requirement = required(log, required=must)
    stranger = make_log()
    witness, _ = note_key("witness.example", SignatureType.COSIGNATURE_V1)
    cases = {
        "LOG-FORM": ([b"\xff\x00"], requirement),
        "LOG-SIGNED": ([bytes(stranger.proof())], requirement),
        "LOG-WITNESSED": ([bytes(log.proof())], replace(requirement, witnesses=(str(witness),), quorum=1)),
        "LOG-LABEL": ([bytes(make_log(subject="CT:KH-SPECIMEN-2").proof())], None),
    }
    for rule, (proofs, given) in cases.items():
        if given is None:
            mislabelled = make_log(subject="CT:KH-SPECIMEN-2")
            found = only(mislabelled, [bytes(mislabelled.proof())], required(mislabelled, required=must))
        else:
            found = only(log, proofs, given)
        assert (found.rule, found.indication) == (rule, expected)
        assert found.sub_indication == ("CHAIN_CONSTRAINTS_FAILURE" if must else None)


def test_no_proof(log: Log) -> None:
    """Open where it is required; nothing where it is not, and where the bundle names no log."""
    assert only(log, [], required(log)).rule == "LOG-MISSING"
    assert judge_logged(log.certificate, [], required(log, required=False), "CN=SPECIMEN") == ((), ())
    assert judge_logged(log.certificate, [b"x"], LogRequirement(), "CN=SPECIMEN") == ((), ())


def test_the_bundle_carries_it(world: World, log: Log) -> None:
    """Keys, witnesses, quorum and requirement come back as they went in; what cannot be is not made."""
    witness, _ = note_key("witness.example", SignatureType.COSIGNATURE_V1)
    logs = required(log, witnesses=(str(witness),), quorum=1)
    read = read_bundle(world.bundle(logs=logs), frozenset({world.pin}))
    assert isinstance(read, Bundle)
    assert read.contents.logs == logs
    for broken in (
        required(log, quorum=1),
        required(log, keys=()),
        required(log, keys=("log.example+00000000+AAAA",)),
        required(log, witnesses=(str(witness), str(witness)), quorum=2),
    ):
        with pytest.raises(BundleNotMade):
            world.bundle(logs=broken)
    assert not isinstance(read_bundle(world.bundle(), frozenset({world.pin})), BundleProblem)
    assert read.contents.expires - read.contents.issued == timedelta(days=14)
