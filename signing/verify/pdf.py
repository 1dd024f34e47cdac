"""PDF signatures, read with pyHanko and then not taken at its word (ISO 32000-2 §12.8, EN 319 142-1).

Reading: the signature fields that have a value, the DSS, and what came after each signature. The gates of our own:

    F1  the document can be read; every exception of the parser is a failure          PDF-FORMAT
    F2  it is not encrypted, or the password opens it                                 PDF-PASSWORD, PDF-ENCRYPTION
    F3  no two tables of contents (hybrid references)                                 PDF-HYBRID
    F4  every octet is accounted for (`signing.verify.pdf_bytes`)                     PDF-TAIL, PDF-BYTERANGE, PDF-CLAIM
    F5  each signature covers the whole revision that it belongs to                   PDF-COVERAGE
    F6  what came later is understood and allowed (`signing.verify.pdf_changes`)      PDF-CHANGES
    F7  a second parser reads the same (`signing.verify.pdf_second_reader`)           PDF-ENGINES
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from io import BytesIO
from typing import Any

from signing.verify import pdf_bytes
from signing.verify.model import Reason, SubIndication, failed, indeterminate
from signing.verify.pdf_changes import History, review_changes
from signing.verify.policy import Policy

logging.getLogger("pyhanko").addHandler(logging.NullHandler())  # its notes are not for our standard error

_SUBFILTERS = frozenset({"/ETSI.CAdES.detached", "/adbe.pkcs7.detached"})
_TIMESTAMP = "/ETSI.RFC3161"


class Coverage(StrEnum):
    """How much of the file the signature's range covers."""

    ENTIRE_FILE = "ENTIRE_FILE"
    ENTIRE_REVISION = "ENTIRE_REVISION"  # everything up to the end of a revision; later ones follow
    PARTIAL = "PARTIAL"


@dataclass(frozen=True)
class PdfSignature:
    """A signature as it stands in the file. ``end`` is the offset behind the signed range.

    ``objections`` are what the gates F4 to F6 have against it. ``later``: where allowed changes show since, as page
    index and rectangle, in shares of the page from its top left.
    """

    field: str
    is_timestamp: bool
    subfilter: str
    contents: bytes
    byte_range: tuple[int, int, int, int]
    end: int
    revision: int
    coverage: Coverage
    claimed_at: datetime | None
    objections: tuple[Reason, ...]
    later: tuple[tuple[int, tuple[float, float, float, float]], ...] = ()


@dataclass(frozen=True)
class PdfContent:
    """What was read of a PDF. ``objections`` concern the file as a whole; ``stored_in``: since which revision each
    piece of the security store stands there: document timestamps of that revision and later ones cover it."""

    signatures: tuple[PdfSignature, ...]
    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    ocsps: tuple[bytes, ...]
    objections: tuple[Reason, ...]
    stored_in: Mapping[bytes, int] = field(default_factory=dict)

    def until(self, revision: int) -> PdfContent:
        """The same with what the security store held in a revision."""

        def kept(items: tuple[bytes, ...]) -> tuple[bytes, ...]:
            return tuple(one for one in items if self.stored_in[one] <= revision)

        return replace(self, certificates=kept(self.certificates), crls=kept(self.crls), ocsps=kept(self.ocsps))


def read_pdf(data: bytes, policy: Policy, password: bytes | None = None, *, places: bool = False) -> PdfContent:
    """F1-F7. What cannot be read is an objection. ``places``: fill in `PdfSignature.later`. Raises MemoryError."""
    try:
        return _read(data, policy, password, places)
    except _Objection as objection:
        return PdfContent((), (), (), (), (objection.reason,))
    except MemoryError:
        raise
    except Exception:  # F1: pyHanko and the objects it reads raise almost anything
        return PdfContent((), (), (), (), (unreadable(),))


def unreadable() -> Reason:
    """F1."""
    return failed("PDF-FORMAT", "ISO 32000-2 §7.5", "verify_unreadable", SubIndication.FORMAT_FAILURE)


class _Objection(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.rule)
        self.reason = reason


