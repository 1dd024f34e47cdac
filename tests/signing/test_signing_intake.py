"""What cannot be signed is refused at the door, with the cause, in bounded time, and nothing of it is kept."""

from __future__ import annotations

import re
import zlib
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pikepdf import Array, Dictionary, Name, Pdf, String
from pyhanko.pdf_utils.reader import PdfFileReader

from foundation.errors import CamTrustError
from foundation.keys.port import KeyAlgorithm, KeyUse
from signing.errors import (
    DocumentDamaged,
    DocumentEmpty,
    DocumentEncryptionUnsupported,
    DocumentHybrid,
    DocumentLocked,
    DocumentNotPdf,
    DocumentPasswordRequired,
    DocumentPasswordWrong,
    DocumentRefused,
    DocumentRestricted,
    DocumentTooComplex,
    DocumentTooLarge,
    DocumentXfa,
    SignatureFieldConstraint,
    SignatureFieldNotFound,
    SignatureFieldUsed,
)
from signing.model import Level, Signatory
from signing.pdf_options import PdfOptions
from signing.sign.intake import MAX_PAGES, MAX_REVISIONS, inspect, open_pdf
from tests.signing.conftest import PIN, Desk
from tests.signing.sample_pdf import encrypted, sample, with_signature_fields


def test_what_is_known_of_a_good_document() -> None:
    """Size, digest, pages, and the empty signature fields by name."""
    data = with_signature_fields("buyer", "seller")
    found = inspect(data)
    assert (found.size, found.pages, found.encrypted) == (len(data), 1, False)
    assert found.empty_fields == ("buyer", "seller")
    assert found.signatures == 0


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", DocumentEmpty),
        (b"Dear Sir, this is a letter and no PDF.\n" * 50, DocumentNotPdf),
        (b"PK\x03\x04" + bytes(2000) + b"%PDF-1.7", DocumentNotPdf),
        (b"%PDF-1.7\n", DocumentDamaged),
        (b"%PDF-1.7\nstartxref\n99999999999999999999\n%%EOF", DocumentDamaged),
        (b"%PDF-1.7\nstartxref\n-5\n%%EOF", DocumentDamaged),
        (
            b"%PDF-1.7\nxref\n0 4294967295\ntrailer\n<</Size 4294967295/Root 1 0 R>>\nstartxref\n9\n%%EOF",
            DocumentDamaged,
        ),
        (b"%PDF-1.7\nxref\n0 0\ntrailer\n<</Size 1/Root 1 0 R/Prev 9>>\nstartxref\n9\n%%EOF", DocumentDamaged),
        (b"%PDF-1.7\n" + b"[" * 100_000, DocumentDamaged),
    ],
)
def test_what_is_no_document_is_refused(data: bytes, error: type[DocumentRefused]) -> None:
    """Empty, text, another format, headers alone, tables that claim impossible sizes or point at themselves."""
    with pytest.raises(error) as refused:
        inspect(data)
    assert refused.type is error


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("name", ["multicolumn.pdf", "libreoffice-form.pdf", "pdfkit.pdf"])
def test_a_document_that_was_cut_off_is_refused(test_data: Path, name: str, share: float) -> None:
    """Wherever a download breaks off, what is left is refused as damaged."""
    data = (test_data / "pdfs" / name).read_bytes()
    with pytest.raises(DocumentDamaged):
        inspect(data[: int(len(data) * share)])


