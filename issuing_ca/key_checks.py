"""What a public key must be before it is certified (NIST SP 800-89, BR §6.1.6). Every check has its rule.

KEY-ALGORITHM     an algorithm, curve and size that we certify
KEY-CURVE         the point lies on its curve and is not the point at infinity
KEY-ENCODING      what goes into the certificate is this key
KEY-LISTED        a key that is not on the operators' list of weak ones (`issuing_ca.weak_keys`)
KEY-RSA-SIZE      a modulus of at least 2048 bits
KEY-RSA-EXPONENT  an odd public exponent of at least 65537, at most 256 bits
KEY-RSA-FACTOR    a modulus without small prime factors
KEY-RSA-ROCA      a modulus that is not of the shape of Infineon's broken generator (CVE-2017-15361)
KEY-RSA-FERMAT    primes that are not so close that Fermat's method finds them within 100 rounds (BR §6.1.6)
"""

from __future__ import annotations

from math import gcd, isqrt, prod

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.x509.algorithms import key_algorithm
from foundation.x509.errors import AlgorithmInvalid
from issuing_ca.errors import KeyRefused

_SMALL_PRIMES = prod(n for n in range(3, 752, 2) if all(n % d for d in range(3, isqrt(n) + 1, 2)))
_FERMAT_ROUNDS = 100
_GENERATOR = 65537


def _powers(prime: int) -> frozenset[int]:
    """The residues that 65537 generates modulo a prime."""
    found, value = {1}, _GENERATOR % prime
    while value not in found:
        found.add(value)
        value = value * _GENERATOR % prime
    return frozenset(found)


# Both primes of such a key are powers of 65537 modulo each of the first primes (Nemec et al., CCS 2017, §2), and so is
# the modulus. A prime where 65537 generates everything tells nothing and is left out; by chance all the others hold for
# one modulus in 2^27.
_ROCA = {
    prime: powers
    for prime in (n for n in range(3, 168, 2) if all(n % d for d in range(3, isqrt(n) + 1, 2)))
    if len(powers := _powers(prime)) < prime - 1
}


def check_public_key(public_key: object, encoded: bytes | None = None) -> None:
    """Raises KeyRefused, naming the rule that the key breaks.

    ``encoded``: the same as SubjectPublicKeyInfo, where that goes into the certificate as it is.
    """
    if isinstance(public_key, rsa.RSAPublicKey):
        _check_rsa(public_key.public_numbers())
    elif isinstance(public_key, ec.EllipticCurvePublicKey):
        _check_point(public_key)
    if encoded is not None and encoded != _encoded(public_key):
        raise KeyRefused(rule="KEY-ENCODING")
    try:
        key_algorithm(public_key)
    except AlgorithmInvalid:
        raise KeyRefused(rule="KEY-ALGORITHM") from None


def _check_point(public_key: ec.EllipticCurvePublicKey) -> None:
    point = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(public_key.curve, point)
    except ValueError:
        raise KeyRefused(rule="KEY-CURVE") from None


def _encoded(public_key: object) -> bytes:
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]


def _check_rsa(numbers: rsa.RSAPublicNumbers) -> None:
    n, e = numbers.n, numbers.e
    if n.bit_length() < 2048:
        raise KeyRefused(rule="KEY-RSA-SIZE")
    if e < 65537 or e % 2 == 0 or e.bit_length() > 256:
        raise KeyRefused(rule="KEY-RSA-EXPONENT")
    if n % 2 == 0 or gcd(n, _SMALL_PRIMES) != 1:
        raise KeyRefused(rule="KEY-RSA-FACTOR")
    if all(n % prime in powers for prime, powers in _ROCA.items()):
        raise KeyRefused(rule="KEY-RSA-ROCA")
    a = isqrt(n - 1) + 1
    for _ in range(_FERMAT_ROUNDS):
        rest = a * a - n
        if isqrt(rest) ** 2 == rest:
            raise KeyRefused(rule="KEY-RSA-FERMAT")
        a += 1
