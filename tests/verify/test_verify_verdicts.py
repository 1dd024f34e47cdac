"""The verdict on good and bad documents, step by step (EN 319 102-1)."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import Any

import pikepdf
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from foundation.catalogue import Language
from signing.verify.model import Reliance
from signing.verify.policy import STRICT
from signing.verify.trust import Trust, build_trust
from signing.verify.verdict import verify_file
from tests.attacks.increments import retabled
from tests.verify.outcomes import outcome, rules
from tests.verify.verify_world import (
    NOW,
    SIGNED_AT,
    SIGNER_EXTENSIONS,
    YEAR,
    World,
    crl,
    document,
    issue,
    ocsp_response,
    usage,
)


def test_a_good_document_passes(signed: bytes, trust: Trust) -> None:
    """B-LT with everything in place is TOTAL-PASSED, says what it relied on, and says SPECIMEN."""
    verdict = verify_file(signed, "a.pdf", trust, NOW)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    (signature,) = verdict.signatures
    assert signature.level == "B-LT"
    assert signature.proved_at == SIGNED_AT
    assert signature.coverage == "ENTIRE_REVISION"
    assert signature.signer is not None
    assert signature.signer.name == "SPECIMEN Signer"
    assert verdict.reliance is Reliance.YES
    assert verdict.specimen
    kinds = [(one.kind, one.purpose) for one in signature.relied_on]
    assert kinds.count(("anchor", "signer")) == 1
    assert kinds.count(("anchor", "timestamping unit")) == 1
    assert ("timestamp", "time") in kinds
    assert verdict.headline(Language.EN).startswith("YES")
    for reason in signature.json()["reasons"]:
        assert reason["message_en"]
        assert reason["message_km"]


def test_level_with_archive_timestamp(world: World, signed: bytes, trust: Trust) -> None:
    """A document timestamp counts as a signature and raises the level to B-LTA."""
    archived = world.timestamp(signed, SIGNED_AT + timedelta(hours=3))
    verdict = verify_file(archived, "a.pdf", trust, NOW)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert [(one.kind.value, one.level) for one in verdict.signatures] == [
        ("signature", "B-LTA"),
        ("document-timestamp", None),
    ]


def test_archive_timestamp_carries_past_the_first_units_expiry(world: World, plain: bytes) -> None:
    """What a later document timestamp covers stays provable after the first timestamping unit's certificate expired."""
    from tests.verify.verify_world import UNIT_EXTENSIONS, rsa_key

    short = issue(
        "SPECIMEN TSU 1", world.tsa_ca, UNIT_EXTENSIONS, not_after=SIGNED_AT + timedelta(days=1), key=rsa_key()
    )
    signed = world.add_evidence(
        world.sign(plain, unit=short), certificates=[world.signer, world.issuing, short, world.tsa_ca]
    )
    trust = build_trust(world.bundle(), frozenset({world.pin}), [], NOW, STRICT)
    assert outcome(verify_file(signed, "a.pdf", trust, NOW)) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE")
    archived = world.timestamp(signed, SIGNED_AT + timedelta(hours=3))
    assert outcome(verify_file(archived, "a.pdf", trust, NOW)) == ("TOTAL-PASSED", None)


def test_unsigned(plain: bytes, trust: Trust) -> None:
    """No signature is INDETERMINATE / NO_SIGNATURE, which has no ETSI word."""
    verdict = verify_file(plain, "a.pdf", trust, NOW)
    assert outcome(verdict) == ("INDETERMINATE", "NO_SIGNATURE")
    assert verdict.sub_indication is not None
    assert verdict.sub_indication.etsi is None
    assert "not signed" in verdict.headline(Language.EN)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x30\x03\x02\x01\x01", b"PK\x03\x04", bytes(2000)])
def test_other_files(data: bytes, trust: Trust) -> None:
    """What is no signed document at all is NO_SIGNATURE, without an exception."""
    assert outcome(verify_file(data, "a", trust, NOW)) == ("INDETERMINATE", "NO_SIGNATURE")


