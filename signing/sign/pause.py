"""A prepared document, put aside until its signer answers: everything but what is kept elsewhere.

length of the head (4 octets) | head: JSON | what was appended to the document, with its placeholder
"""

from __future__ import annotations

import json

from foundation.keys.port import Mechanism
from signing.model import Level, Signatory
from signing.sign.pades import Prepared
from signing.sign.revisions import Draft, Placeholder
from signing.sign.token_signer import SigningAlgorithm

_LENGTH = 4


def put_aside(prepared: Prepared) -> bytes:
    """The octets of it; they tell of the document, so they are sealed as it is."""
    placeholder = prepared.placeholder
    head = {
        "hash": prepared.algorithm.hash_name,
        "mechanism": prepared.algorithm.mechanism.value,
        "level": prepared.level.value,
        "field": placeholder.field,
        "attributes": prepared.attributes.hex(),
        "digest": prepared.digest.hex(),
        "log_proof": None if prepared.log_proof is None else prepared.log_proof.hex(),
        "document_digest": placeholder.digest.hex(),
        "hole": placeholder.hole,
    }
    encoded = json.dumps(head).encode()
    return len(encoded).to_bytes(_LENGTH, "big") + encoded + placeholder.draft.appended


def take_up(data: bytes, *, original: bytes, password: str | None, signatory: Signatory) -> Prepared:
    """The inverse, for octets that a seal has vouched for."""
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
    head = json.loads(data[_LENGTH:end])
    draft = Draft(original, password, appended=bytearray(data[end:]))
    hole = (int(head["hole"][0]), int(head["hole"][1]))
    return Prepared(
        signatory=signatory,
        algorithm=SigningAlgorithm(head["hash"], Mechanism(head["mechanism"])),
        level=Level(head["level"]),
        placeholder=Placeholder(draft, head["field"], bytes.fromhex(head["document_digest"]), hole),
        attributes=bytes.fromhex(head["attributes"]),
        digest=bytes.fromhex(head["digest"]),
        log_proof=None if head["log_proof"] is None else bytes.fromhex(head["log_proof"]),
    )