def _read(data: bytes, policy: Policy, password: bytes | None, places: bool) -> PdfContent:
    _hurry()
    reader, strict = _open(data)
    _decrypt(reader, password)  # F2
    if reader.xrefs.total_revisions > policy.max_revisions:
        raise _Objection(_limit())
    fields = _signed_fields(reader)
    if len(fields) > policy.max_signatures:
        raise _Objection(_limit())
    if not fields:
        claimed = pdf_bytes.claims_any(data)  # B3
        return PdfContent((), (), (), (), (_claim(),) if claimed else ())
    if not strict:
        raise _Objection(unreadable())  # F1: a signed file that only a lenient reader can read
    objections: list[Reason] = []
    if reader.xrefs.hybrid_xrefs_present:  # F3
        objections.append(
            failed("PDF-HYBRID", "ISO 32000-2 §7.5.8.4", "verify_format_failure", SubIndication.FORMAT_FAILURE)
        )
    if not pdf_bytes.tail_is_clean(data):  # B1
        objections.append(failed("PDF-TAIL", "ISO 32000-2 §7.5.5", "verify_tail", SubIndication.FORMAT_FAILURE))
    history = History(data, reader)
    signatures = [_signature(history, reader, data, policy, name, holder) for name, holder in fields]
    if places:
        signatures = [replace(one, later=history.places(one.revision)) for one in signatures]
    if not pdf_bytes.claims_match(data, [one.byte_range for one in signatures]):  # B3
        objections.append(_claim())
    objections += history.second_reading(password)
    dss = _dss(reader, policy)
    return PdfContent(
        tuple(sorted(signatures, key=lambda one: one.end)),
        tuple(dss.get("/Certs", ())),
        tuple(dss.get("/CRLs", ())),
        tuple(dss.get("/OCSPs", ())),
        tuple(objections),
        {octets: revision for part in dss.values() for octets, revision in part.items()},
    )


def _quick_hex(stream: Any) -> Any:
    """What pyHanko's reader of hexadecimal strings does, by the block and not by the octet (ISO 32000-2 §7.3.4.3)."""
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.misc import PdfStreamError

    strings: Any = generic
    stream.read(1)
    digits = bytearray()
    while (end := (block := stream.read(4096)).find(b">")) < 0:
        if not block:
            raise PdfStreamError("a hexadecimal string without an end")
        digits += block
    stream.seek(end + 1 - len(block), 1)
    digits += block[:end]
    packed = bytes(digits.translate(None, b"\x00\t\n\x0c\r "))
    if not re.fullmatch(rb"[0-9A-Fa-f]*", packed):
        raise PdfStreamError("a hexadecimal string with something else in it")
    return strings.pdf_string(bytes.fromhex((packed + b"0" * (len(packed) % 2)).decode("ascii")))


@cache
def _hurry() -> None:
    """pyHanko reads a signature's hole octet by octet, which is most of the time that it takes. Done once."""
    from pyhanko.pdf_utils import generic

    generic.read_hex_string_from_stream = _quick_hex


def _open(data: bytes) -> tuple[Any, bool]:
    """A reader, and whether it is the strict one. A lenient one only serves to see that nothing is signed."""
    from pyhanko.pdf_utils.reader import PdfFileReader

    try:
        return PdfFileReader(BytesIO(data), strict=True), True
    except MemoryError:
        raise
    except Exception:
        if pdf_bytes.claims_any(data):
            raise
        return PdfFileReader(BytesIO(data), strict=False), False


def _decrypt(reader: Any, password: bytes | None) -> None:
    if not reader.encrypted:
        return
    from pyhanko.pdf_utils.crypt import AuthStatus, StandardSecurityHandler

    if not isinstance(reader.security_handler, StandardSecurityHandler):
        raise _Objection(
            indeterminate(
                "PDF-ENCRYPTION",
                "ISO 32000-2 §7.6.5",
                "verify_encryption_unsupported",
                SubIndication.SIGNED_DATA_NOT_FOUND,
            )
        )
    for attempt in (b"", password):
        if attempt is not None and reader.decrypt(attempt).status is not AuthStatus.FAILED:
            return
    raise _Objection(
        indeterminate(
            "PDF-PASSWORD",
            "ISO 32000-2 §7.6.4",
            "verify_password_required" if password is None else "verify_password_wrong",
            SubIndication.SIGNED_DATA_NOT_FOUND,
        )
    )


def _limit() -> Reason:
    return indeterminate("FMT-LIMIT", "EN 319 102-1 §5.2.2", "verify_too_complex", SubIndication.GENERIC)


def _claim() -> Reason:
    return failed("PDF-CLAIM", "ISO 32000-2 §12.8.1", "verify_hidden_signature", SubIndication.FORMAT_FAILURE)


def _signed_fields(reader: Any) -> list[tuple[str, Any]]:
    from pyhanko.pdf_utils import form_tools

    tools: Any = form_tools
    try:
        fields = reader.root["/AcroForm"]["/Fields"]
    except KeyError:
        return []
    found = tools.enumerate_fields_in(fields, filled_status=True, refs_seen=set(), target_field_type="/Sig")
    return [(str(name), reference.get_object()) for name, _, reference in found]