def test_truncated(signed: bytes, trust: Trust) -> None:
    """A signed file that is cut off cannot be read: TOTAL-FAILED / FORMAT_FAILURE."""
    for size in (len(signed) // 2, len(signed) - 20):
        assert outcome(verify_file(signed[:size], "a.pdf", trust, NOW)) == ("TOTAL-FAILED", "FORMAT_FAILURE")


def test_password(trust: Trust, plain: bytes, world: World) -> None:
    """A document with a password is INDETERMINATE until the password is given."""
    output = BytesIO()
    with pikepdf.open(BytesIO(plain)) as pdf:
        pdf.save(output, encryption=pikepdf.Encryption(user="openpassword", owner="owner"))
    locked = output.getvalue()
    verdict = verify_file(locked, "a.pdf", trust, NOW)
    assert outcome(verdict) == ("INDETERMINATE", "SIGNED_DATA_NOT_FOUND")
    assert rules(verdict) == {"PDF-PASSWORD"}
    wrong = verify_file(locked, "a.pdf", trust, NOW, password=b"no")
    assert wrong.reasons[0].key == "signing.verify_password_wrong"
    assert outcome(verify_file(locked, "a.pdf", trust, NOW, password=b"openpassword")) == (
        "INDETERMINATE",
        "NO_SIGNATURE",
    )


@pytest.mark.parametrize("handler", [4, 6])
def test_signed_and_encrypted(trust: Trust, plain: bytes, world: World, handler: int) -> None:
    """An encrypted document that is signed, and timestamped later, passes once it can be opened."""
    locked = _locked(plain, handler)
    signed = _signed_locked(locked, world)
    assert outcome(verify_file(signed, "a.pdf", trust, NOW))[1] == "SIGNED_DATA_NOT_FOUND"
    assert outcome(verify_file(signed, "a.pdf", trust, NOW, password=b"openpassword")) == ("TOTAL-PASSED", None)
    archived = _timestamped_locked(signed, world)
    verdict = verify_file(archived, "a.pdf", trust, NOW, password=b"openpassword")
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert [one.kind.value for one in verdict.signatures] == ["signature", "document-timestamp"]


def test_encrypted_and_read_differently(trust: Trust, plain: bytes, world: World) -> None:
    """Encryption does not hide that two parsers read a document differently."""
    odd = retabled(_locked(plain, 6).replace(b"/MediaBox", b"/Foo#00 1 /MediaBox", 1))
    verdict = verify_file(_signed_locked(odd, world), "a.pdf", trust, NOW, password=b"openpassword")
    assert outcome(verdict) == ("TOTAL-FAILED", "FORMAT_FAILURE")
    assert "PDF-ENGINES" in rules(verdict)


@pytest.mark.parametrize("key", ["/Contents", "/M", "/Filter"])
def test_encrypted_signatures_are_compared(
    plain: bytes, trust: Trust, world: World, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """Another signature value, or another encrypted string, in the second reading is a difference."""
    signed = _signed_locked(_locked(plain, 6), world)
    opened = pikepdf.open

    def reads_otherwise(*arguments: Any, **options: Any) -> pikepdf.Pdf:
        pdf = opened(*arguments, **options)
        value = pdf.Root.AcroForm.Fields[0].V
        value[key] = pikepdf.Name.Other if key == "/Filter" else pikepdf.String(bytes(value[key])[:-1] + b"!")
        return pdf

    monkeypatch.setattr(pikepdf, "open", reads_otherwise)
    verdict = verify_file(signed, "a.pdf", trust, NOW, password=b"openpassword")
    assert outcome(verdict) == ("TOTAL-FAILED", "FORMAT_FAILURE")
    assert "PDF-ENGINES" in rules(verdict)


def _locked(data: bytes, handler: int) -> bytes:
    output = BytesIO()
    with pikepdf.open(BytesIO(data)) as pdf:
        pdf.save(
            output,
            encryption=pikepdf.Encryption(user="openpassword", owner="owner", R=handler),
            object_stream_mode=pikepdf.ObjectStreamMode.disable,
        )
    return output.getvalue()


def _signed_locked(locked: bytes, world: World) -> bytes:
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import signers

    writer = IncrementalPdfFileWriter(BytesIO(locked))
    writer.encrypt(b"openpassword")
    meta = signers.PdfSignatureMetadata(field_name="Signature1", md_algorithm="sha256", subfilter=_pades())
    signed: bytes = signers.sign_pdf(
        writer,
        meta,
        signer=world.signer_of(world.signer, [world.issuing]),
        timestamper=world.timestamper(SIGNED_AT),
        bytes_reserved=20_000,
    ).getvalue()
    return signed


def _timestamped_locked(signed: bytes, world: World) -> bytes:
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import signers

    writer = IncrementalPdfFileWriter(BytesIO(signed))
    writer.encrypt(b"openpassword")
    stamper = signers.PdfTimeStamper(world.timestamper(SIGNED_AT + timedelta(hours=3)))
    stamped: bytes = stamper.timestamp_pdf(writer, "sha256", bytes_reserved=20_000).getvalue()
    return stamped


def _pades() -> object:
    from pyhanko.sign.fields import SigSeedSubFilter

    return SigSeedSubFilter.PADES


def test_untrusted_chain(signed: bytes, world: World) -> None:
    """A chain to a root that nobody trusts is INDETERMINATE / NO_CERTIFICATE_CHAIN_FOUND."""
    other = World()
    trust = build_trust(other.bundle(), frozenset({other.pin}), [], NOW, STRICT)
    assert outcome(verify_file(signed, "a.pdf", trust, NOW)) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")
    nothing = build_trust(None, frozenset(), [], NOW, STRICT)
    assert outcome(verify_file(signed, "a.pdf", nothing, NOW)) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")


def test_same_names_other_keys(world: World, plain: bytes, trust: Trust) -> None:
    """A PKI with our names and other keys is not ours, whatever certificates lie beside it."""
    impostor = World()
    forged = impostor.signed(plain)
    assert outcome(verify_file(forged, "a.pdf", trust, NOW))[0] == "INDETERMINATE"
    mixed = impostor.add_evidence(
        impostor.sign(plain),
        certificates=[*impostor.evidence_certificates(), *world.evidence_certificates(), world.root],
    )
    assert outcome(verify_file(mixed, "a.pdf", trust, NOW))[0] == "INDETERMINATE"


def test_hand_anchor(signed: bytes, world: World) -> None:
    """An anchor given by hand is enough, and the answer says where trust came from."""
    trust = build_trust(None, frozenset(), [world.root.certificate], NOW, STRICT)
    later = world.add_evidence(
        signed, crls=[crl(world.root), crl(world.tsa_ca), crl(world.issuing)], ocsps=[], certificates=[]
    )
    verdict = verify_file(later, "a.pdf", trust, NOW)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert "TRUST-HAND" in rules(verdict)


# --- time and certificates -----------------------------------------------------------------------------------------


def test_without_timestamp(world: World, plain: bytes) -> None:
    """B-B with a current status passes, at B-B, and says that the time is the signer's word."""
    trust = build_trust(
        world.bundle(crls=(crl(world.root), crl(world.issuing))), frozenset({world.pin}), [], NOW, STRICT
    )
    verdict = verify_file(world.sign(plain, stamped_at=None), "a.pdf", trust, NOW)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert verdict.signatures[0].level == "B-B"
    assert verdict.signatures[0].proved_at is None
    assert "TST-NONE" in rules(verdict)
    assert "TST-UNUSED" not in rules(verdict)


def test_expired_certificate(world: World, plain: bytes, trust: Trust) -> None:
    """Expired by now: valid with a timestamp from before, INDETERMINATE / OUT_OF_BOUNDS_NO_POE without."""
    short = issue("SPECIMEN Short", world.issuing, SIGNER_EXTENSIONS, not_after=SIGNED_AT + timedelta(hours=1))
    status = ocsp_response(short, world.issuing, world.responder, this_update=SIGNED_AT + timedelta(seconds=5))
    stamped = world.add_evidence(world.sign(plain, holder=short), ocsps=[status])
    assert outcome(verify_file(stamped, "a.pdf", trust, NOW)) == ("TOTAL-PASSED", None)
    bare = world.add_evidence(world.sign(plain, holder=short, stamped_at=None), ocsps=[status])
    assert outcome(verify_file(bare, "a.pdf", trust, NOW)) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE")


def test_signed_before_the_certificate_was_valid(world: World, plain: bytes, trust: Trust) -> None:
    """A timestamp from before the certificate's validity: TOTAL-FAILED / NOT_YET_VALID."""
    late = issue("SPECIMEN Late", world.issuing, SIGNER_EXTENSIONS, not_before=SIGNED_AT + timedelta(hours=1))
    verdict = verify_file(world.sign(plain, holder=late), "a.pdf", trust, NOW)
    assert outcome(verdict) == ("TOTAL-FAILED", "NOT_YET_VALID")


def test_timestamp_from_the_future(world: World, plain: bytes, trust: Trust) -> None:
    """A timestamp later than the clock proves nothing."""
    verdict = verify_file(world.sign(plain, stamped_at=NOW + timedelta(hours=1)), "a.pdf", trust, NOW)
    assert outcome(verdict) == ("INDETERMINATE", "TIMESTAMP_ORDER_FAILURE")


def test_timestamp_by_a_unit_without_the_purpose(world: World, plain: bytes, trust: Trust) -> None:
    """A timestamp counts only from a certificate for timestamps alone, critically (RFC 3161 §2.3)."""
    from tests.verify.verify_world import rsa_key

    for purposes, critical in (
        ([ExtendedKeyUsageOID.TIME_STAMPING], False),
        ([ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CLIENT_AUTH], True),
        ([ExtendedKeyUsageOID.CLIENT_AUTH], True),
    ):
        unit = issue(
            "SPECIMEN Not a TSU",
            world.tsa_ca,
            [(usage("digital_signature"), True), (x509.ExtendedKeyUsage(purposes), critical)],
            key=rsa_key(),
        )
        verdict = verify_file(world.add_evidence(world.sign(plain, unit=unit)), "a.pdf", trust, NOW)
        assert outcome(verdict) == ("INDETERMINATE", "CHAIN_CONSTRAINTS_FAILURE")


@pytest.mark.parametrize(
    "extensions",
    [
        [(usage("key_encipherment"), True)],
        [],
        [(usage("digital_signature"), True), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)],
        [(usage("digital_signature"), True), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)],
        [(usage("digital_signature"), True), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)],
    ],
)
def test_certificates_that_are_not_for_signing(
    world: World, plain: bytes, trust: Trust, extensions: list[tuple[x509.ExtensionType, bool]]
) -> None:
    """A certificate for something else does not sign documents."""
    other = issue("SPECIMEN Other", world.issuing, extensions)
    verdict = verify_file(world.sign(plain, holder=other), "a.pdf", trust, NOW)
    assert outcome(verdict) == ("INDETERMINATE", "CHAIN_CONSTRAINTS_FAILURE")


