"""Revocation in time: before the signature, after it, and with nothing that says which (EN 319 102-1 §5.5, §5.6)."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509

from signing.verify.model import FileVerdict
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests.verify.outcomes import outcome, rules
from tests.verify.verify_world import NOW, SIGNED_AT, Holder, World, crl, ocsp_response


def _with_revocation(
    world: World, plain: bytes, holder: Holder, issuer: Holder, revoked_at: object, **kind: object
) -> FileVerdict:
    trust = build_trust(
        world.bundle(crls=(crl(world.root), crl(world.tsa_ca), crl(world.issuing))),
        frozenset({world.pin}),
        [],
        NOW,
        STRICT,
    )
    lists = [crl(issuer, [(holder, revoked_at, kind.get("reason"))])]  # type: ignore[list-item]
    stamped = kind.get("stamped_at", SIGNED_AT)
    signed = world.add_evidence(world.sign(plain, stamped_at=stamped), crls=lists)  # type: ignore[arg-type]
    return verify_file(signed, "a.pdf", trust, NOW)


def test_revoked_before_signing(world: World, plain: bytes) -> None:
    """A certificate revoked before the proven time: TOTAL-FAILED / REVOKED, though good evidence lies beside."""
    verdict = _with_revocation(world, plain, world.signer, world.issuing, SIGNED_AT - timedelta(hours=1))
    assert outcome(verdict) == ("TOTAL-FAILED", "REVOKED")


def test_revoked_after_signing(world: World, plain: bytes) -> None:
    """A certificate revoked after the proven time: what was signed before stays valid, and the answer says so."""
    verdict = _with_revocation(world, plain, world.signer, world.issuing, SIGNED_AT + timedelta(hours=1))
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert "REV-LATER" in rules(verdict)


def test_revoked_without_timestamp(world: World, plain: bytes) -> None:
    """Without a timestamp nothing proves that the signature came first: INDETERMINATE / REVOKED_NO_POE."""
    verdict = _with_revocation(
        world, plain, world.signer, world.issuing, SIGNED_AT + timedelta(hours=1), stamped_at=None
    )
    assert outcome(verdict) == ("INDETERMINATE", "REVOKED_NO_POE")


def test_suspended(world: World, plain: bytes) -> None:
    """A suspended certificate is no pass."""
    hold = x509.ReasonFlags.certificate_hold
    verdict = _with_revocation(world, plain, world.signer, world.issuing, SIGNED_AT - timedelta(hours=1), reason=hold)
    assert outcome(verdict) == ("INDETERMINATE", "TRY_LATER")


def test_ca_revoked(world: World, plain: bytes) -> None:
    """An issuing CA revoked before the proven time: no pass."""
    verdict = _with_revocation(world, plain, world.issuing, world.root, SIGNED_AT - timedelta(hours=1))
    assert outcome(verdict) == ("INDETERMINATE", "REVOKED_CA_NO_POE")


def test_ca_revoked_after_signing_silences_its_later_word(world: World, plain: bytes) -> None:
    """What a CA says after it was revoked does not count; what it said before does."""
    revoked_at = SIGNED_AT + timedelta(hours=1)
    lists = crl(world.root, [(world.issuing, revoked_at, None)])
    trust = build_trust(world.bundle(crls=(crl(world.tsa_ca), lists)), frozenset({world.pin}), [], NOW, STRICT)
    early = world.add_evidence(world.sign(plain))  # OCSP five seconds after signing
    assert outcome(verify_file(early, "a.pdf", trust, NOW)) == ("TOTAL-PASSED", None)
    late = ocsp_response(world.signer, world.issuing, world.responder, this_update=revoked_at + timedelta(hours=1))
    forged = world.add_evidence(world.sign(plain), ocsps=[late])
    assert outcome(verify_file(forged, "a.pdf", trust, NOW)) == ("INDETERMINATE", "TRY_LATER")


def test_timestamping_unit_revoked(world: World, plain: bytes) -> None:
    """A unit revoked for compromise proves nothing; one replaced in good order still does (RFC 3161 §4)."""
    when = SIGNED_AT + timedelta(hours=1)
    compromised = x509.ReasonFlags.key_compromise
    verdict = _with_revocation(world, plain, world.unit, world.tsa_ca, when, reason=compromised)
    assert outcome(verdict) == ("INDETERMINATE", "REVOKED_NO_POE")
    replaced = x509.ReasonFlags.superseded
    verdict = _with_revocation(world, plain, world.unit, world.tsa_ca, when, reason=replaced)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    verdict = _with_revocation(world, plain, world.unit, world.tsa_ca, when, reason=None)
    assert outcome(verdict) == ("INDETERMINATE", "REVOKED_NO_POE")


def test_status_must_follow_signing(world: World, plain: bytes) -> None:
    """A status from before the proven signing time does not show a theft: INDETERMINATE / TRY_LATER."""
    early = ocsp_response(world.signer, world.issuing, world.responder, this_update=SIGNED_AT - timedelta(minutes=5))
    trust = build_trust(
        world.bundle(crls=(crl(world.root), crl(world.tsa_ca))), frozenset({world.pin}), [], NOW, STRICT
    )
    stale = world.add_evidence(world.sign(plain), ocsps=[early])
    assert outcome(verify_file(stale, "a.pdf", trust, NOW)) == ("INDETERMINATE", "TRY_LATER")
    assert outcome(verify_file(world.signed(plain), "a.pdf", trust, NOW)) == ("TOTAL-PASSED", None)
