"""The use cases on both databases: ownership, states, wrong factors, crashes, races, deletion."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import pikepdf
import pytest
from pydantic import ValidationError

from foundation.blobs import BlobsUnavailable
from foundation.db.engine import Database
from foundation.keys.errors import CodeUsed, KeyStoreError, PinIncorrect
from signing import store
from signing.config import SigningConfig
from signing.errors import (
    CredentialNotFound,
    CursorInvalid,
    DocumentAlreadySigned,
    DocumentBusy,
    DocumentNotFound,
    DocumentNotSigned,
    DocumentRefused,
    DocumentTooLarge,
    SignatureFieldConstraint,
    StatusUnavailable,
    TimestampUnavailable,
    TooManyDocuments,
)
from signing.model import DocumentState, Level
from signing.pdf_options import PdfOptions
from tests.signing.conftest import PIN, Desk, Person
from tests.signing.sample_pdf import encrypted, sample, with_signature_fields


def upload(desk: Desk, person: Person, data: bytes | None = None, **more: Any) -> str:
    return desk.service.upload(person.actor, "contract.pdf", data or sample(), **more).document.document_id


def authorise(desk: Desk, person: Person, *ids: str, pin: str = PIN, totp: str | None = None) -> list[type | None]:
    """The classes of the errors, None for what was signed."""
    outcomes = desk.service.authorise(
        person.actor, person.credential.credential_id, ids, pin=pin, totp=totp or person.code()
    )
    assert [one.document_id for one in outcomes] == list(ids)
    return [type(one.error) if one.error else None for one in outcomes]


def state(desk: Desk, person: Person, document_id: str) -> DocumentState:
    return desk.service.document(person.actor, document_id).document.state


def test_from_upload_to_signed(both_desks: Desk) -> None:
    """Uploaded, authorised, signed, fetched; each step is in the audit trail, which holds together."""
    desk, person = both_desks, both_desks.person()
    data = sample()
    named = desk.service.upload(person.actor, "កិច្ចសន្យា.pdf", data)
    assert (named.name, named.document.size, named.document.state) == (
        "កិច្ចសន្យា.pdf",
        len(data),
        DocumentState.UPLOADED,
    )
    with pytest.raises(DocumentNotSigned):
        desk.service.signed(person.actor, named.document.document_id)
    assert authorise(desk, person, named.document.document_id) == [None]
    shown = desk.service.document(person.actor, named.document.document_id)
    assert (shown.name, shown.document.state, shown.document.level) == (
        "កិច្ចសន្យា.pdf",
        DocumentState.SIGNED,
        Level.B_LT,
    )
    assert shown.document.signed_at == desk.clock.now()
    assert desk.service.signed(person.actor, named.document.document_id)[1].startswith(data)
    assert desk.actions() == [
        "signing.credential_registered",
        "signing.document_uploaded",
        "signing.authorised",
        "signing.document_signed",
    ]
    assert desk.trail.verify(desk.database) == 4


def test_what_is_stored_is_sealed(desk: Desk) -> None:
    """Neither the tables nor the blobs show a name, a password, a field or any of the document."""
    person = desk.person()
    upload(desk, person, with_signature_fields("Borrower SPECIMEN"), options=PdfOptions("Borrower SPECIMEN"))
    desk.service.upload(person.actor, "divorce.pdf", encrypted("secret-word", "o"), password="secret-word")
    stored = b"".join((desk.folder / name).read_bytes() for name in desk.blobs())
    with desk.database.read() as connection:
        rows = repr(connection.execute(store.documents.select()).all()).encode()
    for clear in (b"%PDF", b"Borrower", b"divorce", b"secret-word", b"contract"):
        assert clear not in stored
        assert clear not in rows


def test_everything_is_bound_to_its_owner(both_desks: Desk) -> None:
    """Another person's document and credential are as absent as what never was; so is each to their clients."""
    desk = both_desks
    person, other = desk.person(), desk.person()
    document_id = upload(desk, person)
    for call in (desk.service.document, desk.service.signed, desk.service.delete):
        with pytest.raises(DocumentNotFound):
            call(other.actor, document_id)
    assert authorise(desk, other, document_id) == [DocumentNotFound]
    with pytest.raises(CredentialNotFound):
        desk.service.authorise(other.actor, person.credential.credential_id, [document_id], pin=PIN, totp=other.code())
    assert desk.service.documents(other.actor).documents == ()
    assert [one.owner for one in desk.service.credentials(other.actor)] == [other.owner]
    assert state(desk, person, document_id) is DocumentState.UPLOADED


