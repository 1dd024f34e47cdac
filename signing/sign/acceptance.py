"""Our own check of what was made, before anybody gets it. Linear in the size of the document.

SIGN-OUT-PREFIX     the document as it was uploaded is the beginning of the output, octet for octet
SIGN-OUT-ROOM       the signature fits into the room that was left for it
SIGN-OUT-OPEN       the output opens strictly, with the same password
SIGN-OUT-FIELD      the field holds the signature, by exactly the signer's certificate
SIGN-OUT-RANGE      the byte range covers the whole revision but the signature itself (ISO 32000-2 §12.8.1)
SIGN-OUT-SIGNATURE  the signature verifies over the octets that were written
SIGN-OUT-LEVEL      timestamp, validation data and document timestamp are there as the level asks
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from foundation.errors import CamTrustError
from signing.errors import SignatureNotAccepted
from signing.model import Level, Signatory
from signing.sign.cms import check_signed_data
from signing.sign.intake import unlock


def accept(
    original: bytes, output: bytes, *, password: str | None, field: str, signatory: Signatory, level: Level
) -> None:
    """All checks above; SignatureNotAccepted names the first that does not pass."""
    with _check("SIGN-OUT-PREFIX"):
        _require(output.startswith(original))
    with _check("SIGN-OUT-OPEN"):
        writer = IncrementalPdfFileWriter(BytesIO(output), strict=True)
        unlock(writer, password)
        reader: Any = writer.prev
        signatures = {one.field_name: one for one in reader.embedded_signatures}
    with _check("SIGN-OUT-FIELD"):
        signature: Any = signatures[field]
        certificate = signature.signer_cert.dump()
        _require(certificate == signatory.certificate.public_bytes(Encoding.DER))
    with _check("SIGN-OUT-RANGE"):
        start, first, second, rest = (int(value) for value in signature.byte_range)
        hole = output[first:second]
        _require(start == 0 and first >= len(original) and second + rest <= len(output))
        _require(
            hole[:1] == b"<" and hole[-1:] == b">" and bytes.fromhex(hole[1:-1].decode()) == signature.pkcs7_content
        )
        _require(output[: second + rest].rstrip().endswith(b"%%EOF"))
        if not level.includes(Level.B_LT):
            _require(second + rest == len(output))
    with _check("SIGN-OUT-SIGNATURE"):
        covered = output[:first] + output[second : second + rest]
        check_signed_data(signature.signed_data, covered, "data")
    with _check("SIGN-OUT-LEVEL"):
        unsigned = {one["type"].native for one in signature.signer_info["unsigned_attrs"] or ()}
        _require(not level.includes(Level.B_T) or "signature_time_stamp_token" in unsigned)
        _require(not level.includes(Level.B_LT) or "/DSS" in reader.root)
        if level.includes(Level.B_LTA):
            last = list(signatures.values())[-1]
            _require(last.sig_object.get("/Type") == "/DocTimeStamp")
            _require(int(last.byte_range[2]) + int(last.byte_range[3]) == len(output))


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
