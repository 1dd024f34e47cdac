"""A prepared document, put aside until its signer answers: everything but what is kept elsewhere.

length of the head (4 octets) | head: JSON | the document with its placeholder
"""

from __future__ import annotations

import json
from io import BytesIO

from pyhanko.sign.signers.pdf_byterange import PreparedByteRangeDigest

from foundation.keys.port import Mechanism
from signing.model import Level, Signatory
from signing.sign.pades import Prepared
from signing.sign.revisions import Placeholder
from signing.sign.token_signer import SigningAlgorithm

_LENGTH = 4


def put_aside(prepared: Prepared) -> bytes:
    """The octets of it; they hold the document, so they are sealed as the document is."""
    region = prepared.placeholder.prepared
    head = {
        "hash": prepared.algorithm.hash_name,
        "mechanism": prepared.algorithm.mechanism.value,
        "level": prepared.level.value,
        "field": prepared.placeholder.field,
        "attributes": prepared.attributes.hex(),
        "digest": prepared.digest.hex(),
        "log_proof": None if prepared.log_proof is None else prepared.log_proof.hex(),
        "document_digest": region.document_digest.hex(),
        "region": [region.reserved_region_start, region.reserved_region_end],
    }
    encoded = json.dumps(head).encode()
    return len(encoded).to_bytes(_LENGTH, "big") + encoded + prepared.placeholder.output.getvalue()


def take_up(data: bytes, *, original: bytes, password: str | None, signatory: Signatory) -> Prepared:
    """The inverse, for octets that a seal has vouched for."""
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
    head = json.loads(data[_LENGTH:end])
    start, stop = head["region"]
    region = PreparedByteRangeDigest(bytes.fromhex(head["document_digest"]), start, stop)
    return Prepared(
        original=original,
        password=password,
        signatory=signatory,
        algorithm=SigningAlgorithm(head["hash"], Mechanism(head["mechanism"])),
        level=Level(head["level"]),
        placeholder=Placeholder(BytesIO(data[end:]), head["field"], region),
        attributes=bytes.fromhex(head["attributes"]),
        digest=bytes.fromhex(head["digest"]),
        log_proof=None if head["log_proof"] is None else bytes.fromhex(head["log_proof"]),
    )
