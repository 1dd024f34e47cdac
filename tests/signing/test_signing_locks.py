"""Signatures one after another, and those that close the document behind them (ISO 32000-2 §12.7.5.5, §12.8.2)."""

from __future__ import annotations

import asyncio
import secrets
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.keys import load_private_key_from_pemder_data
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers.pdf_cms import SimpleSigner
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner

from foundation.keys.port import KeyAlgorithm, KeyUse
from signing.errors import CertificationNotFirst, DocumentLocked, SignatureFieldConstraint
from signing.model import FieldAction, FieldLock, Level, Signatory
from signing.pdf_options import PdfOptions
from signing.sign.revisions import Draft, add_document_timestamp, add_validation_data
from signing.sign.signed_message import read_token
from signing.sign.token_signer import asn1
from signing.verify.model import Indication
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests import programs
from tests.signing.conftest import PIN, Desk, Person
from tests.signing.sample_pdf import sample, with_signature_fields

CLOSED = FieldLock(FieldAction.ALL, (), 1)


def signed_by(desk: Desk, person: Person, data: bytes, level: Level = Level.B_LT, **more: Any) -> bytes:
    prepared = desk.pades.prepare(data, signatory=person.signatory, level=level, **more)
    activation = desk.keys.activate(person.key.key_id, [prepared.digest], PIN, person.code(), "test")
    return desk.pades.sign(prepared, activation.token)


