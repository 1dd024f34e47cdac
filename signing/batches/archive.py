"""Documents in a ZIP file: taken apart within bounds, and put together as a stream.

BA-ZIP      it is a ZIP file that can be read, unencrypted, stored or deflated, with no more entries than allowed
BA-NAME     every entry is a plain file at the top, whose name can be the id of a document here, and none comes twice
BA-SIZE     no entry is larger than a document may be, whatever its head says, and all together than a batch may be
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator

from signing.batches.errors import ArchiveInvalid

DOCUMENT_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def entries(data: bytes, most: int, most_octets: int, all_octets: int) -> Iterator[tuple[str, bytes]]:
    """Each document with its name, one at a time in memory. ArchiveInvalid, from the second rule on after some came:
    nothing may be kept of an archive before its last entry did."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            if len(listed) > most:
                raise ArchiveInvalid(rule="BA-ZIP")
            seen = set[str]()
            for one in listed:
                if one.is_dir() or not DOCUMENT_ID.fullmatch(one.filename) or one.filename in seen:
                    raise ArchiveInvalid(rule="BA-NAME")
                if one.flag_bits & _ENCRYPTED or one.compress_type not in _METHODS:
                    raise ArchiveInvalid(rule="BA-ZIP")
                seen.add(one.filename)
            left = all_octets
            for one in listed:
                with archive.open(one) as file:
                    content = file.read(min(most_octets, left) + 1)
                    if len(content) > min(most_octets, left):
                        raise ArchiveInvalid(rule="BA-SIZE")
                left -= len(content)
                yield one.filename, content
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, RuntimeError, NotImplementedError):
        raise ArchiveInvalid(rule="BA-ZIP") from None


def packed(documents: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """A ZIP file of the documents, as it is made, with one document at a time in memory. Nothing is compressed."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for name, content in documents:
            archive.writestr(zipfile.ZipInfo(name), content)
            yield pipe.take()
    yield pipe.take()


class _Pipe(io.RawIOBase):
    """Somewhere to write that is read as it fills, and cannot seek."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
