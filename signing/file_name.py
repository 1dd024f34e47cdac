"""The name of a document, as it is kept and shown."""

from __future__ import annotations

import unicodedata

MAX_NAME = 200  # characters

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls, ends of lines, and what turns the direction of writing, by which a name can lie."""
_JOINING = "\u200b\u200c\u200d"
"""Zero-width space and joiners belong to Khmer spelling."""


def plain_name(name: str) -> str:
    """The last part of a file name, without what cannot be seen; at most `MAX_NAME` characters."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    kept = (one for one in last if one in _JOINING or unicodedata.category(one) not in _UNSEEN)
    return "".join(kept).strip()[:MAX_NAME] or "document.pdf"
