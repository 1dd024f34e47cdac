"""What a verifier remembers between runs: the highest sequence of a bundle that its pinned operators signed.

Whoever hands over an older bundle, in which a certificate is not revoked yet, is refused by it. A home keeps the number
beside its pin; where there is no home nothing is kept, and a bundle's age alone bounds what an old one can hide. The
number only goes up; it counts for bundles under the home's own pin and for no others.
"""

from __future__ import annotations

import os
from pathlib import Path

from signing.verify.errors import BundleMemoryUnreadable

SEQUENCE_IN_HOME = Path("trust") / "bundle-sequence.txt"
_LONGEST = 32  # characters


def remembered(path: Path) -> int | None:
    """The number, or None where nothing was remembered yet. Raises BundleMemoryUnreadable: it fails closed."""
    try:
        with path.open("rb") as file:
            octets = file.read(_LONGEST + 1)
    except FileNotFoundError:
        return None
    except OSError:
        raise BundleMemoryUnreadable(name=str(path)) from None
    text = octets.strip()
    if len(octets) > _LONGEST or not text.isdigit():
        raise BundleMemoryUnreadable(name=str(path))
    return int(text)


def remember(path: Path, sequence: int) -> bool:
    """Keep the number where it is higher; gives whether it is kept now. A home that cannot be written keeps none."""
    if sequence <= (remembered(path) or 0):
        return True
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(f"{sequence}\n", encoding="ascii")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        return False
    return True
