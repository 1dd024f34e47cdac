"""Evidence in a document is the attacker's: what counts does so alone, in any order, whatever lies beside it."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from signing.verify.policy import STRICT
from signing.verify.trust import Trust, build_trust
from signing.verify.verdict import verify_file
from tests.verify.outcomes import outcome
from tests.verify.test_verify_octets import byte_range
from tests.verify.verify_world import NOW, SIGNED_AT, Holder, World, crl, issue, ocsp_response, usage


@pytest.fixture(scope="module")
def bare(world: World) -> Trust:
    """A bundle with the root and the CA's lists, nothing about signers: that must come with the document."""
    bundle = world.bundle(crls=(crl(world.root), crl(world.tsa_ca)), intermediates=(), tsa=())
    return build_trust(bundle, frozenset({world.pin}), [], NOW, STRICT)


AFTER = SIGNED_AT + timedelta(seconds=5)


def test_forged_good_status_does_not_count(world: World, plain: bytes, bare: Trust) -> None:
    """Good answers signed by keys without authority: none counts, so the status is unknown."""
    stranger = World()
    impostor = issue(
        "SPECIMEN Responder", stranger.issuing, [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)]
    )
    plain_citizen = issue("SPECIMEN Citizen", world.issuing, [(usage("digital_signature"), True)])
    other_cas_delegate = issue(
        "SPECIMEN Responder", world.tsa_ca, [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)]
    )
    expired = issue(
        "SPECIMEN Responder",
        world.issuing,
        [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False), (x509.OCSPNoCheck(), False)],
        not_after=SIGNED_AT - timedelta(days=1),
    )
    without_nocheck = issue(
        "SPECIMEN Responder", world.issuing, [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)]
    )
    about = (world.signer, world.issuing)
    forgeries = {
        "a stranger's delegate": ocsp_response(*about, impostor, this_update=AFTER),
        "a citizen": ocsp_response(*about, plain_citizen, this_update=AFTER),
        "the signer about itself": ocsp_response(*about, world.signer, this_update=AFTER),
        "another CA's delegate": ocsp_response(*about, other_cas_delegate, this_update=AFTER),
        "an expired delegate": ocsp_response(*about, expired, this_update=AFTER),
        "a delegate that may itself be revoked": ocsp_response(*about, without_nocheck, this_update=AFTER),
        "the responder, a wrong signature": ocsp_response(*about, world.responder, this_update=AFTER, tampered=True),
        "another certificate's status": ocsp_response(world.unit, world.tsa_ca, world.tsa_ca, this_update=AFTER),
    }
    signed = world.sign(plain)
    for what, forged in forgeries.items():
        verdict = verify_file(world.add_evidence(signed, ocsps=[forged]), "a.pdf", bare, NOW)
        assert outcome(verdict) == ("INDETERMINATE", "TRY_LATER"), what
    lists = {
        "another key": crl(world.issuing, key=stranger.issuing.key, this_update=AFTER),
        "a CA of the same name": crl(stranger.issuing, this_update=AFTER),
        "the root for its subordinate's children": crl(world.root, this_update=AFTER),
        "a delta list": crl(world.issuing, this_update=AFTER, extensions=[(x509.DeltaCRLIndicator(1), True)]),
        "an indirect list of a CA that no distribution point names": crl(
            world.tsa_ca, this_update=AFTER, extensions=[(_scope(indirect_crl=True), True)]
        ),
        "some reasons only": crl(
            world.issuing,
            this_update=AFTER,
            extensions=[(_scope(only_some_reasons=frozenset({x509.ReasonFlags.superseded})), True)],
        ),
        "CA certificates only": crl(
            world.issuing, this_update=AFTER, extensions=[(_scope(only_contains_ca_certs=True), True)]
        ),
        "an unknown critical extension": crl(
            world.issuing,
            this_update=AFTER,
            extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("2.999.1"), b"\x05\x00"), True)],
        ),
        "from the future": crl(world.issuing, this_update=NOW + timedelta(hours=1)),
    }
    for what, forged in lists.items():
        verdict = verify_file(
            world.add_evidence(signed, ocsps=[], crls=[*world.good_crls(), forged]), "a.pdf", bare, NOW
        )
        assert outcome(verdict) == ("INDETERMINATE", "TRY_LATER"), what
    control = world.add_evidence(
        signed,
        ocsps=[],
        crls=[crl(world.issuing, this_update=AFTER, extensions=[(_scope(only_contains_user_certs=True), True)])],
    )
    assert outcome(verify_file(control, "a.pdf", bare, NOW)) == ("TOTAL-PASSED", None)


def _scope(**on: object) -> x509.IssuingDistributionPoint:
    settings: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**settings, **on})  # type: ignore[arg-type]


