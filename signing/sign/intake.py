"""Opening a PDF that is to be signed, and refusing, with the cause, what cannot be.

Documents are read strictly. A lenient reader guesses where the file contradicts itself, and two readers guess
differently: what the signer saw would not be what the verifier sees. Every producer whose files we have seen passes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import Any

from pyhanko.pdf_utils.crypt import AuthStatus, StandardSecurityHandler
from pyhanko.pdf_utils.crypt.permissions import StandardPermissions
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfDecodeLimitError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm, enumerate_sig_fields
from pyhanko.sign.validation.pdf_embedded import read_certification_data

from foundation.errors import CamTrustError
from signing.errors import (
    DocumentDamaged,
    DocumentEmpty,
    DocumentEncryptionUnsupported,
    DocumentHybrid,
    DocumentLocked,
    DocumentNotPdf,
    DocumentPasswordRequired,
    DocumentPasswordWrong,
    DocumentRestricted,
    DocumentTooComplex,
    DocumentTooLarge,
    DocumentXfa,
    SignatureFieldNotFound,
    SignatureFieldUsed,
)

MIB = 1024 * 1024
MAX_REVISIONS = 500
MAX_PAGES = 20_000
MAX_SIGNATURE_FIELDS = 2_000
_HEADER_WITHIN = 1024  # ISO 32000-2 Annex I: readers look for the header this far
_MAY_SIGN = (
    StandardPermissions.ALLOW_FORM_FILLING
    | StandardPermissions.ALLOW_ANNOTS_FORM_FILLING
    | StandardPermissions.ALLOW_MODIFICATION_GENERIC
)


@dataclass(frozen=True)
class Inspection:
    """What is known of a document that can be signed."""

    size: int
    sha256: bytes
    pages: int
    encrypted: bool
    empty_fields: tuple[str, ...]
    signatures: int


def inspect(data: bytes, *, password: str | None = None, field: str | None = None, limit: int = 50 * MIB) -> Inspection:
    """Open ``data`` as it would be for signing. Raises a DocumentRefused that names the cause; ``limit`` in octets."""
    writer = open_pdf(data, password=password, limit=limit)
    try:
        empty, filled = signature_fields(writer)
        pages = _pages(writer)
    except CamTrustError:
        raise
    except Exception as error:  # whatever a parser trips over in a file from outside is the file's fault
        raise _told(error) from error
    if field is not None:
        check_field(field, empty, filled)
    return Inspection(
        size=len(data),
        sha256=hashlib.sha256(data).digest(),
        pages=pages,
        encrypted=writer.security_handler is not None,
        empty_fields=empty,
        signatures=len(filled),
    )


def open_pdf(data: bytes, *, password: str | None = None, limit: int = 50 * MIB) -> IncrementalPdfFileWriter:
    """A writer over ``data`` that a signature can be added to; raises DocumentRefused as :func:`inspect` does."""
    if not data:
        raise DocumentEmpty
    if len(data) > limit:
        raise DocumentTooLarge(limit=max(1, limit // MIB))
    if b"%PDF-" not in data[:_HEADER_WITHIN]:
        raise DocumentNotPdf
    if data.count(b"startxref") > MAX_REVISIONS:
        raise DocumentTooComplex
    try:
        reader = PdfFileReader(BytesIO(data), strict=True)
        encryption = reader.encrypt_dict
        if encryption is not None and encryption.get("/Filter") != "/Standard":
            raise DocumentEncryptionUnsupported
        writer = IncrementalPdfFileWriter.from_reader(reader)
        if writer.prev.xrefs.hybrid_xrefs_present:
            raise DocumentHybrid
        unlock(writer, password)
        _refuse_xfa(writer)
        _refuse_locked(writer)
    except CamTrustError:
        raise
    except Exception as error:
        raise _told(error) from error
    return writer


def unlock(writer: IncrementalPdfFileWriter, password: str | None) -> None:
    """Open an encrypted document for writing within its encryption. A document without encryption is left alone."""
    handler = writer.security_handler
    if handler is None:
        return
    if not isinstance(handler, StandardSecurityHandler) or handler.pdf_mac_enabled:
        raise DocumentEncryptionUnsupported
    # An empty user password is common: everybody may read the document, its owner restricts the rest.
    opening: Any = writer
    result = opening.encrypt((password or "").encode())
    if result.status is AuthStatus.FAILED:
        raise DocumentPasswordRequired if password is None else DocumentPasswordWrong
    permissions = result.permission_flags
    if result.status is AuthStatus.USER and permissions is not None and not permissions & _MAY_SIGN:
        raise DocumentRestricted


def signature_fields(writer: IncrementalPdfFileWriter) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the empty signature fields, and of the filled ones."""
    found = list(islice(enumerate_sig_fields(writer.prev), MAX_SIGNATURE_FIELDS + 1))
    if len(found) > MAX_SIGNATURE_FIELDS:
        raise DocumentTooComplex
    empty = tuple(str(name) for name, value, _ in found if value is None)
    return empty, tuple(str(name) for name, value, _ in found if value is not None)


def check_field(field: str, empty: tuple[str, ...], filled: tuple[str, ...]) -> None:
    """Raises SignatureFieldUsed or SignatureFieldNotFound unless ``field`` is one of the empty ones."""
    if field in filled:
        raise SignatureFieldUsed
    if field not in empty:
        raise SignatureFieldNotFound


def _refuse_xfa(writer: IncrementalPdfFileWriter) -> None:
    form: Any = writer.root.get("/AcroForm")
    form = form.get_object() if form is not None else None
    if "/NeedsRendering" in writer.root or (form is not None and "/XFA" in form):
        raise DocumentXfa


def _refuse_locked(writer: IncrementalPdfFileWriter) -> None:
    certification = read_certification_data(writer.prev)
    if certification is not None and certification.permission is MDPPerm.NO_CHANGES:
        raise DocumentLocked
    filled = islice(enumerate_sig_fields(writer.prev, filled_status=True), MAX_SIGNATURE_FIELDS)
    for _, _, reference in filled:
        lock: Any = reference.get_object().get("/Lock")
        # ISO 32000-2 §12.7.5.5: an approval signature's lock with P 1 closes the document like a certification.
        if lock is not None and lock.get_object().get("/P") == MDPPerm.NO_CHANGES.value:
            raise DocumentLocked


def _pages(writer: IncrementalPdfFileWriter) -> int:
    """Count the leaves of the page tree, never trusting /Count; raises on a loop or a tree that is too large."""
    seen: set[Any] = set()
    waiting: list[Any] = [writer.prev.root.raw_get("/Pages")]
    pages = 0
    while waiting:
        reference = waiting.pop()
        if reference.reference in seen:
            raise DocumentDamaged
        seen.add(reference.reference)
        if len(seen) > 2 * MAX_PAGES:
            raise DocumentTooComplex
        node = reference.get_object()
        if "/Kids" in node:
            waiting.extend(list(node["/Kids"]))
        else:
            pages += 1
    if not pages:
        raise DocumentDamaged
    return pages


def _told(error: Exception) -> CamTrustError:
    return DocumentTooComplex() if isinstance(error, PdfDecodeLimitError | RecursionError) else DocumentDamaged()
