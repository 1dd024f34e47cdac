"""The name of a document, as it is kept and shown."""

from __future__ import annotations

import unicodedata

MAX_NAME = 200  # characters


def plain_name(name: str) -> str:
    """The last part of a file name, without what cannot be seen; at most `MAX_NAME` characters."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    # Zero-width space and joiners (Cf) belong to Khmer spelling; the direction overrides among them can lie.
    kept = (one for one in last if unicodedata.category(one) != "Cc" and one not in "\u202a\u202b\u202c\u202d\u202e")
    return "".join(kept).strip()[:MAX_NAME] or "document.pdf"
