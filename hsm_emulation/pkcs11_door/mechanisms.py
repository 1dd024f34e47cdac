"""PKCS#11's signature mechanisms and the token's: numbers, the keys they fit, the two forms of data and signature.

PKCS#11 gives an ECDSA signature as r and s side by side, the token as DER; PKCS#11 has CKM_RSA_PKCS take a DigestInfo,
the token the digest in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from foundation.keys.errors import DataInvalid
from foundation.keys.port import KeyAlgorithm, Mechanism

_SHA = {"sha256": (0x250, 2, 32), "sha384": (0x260, 3, 48), "sha512": (0x270, 4, 64)}  # CKM, CKG_MGF1, octets
_COORDINATE = {KeyAlgorithm.EC_P256: 32, KeyAlgorithm.EC_P384: 48, KeyAlgorithm.EC_P521: 66}
_MODULUS = {KeyAlgorithm.RSA_2048: 256, KeyAlgorithm.RSA_3072: 384, KeyAlgorithm.RSA_4096: 512}
SHOWN = frozenset(_COORDINATE) | frozenset(_MODULUS)
"""The algorithms of keys that the door shows: those that p11-kit's protocol has mechanisms for."""

_DIGEST_INFO = {
    32: bytes.fromhex("3031300d060960864801650304020105000420"),
    48: bytes.fromhex("3041300d060960864801650304020205000430"),
    64: bytes.fromhex("3051300d060960864801650304020305000440"),
}
"""RFC 8017 §9.2 note 1: what stands before a digest of this length."""


@dataclass(frozen=True)
class Offered:
    """``takes_message``: it hashes itself, so that a message may come in parts."""

    mechanism: Mechanism
    takes_message: bool
    elliptic: bool
    hash: str | None = None
    pss: bool = False

    def fits(self, algorithm: KeyAlgorithm) -> bool:
        """Whether keys of this algorithm sign with it."""
        return algorithm in (_COORDINATE if self.elliptic else _MODULUS)

    def sizes(self) -> tuple[int, int]:
        """The smallest and largest key in bits."""
        return (256, 521) if self.elliptic else (2048, 4096)

    def takes(self, parameters: tuple[int, ...] | None) -> bool:
        """Whether the parameters say what the token does: one hash, MGF1 of it, a salt as long as it."""
        if not self.pss:
            return parameters is None
        return parameters in [value for name, value in _SHA.items() if self.hash in (None, name)]

    def data(self, data: bytes, parameters: tuple[int, ...] | None) -> bytes:
        """What the token takes of what a program gives. DataInvalid."""
        if self.mechanism is Mechanism.RSA_PKCS:
            for length, before in _DIGEST_INFO.items():
                if len(data) == len(before) + length and data.startswith(before):
                    return data[len(before) :]
            raise DataInvalid
        if self.mechanism is Mechanism.RSA_PKCS_PSS and (parameters is None or len(data) != parameters[2]):
            raise DataInvalid
        return data


OFFERED: Mapping[int, Offered] = {
    0x1: Offered(Mechanism.RSA_PKCS, False, False),
    0xD: Offered(Mechanism.RSA_PKCS_PSS, False, False, pss=True),
    0x40: Offered(Mechanism.SHA256_RSA_PKCS, True, False, "sha256"),
    0x41: Offered(Mechanism.SHA384_RSA_PKCS, True, False, "sha384"),
    0x42: Offered(Mechanism.SHA512_RSA_PKCS, True, False, "sha512"),
    0x43: Offered(Mechanism.SHA256_RSA_PKCS_PSS, True, False, "sha256", pss=True),
    0x44: Offered(Mechanism.SHA384_RSA_PKCS_PSS, True, False, "sha384", pss=True),
    0x45: Offered(Mechanism.SHA512_RSA_PKCS_PSS, True, False, "sha512", pss=True),
    0x1041: Offered(Mechanism.ECDSA, False, True),
    0x1044: Offered(Mechanism.ECDSA_SHA256, True, True, "sha256"),
    0x1045: Offered(Mechanism.ECDSA_SHA384, True, True, "sha384"),
    0x1046: Offered(Mechanism.ECDSA_SHA512, True, True, "sha512"),
}
"""By CKM number."""

WITH_PSS_PARAMETERS = frozenset({0xD, 0xE, 0x43, 0x44, 0x45, 0x47})
"""The CKM numbers after which p11-kit writes hash, mask function and salt length; 0xE and 0x47 are not offered."""


def signature_size(algorithm: KeyAlgorithm) -> int:
    """Octets of a signature in PKCS#11's form."""
    return 2 * _COORDINATE[algorithm] if algorithm in _COORDINATE else _MODULUS[algorithm]


def signature_form(algorithm: KeyAlgorithm, signature: bytes) -> bytes:
    """A signature of the token in PKCS#11's form."""
    if algorithm not in _COORDINATE:
        return signature
    width = _COORDINATE[algorithm]
    return b"".join(number.to_bytes(width, "big") for number in decode_dss_signature(signature))