def test_wrong_factors_sign_nothing_and_lose_nothing(both_desks: Desk) -> None:
    """A wrong PIN, a wrong code, a used code: refused and in the trail; afterwards the documents can be signed."""
    desk, person = both_desks, both_desks.person()
    first, second = upload(desk, person), upload(desk, person)
    code = person.code()
    with pytest.raises(PinIncorrect):
        authorise(desk, person, first, second, pin="000000", totp=code)
    with pytest.raises(PinIncorrect):
        authorise(desk, person, first, second, totp="0000000")
    assert {state(desk, person, one) for one in (first, second)} == {DocumentState.UPLOADED}
    assert authorise(desk, person, first, totp=code) == [None]
    with pytest.raises((CodeUsed, PinIncorrect)):
        authorise(desk, person, second, totp=code)
    assert state(desk, person, second) is DocumentState.UPLOADED
    assert authorise(desk, person, second) == [None]
    assert desk.actions().count("signing.authorisation_refused") == 3
    with desk.database.read() as connection:
        assert PIN not in repr(connection.exec_driver_sql("SELECT * FROM audit_events").all())


def test_outcomes_are_told_document_by_document(desk: Desk) -> None:
    """One good, one signed before, one of nobody, one unfit for its field: each has its own answer."""
    person = desk.person()
    good, before = upload(desk, person), upload(desk, person)
    assert authorise(desk, person, before) == [None]
    pdf = pikepdf.Pdf.open(BytesIO(with_signature_fields("buyer")))
    pdf.Root.AcroForm.Fields[0].SV = pikepdf.Dictionary(
        Type=pikepdf.Name.SV, Ff=2, SubFilter=pikepdf.Array([pikepdf.Name("/adbe.pkcs7.detached")])
    )
    output = BytesIO()
    pdf.save(output)
    unfit = upload(desk, person, output.getvalue(), options=PdfOptions("buyer"))
    assert authorise(desk, person, good, before, "0" * 32, unfit) == [
        None,
        DocumentAlreadySigned,
        DocumentNotFound,
        SignatureFieldConstraint,
    ]
    shown = desk.service.document(person.actor, unfit).document
    assert (shown.state, shown.refusal) == (DocumentState.REFUSED, "signing.field_constraint")
    assert authorise(desk, person, unfit, totp="unused") == [DocumentRefused]


def test_no_factor_is_spent_where_nothing_can_be_signed(desk: Desk) -> None:
    """The code stays good when every document was refused before it was needed."""
    person = desk.person()
    document_id, code = upload(desk, person), person.code()
    assert authorise(desk, person, "0" * 32, totp=code) == [DocumentNotFound]
    assert authorise(desk, person, document_id, totp=code) == [None]


@pytest.mark.parametrize("part", ["timestamps", "status"])
def test_services_that_are_down_leave_the_document_to_be_signed_later(desk: Desk, part: str) -> None:
    """No timestamp, no status: the outcome says so, nothing half-signed stays, and later it works."""
    person, document_id = desk.person(), None
    document_id = upload(desk, person)
    real_token, real_ocsp = desk.pki.timestamps.token, desk.pki.status.ocsp

    def down(imprint: bytes, hash_name: str) -> bytes:
        raise TimestampUnavailable

    if part == "timestamps":
        desk.pki.timestamps.token = down  # type: ignore[method-assign]
    else:
        desk.pki.status.ocsp = lambda *_: None  # type: ignore[method-assign]
    expected = TimestampUnavailable if part == "timestamps" else StatusUnavailable
    assert authorise(desk, person, document_id) == [expected]
    assert state(desk, person, document_id) is DocumentState.UPLOADED
    assert len(desk.blobs()) == 1
    desk.pki.timestamps.token, desk.pki.status.ocsp = real_token, real_ocsp  # type: ignore[method-assign]
    assert authorise(desk, person, document_id) == [None]


def test_an_unexpected_failure_releases_every_document(desk: Desk) -> None:
    """A defect while the second of three documents is signed: the first stays signed, the others can be signed."""
    person = desk.person()
    ids = [upload(desk, person) for _ in range(3)]
    real, calls = desk.pades.complete, []

    def fails(prepared: Any, signature: bytes, parallel: object = None) -> bytes:
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError
        return real(prepared, signature)

    desk.pades.complete = fails  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        authorise(desk, person, *ids)
    assert [state(desk, person, one) for one in ids] == [
        DocumentState.SIGNED,
        DocumentState.UPLOADED,
        DocumentState.UPLOADED,
    ]


def test_what_a_killed_process_left_can_be_signed(both_desks: Desk) -> None:
    """A document left PREPARED, with a signed blob that no row knows, is taken over and signed; the blob is gone."""
    desk, person = both_desks, both_desks.person()
    document_id = upload(desk, person)
    document = desk.service.document(person.actor, document_id).document
    with desk.database.unit_of_work() as connection:
        store.change(connection, document, DocumentState.PREPARED)
    left = replace(document, state=DocumentState.PREPARED, version=1)
    desk.custody.put_signed(left, 1, b"half done")
    assert authorise(desk, person, document_id) == [None]
    assert [name.rsplit("/", 1)[1] for name in desk.blobs()] == ["original", "signed-2"]