# --- several signatures, later changes -----------------------------------------------------------------------------


def test_the_worst_signature_decides(world: World, plain: bytes, trust: Trust) -> None:
    """Two signatures, one of which does not pass: the file does not pass, and each has its own verdict."""
    stranger = World()
    both = stranger.sign(world.sign(plain), field="Signature2")
    verdict = verify_file(both, "a.pdf", trust, NOW)
    assert [one.indication.value for one in verdict.signatures] == ["TOTAL-PASSED", "INDETERMINATE"]
    assert outcome(verdict)[0] == "INDETERMINATE"


def test_later_visible_signature(world: World, plain: bytes, trust: Trust) -> None:
    """A visible field that appears after a signature can cover the page: the earlier signature does not pass."""
    both = world.sign(world.sign(plain), field="Signature2", box=(50, 700, 400, 780))
    verdict = verify_file(both, "a.pdf", trust, NOW)
    assert [one.sub_indication for one in verdict.signatures] == ["SIG_CONSTRAINTS_FAILURE", None]
    hidden = verify_file(world.sign(world.sign(plain), field="Signature2"), "a.pdf", trust, NOW)
    assert outcome(hidden) == ("TOTAL-PASSED", None)


def test_content_changed_in_a_later_revision(signed: bytes, trust: Trust) -> None:
    """An incremental update that replaces the page's content: TOTAL-FAILED."""
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(BytesIO(signed))
    page = writer.root["/Pages"]["/Kids"][0]
    page["/Contents"] = writer.add_object(
        generic.StreamObject(stream_data=b"BT /F1 24 Tf 72 720 Td (SPECIMEN other agreement) Tj ET")
    )
    writer.update_container(page)
    output = BytesIO()
    writer.write(output)
    verdict = verify_file(output.getvalue(), "a.pdf", trust, NOW)
    assert outcome(verdict) == ("TOTAL-FAILED", "FORMAT_FAILURE")
    assert "PDF-CHANGES" in rules(verdict)


