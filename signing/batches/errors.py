"""What batches refuse, and why.

CamTrustError
├── BatchNotFound          no such batch of yours
├── BatchDocumentNotFound  no such document in it
├── BatchNotOpen           it was started or cancelled: no document can be added
├── BatchOver              it is over already
├── BatchEmpty             there is nothing to start
├── BatchFull              more documents, or octets, than one batch may have
├── TooManyBatches         more batches under way than one client may have
├── DocumentDiffers        another document has this id already
├── DocumentNotSealed      not yet, or refused: its entry says so
├── DocumentIdInvalid      not a name that a document can have here
└── ArchiveInvalid         not a ZIP file of documents that can be taken; nothing of it was
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class BatchNotFound(CamTrustError):
    code = "signing.batch_not_found"
    kind = Kind.NOT_FOUND


class BatchDocumentNotFound(CamTrustError):
    code = "signing.batch_document_not_found"
    kind = Kind.NOT_FOUND


class BatchNotOpen(CamTrustError):
    code = "signing.batch_not_open"
    kind = Kind.CONFLICT


class BatchOver(CamTrustError):
    code = "signing.batch_over"
    kind = Kind.CONFLICT


class BatchEmpty(CamTrustError):
    code = "signing.batch_empty"
    kind = Kind.CONFLICT


class BatchFull(CamTrustError):
    """``documents`` and ``mebibytes`` are what one batch may have."""

    code = "signing.batch_full"
    kind = Kind.TOO_LARGE


class TooManyBatches(CamTrustError):
    """``limit`` is what one client may have under way."""

    code = "signing.too_many_batches"
    kind = Kind.CONFLICT


class DocumentDiffers(CamTrustError):
    code = "signing.batch_document_differs"
    kind = Kind.CONFLICT


class DocumentNotSealed(CamTrustError):
    code = "signing.batch_document_not_sealed"
    kind = Kind.CONFLICT


class DocumentIdInvalid(CamTrustError):
    code = "signing.batch_document_id_invalid"
    kind = Kind.INVALID


class ArchiveInvalid(CamTrustError):
    """``rule`` of `signing.batches.archive`."""

    code = "signing.batch_archive_invalid"
    kind = Kind.INVALID
