"""A form with one PDF and a few words, read in memory.

Files of this kind are personal data: they are never spooled to a temporary file. How much may come at all is bounded
before this, by the body limit of the application (see `signing.api.body_limits`).
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from signing.errors import UploadInvalid

MAX_FIELD = 1024  # octets of each text field


@dataclass(frozen=True)
class Upload:
    """A file and the text fields that came with it."""

    name: str
    data: bytes
    fields: dict[str, str]


class _InMemory(MultiPartParser):
    spool_max_size = 2**40


async def read_upload(request: Request, allowed: frozenset[str]) -> Upload:
    """The form in ``request``: exactly one part named ``file``, and text parts out of ``allowed``, each once.

    Raises UploadInvalid for anything else.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UploadInvalid
    parser = _InMemory(request.headers, request.stream(), max_files=1, max_fields=len(allowed), max_part_size=MAX_FIELD)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise UploadInvalid from error
    try:
        parts = form.multi_items()
        file = form.get("file")
        fields = {name: value for name, value in parts if isinstance(value, str)}
        if not isinstance(file, UploadFile) or len(parts) != len(fields) + 1 or not allowed.issuperset(fields):
            raise UploadInvalid
        return Upload(file.filename or "", await file.read(), fields)
    finally:
        await form.close()