def test_forged_revocation_does_not_count(world: World, plain: bytes, bare: Trust) -> None:
    """Somebody else cannot revoke: a forged list or answer takes nothing away from a good document."""
    stranger = World()
    before = SIGNED_AT - timedelta(hours=1)
    forged_list = crl(world.issuing, [(world.signer, before, None)], key=stranger.issuing.key)
    forged_answer = ocsp_response(
        world.signer, world.issuing, world.responder, this_update=AFTER, revoked_at=before, tampered=True
    )
    signed = world.add_evidence(
        world.sign(plain), ocsps=[forged_answer, *world.good_ocsps()], crls=[forged_list, *world.good_crls()]
    )
    assert outcome(verify_file(signed, "a.pdf", bare, NOW)) == ("TOTAL-PASSED", None)


def test_order_and_neighbours_do_not_matter(world: World, plain: bytes, bare: Trust) -> None:
    """The same verdict for evidence in any order, doubled, and beside a heap of foreign and broken evidence."""
    strangers = [World() for _ in range(3)]
    ocsps = world.good_ocsps() + [one for stranger in strangers for one in stranger.good_ocsps()]
    crls = world.good_crls() + [one for stranger in strangers for one in stranger.good_crls()]
    certificates: list[Holder] = world.evidence_certificates() + [
        one for stranger in strangers for one in (*stranger.evidence_certificates(), stranger.root)
    ]
    signed = world.sign(plain)
    shuffle = random.Random(7)  # noqa: S311
    for _ in range(6):
        for heap in (ocsps, crls, certificates):
            shuffle.shuffle(heap)
        data = world.add_evidence(signed, ocsps=ocsps + ocsps, crls=crls + crls, certificates=certificates)
        assert outcome(verify_file(data, "a.pdf", bare, NOW)) == ("TOTAL-PASSED", None)
    revoked = ocsp_response(
        world.signer, world.issuing, world.responder, this_update=AFTER, revoked_at=SIGNED_AT - timedelta(hours=1)
    )
    for _ in range(4):
        mixed = [*ocsps, revoked]
        shuffle.shuffle(mixed)
        data = world.add_evidence(signed, ocsps=mixed, crls=crls, certificates=certificates)
        assert outcome(verify_file(data, "a.pdf", bare, NOW)) == ("TOTAL-FAILED", "REVOKED")


def test_many_certificates_of_the_same_name(world: World, plain: bytes, bare: Trust) -> None:
    """A flood of certificates with the issuer's name does not hide the right one."""
    from tests.verify.verify_world import ca_extensions

    flood = [issue("SPECIMEN Issuing CA", None, ca_extensions(), serial=number) for number in range(1, 120)]
    with_right_one = world.add_evidence(world.sign(plain), certificates=[*flood, *world.evidence_certificates()])
    assert outcome(verify_file(with_right_one, "a.pdf", bare, NOW)) == ("TOTAL-PASSED", None)


def test_timestamp_over_something_else(world: World, plain: bytes, trust: Trust) -> None:
    """A token taken from another signature proves nothing here: INDETERMINATE / NO_POE."""
    from asn1crypto import cms as asn1_cms

    def contents(data: bytes) -> tuple[asn1_cms.ContentInfo, int, int]:
        _, before, after, _ = byte_range(data)
        return asn1_cms.ContentInfo.load(bytes.fromhex(data[before + 1 : after - 1].decode())), before, after

    first, second = world.sign(plain), world.sign(plain)
    mine, before, after = contents(first)
    theirs, _, _ = contents(second)
    mine["content"]["signer_infos"][0]["unsigned_attrs"] = theirs["content"]["signer_infos"][0]["unsigned_attrs"]
    hole = mine.dump(force=True).hex().encode().ljust(after - before - 2, b"0")
    swapped = first[: before + 1] + hole + first[after - 1 :]
    assert outcome(verify_file(first, "a.pdf", trust, NOW)) == ("TOTAL-PASSED", None)
    assert outcome(verify_file(swapped, "a.pdf", trust, NOW)) == ("INDETERMINATE", "NO_POE")


def test_timestamp_by_a_stranger(world: World, plain: bytes, trust: Trust) -> None:
    """A timestamp of an authority that nobody trusts proves nothing."""
    stranger = World()
    data = world.sign(plain, unit=stranger.unit)
    assert outcome(verify_file(data, "a.pdf", trust, NOW)) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")


def test_certificate_substitution(world: World, plain: bytes, trust: Trust) -> None:
    """Another certificate over the same key is not the one that the signature names."""
    from tests.verify.verify_world import SIGNER_EXTENSIONS

    serial = world.signer.certificate.serial_number
    twins = (
        issue("SPECIMEN Signer", world.issuing, SIGNER_EXTENSIONS, key=world.signer.key, serial=serial)
        for _ in range(99)
    )
    twin = next(one for one in twins if len(one.der) == len(world.signer.der))  # ECDSA signatures vary in length
    data = world.sign(plain)
    _, before, after, _ = byte_range(data)
    contents = bytes.fromhex(data[before + 1 : after - 1].decode())
    assert world.signer.der in contents
    swapped = contents.replace(world.signer.der, twin.der, 1).hex().encode()
    verdict = verify_file(data[: before + 1] + swapped + data[after - 1 :], "a.pdf", trust, NOW)
    assert outcome(verdict) == ("INDETERMINATE", "NO_SIGNING_CERTIFICATE_FOUND")
