"""Where a witness is, and the body of ``add-checkpoint`` (c2sp.org/tlog-witness), written and read. Pure.

old <size>                 of the checkpoint that the witness cosigned last
<hash, Base 64>            the consistency proof from there, 0 to 63 lines
(an empty line)
<checkpoint>               a signed note (c2sp.org/tlog-checkpoint)
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from foundation.merkle import HASH_SIZE
from foundation.signed_note import MAX_NOTE, NoteInvalid, NoteKey, SignatureType

MOST_HASHES = 63
MAX_REQUEST = MAX_NOTE + 64 * 64
SIZE_TYPE = "text/x.tlog.size"
_OLD = re.compile(r"old (0|[1-9][0-9]{0,17})")
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,17})\n")


@dataclass(frozen=True)
class WitnessAddress:
    """A witness: its key, and the prefix under which it takes checkpoints."""

    key: NoteKey
    url: str

    @classmethod
    def parse(cls, text: str) -> WitnessAddress:
        """``VERIFIER-KEY URL``. Raises NoteInvalid (NOTE-KEY)."""
        written, _, url = text.partition(" ")
        key = NoteKey.parse(written)
        if key.type is not SignatureType.COSIGNATURE_V1 or not url.startswith(("http://", "https://")):
            raise NoteInvalid(rule="NOTE-KEY")
        return cls(key, url.rstrip("/"))


@dataclass(frozen=True)
class AddCheckpoint:
    """What a log asks of a witness."""

    old: int
    proof: Sequence[bytes]
    checkpoint: bytes

    def __bytes__(self) -> bytes:
        lines = [f"old {self.old}", *(base64.b64encode(one).decode() for one in self.proof), "", ""]
        return "\n".join(lines).encode() + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> AddCheckpoint:
        """The inverse of ``bytes``; the checkpoint itself is not looked into. Raises NoteInvalid (NOTE-FORM)."""
        head, separator, checkpoint = data.partition(b"\n\n")
        if len(data) > MAX_REQUEST or not separator:
            raise NoteInvalid(rule="NOTE-FORM")
        try:
            first, *lines = head.decode("ascii").split("\n")
            proof = tuple(base64.b64decode(line, validate=True) for line in lines)
        except (UnicodeDecodeError, binascii.Error):
            raise NoteInvalid(rule="NOTE-FORM") from None
        matched = _OLD.fullmatch(first)
        if matched is None or len(proof) > MOST_HASHES or any(len(one) != HASH_SIZE for one in proof):
            raise NoteInvalid(rule="NOTE-FORM")
        request = cls(int(matched[1]), proof, checkpoint)
        if bytes(request) != data:
            raise NoteInvalid(rule="NOTE-FORM")
        return request


def told_size(content_type: str, body: bytes) -> int | None:
    """The size in the body of a 409 Conflict; None where it tells none."""
    matched = _SIZE.fullmatch(body) if content_type.partition(";")[0].strip() == SIZE_TYPE else None
    return None if matched is None else int(matched[1])
