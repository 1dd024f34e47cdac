"""The names of algorithms in the CSC API: OIDs of digests and signatures, and which of them a key has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from foundation.keys.port import Mechanism

# digest OID → name, size in octets (CSC API v1.0.4 §11.9: hashAlgo)
DIGESTS: Mapping[str, tuple[str, int]] = {
    "2.16.840.1.101.3.4.2.1": ("sha256", 32),
    "2.16.840.1.101.3.4.2.2": ("sha384", 48),
    "2.16.840.1.101.3.4.2.3": ("sha512", 64),
}
_ECDSA = {"1.2.840.10045.4.3.2": "sha256", "1.2.840.10045.4.3.3": "sha384", "1.2.840.10045.4.3.4": "sha512"}
_RSA = {"1.2.840.113549.1.1.11": "sha256", "1.2.840.113549.1.1.12": "sha384", "1.2.840.113549.1.1.13": "sha512"}
# names of a signature without a digest: the digest is then named beside it
_BARE = {"1.2.840.10045.2.1": _ECDSA, "1.2.840.113549.1.1.1": _RSA}
_CURVES = {"secp256r1": "1.2.840.10045.3.1.7", "secp384r1": "1.3.132.0.34"}


@dataclass(frozen=True)
class KeyDescription:
    """``algorithms``: signature OID → digest name; ``length`` in bits; ``curve`` an OID, for EC."""

    algorithms: Mapping[str, str]
    length: int
    curve: str | None
    mechanism: Mechanism

    def json(self, enabled: bool) -> dict[str, Any]:
        """The ``key`` object (v1.0.4 §11.5)."""
        value: dict[str, Any] = {
            "status": "enabled" if enabled else "disabled",
            "algo": list(self.algorithms),
            "len": self.length,
        }
        return {**value, "curve": self.curve} if self.curve else value

    def digest_of(self, sign_algorithm: str, digest_oid: str | None) -> str | None:
        """The digest that a signAlgo asks for, where this key has it and ``digest_oid`` says the same; else None."""
        named = DIGESTS[digest_oid][0] if digest_oid is not None and digest_oid in DIGESTS else None
        if sign_algorithm in self.algorithms:
            wanted = self.algorithms[sign_algorithm]
            return wanted if digest_oid is None or named == wanted else None
        bare = _BARE.get(sign_algorithm)
        return named if bare is not None and bare == self.algorithms else None


def describe(certificate: x509.Certificate) -> KeyDescription | None:
    """The key behind a certificate; None for one that the API has no names for."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return KeyDescription(_ECDSA, key.key_size, _CURVES.get(key.curve.name), Mechanism.ECDSA)
    if isinstance(key, rsa.RSAPublicKey):
        return KeyDescription(_RSA, key.key_size, None, Mechanism.RSA_PKCS)
    return None