def agency(desk: Desk) -> Signatory:
    info = desk.keys.generate(f"seal-{secrets.token_hex(8)}", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    return desk.pki.signatory(info, "Ministry")


def sealed(desk: Desk, data: bytes, level: Level = Level.B_LT, **more: Any) -> bytes:
    return desk.pades.sign(desk.pades.prepare(data, signatory=agency(desk), level=level, **more))


def judged(desk: Desk, data: bytes) -> list[Indication]:
    """Of each signature, in the order in which they were made."""
    trust = build_trust(None, frozenset(), [desk.pki.root.certificate], desk.clock.now(), STRICT)
    verdict = verify_file(data, "a.pdf", trust, desk.clock.now())
    assert verdict.signatures, verdict.reasons
    return [one.indication for one in verdict.signatures]


def forced(desk: Desk, data: bytes) -> bytes:
    """One signature more by another program, which is told not to mind."""
    key = ec.generate_private_key(ec.SECP256R1())
    octets = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    certificate = asn1(desk.pki.issuing.certify(key.public_key(), desk.pki.root.certificate.subject, desk.clock.now()))
    signer: Any = SimpleSigner
    made = signer(
        signing_cert=certificate,
        signing_key=load_private_key_from_pemder_data(octets, passphrase=None),
        cert_registry=None,
    )
    metadata = PdfSignatureMetadata(field_name="Forced", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES)
    writer: Any = IncrementalPdfFileWriter
    output: Any = asyncio.run(PdfSigner(metadata, made).async_sign_pdf(writer(BytesIO(data))))
    return bytes(output.getvalue())


def updated(desk: Desk, data: bytes) -> bytes:
    """Validation data and a document timestamp behind everything, as extending to B-LTA adds them."""
    draft = Draft(data, None)
    token = desk.pki.timestamps.token(bytes(32), "sha256")
    found = read_token(token, bytes(32), "sha256", desk.clock.now())
    add_validation_data(
        draft, desk.pades._evidence.gather(agency(desk), found, tuple(desk.pki.timestamps.certificates()))
    )
    add_document_timestamp(
        draft,
        field="Later",
        hash_name="sha256",
        reserved=8192,
        token=lambda digest: desk.pki.timestamps.token(digest, "sha256"),
    )
    return draft.octets()


@pytest.mark.parametrize("level", [Level.B_LT, Level.B_LTA])
def test_two_people_and_then_a_seal_that_closes_the_document(desk: Desk, tmp_path: Path, level: Level) -> None:
    """Two people sign in turn, then an agency's approval seal with the lock /All, /P 1: all pass, also when status and
    document timestamps follow. We refuse a fourth; forced with another program, the seal fails."""
    first = signed_by(desk, desk.person(), sample(), level)
    second = signed_by(desk, desk.person(), first, level)
    third = sealed(desk, second, level, options=PdfOptions(lock=CLOSED))
    stamps = 3 if level is Level.B_LTA else 0
    assert judged(desk, third) == [Indication.TOTAL_PASSED] * (3 + stamps)
    later = updated(desk, third)
    assert judged(desk, later) == [Indication.TOTAL_PASSED] * (4 + stamps)
    path = tmp_path / "three.pdf"
    path.write_bytes(later)
    shown = programs.run("pdfsig", "-nocert", path).stdout
    assert shown.count("Signature Validation: Signature is Valid.") == 3  # it does not judge document timestamps
    for closed in (third, later):
        with pytest.raises(DocumentLocked):
            desk.pades.prepare(closed, signatory=desk.person().signatory)
        with pytest.raises(DocumentLocked):
            desk.service.upload(desk.person().actor, "a.pdf", closed)
        after = judged(desk, forced(desk, closed))
        seal = 4 if level is Level.B_LTA else 2
        assert after[seal] is Indication.TOTAL_FAILED
        assert after[0] is not Indication.TOTAL_FAILED


@pytest.mark.parametrize("permission", [1, 2, 3])
def test_a_certification_is_the_first_signature(desk: Desk, permission: int) -> None:
    """With P 1 nothing may follow it but status and timestamps; with P 2 and 3 others sign; a second one is refused."""
    certified = sealed(desk, sample(), options=PdfOptions(certify=permission))
    with pikepdf.open(BytesIO(certified)) as pdf:
        assert permission == pdf.Root.Perms.DocMDP.Reference[0].TransformParams.P
    assert judged(desk, certified) == [Indication.TOTAL_PASSED]
    assert judged(desk, updated(desk, certified)) == [Indication.TOTAL_PASSED] * 2
    if permission == 1:
        with pytest.raises(DocumentLocked):
            desk.pades.prepare(certified, signatory=desk.person().signatory)
        with pytest.raises(SigningError, match="forbids all changes"):  # no other program that we have does it either
            forced(desk, certified)
        return
    assert judged(desk, signed_by(desk, desk.person(), certified)) == [Indication.TOTAL_PASSED] * 2
    with pytest.raises(CertificationNotFirst):
        desk.pades.prepare(certified, signatory=agency(desk), options=PdfOptions(certify=2))


def test_a_signed_document_is_not_certified(desk: Desk) -> None:
    """Not even after a document timestamp alone."""
    with pytest.raises(CertificationNotFirst):
        desk.pades.prepare(sealed(desk, sample()), signatory=agency(desk), options=PdfOptions(certify=1))


@pytest.mark.parametrize(
    ("lock", "closed", "open_"),
    [
        (FieldLock(FieldAction.INCLUDE, ("buyer",)), "buyer", "seller"),
        (FieldLock(FieldAction.EXCLUDE, ("seller",)), "buyer", "seller"),
        (FieldLock(FieldAction.ALL), "buyer", None),
    ],
)
def test_locked_fields_are_not_signed(desk: Desk, lock: FieldLock, closed: str, open_: str | None) -> None:
    """A lock closes the fields that it names and no others, for us as for a verifier."""
    locked = sealed(desk, with_signature_fields("buyer", "seller"), options=PdfOptions(lock=lock))
    assert judged(desk, locked) == [Indication.TOTAL_PASSED]
    with pytest.raises(DocumentLocked):
        desk.pades.prepare(locked, signatory=desk.person().signatory, options=PdfOptions(closed))
    if open_ is not None:
        assert (
            judged(desk, signed_by(desk, desk.person(), locked, options=PdfOptions(open_)))
            == [Indication.TOTAL_PASSED] * 2
        )


def with_entry(entry: str, value: Any) -> bytes:
    """A form whose field `buyer` says more about itself."""
    pdf = pikepdf.Pdf.open(BytesIO(with_signature_fields("buyer", "seller")))
    pdf.Root.AcroForm.Fields[0][entry] = pdf.make_indirect(value)
    output = BytesIO()
    pdf.save(output)
    return output.getvalue()


def test_a_field_s_own_lock_is_kept(desk: Desk) -> None:
    """Whoever signs in a field signs what it locks; and cannot sign it as something else."""
    data = with_entry("/Lock", pikepdf.Dictionary(Type=pikepdf.Name.SigFieldLock, Action=pikepdf.Name.All, P=1))
    signed = signed_by(desk, desk.person(), data, options=PdfOptions("buyer"))
    with pikepdf.open(BytesIO(signed)) as pdf:
        (transform,) = pdf.Root.AcroForm.Fields[0].V.Reference
        assert (transform.TransformMethod, transform.TransformParams.Action) == ("/FieldMDP", "/All")
    assert judged(desk, signed) == [Indication.TOTAL_PASSED]
    with pytest.raises(DocumentLocked):
        desk.pades.prepare(signed, signatory=desk.person().signatory, options=PdfOptions("seller"))
    other = FieldLock(FieldAction.INCLUDE, ("seller",))
    with pytest.raises(SignatureFieldConstraint):
        desk.pades.prepare(data, signatory=desk.person().signatory, options=PdfOptions("buyer", other))


SEED = pikepdf.Dictionary
REFUSED: list[tuple[str, Any, Level]] = [
    ("SV-FILTER", {"Filter": pikepdf.Name("/Acme"), "Ff": 1}, Level.B_LT),
    ("SV-FILTER", {"SubFilter": pikepdf.Array([pikepdf.Name("/adbe.pkcs7.detached")]), "Ff": 2}, Level.B_LT),
    ("SV-FILTER", {"V": 3, "Ff": 5, "Filter": pikepdf.Name("/Acme")}, Level.B_LT),
    ("SV-DIGEST", {"DigestMethod": pikepdf.Array([pikepdf.String("SHA512")]), "Ff": 64}, Level.B_LT),
    ("SV-REASON", {"Reasons": pikepdf.Array([pikepdf.String("A"), pikepdf.String("B")]), "Ff": 8}, Level.B_LT),
    ("SV-TIMESTAMP", {"TimeStamp": SEED(URL=pikepdf.String("http://specimen.invalid/"), Ff=1)}, Level.B_B),
    ("SV-REVOCATION", {"AddRevInfo": True, "Ff": 32}, Level.B_LT),
    ("SV-APPEARANCE", {"AppearanceFilter": pikepdf.String("Fancy"), "Ff": 256}, Level.B_LT),
]


@pytest.mark.parametrize(("rule", "seeds", "level"), REFUSED)
def test_demands_that_cannot_be_met_are_refused(desk: Desk, rule: str, seeds: dict[str, Any], level: Level) -> None:
    """Each by its rule; the same as a wish, without its flag, does not stand in the way."""
    with pytest.raises(SignatureFieldConstraint) as refused:
        desk.pades.prepare(
            with_entry("/SV", SEED(**seeds)),
            signatory=desk.person().signatory,
            options=PdfOptions("buyer"),
            level=level,
        )
    assert refused.value.params == {"rule": rule}
    wish = {key: value for key, value in seeds.items() if key != "Ff"}
    wish.pop("TimeStamp", None)
    assert desk.pades.prepare(
        with_entry("/SV", SEED(**wish)), signatory=desk.person().signatory, options=PdfOptions("buyer")
    )


def test_demands_that_can_be_met_are_followed(desk: Desk) -> None:
    """The one reason that is allowed is given; a lock that is asked for is made; a certification is one."""
    seeds = SEED(
        Reasons=pikepdf.Array([pikepdf.String("I approve")]),
        LockDocument=pikepdf.Name("/true"),
        SubFilter=pikepdf.Array([pikepdf.Name("/ETSI.CAdES.detached")]),
        Ff=2 | 8 | 128,
    )
    signed = signed_by(desk, desk.person(), with_entry("/SV", seeds), options=PdfOptions("buyer"))
    with pikepdf.open(BytesIO(signed)) as pdf:
        assert str(pdf.Root.AcroForm.Fields[0].V.Reason) == "I approve"
        assert pdf.Root.AcroForm.Fields[0].Lock.P == 1
    assert judged(desk, signed) == [Indication.TOTAL_PASSED]
    with pytest.raises(DocumentLocked):
        desk.service.upload(desk.person().actor, "a.pdf", signed)
    certified = sealed(desk, with_entry("/SV", SEED(MDP=SEED(P=2))), options=PdfOptions(field="buyer"))
    with pikepdf.open(BytesIO(certified)) as pdf:
        assert pdf.Root.Perms.DocMDP.Reference[0].TransformParams.P == 2
    first = sealed(desk, with_entry("/SV", SEED(MDP=SEED(P=2))), options=PdfOptions(field="seller"))
    with pytest.raises(SignatureFieldConstraint):
        desk.pades.prepare(first, signatory=agency(desk), options=PdfOptions("buyer"))
