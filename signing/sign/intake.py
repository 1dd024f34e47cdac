"""Opening a PDF that is to be signed, and refusing, with the cause, what cannot be.

Documents are read strictly. A lenient reader guesses where the file contradicts itself, and two readers guess
differently: what the signer saw would not be what the verifier sees. Every producer whose files we have seen passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pyhanko.pdf_utils.crypt import AuthStatus, StandardSecurityHandler
from pyhanko.pdf_utils.crypt.permissions import StandardPermissions
from pyhanko.pdf_utils.misc import PdfDecodeLimitError
from pyhanko.pdf_utils.reader import PdfFileReader

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
from signing.model import FieldLock
from signing.sign.field import Field, locks_of_signatures, signature_fields
from signing.sign.pdf_objects import entry

MIB = 1024 * 1024
MAX_REVISIONS = 500
_MAX_JUMPS = 4 * MAX_REVISIONS  # a hybrid section takes three, a wrong offset one more
MAX_PAGES = 20_000
NO_CHANGES = 1
_DEFAULT_PERMISSION = 2  # ISO 32000-2 Table 257
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
    opened = open_pdf(data, password=password, limit=limit)
    with told():
        pages = _pages(opened.reader)
    if field is not None:
        check_field(field, opened.fields)
    empty = tuple(one.name for one in opened.fields if one.value is None)
    return Inspection(
        size=len(data),
        sha256=hashlib.sha256(data).digest(),
        pages=pages,
        encrypted=opened.reader.security_handler is not None,
        empty_fields=empty,
        signatures=len(opened.fields) - len(empty),
    )


@dataclass(frozen=True)
class Opened:
    """A document that can be signed: pyHanko's reader of it, its signature fields, and what its signatures lock."""

    reader: Any
    fields: tuple[Field, ...]
    locks: tuple[FieldLock, ...]

    @property
    def unsigned(self) -> bool:
        """Whether no signature is there yet, not even a document timestamp."""
        return all(one.value is None for one in self.fields)


def open_pdf(data: bytes, *, password: str | None = None, limit: int = 50 * MIB) -> Opened:
    """Read ``data`` strictly, for a signature to be added; raises DocumentRefused as :func:`inspect` does."""
    if not data:
        raise DocumentEmpty
    if len(data) > limit:
        raise DocumentTooLarge(limit=max(1, limit // MIB))
    if b"%PDF-" not in data[:_HEADER_WITHIN]:
        raise DocumentNotPdf
    with told():
        reader = reopen(data, password)
        if reader.xrefs.hybrid_xrefs_present:
            raise DocumentHybrid
        _refuse_xfa(reader)
        fields = signature_fields(reader)
        locks = tuple(locks_of_signatures(reader, fields, data))
        _refuse_locked(reader, locks)
    return Opened(reader, fields, locks)


def reopen(data: bytes, password: str | None) -> Any:
    """A strict reader of a document, opened with its password; raises DocumentRefused for encryption that we cannot
    write within, and whatever pyHanko raises for a document that is damaged."""
    reader: Any = PdfFileReader(_Counted(data), strict=True)
    reader.stream = BytesIO(data)
    if reader.total_revisions > MAX_REVISIONS:
        raise DocumentTooComplex
    encryption = reader.encrypt_dict
    if encryption is not None and encryption.get("/Filter") != "/Standard":
        raise DocumentEncryptionUnsupported
    _unlock(reader, password)
    return reader


class _Counted(BytesIO):
    """A document while its cross-reference sections are read, each after a jump to its place: so many, and no more."""

    _jumps = 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence == 0:
            self._jumps += 1
            if self._jumps > _MAX_JUMPS:
                raise DocumentTooComplex
        return super().seek(offset, whence)


def _unlock(reader: Any, password: str | None) -> None:
    """Open an encrypted document for writing within its encryption. A document without encryption is left alone."""
    handler = reader.security_handler
    if handler is None:
        return
    if not isinstance(handler, StandardSecurityHandler) or handler.pdf_mac_enabled:
        raise DocumentEncryptionUnsupported
    # An empty user password is common: everybody may read the document, its owner restricts the rest.
    result = reader.decrypt((password or "").encode())
    if result.status is AuthStatus.FAILED:
        raise DocumentPasswordRequired if password is None else DocumentPasswordWrong
    permissions = result.permission_flags
    if result.status is AuthStatus.USER and permissions is not None and not permissions & _MAY_SIGN:
        raise DocumentRestricted


def check_field(name: str, fields: tuple[Field, ...]) -> Field:
    """The empty field of this name. SignatureFieldUsed for one that holds a signature, SignatureFieldNotFound."""
    for field in fields:
        if field.name == name:
            if field.value is not None:
                raise SignatureFieldUsed
            return field
    raise SignatureFieldNotFound


def _refuse_xfa(reader: Any) -> None:
    form = entry(reader.root, "/AcroForm")
    if "/NeedsRendering" in reader.root or (form is not None and "/XFA" in form):
        raise DocumentXfa


def _refuse_locked(reader: Any, locks: tuple[FieldLock, ...]) -> None:
    """DocMDP 1 closes a document; so does an approval signature's lock with P 1 (ISO 32000-2 §12.7.5.5)."""
    if certification(reader) == NO_CHANGES or any(lock.permission == NO_CHANGES for lock in locks):
        raise DocumentLocked


def certification(reader: Any) -> int | None:
    """What the certification signature of a document still permits (DocMDP, 1 to 3); None where there is none."""
    permissions = entry(reader.root, "/Perms")
    signature = entry(permissions, "/DocMDP") if permissions is not None else None
    if signature is None:
        return None
    references = entry(signature, "/Reference") or ()
    for index in range(len(references)):
        if entry(references[index], "/TransformMethod") == "/DocMDP":
            stated = entry(references[index]["/TransformParams"], "/P")
            return int(stated) if stated is not None else _DEFAULT_PERMISSION
    return _DEFAULT_PERMISSION


def _pages(reader: Any) -> int:
    """Count the leaves of the page tree, never trusting /Count; raises on a loop or a tree that is too large."""
    seen: set[Any] = set()
    waiting: list[Any] = [reader.root.raw_get("/Pages")]
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


@contextmanager
def told() -> Iterator[None]:
    """Whatever a parser trips over in a file from outside is the file's fault."""
    try:
        yield
    except CamTrustError:
        raise
    except (PdfDecodeLimitError, RecursionError) as error:
        raise DocumentTooComplex from error
    except Exception as error:
        raise DocumentDamaged from error