@settings(max_examples=60)
@given(st.data())
def test_altered_octets_never_get_past_as_a_surprise(data: st.DataObject) -> None:
    """A document with some octets changed is either taken or refused with a cause; nothing else ever comes out."""
    octets = bytearray(with_signature_fields("buyer"))
    for _ in range(data.draw(st.integers(1, 8))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        inspect(bytes(octets))
    except CamTrustError as error:
        assert isinstance(error, DocumentRefused)  # noqa: PT017 - both ends are allowed


@pytest.mark.parametrize("revisions", [MAX_REVISIONS + 1, 50 * MAX_REVISIONS])
def test_more_revisions_than_can_be_checked_are_refused(revisions: int) -> None:
    """A chain of tables, each naming the one before, is not followed to its end, however short each is."""
    data, previous = bytearray(sample(object_stream_mode=pikepdf.ObjectStreamMode.disable)), b""
    previous = re.findall(rb"startxref\s+(\d+)", bytes(data))[-1]
    for _ in range(revisions):
        at = str(len(data)).encode()
        data += b"xref\n0 0\ntrailer\n<</Size 6/Root 1 0 R/Prev " + previous + b">>\n"
        previous = at
    data += b"startxref\n" + previous + b"\n%%EOF\n"
    with pytest.raises(DocumentTooComplex):
        inspect(bytes(data))


_FORM = with_signature_fields("buyer")
_WORDS = [one.span() for one in re.finditer(rb"/[A-Za-z]+|\d+|<<|\[", _FORM)]


@pytest.fixture
def seal(desk: Desk) -> Signatory:
    return desk.pki.signatory(desk.keys.generate("seal-of-fuzzing", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    places=st.lists(st.integers(0, len(_WORDS) - 1), min_size=1, max_size=3),
    options=st.sampled_from([PdfOptions(), PdfOptions("buyer"), PdfOptions(certify=2)]),
)
def test_altered_octets_are_refused_or_signed(
    desk: Desk, seal: Signatory, places: list[int], options: PdfOptions
) -> None:
    """Through to the signature: what is wrong with a document is its own fault, told as such, or what comes out has
    passed our check. Names and numbers are changed rather than any octets, so that more of it still reads."""
    octets = bytearray(_FORM)
    for start, end in (_WORDS[place] for place in places):
        kind = octets[start : start + 1]
        swap = b"/Kids" if kind == b"/" else b"9" if kind.isdigit() else b"("
        octets[start:end] = swap.ljust(end - start)[: end - start]
    try:
        desk.pades.sign(desk.pades.prepare(bytes(octets), signatory=seal, level=Level.B_LT, options=options))
    except CamTrustError as error:
        assert isinstance(error, DocumentRefused)  # noqa: PT017 - both ends are allowed


def test_a_thousand_signatures_are_there_already() -> None:
    """Each with room for sixteen kilobytes: none of it is read where it says nothing about locks."""

    def fill(pdf: Pdf) -> None:
        for field in pdf.Root.AcroForm.Fields:
            value = Dictionary(Type=Name.Sig, Filter=Name("/Adobe.PPKLite"), Contents=String(bytes(16_384)))
            field.V = pdf.make_indirect(value)

    pdf = Pdf.open(BytesIO(with_signature_fields(*(f"f{number}" for number in range(1000)))))
    fill(pdf)
    output = BytesIO()
    pdf.save(output, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    found = open_pdf(output.getvalue())
    assert len([one for one in found.fields if one.value is not None]) == 1000
    read = {number for _, number in found.reader.resolved_objects}
    assert not read & {one.value.idnum for one in found.fields}


@pytest.mark.parametrize("pages", [MAX_PAGES, 3 * MAX_PAGES])
def test_huge_page_trees(pages: int) -> None:
    """As many pages as are taken, and more: one object that stands in the tree thousands of times is a loop."""

    def many(pdf: Pdf) -> None:
        first = pdf.pages[0].obj
        pdf.Root.Pages.Kids = Array([first] * pages)
        pdf.Root.Pages.Count = pages

    with pytest.raises(DocumentDamaged):
        inspect(sample(many))

    def different(pdf: Pdf) -> None:
        kids = [pdf.make_indirect(Dictionary(Type=Name.Page, Parent=pdf.Root.Pages)) for _ in range(pages)]
        pdf.Root.Pages.Kids = Array(kids)
        pdf.Root.Pages.Count = pages

    data = sample(different)
    if pages > 2 * MAX_PAGES:
        with pytest.raises(DocumentTooComplex):
            inspect(data)
    else:
        assert inspect(data).pages == pages


def test_a_document_over_the_limit_is_refused() -> None:
    """The limit counts octets, and is told in MiB."""
    data = sample()
    assert inspect(data, limit=len(data)).size == len(data)
    with pytest.raises(DocumentTooLarge) as refused:
        inspect(data, limit=len(data) - 1)
    assert "1 MiB" in refused.value.message()


def test_passwords() -> None:
    """No password, a wrong one, the user's, the owner's; and an empty user password needs none to be read."""
    data = encrypted("reader", "owner")
    with pytest.raises(DocumentPasswordRequired):
        inspect(data)
    with pytest.raises(DocumentPasswordWrong):
        inspect(data, password="readr")
    assert inspect(data, password="reader").encrypted
    assert inspect(data, password="owner").encrypted
    assert inspect(encrypted("", "owner")).encrypted


@pytest.mark.parametrize("revision", [3, 4, 6])
def test_an_owner_who_forbids_signing_is_heard(revision: int) -> None:
    """Permissions without form filling, annotation and change refuse the reader's password, not the owner's."""
    data = encrypted("reader", "owner", may_sign=False, revision=revision)
    with pytest.raises(DocumentRestricted):
        inspect(data, password="reader")
    assert inspect(data, password="owner").encrypted


def test_encryption_that_is_not_a_password_is_refused() -> None:
    """A document for the holders of certain certificates is told as such, not as damage."""
    public_key = Dictionary(
        Filter=Name("/Adobe.PubSec"),
        SubFilter=Name("/adbe.pkcs7.s4"),
        V=2,
        Length=128,
        Recipients=Array([String(b"0\x00")]),
    )
    for handler in (public_key, Dictionary(Filter=Name("/Acme.Vault"), V=4)):
        with pytest.raises(DocumentEncryptionUnsupported):
            inspect(encrypted_by(handler))


def encrypted_by(handler: Dictionary) -> bytes:
    """A document that says it is encrypted by ``handler``."""

    def add(pdf: Pdf) -> None:
        pdf.Root.Handler = pdf.make_indirect(handler)

    data = sample(add, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    found = re.search(rb"/Handler (\d+) 0 R", data)
    assert found
    return with_trailer(b"/Encrypt " + found[1] + b" 0 R", data)


def with_trailer(entry: bytes, data: bytes | None = None) -> bytes:
    """A document with ``entry`` put into its trailer."""
    data = data or sample(object_stream_mode=pikepdf.ObjectStreamMode.disable)
    at = data.rindex(b"trailer <<") + len(b"trailer <<")
    return data[:at] + b" " + entry + data[at:]


def test_xfa_forms_are_refused() -> None:
    """An XFA form shows what its script draws: what would be signed is something else."""

    def add(pdf: Pdf) -> None:
        pdf.Root.AcroForm = Dictionary(Fields=Array([]), XFA=pdf.make_stream(b"<xdp/>"))

    with pytest.raises(DocumentXfa):
        inspect(sample(add))


def test_hybrid_tables_are_refused() -> None:
    """A file whose table names a second, hidden one (/XRefStm) reads differently in old and new programs."""
    data = sample(object_stream_mode=pikepdf.ObjectStreamMode.disable)
    at = data.rindex(b"xref\n0 ")
    table = data[at : data.rindex(b"startxref")]
    entries = bytes([1]) + at.to_bytes(2, "big") + bytes([0])
    hidden = b"20 0 obj\n<< /Type /XRef /Size 21 /W [1 2 1] /Index [20 1] /Root 1 0 R /Length 4 >>\nstream\n"
    hidden += entries + b"\nendstream\nendobj\n"
    table = table.replace(b"trailer <<", b"trailer << /XRefStm " + str(at).encode()).replace(b"/Size 6", b"/Size 21")
    start = b"startxref\n" + str(at + len(hidden)).encode() + b"\n%%EOF\n"
    with pytest.raises(DocumentHybrid):
        inspect(data[:at] + hidden + table + start)


def test_page_tree_that_loops_is_refused() -> None:
    """A page tree that is its own child ends in a refusal, not in a loop."""

    def loop(pdf: Pdf) -> None:
        pdf.Root.Pages.Kids.append(pdf.Root.Pages)

    data = sample(loop)
    with pytest.raises(DocumentDamaged):
        inspect(data)


def test_a_bomb_is_refused_before_it_unfolds() -> None:
    """A small file whose cross-reference stream unpacks to hundreds of megabytes is refused."""
    packed = zlib.compress(zlib.compress(bytes(300 * 1024 * 1024), 9), 9)
    head = b"%PDF-1.5\n1 0 obj\n<</Type/XRef/Size 3/W[1 2 1]/Root 2 0 R/Filter[/FlateDecode/FlateDecode]/Length "
    data = head + str(len(packed)).encode() + b">>stream\n" + packed + b"\nendstream\nendobj\nstartxref\n9\n%%EOF"
    assert len(data) < 10_000
    with pytest.raises((DocumentTooComplex, DocumentDamaged)):
        inspect(data)


def test_a_thousand_signature_fields(desk: Desk) -> None:
    """A form with 1,000 empty signature fields is signed, in the field that was named."""
    data = with_signature_fields(*(f"clause-{number}" for number in range(1000)))
    person = desk.person()
    named = desk.service.upload(person.actor, "form.pdf", data, options=PdfOptions("clause-777"))
    (outcome,) = desk.service.authorise(
        person.actor, person.credential.credential_id, [named.document.document_id], pin=PIN, totp=person.code()
    )
    assert outcome.error is None
    signed = desk.service.signed(person.actor, named.document.document_id)[1]
    assert [one.field_name for one in PdfFileReader(BytesIO(signed)).embedded_signatures] == ["clause-777"]


def test_more_signature_fields_than_can_be_checked_are_refused() -> None:
    """The count is bounded."""
    with pytest.raises(DocumentTooComplex):
        inspect(with_signature_fields(*(f"f{number}" for number in range(2001))))


def test_fields_by_name(desk: Desk) -> None:
    """An unknown field and one that is signed already are refused; the empty one is used."""
    data = with_signature_fields("buyer", "seller")
    with pytest.raises(SignatureFieldNotFound):
        inspect(data, field="witness")
    person = desk.person()
    prepared = desk.pades.prepare(data, signatory=person.signatory, options=PdfOptions("buyer"))
    activation = desk.keys.activate(person.key.key_id, [prepared.digest], PIN, person.code(), "test")
    signed = desk.pades.sign(prepared, activation.token)
    assert inspect(signed).empty_fields == ("seller",)
    with pytest.raises(SignatureFieldUsed):
        inspect(signed, field="buyer")


def lock(pdf: Pdf, permission: int) -> None:
    """A certification signature (its CMS does not matter here) that allows what ``permission`` says."""
    reference = Dictionary(
        Type=Name.SigRef,
        TransformMethod=Name.DocMDP,
        TransformParams=Dictionary(Type=Name.TransformParams, P=permission, V=Name("/1.2")),
    )
    value = pdf.make_indirect(
        Dictionary(
            Type=Name.Sig,
            Filter=Name("/Adobe.PPKLite"),
            SubFilter=Name("/ETSI.CAdES.detached"),
            Contents=String(b"\x30\x00"),
            ByteRange=Array([0, 0, 0, 0]),
            Reference=Array([reference]),
        )
    )
    pdf.Root.Perms = Dictionary(DocMDP=value)


def test_a_certified_document_that_allows_no_changes_is_refused() -> None:
    """DocMDP 1 closes a document; 2 and 3 let it be signed (ISO 32000-2 §12.8.2.2)."""
    with pytest.raises(DocumentLocked):
        inspect(sample(lambda pdf: lock(pdf, 1)))
    assert inspect(sample(lambda pdf: lock(pdf, 2))).pages == 1


def test_a_field_lock_that_closes_the_document_is_heard() -> None:
    """An approval signature whose field lock says P 1 closes the document too (ISO 32000-2 §12.7.5.5)."""

    def close(pdf: Pdf) -> None:
        field = Dictionary(
            FT=Name.Sig,
            T=String("last"),
            V=pdf.make_indirect(Dictionary(Type=Name.Sig)),
            Lock=Dictionary(Type=Name.SigFieldLock, Action=Name.All, P=1),
        )
        pdf.Root.AcroForm = Dictionary(Fields=Array([pdf.make_indirect(field)]), SigFlags=3)

    with pytest.raises(DocumentLocked):
        inspect(sample(close))


def test_a_field_that_asks_for_something_else_is_refused_when_it_is_prepared(desk: Desk) -> None:
    """A seed value that mandates another kind of signature is not overridden (ISO 32000-2 §12.7.5.5)."""
    pdf = Pdf.open(BytesIO(with_signature_fields("buyer")))
    pdf.Root.AcroForm.Fields[0].SV = Dictionary(Type=Name.SV, Ff=2, SubFilter=Array([Name("/adbe.pkcs7.detached")]))
    output = BytesIO()
    pdf.save(output)
    person = desk.person()
    with pytest.raises(SignatureFieldConstraint):
        desk.pades.prepare(output.getvalue(), signatory=person.signatory, level=Level.B_LT, options=PdfOptions("buyer"))
