"""ASiC containers (ETSI EN 319 162-1): written in one way, and read with every octet accounted for.

A ZIP file can be read in several ways: by its directory or by its local headers, with things between the entries,
twice under one name. Two programs then see two documents. What is read here has one reading:

    Z1  mimetype is the first entry, stored, with nothing before it, and names a container that we know  ASIC-MIMETYPE
    Z2  entries follow each other without gap or overlap, headers and directory agree, nothing is behind  ASIC-ZIP
    Z3  names are relative, plain, and each there once, in any spelling of letters                        ASIC-NAMES
    Z4  not more, not larger, and not packed tighter than the limits                                      ASIC-LIMIT
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import struct
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

ASIC_E = "application/vnd.etsi.asic-e+zip"
ASIC_S = "application/vnd.etsi.asic-s+zip"
MIMETYPE = "mimetype"
META = "META-INF/"
ASIC = "http://uri.etsi.org/02918/v1.2.1#"
XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
DIGEST_URIS = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
    "http://www.w3.org/2007/05/xmldsig-more#sha3-256": "sha3-256",
    "http://www.w3.org/2007/05/xmldsig-more#sha3-384": "sha3-384",
    "http://www.w3.org/2007/05/xmldsig-more#sha3-512": "sha3-512",
}
SHA256_URI = "http://www.w3.org/2001/04/xmlenc#sha256"

MAX_ENTRIES = 1000
MAX_SIGNATURE_FILE = 16 * 1024 * 1024
MAX_RATIO = 200
_SIGNATURES = re.compile(rb"META-INF/[^/\x00]{0,60}(signature|ASiCManifest)", re.IGNORECASE)
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
_SMALL = 1024 * 1024  # below this any ratio will do
_LOCAL = struct.Struct("<4s5H3L2H")
_END = struct.Struct("<4s4H2LH")
_CHUNK = 1024 * 1024


class ContainerRefused(ValueError):
    """A ZIP file that is no container of ours. ``rule`` is the check that it fails."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


# --- writing


def manifest(files: Mapping[str, bytes], signature: str) -> bytes:
    """The ASiCManifest over these files for the signature in the entry ``signature`` (EN 319 162-1 §A.4)."""
    references = "".join(
        f'<asic:DataObjectReference URI="{percent_encoded(name)}">'
        f'<ds:DigestMethod Algorithm="{SHA256_URI}"></ds:DigestMethod>'
        f"<ds:DigestValue>{base64.b64encode(hashlib.sha256(files[name]).digest()).decode()}</ds:DigestValue>"
        f"</asic:DataObjectReference>"
        for name in sorted(files)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<asic:ASiCManifest xmlns:asic="{ASIC}" xmlns:ds="{XMLDSIG}">'
        f'<asic:SigReference URI="{percent_encoded(signature)}" '
        f'MimeType="application/pkcs7-signature"></asic:SigReference>{references}</asic:ASiCManifest>\n'
    ).encode()


def entry_name(name: str) -> str:
    """A file's name as an entry: one that can be confused with the container's own gets another beginning."""
    plain = name.replace("/", "_").replace("\\", "_").replace(":", "_").strip(". ") or "document"
    return f"document-{plain}" if plain.casefold() in (MIMETYPE, "meta-inf") else plain


def write(media_type: str, files: Mapping[str, bytes]) -> bytes:
    """The container: mimetype first and stored (EN 319 162-1 §A.1), then the files as they come."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in ((MIMETYPE, media_type.encode()), *files.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def percent_encoded(name: str) -> str:
    """A name as a relative URI (RFC 3986 §2.1): unreserved characters and slashes stay."""
    return "".join(chr(one) if one in _PLAIN else f"%{one:02X}" for one in name.encode())


def percent_decoded(uri: str) -> str:
    """The name that a relative URI stands for. ValueError for an escape that is none, and for other than UTF-8."""
    octets = uri.encode()
    if re.search(rb"%(?![0-9A-Fa-f]{2})", octets):
        raise ValueError("not a percent-encoded octet")
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda one: bytes.fromhex(one[1].decode()), octets).decode("utf-8")


def strict_base64(text: str | None) -> bytes:
    """Base64 as XML has it, with white space between and nothing else. ValueError."""
    try:
        return base64.b64decode("".join((text or "").split()), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


# --- reading


@dataclass(frozen=True)
class Container:
    """A container that passed Z1 to Z4. ``names``: its files, but for mimetype and folders."""

    media_type: str
    names: tuple[str, ...]
    _archive: zipfile.ZipFile
    _entries: Mapping[str, zipfile.ZipInfo]
    _digests: dict[tuple[str, str], bytes] = field(default_factory=dict)

    @property
    def documents(self) -> tuple[str, ...]:
        """What is to be signed: everything outside META-INF."""
        return tuple(name for name in self.names if not name.startswith(META))

    @property
    def meta(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name.startswith(META))

    def signature_file(self, name: str) -> bytes:
        """The octets of an entry that is part of the signatures. ContainerRefused for one that is too large."""
        if self._entries[name].file_size > MAX_SIGNATURE_FILE:
            raise ContainerRefused("ASIC-LIMIT")
        return self.content(name)

    def content(self, name: str) -> bytes:
        """The octets of an entry. ContainerRefused where they are not what the directory says."""
        return b"".join(self.chunks(name))

    def digest(self, name: str, hash_name: str) -> bytes:
        """The digest of an entry, read piece by piece, and once however many signatures ask for it."""
        if (name, hash_name) not in self._digests:
            found = hashlib.new(hash_name)
            for chunk in self.chunks(name):
                found.update(chunk)
            self._digests[name, hash_name] = found.digest()
        return self._digests[name, hash_name]

    def chunks(self, name: str) -> Iterator[bytes]:
        """The octets of an entry, piece by piece. ContainerRefused as in :meth:`content`."""
        try:
            with self._archive.open(self._entries[name]) as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except Exception as error:  # zipfile and zlib raise much on hostile octets; a wrong CRC among it
            raise ContainerRefused("ASIC-ZIP") from error


def is_container(data: bytes) -> bool:
    """Whether this is a ZIP file that says of itself, or looks, to be a container with signatures."""
    return data[:4] == b"PK\x03\x04" and (b"vnd.etsi.asic" in data[:200] or _SIGNATURES.search(data) is not None)


def read(data: bytes, limit: int) -> Container:
    """Z1 to Z4; ``limit``: octets of all entries together. Raises ContainerRefused, and nothing else."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
    except Exception as error:
        raise ContainerRefused("ASIC-ZIP") from error
    if len(entries) > MAX_ENTRIES:
        raise ContainerRefused("ASIC-LIMIT")
    _accounted(data, archive, entries)
    names = _names(entries)
    _bounded(entries, limit)
    first = min(entries, key=lambda one: one.header_offset, default=None)
    if first is None or first.filename != MIMETYPE or first.compress_type != zipfile.ZIP_STORED or first.extra:
        raise ContainerRefused("ASIC-MIMETYPE")
    by_name = {one.filename: one for one in entries if not one.is_dir()}
    container = Container("", tuple(name for name in names if name != MIMETYPE), archive, by_name)
    try:
        media_type = container.content(MIMETYPE)[:200].decode("ascii")
    except UnicodeDecodeError:
        raise ContainerRefused("ASIC-MIMETYPE") from None
    if media_type not in (ASIC_E, ASIC_S):
        raise ContainerRefused("ASIC-MIMETYPE")
    return Container(media_type, container.names, archive, by_name)


