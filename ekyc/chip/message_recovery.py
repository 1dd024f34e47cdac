"""Signatures of chips with RSA keys: ISO/IEC 9796-2 digital signature scheme 1, partial recovery (ICAO 9303-11 §6.1).

The chip signs M = M1 || M2, where M2 is our nonce and M1 is octets of its own that are read from the signature. What
the signature opens to has one form alone, octet by octet, so that no room is left for a forger:

    6A || M1 || H(M1 || M2) || trailer

6A says partial recovery and no padding beyond one half octet; M1 is as long as the key lets it be. The trailer names
the hash: BC is SHA-1, else two octets of ISO/IEC 10118 (33CC for SHA-1 is not ICAO's form, and no trailer here).

ISO/IEC 9796-2 has two ways to make s of that number. ICAO asks chips for the one of Annex B.6, where s opens to it. By
B.4, which chips should not use, s may open to n less it: such an answer is told apart, and proves nothing.

Opening is the public operation of RSA on public values. The library has it only for PKCS #1; there is nothing to keep
secret in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives import constant_time
from cryptography.hazmat.primitives.asymmetric import rsa

from ekyc.chip.der import Malformed
from ekyc.chip.signatures import HASHES, STRONG_RSA, AlgorithmUnsupported, digest

_HEADER = b"\x6a"
_LAST = 0xC  # the last half octet of every trailer
_IMPLICIT = b"\xbc"
_TRAILERS: Mapping[bytes, str] = {
    b"\x38\xcc": "sha224",
    b"\x34\xcc": "sha256",
    b"\x36\xcc": "sha384",
    b"\x35\xcc": "sha512",
}


def verify_recovered(key: rsa.RSAPublicKey, signature: bytes, second: bytes) -> tuple[str, ...]:
    """That ``signature`` is one over some M1 and ``second`` (M2), by ``key``. What comes back is why it proves less
    than it should: SHA-1, a key under 2048 bits; nothing where it proves possession.

    Raises Malformed where it is no such signature, AlgorithmUnsupported for a modulus that is not of whole octets, and
    for a signature by Annex B.4.
    """
    if key.key_size % 8:
        raise AlgorithmUnsupported(f"rsa-{key.key_size}")
    octets = key.key_size // 8
    numbers = key.public_numbers()
    opened = int.from_bytes(signature, "big")
    if len(signature) != octets or opened >= numbers.n:
        raise Malformed("response")
    number = pow(opened, numbers.e, numbers.n)
    if number & 0xF != _LAST and (numbers.n - number) & 0xF == _LAST:
        read_representative((numbers.n - number).to_bytes(octets, "big"), second)
        raise AlgorithmUnsupported("ISO/IEC 9796-2 B.4")
    hash_name = read_representative(number.to_bytes(octets, "big"), second)
    short = (f"rsa-{key.key_size}",) if key.key_size < STRONG_RSA else ()
    return (("sha1",) if hash_name == "sha1" else ()) + short


def read_representative(opened: bytes, second: bytes) -> str:
    """The name of the hash in what a signature opened to, with ``second`` as M2. Raises Malformed."""
    if opened[-1:] == _IMPLICIT:
        hash_name, trailer = "sha1", 1
    elif opened[-2:] in _TRAILERS:
        hash_name, trailer = _TRAILERS[opened[-2:]], 2
    else:
        raise Malformed("response")
    end = len(opened) - trailer
    begin = end - HASHES[hash_name].digest_size
    if opened[:1] != _HEADER or begin <= 1:
        raise Malformed("response")
    if not constant_time.bytes_eq(digest(hash_name, opened[1:begin] + second), opened[begin:end]):
        raise Malformed("response")
    return hash_name
