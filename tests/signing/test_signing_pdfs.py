"""Real documents by many producers are signed, and independent programs accept the result."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature, validate_pdf_timestamp
from pyhanko.sign.validation.dss import DocumentSecurityStore

from signing.errors import DocumentPasswordRequired, DocumentPasswordWrong
from signing.model import Level
from signing.verify.model import Indication
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests import programs
from tests.signing.conftest import PIN, Desk, Person

NAMES = (
    "002-trivial-libre-office-writer.pdf",
    "GeoTopo-komprimiert.pdf",
    "base64image.pdf",
    "crazyones-pdfa.pdf",
    "google-doc-document.pdf",
    "habibi.pdf",
    "imagemagick-images.pdf",
    "libreoffice-form.pdf",
    "libreoffice-writer-password.pdf",
    "multicolumn.pdf",
    "pdfkit.pdf",
    "pdflatex-4-pages.pdf",
    "pdflatex-forms.pdf",
    "with-attachment.pdf",
)
PASSWORDS = {"libreoffice-writer-password.pdf": "openpassword"}


def read_by_others(desk: Desk, folder: Path, name: str, signed: bytes, level: Level, password: str | None) -> None:
    """qpdf finds a sound structure, pdfsig and pyHanko's validator a valid signature; so does our own verification."""
    path = folder / f"{level}-{name}"
    path.write_bytes(signed)
    key = [f"--password={password}"] if password else []
    checked = programs.run("qpdf", "--check", *key, path)
    assert "No syntax or stream encoding errors" in checked.stdout
    shown = programs.run("pdfsig", "-nocert", *(["-upw", password] if password else []), path).stdout
    assert "Signature Validation: Signature is Valid." in shown
    assert "ETSI.CAdES.detached" in shown
    reader = PdfFileReader(BytesIO(signed))
    if password:
        assert reader.decrypt(password.encode()).status.value
    root = asn1_x509.Certificate.load(desk.pki.root.certificate.public_bytes(Encoding.DER))
    store = DocumentSecurityStore.read_dss(reader)

    def trust() -> Any:
        return store.as_validation_context(
            {"trust_roots": [root], "revocation_mode": "require", "allow_fetching": False}
        )

    status = validate_pdf_signature(
        reader.embedded_regular_signatures[-1],
        signer_validation_context=trust(),
        ts_validation_context=trust(),
    )
    assert status.bottom_line, status.pretty_print_details()
    assert status.timestamp_validity is not None
    trusted = build_trust(None, frozenset(), [desk.pki.root.certificate], desk.clock.now(), STRICT)
    ours = verify_file(signed, name, trusted, desk.clock.now(), password=password.encode() if password else None)
    assert ours.indication is Indication.TOTAL_PASSED
    for timestamp in reader.embedded_timestamp_signatures:
        judged = validate_pdf_timestamp(timestamp, validation_context=trust())
        assert (judged.intact, judged.valid, judged.trusted) == (True, True, True)


def test_all_fourteen_documents_in_one_authorisation(desk: Desk, test_data: Path, tmp_path: Path) -> None:
    """One PIN and one code sign all fourteen documents at B-LT; qpdf, pdfsig and pyHanko accept each."""
    files = {path.name: path.read_bytes() for path in sorted((test_data / "pdfs").glob("*.pdf"))}
    assert tuple(files) == NAMES
    person = desk.person()
    ids = {
        name: desk.service.upload(person.actor, name, data, password=PASSWORDS.get(name)).document.document_id
        for name, data in files.items()
    }
    outcomes = desk.service.authorise(
        person.actor, person.credential.credential_id, list(ids.values()), pin=PIN, totp=person.code()
    )
    assert [one.error for one in outcomes] == [None] * 14
    for name, document_id in ids.items():
        told, signed = desk.service.signed(person.actor, document_id)
        assert told == name
        assert signed.startswith(files[name])
        read_by_others(desk, tmp_path, name, signed, Level.B_LT, PASSWORDS.get(name))


