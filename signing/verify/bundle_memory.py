"""What a verifier remembers between runs: the newest bundle that its pinned operators signed, by two numbers.

Whoever hands over an older bundle, in which a certificate is not revoked yet, is refused by its sequence; whoever signs
with the keys of operators who were replaced, by the version of their set. A home keeps the numbers beside its pin;
where there is no home nothing is kept, and a bundle's age alone bounds what an old one can hide. They only go up, and
count for bundles under the home's own pin and for no others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from signing.verify.errors import BundleMemoryUnreadable

SEQUENCE_IN_HOME = Path("trust") / "bundle-sequence.txt"
_LONGEST = 48  # characters


@dataclass(frozen=True)
class Seen:
    """``sequence`` of the newest bundle, ``operators``: the version of its set of operators, 0 for none."""

    sequence: int
    operators: int = 0


def remembered(path: Path) -> Seen | None:
    """The numbers, or None where nothing was remembered yet. Raises BundleMemoryUnreadable: it fails closed."""
    try:
        with path.open("rb") as file:
            octets = file.read(_LONGEST + 1)
    except FileNotFoundError:
        return None
    except OSError:
        raise BundleMemoryUnreadable(name=str(path)) from None
    words = octets.split()
    if len(octets) > _LONGEST or not 1 <= len(words) <= 2 or not all(word.isdigit() for word in words):
        raise BundleMemoryUnreadable(name=str(path))
    return Seen(*(int(word) for word in words))


def remember(path: Path, seen: Seen) -> bool:
    """Keep what is higher; gives whether it is kept now. A home that cannot be written keeps nothing."""
    before = remembered(path) or Seen(0)
    after = Seen(max(before.sequence, seen.sequence), max(before.operators, seen.operators))
    if after == before:
        return True
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(f"{after.sequence} {after.operators}\n", encoding="ascii")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        return False
    return True
