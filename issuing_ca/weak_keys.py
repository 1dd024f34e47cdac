"""Keys that are known to be weak or to be in other hands, from a list that the operators keep. KEY-LISTED.

A line is one of two: 64 hexadecimal digits, the SHA-256 of a SubjectPublicKeyInfo (as lists of leaked keys have it), or
20, as Debian's blacklists of CVE-2008-0166 had it for RSA: the end of the SHA-1 of ``Modulus=HEX`` and a line feed.
Empty lines and those that begin with ``#`` say nothing.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from issuing_ca.errors import KeyRefused, WeakKeysInvalid

_LINE = re.compile(r"[0-9a-f]{64}|[0-9a-f]{20}")


@dataclass(frozen=True)
class WeakKeys:
    """What a list says: digests of keys, and ends of digests of moduli."""

    keys: frozenset[bytes] = frozenset()
    moduli: frozenset[bytes] = frozenset()

    @classmethod
    def read(cls, file: Path | None) -> WeakKeys:
        """The list of a file; none: an empty one. Raises WeakKeysInvalid, for a line that is neither as well."""
        if file is None:
            return cls()
        try:
            lines = file.read_text(encoding="ascii").lower().splitlines()
        except (OSError, UnicodeDecodeError):
            raise WeakKeysInvalid(file=str(file), line=0) from None
        found: dict[int, set[bytes]] = {64: set(), 20: set()}
        for number, line in enumerate(map(str.strip, lines), 1):
            if not line or line.startswith("#"):
                continue
            if not _LINE.fullmatch(line):
                raise WeakKeysInvalid(file=str(file), line=number)
            found[len(line)].add(bytes.fromhex(line))
        return cls(frozenset(found[64]), frozenset(found[20]))

    def check(self, public_key: object) -> None:
        """Raises KeyRefused for a key of the list."""
        if self.keys:
            spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
            if hashlib.sha256(spki).digest() in self.keys:
                raise KeyRefused(rule="KEY-LISTED")
        if self.moduli and isinstance(public_key, rsa.RSAPublicKey):
            said = f"Modulus={public_key.public_numbers().n:X}\n".encode()
            if hashlib.sha1(said, usedforsecurity=False).digest()[10:] in self.moduli:
                raise KeyRefused(rule="KEY-LISTED")