def test_docmdp(world: World, plain: bytes, trust: Trust) -> None:
    """A document certified against changes fails when a signature is added all the same."""
    from pyhanko.sign.fields import MDPPerm

    certified = world.sign(plain, metadata={"certify": True, "docmdp_permissions": MDPPerm.NO_CHANGES})
    assert outcome(verify_file(certified, "a.pdf", trust, NOW)) == ("TOTAL-PASSED", None)
    with_evidence = world.add_evidence(certified)
    assert outcome(verify_file(with_evidence, "a.pdf", trust, NOW)) == ("TOTAL-PASSED", None)


def test_detached_cms(world: World) -> None:
    """A CAdES signature beside its document passes with it, fails with another, and asks for it when alone."""
    from signing.verify.cades import sign_detached

    trust = build_trust(
        world.bundle(
            crls=(crl(world.root), crl(world.issuing)),
            intermediates=(world.issuing.certificate,),
        ),
        frozenset({world.pin}),
        [],
        NOW,
        STRICT,
    )
    made = sign_detached(b"SPECIMEN", world.signer.key, world.signer.certificate, SIGNED_AT)
    assert outcome(verify_file(made, "a.p7s", trust, NOW, detached=b"SPECIMEN")) == ("TOTAL-PASSED", None)
    assert outcome(verify_file(made, "a.p7s", trust, NOW, detached=b"OTHER")) == ("TOTAL-FAILED", "HASH_FAILURE")
    assert outcome(verify_file(made, "a.p7s", trust, NOW)) == ("INDETERMINATE", "SIGNED_DATA_NOT_FOUND")


def test_time_is_an_argument(world: World, signed: bytes) -> None:
    """The same octets, the same trust, another time: another verdict, and nothing else was asked."""
    bundle, pins = world.bundle(), frozenset({world.pin})
    for at, sub in ((NOW, None), (NOW + YEAR, "BUNDLE_STALE"), (NOW - timedelta(days=30), "CLOCK_BEFORE_BUNDLE")):
        trust = build_trust(bundle, pins, [], at, STRICT)
        verdict = verify_file(signed, "a.pdf", trust, at)
        found = {reason.sub_indication for one in verdict.signatures for reason in one.reasons}
        assert (sub in found) if sub else outcome(verdict) == ("TOTAL-PASSED", None)
    assert document() != signed