@pytest.mark.parametrize("level", [Level.B_B, Level.B_T, Level.B_LT, Level.B_LTA])
def test_each_level_has_what_it_must_have(desk: Desk, test_data: Path, tmp_path: Path, level: Level) -> None:
    """B-B is a bare signature; B-T adds a timestamp, B-LT the security store, B-LTA a document timestamp at the end."""
    data = (test_data / "pdfs" / "multicolumn.pdf").read_bytes()
    person = desk.person()
    prepared = desk.pades.prepare(data, signatory=person.signatory, level=level)
    activation = desk.keys.activate(person.key.key_id, [prepared.digest], PIN, person.code(), "test")
    signed = desk.pades.sign(prepared, activation.token)
    reader = PdfFileReader(BytesIO(signed))
    unsigned = reader.embedded_regular_signatures[0].signer_info["unsigned_attrs"].native or []
    assert [one["type"] for one in unsigned] == (["signature_time_stamp_token"] if level != Level.B_B else [])
    assert ("/DSS" in reader.root) == level.includes(Level.B_LT)
    assert len(reader.embedded_timestamp_signatures) == (level is Level.B_LTA)
    if level.includes(Level.B_LT):
        read_by_others(desk, tmp_path, "multicolumn.pdf", signed, level, None)


def test_signed_attributes_are_those_of_pades(desk: Desk, test_data: Path, tmp_path: Path) -> None:
    """contentType, messageDigest and signing-certificate-v2, no signing-time; /M, /Reason and /Location are told."""
    person = desk.person()
    prepared = desk.pades.prepare((test_data / "pdfs" / "habibi.pdf").read_bytes(), signatory=person.signatory)
    activation = desk.keys.activate(person.key.key_id, [prepared.digest], PIN, person.code(), "test")
    reader = PdfFileReader(BytesIO(desk.pades.sign(prepared, activation.token)))
    signature = reader.embedded_signatures[0]
    types = {one["type"].native for one in signature.signer_info["signed_attrs"]}
    assert types == {"content_type", "message_digest", "signing_certificate_v2"}
    dictionary = signature.sig_object
    assert dictionary["/SubFilter"] == "/ETSI.CAdES.detached"
    assert dictionary["/Reason"] == "SPECIMEN"
    assert dictionary["/Location"] == "Phnom Penh"
    assert re.match(r"D:20\d{12}", dictionary["/M"])


def test_password_document_is_refused_until_its_password_comes(desk: Desk, test_data: Path) -> None:
    """The protected document asks for its password, refuses a wrong one, and is taken with the right one."""
    data = (test_data / "pdfs" / "libreoffice-writer-password.pdf").read_bytes()
    person = desk.person()
    with pytest.raises(DocumentPasswordRequired):
        desk.service.upload(person.actor, "a.pdf", data)
    with pytest.raises(DocumentPasswordWrong):
        desk.service.upload(person.actor, "a.pdf", data, password="closepassword")
    assert desk.blobs() == []
    assert desk.service.upload(person.actor, "a.pdf", data, password="openpassword").document.encrypted


def test_a_second_person_signs_what_the_first_signed(desk: Desk, test_data: Path, tmp_path: Path) -> None:
    """Two persons sign in turn; the first signature stays valid, and the security store holds the status of both."""
    data = (test_data / "pdfs" / "pdfkit.pdf").read_bytes()
    first = signed_by(desk, desk.person(), data)
    second = signed_by(desk, desk.person(), first)
    assert second.startswith(first)
    path = tmp_path / "two.pdf"
    path.write_bytes(second)
    shown = programs.run("pdfsig", "-nocert", path).stdout
    assert shown.count("Signature Validation: Signature is Valid.") == 2
    names = [one.field_name for one in PdfFileReader(BytesIO(second)).embedded_signatures]
    assert len(set(names)) == 2
    read_by_others(desk, tmp_path, "two.pdf", second, Level.B_LT, None)


def signed_by(desk: Desk, person: Person, data: bytes) -> bytes:
    document_id = desk.service.upload(person.actor, "a.pdf", data).document.document_id
    (outcome,) = desk.service.authorise(
        person.actor, person.credential.credential_id, [document_id], pin=PIN, totp=person.code()
    )
    assert outcome.error is None
    return desk.service.signed(person.actor, document_id)[1]
