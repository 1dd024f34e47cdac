"""Taking a document in: looked through, sealed for its owner, its octets kept. Its row is the caller's to write."""

from __future__ import annotations

import hashlib

from foundation.clock import Clock
from foundation.randomness import Randomness
from signing.config import SigningConfig
from signing.custody import Custody
from signing.errors import TemplateUnknown
from signing.file_name import plain_name
from signing.forms import PADES, Form, Packaging
from signing.model import Document, DocumentState, NamedDocument
from signing.pdf_options import PdfOptions
from signing.sign.documents import DocumentSigner
from signing.sign.intake import Inspection, inspect
from signing.store import Sealed


class Taking:
    """Takes documents in, whoever sends them."""

    def __init__(
        self, config: SigningConfig, clock: Clock, randomness: Randomness, custody: Custody, signer: DocumentSigner
    ) -> None:
        self._config, self._clock, self._randomness = config, clock, randomness
        self._custody, self._signer = custody, signer

    def take(
        self, owner: str, name: str, data: bytes, form: Form, password: str | None, options: PdfOptions
    ) -> tuple[NamedDocument, Sealed]:
        """A document of ``owner`` that can be signed in this form, and what its row holds sealed.

        Raises a DocumentRefused with the cause: nothing is kept. Who cannot write the row calls :meth:`discard`.
        """
        if options.visible is not None and options.visible.template is not None:
            raise TemplateUnknown  # persons have none
        name = plain_name(name)
        inspection = self.inspect(data, name, form, password, options.field)
        document_id = self._randomness.bytes(16).hex()
        sealed = self._custody.seal(owner, document_id, name, password if inspection.encrypted else None, options)
        document = Document(
            sequence=0,
            document_id=document_id,
            owner=owner,
            size=inspection.size,
            sha256=inspection.sha256,
            pages=inspection.pages,
            encrypted=inspection.encrypted,
            form=form,
            state=DocumentState.UPLOADED,
            version=0,
            uploaded_at=self._clock.now(),
        )
        self._custody.put_original(owner, document_id, data)
        return NamedDocument(document, name), sealed

    def discard(self, document_id: str) -> None:
        """Remove the octets of a document that has no row."""
        self._custody.discard_original(document_id)

    def inspect(self, data: bytes, name: str, form: Form, password: str | None, field: str | None) -> Inspection:
        """What a document is that can be signed in this form. Raises a DocumentRefused with the cause."""
        if form == PADES:
            return inspect(data, password=password, field=field, limit=self._config.maximum_document_bytes)
        self._signer.ades.inspect(data, name, form)
        known = form.packaging is Packaging.DIGEST and len(data) == hashlib.sha256().digest_size
        digest = data if known else hashlib.sha256(data).digest()
        return Inspection(len(data), digest, 0, False, (), 0)
