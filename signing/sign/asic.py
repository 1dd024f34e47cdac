"""ASiC containers made (EN 319 162-1): the document, and a signature over it or over a manifest of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from signing.asic_container import ASIC_E, ASIC_S, META, ContainerRefused, entry_name, manifest, read, write
from signing.errors import DocumentDamaged
from signing.forms import Packaging
from signing.sign.cades import CadesDraft
from signing.sign.envelope import Draft, Envelope, Job
from signing.sign.evidence import ValidationData
from signing.sign.xades import XadesDraft

_MANIFEST = f"{META}ASiCManifest001.xml"
_SIGNATURE = f"{META}signature001.p7s"
_XML_SIGNATURES = f"{META}signatures001.xml"
MAX_DOCUMENTS = 256 * 1024 * 1024
"""Octets of all documents of a container together."""
_SIMPLE_SIGNATURE = f"{META}signature.p7s"


@dataclass(frozen=True)
class Asic:
    """A container as its signature grows. ``files`` come before the signature, which stands in ``entry``."""

    media_type: str
    files: Mapping[str, bytes]
    entry: str
    signature: Envelope

    def timestamped(self) -> bytes:
        return self.signature.timestamped()

    def with_timestamp(self, token: bytes) -> Asic:
        return replace(self, signature=self.signature.with_timestamp(token))

    def with_log_proof(self, proof: bytes) -> Asic:
        return replace(self, signature=self.signature.with_log_proof(proof))

    def with_evidence(self, data: ValidationData) -> Asic:
        return replace(self, signature=self.signature.with_evidence(data))

    def archived(self, stamp: Callable[[bytes], bytes]) -> Asic:
        return replace(self, signature=self.signature.archived(stamp))

    def joined(self, other: Asic) -> Asic:
        return replace(self, signature=self.signature.joined(other.signature))

    def encode(self) -> bytes:
        return write(self.media_type, {**self.files, self.entry: self.signature.encode()})


@dataclass(frozen=True)
class AsicDraft:
    """A document on its way into a container; ``inner``: what becomes the signature in ``entry``."""

    media_type: str
    files: Mapping[str, bytes]
    entry: str
    inner: Draft

    def to_be_signed(self) -> bytes:
        return self.inner.to_be_signed()

    def signed(self, signature: bytes) -> Asic:
        return Asic(self.media_type, self.files, self.entry, self.inner.signed(signature))


def check_documents(data: bytes, name: str) -> None:
    """DocumentDamaged for a container of documents that cannot be read in one way."""
    _documents(data, name)


def _documents(data: bytes, name: str) -> Mapping[str, bytes]:
    """What is to be signed, by the names of its entries: the documents of a container that holds no signatures, which
    is how several come; else the one document."""
    if data[:4] != b"PK\x03\x04" or ASIC_E.encode() not in data[:200]:
        return {entry_name(name): data}
    try:
        container = read(data, MAX_DOCUMENTS)
        if container.meta or not container.documents:
            return {entry_name(name): data}
        return {one: container.content(one) for one in container.documents}
    except ContainerRefused:
        raise DocumentDamaged from None


def extended_cades(job: Job) -> AsicDraft:
    """ASiC-E with CAdES (§4.4.3.2): the signature is over a manifest, which has the documents' digests."""
    files = _documents(job.data, job.name)
    listed = manifest(files, _SIGNATURE)
    inner = CadesDraft(replace(job, data=listed), attached=False)
    return AsicDraft(ASIC_E, {**files, _MANIFEST: listed}, _SIGNATURE, inner)


def extended_xades(job: Job) -> AsicDraft:
    """ASiC-E with XAdES (§4.4.3.3): the signature refers to the documents by their names."""
    files = _documents(job.data, job.name)
    inner = XadesDraft(job, Packaging.XADES, tuple(files.items()))
    return AsicDraft(ASIC_E, files, _XML_SIGNATURES, inner)


def simple_cades(job: Job) -> AsicDraft:
    """ASiC-S with CAdES (§4.3.3.2): the signature is over the document itself."""
    inner = CadesDraft(job, attached=False)
    return AsicDraft(ASIC_S, {entry_name(job.name): job.data}, _SIMPLE_SIGNATURE, inner)
