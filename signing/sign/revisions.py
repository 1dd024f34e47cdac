"""The PDF side of a signature: a revision with a placeholder, and the revisions after it. Nothing is ever rewritten.

A draft is the document as it came, octet for octet, and what is to be appended. The document is hashed once; each
digest goes on from there over the appended octets, which are few.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as having
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from signing.errors import SignatureNotAccepted
from signing.model import FieldLock, SignatureText
from signing.sign.evidence import ValidationData
from signing.sign.field import Field, Spot, add_field, fill_field, references, widget_of
from signing.sign.intake import reopen
from signing.sign.pdf_objects import Array, Dictionary, array, dictionary, entry, name, number, stream, text
from signing.sign.stamp_form import appearance
from signing.sign.update import Hole, Range, Update

_NO_AREA = (0.0, 0.0, 0.0, 0.0)
_SIGNATURE, _TIMESTAMP = "/ETSI.CAdES.detached", "/ETSI.RFC3161"


@dataclass
class Draft:
    """A document and what was appended to it so far. ``reader``: of the document; None: to be read when needed."""

    original: bytes
    password: str | None
    reader: Any = None
    appended: bytearray = having(default_factory=bytearray)
    _update: Update | None = None
    _hashes: dict[str, Any] = having(default_factory=dict)

    def update(self) -> Update:
        """What writes the next section; it goes on from the sections before."""
        if self._update is None:
            reader = self.reader
            if reader is None or self.appended:
                reader = reopen(self.octets(), self.password)
            self._update = Update(reader, len(self.original) + len(self.appended))
        return self._update

    def append(self) -> int:
        """Append the section that :meth:`update` was prepared for; gives where in ``appended`` it starts."""
        start = len(self.appended)
        self.appended += self.update().section()
        return start

    def octets(self) -> bytes:
        """The document as it is now."""
        return b"".join((self.original, self.appended))

    def hashed(self, name: str) -> Any:
        """A hash object over the original alone, to be gone on with."""
        if name not in self._hashes:
            self._hashes[name] = hashlib.new(name, self.original)
        return self._hashes[name].copy()

    def digest(self, name: str, hole: tuple[int, int]) -> bytes:
        """The digest over everything but the hole, which is in what was appended (offsets in the document)."""
        state, base, view = self.hashed(name), len(self.original), memoryview(self.appended)
        state.update(view[: hole[0] - base])
        state.update(view[hole[1] - base :])
        return bytes(state.digest())


@dataclass
class Placeholder:
    """A document with room for a signature; ``digest`` is over everything but that room (``hole``: its two ends)."""

    draft: Draft
    field: str
    digest: bytes
    hole: tuple[int, int]

    def fill(self, signed_data: bytes) -> None:
        """Put the DER of the SignedData into its place; SignatureNotAccepted when it does not fit."""
        start, end = (one - len(self.draft.original) for one in self.hole)
        digits = signed_data.hex().encode()
        if len(digits) > end - start - 2:
            raise SignatureNotAccepted(check="SIGN-OUT-ROOM")
        self.draft.appended[start + 1 : start + 1 + len(digits)] = digits


@dataclass(frozen=True)
class Place:
    """Where a signature goes: into an existing ``field``, or into a new one called ``name``.

    ``spot``: where a new field is seen; None: nowhere. ``drawn``: a PDF of one page, what is seen of it.
    """

    name: str
    field: Field | None = None
    lock: FieldLock | None = None
    certify: int | None = None
    spot: Spot | None = None
    drawn: bytes | None = None


def place(
    draft: Draft, where: Place, *, hash_name: str, reserved: int, words: SignatureText, at: datetime
) -> Placeholder:
    """Append the revision with the signature dictionary (/SubFilter ETSI.CAdES.detached, /M ``at``).

    ``reserved``: octets for the SignedData.
    """
    update = draft.update()
    signature = _signature("/Sig", _SIGNATURE)
    signature[name("/M")] = text(f"D:{at.astimezone(UTC):%Y%m%d%H%M%S}Z")
    for key, value in (("/Reason", words.reason), ("/Location", words.location), ("/Name", words.name)):
        if value is not None:
            signature[name(key)] = text(value)
    transforms = references(update, where.lock, where.certify)
    if transforms is not None:
        signature[name("/Reference")] = transforms
    reference = update.add(signature)
    if where.field is not None:
        fill_field(update, where.field, reference, where.lock)
        widget = widget_of(where.field)
    else:
        page, box = (where.spot.page, where.spot.box) if where.spot is not None else (0, _NO_AREA)
        widget = add_field(update, where.name, reference, page=page, box=box, lock=where.lock)
    if where.drawn is not None:
        rotation = where.spot.rotation if where.spot is not None else 0
        update.put(widget, "/AP", appearance(update, where.drawn, rotation))
    if where.certify is not None:
        _certify(update, reference)
    _declare(update)
    return _appended(draft, signature, where.name, hash_name, reserved)


def add_validation_data(draft: Draft, data: ValidationData) -> None:
    """Append a revision with the document security store (EN 319 142-1 §5.4.2); an existing store is extended.

    No VRI dictionaries: they are optional, name signatures by SHA-1, and verifiers are told to look in the whole store.
    """
    update = draft.update()
    root: Any = update.root
    store = entry(root, "/DSS", Dictionary)
    if store is None:
        store = dictionary({"/Type": name("/DSS")})
        update.put(root, "/DSS", update.add(store))
    for key, items in (
        ("/Certs", [one.public_bytes(Encoding.DER) for one in data.certificates]),
        ("/OCSPs", data.ocsps),
        ("/CRLs", data.crls),
    ):
        kept = entry(store, key, Array)
        if kept is None:
            kept = update.put(store, key, array())
        known = {kept[index].data for index in range(len(kept))}
        fresh = [one for one in items if one not in known]
        kept.extend(update.add(stream(one)) for one in fresh)
        if fresh:
            update.touch(kept)
    _declare(update)
    draft.append()


def add_document_timestamp(
    draft: Draft, *, field: str, hash_name: str, reserved: int, token: Callable[[bytes], bytes]
) -> None:
    """Append a document timestamp over everything so far (EN 319 142-1 §5.4.3). ``token``: digest in, DER token out."""
    update = draft.update()
    timestamp = _signature("/DocTimeStamp", _TIMESTAMP)
    add_field(update, field, update.add(timestamp))
    placeholder = _appended(draft, timestamp, field, hash_name, reserved)
    placeholder.fill(token(placeholder.digest))


def _signature(kind: str, sub_filter: str) -> Any:
    return dictionary({"/Type": name(kind), "/Filter": name("/Adobe.PPKLite"), "/SubFilter": name(sub_filter)})


def _appended(draft: Draft, signature: Any, called: str, hash_name: str, reserved: int) -> Placeholder:
    """Write the section with a hole of ``reserved`` octets, and the ByteRange around it."""
    hole, byte_range = Hole(reserved), Range()
    signature[name("/ByteRange")] = byte_range
    signature[name("/Contents")] = hole
    start = draft.append()
    base = len(draft.original)
    before = base + start + hole.at
    after = before + hole.width
    rest = base + len(draft.appended) - after
    at = start + byte_range.at
    draft.appended[at : at + Range.WIDTH] = Range.octets(before, after, rest)
    return Placeholder(draft, called, draft.digest(hash_name, (before, after)), (before, after))


def _certify(update: Update, reference: Any) -> None:
    root: Any = update.root
    permissions = entry(root, "/Perms", Dictionary)
    if permissions is None:
        permissions = update.put(root, "/Perms", dictionary())
    update.put(permissions, "/DocMDP", reference)


def _declare(update: Update) -> None:
    """Say in the catalog that PAdES is used, where PDF is older than 2.0 (EN 319 142-1 §5.4.1, ISO 32000-2 §7.12)."""
    root: Any = update.root
    extensions = entry(root, "/Extensions", Dictionary)
    if extensions is None:
        extensions = update.put(root, "/Extensions", dictionary())
    if "/ESIC" not in extensions:
        entries = {"/Type": name("/DeveloperExtensions"), "/BaseVersion": name("/1.7"), "/ExtensionLevel": number(1)}
        update.put(extensions, "/ESIC", dictionary(entries))
