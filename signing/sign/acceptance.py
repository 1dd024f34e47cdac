"""Our own check of what was made, before anybody gets it: from the octets alone, as they will be handed out.

Nothing that wrote the document is asked. The file is read anew from its end: cross-reference sections, catalog, form,
field, and at the place that they name, the octets of the signature. The document before it is not hashed a second
time: a hash object over it is gone on with, once it is certain that it is the same, octet for octet. So the effort
depends on what was appended, and on a comparison.

SIGN-OUT-PREFIX     the document as it was uploaded is the beginning of the output, octet for octet
SIGN-OUT-ROOM       the signature fits into the room that was left for it
SIGN-OUT-OPEN       the output opens strictly, with the same password
SIGN-OUT-FIELD      the field holds the signature, by exactly the signer's certificate
SIGN-OUT-RANGE      the byte range covers the whole revision but the signature itself (ISO 32000-2 §12.8.1)
SIGN-OUT-SIGNATURE  the signature verifies over the octets that were written
SIGN-OUT-PARALLEL   the signature beside it is there, verifies over the same octets, and both name each other
SIGN-OUT-LEVEL      timestamp, validation data and document timestamp are there as the level asks
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from foundation.errors import CamTrustError
from foundation.x509 import der
from signing.cms_parts import CmsParts
from signing.errors import SignatureNotAccepted
from signing.model import Level, Signatory
from signing.parallel_signatures import PARALLEL_MESSAGE, names
from signing.sign.field import signature_fields
from signing.sign.intake import reopen
from signing.sign.signed_message import DATA, SIGNATURE_TIMESTAMP, TST_INFO, SignedMessage, check, read

_BYTE_RANGE = re.compile(rb"/ByteRange ?\[0 (\d{1,12}) (\d{1,12}) (\d{1,12})\]")
_END = re.compile(rb"\s*%%EOF\s*\Z")


@dataclass(frozen=True)
class _Found:
    """A signature as it stands in the octets: its message, the two ends of its hole, and the end of its range."""

    kind: bytes
    before: int
    after: int
    end: int
    message: SignedMessage
    octets: bytes

    def digest(self, output: bytes, prefix: Any, known: int, hash_name: str) -> bytes:
        state, view = prefix(hash_name), memoryview(output)
        state.update(view[known : self.before])
        state.update(view[self.after : self.end])
        return bytes(state.digest())


def accept(
    original: bytes,
    output: bytes,
    *,
    password: str | None,
    field: str,
    signatory: Signatory,
    level: Level,
    hashed: Any = None,
    parallel: Signatory | None = None,
) -> None:
    """All checks above; SignatureNotAccepted names the first that does not pass. ``parallel``: who signed beside.

    ``hashed``: by a hash's name, a hash object over ``original``; without it the original is hashed here.
    """
    prefix = hashed or (lambda name: hashlib.new(name, original))
    with _check("SIGN-OUT-PREFIX"):
        _require(output.startswith(original))
    with _check("SIGN-OUT-OPEN"):
        reader = reopen(output, password)
        fields = {one.name: one for one in signature_fields(reader)}
    with _check("SIGN-OUT-FIELD"):
        octets, start = _object(reader, output, fields[field].value)
    with _check("SIGN-OUT-RANGE"):
        found = _read(output, octets, start)
        _require(found.before >= len(original))
        if not level.includes(Level.B_LT):
            _require(found.end == len(output))
    with _check("SIGN-OUT-FIELD"):
        _require(found.message.signer == signatory.certificate and found.kind == b"/Sig")
    with _check("SIGN-OUT-SIGNATURE"):
        digest = found.digest(output, prefix, len(original), found.message.hash_name)
        check(found.message, digest, DATA)
    with _check("SIGN-OUT-PARALLEL"):
        _require((PARALLEL_MESSAGE in found.message.unsigned) is (parallel is not None))
        if parallel is not None:
            octets = found.message.unsigned[PARALLEL_MESSAGE]
            beside, own, other = read(octets), CmsParts.parse(found.octets), CmsParts.parse(octets)
            _require(beside.signer == parallel.certificate)
            check(beside, found.digest(output, prefix, len(original), beside.hash_name), DATA)
            _require(names(own, other, _encoded(parallel)) and names(other, own, _encoded(signatory)))
    with _check("SIGN-OUT-LEVEL"):
        for one in (found.message, *((beside,) if parallel is not None else ())):
            _require(not level.includes(Level.B_T) or SIGNATURE_TIMESTAMP in one.unsigned)
        if level.includes(Level.B_LT):
            _in_store(reader, signatory)
            if parallel is not None:
                _in_store(reader, parallel)
        if level.includes(Level.B_LTA):
            octets, start = _object(reader, output, list(fields.values())[-1].value)
            last = _read(output, octets, start)
            _require(last.kind == b"/DocTimeStamp" and last.end == len(output) and last.before > found.end)
            _timestamps(last, output, prefix, len(original))


def _object(reader: Any, output: bytes, value: Any) -> tuple[bytes, int]:
    """The octets of the object that a reference points at, and where they start."""
    place = reader.xrefs[value.reference]
    head = b"%d %d obj" % (value.reference.idnum, value.reference.generation)
    _require(output.startswith(head, place))
    end = output.index(b"endobj", place)
    return output[place:end], place


def _read(output: bytes, octets: bytes, start: int) -> _Found:
    """The signature of a dictionary; its byte range has one hole, which is exactly the string of /Contents."""
    (byte_range,) = _BYTE_RANGE.findall(octets)
    before, after, rest = (int(one) for one in byte_range)
    _require(start < before < after <= after + rest <= len(output))
    hole = output[before:after]
    _require(output[before - 10 : before] == b"/Contents " and hole[:1] == b"<" and hole[-1:] == b">")
    contents = bytes.fromhex(hole[1:-1].decode())
    size = der.read(contents)[2]
    _require(not contents[size:].strip(b"\x00"))
    _require(_END.search(output, after + rest - 16, after + rest) is not None)
    kind = re.search(rb"/Type (/\w+)", octets)
    return _Found(kind[1] if kind else b"", before, after, after + rest, read(contents[:size]), contents[:size])


def _in_store(reader: Any, signatory: Signatory) -> None:
    """The security store holds the certificates of the signer's path, and some status."""
    store = reader.root["/DSS"]
    held = {store["/Certs"][index].data for index in range(len(store["/Certs"]))}
    path = (signatory.certificate, *signatory.chain)
    _require(all(one.public_bytes(Encoding.DER) in held for one in path) and len(store["/OCSPs"]) > 0)


def _timestamps(last: _Found, output: bytes, prefix: Any, known: int) -> None:
    """The imprint of a document timestamp is the digest over its byte range, and its signature verifies."""
    content = last.message.content or b""
    check(last.message, hashlib.new(last.message.hash_name, content).digest(), TST_INFO)
    _require(last.digest(output, prefix, known, "sha256") in content)


def _encoded(signatory: Signatory) -> bytes:
    return signatory.certificate.public_bytes(Encoding.DER)


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError


@contextmanager
def _check(name: str) -> Iterator[None]:
    try:
        yield
    except SignatureNotAccepted:
        raise
    except (CamTrustError, Exception) as error:  # whatever goes wrong while looking means: not accepted
        raise SignatureNotAccepted(check=name) from error
