"""Documents in custody: name, password, options and content, sealed for their owner, each bound to its document."""

from __future__ import annotations

from foundation.vault import Vault
from signing.model import Document
from signing.pdf_options import PdfOptions
from signing.ports import Blobs
from signing.store import Sealed


class Custody:
    """Seals for the owner (purpose ``document:ID`` and what it is) and keeps what is large in the blobs."""

    def __init__(self, vault: Vault, blobs: Blobs) -> None:
        self._vault = vault
        self._blobs = blobs

    def seal(self, owner: str, document_id: str, name: str, password: str | None, options: PdfOptions) -> Sealed:
        """What the row of a document holds."""

        def sealed(part: str, value: str) -> bytes:
            return self._vault.seal(owner, _purpose(document_id, part), value.encode())

        said = options.encode()
        return Sealed(
            name=sealed("name", name),
            password=None if password is None else sealed("password", password),
            field=None if said is None else sealed("field", said),
        )

    def name(self, document: Document, sealed: Sealed) -> str:
        return self._open(document, "name", sealed.name)

    def password(self, document: Document, sealed: Sealed) -> str | None:
        return None if sealed.password is None else self._open(document, "password", sealed.password)

    def options(self, document: Document, sealed: Sealed) -> PdfOptions:
        """They are kept where once the name of the field stood alone."""
        return PdfOptions.decode(None if sealed.field is None else self._open(document, "field", sealed.field))

    def put_original(self, owner: str, document_id: str, data: bytes) -> None:
        self._blobs.put(_key(document_id, "original"), self._seal_blob(owner, document_id, "original", data))

    def original(self, document: Document) -> bytes:
        return self._blob(document, "original")

    def put_signed(self, document: Document, version: int, data: bytes) -> None:
        """Versions have their own keys: a request that lost a race cannot replace what the winner stored."""
        part = f"signed-{version}"
        sealed = self._seal_blob(document.owner, document.document_id, part, data)
        self._blobs.put(_key(document.document_id, part), sealed)

    def put_prepared(self, document: Document, data: bytes) -> None:
        """Put a prepared document aside, for the version that it was claimed at."""
        part = f"prepared-{document.version}"
        sealed = self._seal_blob(document.owner, document.document_id, part, data)
        self._blobs.put(_key(document.document_id, part), sealed)

    def prepared(self, document: Document) -> bytes:
        return self._blob(document, f"prepared-{document.version}")

    def discard_prepared(self, document_id: str, version: int) -> None:
        self._blobs.delete(_key(document_id, f"prepared-{version}"))

    def signed(self, document: Document) -> bytes:
        return self._blob(document, f"signed-{document.signed_version}")

    def discard_signed(self, document_id: str, version: int) -> None:
        self._blobs.delete(_key(document_id, f"signed-{version}"))

    def put_release(self, person: str, document_id: str, data: bytes) -> None:
        """The signature by which a person let a held seal be made, sealed for that person."""
        self._blobs.put(_key(document_id, "release"), self._seal_blob(person, document_id, "release", data))

    def release(self, person: str, document_id: str) -> bytes:
        sealed = self._blobs.get(_key(document_id, "release"))
        return self._vault.open(person, _purpose(document_id, "release"), sealed)

    def discard(self, document_id: str, version: int) -> None:
        """Remove all content of a document that has come to ``version``."""
        for number in range(version + 1):
            self.discard_signed(document_id, number)
            self.discard_prepared(document_id, number)
        self._blobs.delete(_key(document_id, "release"))
        self.discard_original(document_id)

    def discard_original(self, document_id: str) -> None:
        self._blobs.delete(_key(document_id, "original"))

    def _open(self, document: Document, part: str, sealed: bytes) -> str:
        return self._vault.open(document.owner, _purpose(document.document_id, part), sealed).decode()

    def _seal_blob(self, owner: str, document_id: str, part: str, data: bytes) -> bytes:
        return self._vault.seal(owner, _purpose(document_id, part), data)

    def _blob(self, document: Document, part: str) -> bytes:
        sealed = self._blobs.get(_key(document.document_id, part))
        return self._vault.open(document.owner, _purpose(document.document_id, part), sealed)


def _key(document_id: str, part: str) -> str:
    return f"signing/{document_id}/{part}"


def _purpose(document_id: str, part: str) -> str:
    return f"document:{document_id}:{part}"
