"""What is personal in a request, as octets to be sealed. Pure."""

from __future__ import annotations

import json

from signing.model import NamedDocument
from signing.requests.model import AskedDocument, Details


def place_of(request_id: str) -> str:
    """For what the details of a request are sealed."""
    return f"signing-request:{request_id}"


def asked_of(named: NamedDocument) -> AskedDocument:
    """A document as the request says it."""
    document = named.document
    return AskedDocument(document.document_id, named.name, document.size, document.pages, document.sha256)


def written(details: Details) -> bytes:
    """Details as octets."""
    rows = [[one.document_id, one.name, one.size, one.pages, one.sha256.hex()] for one in details.documents]
    return json.dumps({"purpose": details.purpose, "reference": details.reference, "documents": rows}).encode()


def read(data: bytes) -> Details:
    """The inverse of :func:`written`."""
    value = json.loads(data)
    rows = [
        AskedDocument(one, name, size, pages, bytes.fromhex(digest))
        for one, name, size, pages, digest in value["documents"]
    ]
    return Details(value["purpose"], value["reference"], tuple(rows))