def test_of_two_requests_for_one_document_one_wins(both_desks: Desk) -> None:
    """While one request signs, another takes the document over: the first finds out and leaves nothing behind."""
    desk, person = both_desks, both_desks.person()
    document_id = upload(desk, person)
    real, second = desk.pades.complete, []

    def overtaken(prepared: Any, signature: bytes, parallel: object = None) -> bytes:
        desk.pades.complete = real  # type: ignore[method-assign]
        second.extend(authorise(desk, person, document_id))
        return real(prepared, signature)

    desk.pades.complete = overtaken  # type: ignore[method-assign]
    assert authorise(desk, person, document_id) == [DocumentBusy]
    assert second == [None]
    assert state(desk, person, document_id) is DocumentState.SIGNED
    assert [name.rsplit("/", 1)[1] for name in desk.blobs()] == ["original", "signed-2"]
    assert desk.service.signed(person.actor, document_id)[1].startswith(b"%PDF")


def test_a_token_that_dies_loses_nothing(
    open_desk: Callable[..., Desk], sqlite_database: Database, token_factory: Callable[[], Any], clock: Any
) -> None:
    """The key daemon is killed between authorisation and signature: a key store error, and the document waits."""
    one = token_factory()
    desk = open_desk(sqlite_database, one.client)
    person = desk.person()
    document_id = upload(desk, person)
    real = desk.signer.signatures

    def killed(prepared: Any, activation: bytes | None = None) -> list[bytes]:
        os.kill(one.daemon.pid, signal.SIGKILL)
        return real(prepared, activation)

    desk.signer.signatures = killed  # type: ignore[method-assign]
    outcomes = desk.service.authorise(
        person.actor, person.credential.credential_id, [document_id], pin=PIN, totp=person.code()
    )
    assert isinstance(outcomes[0].error, KeyStoreError)
    with sqlite_database.read() as connection:
        found = store.document_of_owner(connection, person.owner, document_id)
    assert found is not None
    assert found[0].state is DocumentState.UPLOADED
    assert "signing.document_not_signed" in desk.actions()


def test_limits_on_numbers_and_sizes(open_desk: Callable[..., Desk], sqlite_database: Database, token: Any) -> None:
    """Documents kept, documents at once, and octets at once are bounded; nothing is kept of what is too much."""
    data = sample()
    config = SigningConfig(maximum_documents_kept=3, maximum_batch_documents=2, maximum_batch_bytes=2 * len(data) - 1)
    desk = open_desk(sqlite_database, token, config)
    person = desk.person()
    ids = [upload(desk, person, data) for _ in range(3)]
    with pytest.raises(TooManyDocuments):
        upload(desk, person, data)
    assert len(desk.blobs()) == 3
    with pytest.raises(TooManyDocuments):
        authorise(desk, person, *ids, totp="unused")
    with pytest.raises(DocumentTooLarge):
        authorise(desk, person, *ids[:2], totp="unused")
    assert {state(desk, person, one) for one in ids} == {DocumentState.UPLOADED}
    with pytest.raises(ValidationError):
        SigningConfig.model_validate({"maximum_documents": 3})


def test_pages_of_documents(both_desks: Desk) -> None:
    """The newest first, page by page, each document once; a made-up cursor is refused."""
    desk, person = both_desks, both_desks.person()
    ids = [upload(desk, person) for _ in range(5)]
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = desk.service.documents(person.actor, cursor, 2)
        seen += [one.document.document_id for one in page.documents]
        cursor = page.next
    assert seen == ids[::-1]
    assert cursor is None
    for made_up in ("!", "LTE", "x" * 64, "៥"):
        with pytest.raises(CursorInvalid):
            desk.service.documents(person.actor, made_up)


def test_deleting_removes_everything(both_desks: Desk) -> None:
    """Row and blobs are gone, signed or not; deleting again finds nothing; a failing store keeps the row."""
    desk, person = both_desks, both_desks.person()
    signed, waiting = upload(desk, person), upload(desk, person)
    assert authorise(desk, person, signed) == [None]

    def fails(document_id: str, version: int) -> None:
        raise BlobsUnavailable

    real = desk.custody.discard
    desk.custody.discard = fails  # type: ignore[method-assign]
    with pytest.raises(BlobsUnavailable):
        desk.service.delete(person.actor, signed)
    desk.custody.discard = real  # type: ignore[method-assign]
    for document_id in (signed, waiting):
        desk.service.delete(person.actor, document_id)
        with pytest.raises(DocumentNotFound):
            desk.service.delete(person.actor, document_id)
    assert desk.blobs() == []
    assert desk.actions().count("signing.document_deleted") == 2


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd.pdf", "passwd.pdf"),
        ("C:\\Users\\me\\លិខិត.pdf", "លិខិត.pdf"),
        ("a\x00b\r\nc.pdf", "abc.pdf"),
        ("fdp.\u202exe.pdf", "fdp.xe.pdf"),
        ("", "document.pdf"),
        ("x" * 500, "x" * 200),
    ],
)
def test_names_are_kept_plain(desk: Desk, given: str, kept: str) -> None:
    """Only the last part, no control characters, no direction overrides, not endless."""
    assert desk.service.upload(desk.person().actor, given, sample()).name == kept
