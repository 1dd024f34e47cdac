"""The documents of batches at rest: sealed for the client, each bound to its batch and place."""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind
from foundation.vault import Vault
from signing.batches.model import Batch, Item
from signing.pdf_options import PdfOptions
from signing.ports import Blobs


class BatchCustody:
    """Originals and sealed documents in the blobs."""

    def __init__(self, vault: Vault, blobs: Blobs) -> None:
        self._vault, self._blobs = vault, blobs

    def seal_options(self, owner: str, batch_id: str, options: PdfOptions) -> bytes | None:
        said = options.encode()
        return None if said is None else self._vault.seal(owner, f"batch:{batch_id}:options", said.encode())

    def options(self, batch: Batch) -> PdfOptions:
        if batch.options is None:
            return PdfOptions()
        opened = self._vault.open(batch.owner, f"batch:{batch.batch_id}:options", batch.options)
        return PdfOptions.decode(opened.decode())

    def put_original(self, owner: str, batch_id: str, blob: str, data: bytes) -> None:
        self._put(owner, batch_id, blob, "original", data)

    def original(self, batch: Batch, item: Item) -> bytes:
        return self._get(batch, item, "original")

    def put_sealed(self, batch: Batch, item: Item, data: bytes) -> None:
        self._put(batch.owner, batch.batch_id, item.blob, "sealed", data)

    def sealed(self, batch: Batch, item: Item) -> bytes:
        return self._get(batch, item, "sealed")

    def sealed_before(self, batch: Batch, item: Item) -> bytes | None:
        """The sealed document, where a run came so far; None where none did."""
        try:
            return self.sealed(batch, item)
        except CamTrustError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            return None

    def discard(self, batch_id: str, blob: str) -> None:
        for part in ("original", "sealed"):
            self._blobs.delete(_key(batch_id, blob, part))

    def _put(self, owner: str, batch_id: str, blob: str, part: str, data: bytes) -> None:
        sealed = self._vault.seal(owner, f"batch:{batch_id}:{blob}:{part}", data)
        self._blobs.put(_key(batch_id, blob, part), sealed)

    def _get(self, batch: Batch, item: Item, part: str) -> bytes:
        sealed = self._blobs.get(_key(batch.batch_id, item.blob, part))
        return self._vault.open(batch.owner, f"batch:{batch.batch_id}:{item.blob}:{part}", sealed)


def _key(batch_id: str, blob: str, part: str) -> str:
    return f"batches/{batch_id}/{blob}/{part}"