def _accounted(data: bytes, archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> None:
    """Z2: local headers one behind the other, each as the directory has it, then the directory, then the end."""
    try:
        end = _END.unpack(data[-_END.size :])
    except struct.error:
        raise ContainerRefused("ASIC-ZIP") from None
    size, start, comment = end[5], end[6], end[7]
    if end[0] != b"PK\x05\x06" or comment or start + size != len(data) - _END.size or archive.start_dir != start:
        raise ContainerRefused("ASIC-ZIP")
    at = 0
    for entry in sorted(entries, key=lambda one: one.header_offset):
        if entry.header_offset != at or entry.flag_bits & ~0x0808 or entry.compress_type not in (0, 8):
            raise ContainerRefused("ASIC-ZIP")
        at = _behind(data, entry)
    if at != start:
        raise ContainerRefused("ASIC-ZIP")


def _behind(data: bytes, entry: zipfile.ZipInfo) -> int:
    """Where an entry ends, its local header being what the directory says of it."""
    try:
        header = _LOCAL.unpack_from(data, entry.header_offset)
    except struct.error:
        raise ContainerRefused("ASIC-ZIP") from None
    magic, _, flags, method, _, _, crc, packed, size, name_size, extra_size = header
    name_at = entry.header_offset + _LOCAL.size
    name = data[name_at : name_at + name_size]
    encoding = "utf-8" if flags & 0x800 else "cp437"
    same = magic == b"PK\x03\x04" and flags == entry.flag_bits and method == entry.compress_type
    told = (entry.CRC, entry.compress_size, entry.file_size)
    streamed = bool(flags & 0x08)
    if (
        not same
        or name.decode(encoding, "replace") != entry.orig_filename
        or ((crc, packed, size) != told and not (streamed and (crc, packed, size) == (0, 0, 0)))
    ):
        raise ContainerRefused("ASIC-ZIP")
    if entry.filename == MIMETYPE and extra_size:
        raise ContainerRefused("ASIC-MIMETYPE")
    at: int = name_at + name_size + extra_size + entry.compress_size
    if streamed:  # a data descriptor, with or without its signature
        descriptor = struct.pack("<3L", *told)
        for candidate in (b"PK\x07\x08" + descriptor, descriptor):
            if data[at : at + len(candidate)] == candidate:
                return at + len(candidate)
        raise ContainerRefused("ASIC-ZIP")
    return at


def _names(entries: list[zipfile.ZipInfo]) -> tuple[str, ...]:
    """Z3. Folders may stand there, empty."""
    found: list[str] = []
    seen: set[str] = set()
    for entry in entries:
        name = entry.orig_filename
        parts = name.removesuffix("/").split("/")
        plain = not any(one in name for one in "\\:\x00") and not any(unicodedata.category(one) == "Cc" for one in name)
        key = unicodedata.normalize("NFC", name).casefold()
        if not plain or any(part in ("", ".", "..") for part in parts) or key in seen or name != entry.filename:
            raise ContainerRefused("ASIC-NAMES")
        seen.add(key)
        if key == MIMETYPE and name != MIMETYPE:
            raise ContainerRefused("ASIC-NAMES")
        if key.startswith(META.casefold()) and not name.startswith(META):
            raise ContainerRefused("ASIC-NAMES")
        if not entry.is_dir():
            found.append(name)
        elif entry.file_size:
            raise ContainerRefused("ASIC-NAMES")
    return tuple(found)


def _bounded(entries: list[zipfile.ZipInfo], limit: int) -> None:
    """Z4, by what the directory says; reading stops where that was too little."""
    for entry in entries:
        if entry.file_size > max(_SMALL, entry.compress_size * MAX_RATIO):
            raise ContainerRefused("ASIC-LIMIT")
    if sum(entry.file_size for entry in entries) > limit:
        raise ContainerRefused("ASIC-LIMIT")