def _signature(history: History, reader: Any, data: bytes, policy: Policy, name: str, holder: Any) -> PdfSignature:
    from pyhanko.pdf_utils import generic

    value = holder.raw_get("/V")
    signature = value.get_object()
    contents: bytes = signature.raw_get("/Contents", decrypt=generic.EncryptedObjAccess.RAW).original_bytes
    byte_range = tuple(int(one) for one in signature["/ByteRange"])
    subfilter = str(signature.get("/SubFilter", ""))
    is_timestamp = signature.get("/Type") == "/DocTimeStamp" or subfilter == _TIMESTAMP
    objections: list[Reason] = []
    if not pdf_bytes.hole_matches(data, byte_range, contents):  # B2
        raise _Objection(
            failed(
                "PDF-BYTERANGE", "ISO 32000-2 §12.8.1", "verify_byte_range", SubIndication.FORMAT_FAILURE, field=name
            )
        )
    start, before, after, rest = byte_range
    if subfilter not in ({_TIMESTAMP} if is_timestamp else _SUBFILTERS):
        objections.append(
            indeterminate(
                "PDF-SUBFILTER",
                "EN 319 142-1 §5.3",
                "verify_subfilter",
                SubIndication.SIG_CONSTRAINTS_FAILURE,
                subfilter=subfilter or "-",
            )
        )
    revision = reader.xrefs.get_last_change(value.reference)
    history.signed_in(revision)
    coverage = _coverage(reader, data, revision, after + rest)
    if coverage is Coverage.PARTIAL:  # F5
        objections.append(
            failed("PDF-COVERAGE", "ISO 32000-2 §12.8.1", "verify_coverage", SubIndication.FORMAT_FAILURE)
        )
    elif coverage is Coverage.ENTIRE_REVISION:  # F6
        objections.extend(review_changes(history, revision, signature, holder, policy))
    return PdfSignature(
        field=name,
        is_timestamp=is_timestamp,
        subfilter=subfilter,
        contents=contents,
        byte_range=(start, before, after, rest),
        end=after + rest,
        revision=revision,
        coverage=coverage,
        claimed_at=_claimed_at(signature),
        objections=tuple(objections),
    )


def _coverage(reader: Any, data: bytes, revision: int, end: int) -> Coverage:
    """F5: the range ends where the revision ends that the signature belongs to, and every revision before is inside."""
    last = revision == reader.xrefs.total_revisions - 1
    if last and not data[end:].strip(b"\x00\t\n\x0c\r "):
        return Coverage.ENTIRE_FILE
    if last:
        return Coverage.PARTIAL
    from pyhanko.pdf_utils.reader import process_data_at_eof

    stream = BytesIO(data)
    stream.seek(end)
    try:
        stated = process_data_at_eof(stream)
    except MemoryError:
        raise
    except Exception:  # no end of a revision here
        return Coverage.PARTIAL
    if stated != reader.xrefs.get_startxref_for_revision(revision):
        return Coverage.PARTIAL
    for one in range(reader.xrefs.total_revisions):
        place = reader.xrefs.get_xref_container_info(one)
        if (one <= revision and place.end_location > end) or (one > revision and place.start_location < end):
            return Coverage.PARTIAL
    return Coverage.ENTIRE_REVISION


def _claimed_at(signature: Any) -> datetime | None:
    from pyhanko.pdf_utils import generic

    try:
        stated: datetime = generic.parse_pdf_date(str(signature["/M"]), strict=False)
        return stated.astimezone(UTC) if stated.tzinfo else stated.replace(tzinfo=UTC)
    except Exception:  # a date that cannot be read is no date; nothing rests on it
        return None


def _dss(reader: Any, policy: Policy) -> Mapping[str, Mapping[bytes, int]]:
    """The evidence of the document security store (EN 319 142-1 §5.4.2), octets as they are, each once, with the
    revision that wrote them."""
    try:
        store = reader.root["/DSS"]
    except KeyError:
        return {}
    found: dict[str, Mapping[bytes, int]] = {}
    for key in ("/Certs", "/CRLs", "/OCSPs"):
        try:
            found[key] = _streams(reader, store[key], policy.max_evidence)
        except MemoryError:
            raise
        except Exception:  # evidence that cannot be read is no evidence
            found[key] = {}
    return found


def _streams(reader: Any, items: Any, limit: int) -> Mapping[bytes, int]:
    found: dict[bytes, int] = {}
    for index in range(min(len(items), limit)):
        try:
            revision = reader.xrefs.get_last_change(items.raw_get(index).reference)
            octets = items[index].data
        except MemoryError:
            raise
        except Exception:  # noqa: S112  (one that cannot be read does not spoil the others)
            continue
        found[octets] = min(revision, found.get(octets, revision))
    return found
