"""Protection of CMP messages by a secret: PBM (RFC 9810 §5.1.3.1), and PBMAC1 with PBKDF2 (RFC 9481 §6.1.2)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from asn1crypto import algos
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from foundation.x509 import der
from issuing_ca.cmp import asn1
from issuing_ca.cmp.message import CmpRefused, Failure, Message

_SHA256 = "1.2.840.113549.2.9"  # hmacWithSHA256
_OWFS = {"2.16.840.1.101.3.4.2.1": "sha256", "2.16.840.1.101.3.4.2.2": "sha384", "2.16.840.1.101.3.4.2.3": "sha512"}
_MACS = {
    "1.3.6.1.5.5.8.1.2": "sha1",  # HMAC-SHA1, OpenSSL's default: as a MAC it is not broken
    "1.2.840.113549.2.7": "sha1",
    "1.2.840.113549.2.9": "sha256",
    "1.2.840.113549.2.10": "sha384",
    "1.2.840.113549.2.11": "sha512",
}
_PRFS: dict[str, hashes.HashAlgorithm] = {
    "1.2.840.113549.2.9": hashes.SHA256(),
    "1.2.840.113549.2.10": hashes.SHA384(),
    "1.2.840.113549.2.11": hashes.SHA512(),
}
_KEY_OCTETS = range(20, 65)  # RFC 9579 §4: shorter ones are refused
_OWN_KEY_OCTETS = 32
_LEAST, _MOST = 100, 100_000  # iterations (RFC 9810 §5.1.3.1; what one message may cost), of PBKDF2 too
_OWN_ITERATIONS = 1000


def check_mac(message: Message, secret: bytes) -> None:
    """The MAC of a message, by either algorithm. Raises CmpRefused."""
    if message.header["protection_alg"]["algorithm"].dotted == asn1.PBMAC1:
        wanted = _pbmac1_of(message, secret)
    else:
        wanted = _pbm_of(message, secret)
    if message.protection is None or not hmac.compare_digest(message.protection, wanted):
        raise CmpRefused(Failure.BAD_MESSAGE_CHECK)


def _pbm_of(message: Message, secret: bytes) -> bytes:
    try:
        parameters = asn1.PbmParameter.load(message.header["protection_alg"]["parameters"].dump(), strict=True)
        salt, iterations = parameters["salt"].native, parameters["iterations"].native
        owf, mac = (parameters[name]["algorithm"].dotted for name in ("owf", "mac"))
    except Exception:
        raise CmpRefused(Failure.BAD_DATA_FORMAT) from None
    if owf not in _OWFS or mac not in _MACS or not _LEAST <= iterations <= _MOST:
        raise CmpRefused(Failure.BAD_ALG)
    return pbm(secret, salt, _OWFS[owf], iterations, _MACS[mac], message.protected)


def _pbmac1_of(message: Message, secret: bytes) -> bytes:
    try:
        parameters = asn1.Pbmac1Parameters.load(message.header["protection_alg"]["parameters"].dump(), strict=True)
        kdf, mac = parameters["kdf"], parameters["mac"]["algorithm"].dotted
        if kdf["algorithm"].dotted != asn1.PBKDF2 or mac not in _PRFS:
            raise CmpRefused(Failure.BAD_ALG)
        derivation = algos.Pbkdf2Params.load(kdf["parameters"].dump(), strict=True)
        salt, iterations = derivation["salt"], derivation["iteration_count"].native
        octets, prf = derivation["key_length"].native, derivation["prf"]["algorithm"].dotted
        if salt.name != "specified":
            raise CmpRefused(Failure.BAD_ALG)
        value = bytes(salt.native)
    except CmpRefused:
        raise
    except Exception:
        raise CmpRefused(Failure.BAD_DATA_FORMAT) from None
    if octets is None:
        octets = _PRFS[mac].digest_size
    if prf not in _PRFS or octets not in _KEY_OCTETS or not _LEAST <= iterations <= _MOST:
        raise CmpRefused(Failure.BAD_ALG)
    return pbmac1(secret, value, prf, iterations, octets, mac, message.protected)


def pbm(secret: bytes, salt: bytes, owf: str, iterations: int, mac: str, data: bytes) -> bytes:
    """RFC 9810 §5.1.3.1: the one-way function again and again over secret and salt gives the key of the MAC."""
    key = secret + salt
    for _ in range(iterations):
        key = hashlib.new(owf, key).digest()
    return hmac.digest(key, data, mac)


def pbmac1(secret: bytes, salt: bytes, prf: str, iterations: int, octets: int, mac: str, data: bytes) -> bytes:
    """RFC 8018 §7.1 with PBKDF2 and HMAC; ``prf`` and ``mac`` are object identifiers."""
    key = PBKDF2HMAC(algorithm=_PRFS[prf], length=octets, salt=salt, iterations=iterations).derive(secret)
    return hmac.digest(key, data, _PRFS[mac].name)


@dataclass(frozen=True)
class MacProtection:
    """An answer's protection by the secret that the request was protected with."""

    reference: str
    secret: bytes
    salt: bytes
    by: str = asn1.PBM

    def algorithm(self) -> bytes:
        """The AlgorithmIdentifier, DER."""
        if self.by == asn1.PBMAC1:
            mac = der.sequence([der.oid(_SHA256), bytes((der.NULL, 0))])
            count = [der.integer(_OWN_ITERATIONS), der.integer(_OWN_KEY_OCTETS)]
            derivation = der.sequence([der.octet_string(self.salt), *count, mac])
            kdf = der.sequence([der.oid(asn1.PBKDF2), derivation])
            return der.sequence([der.oid(asn1.PBMAC1), der.sequence([kdf, mac])])
        owf, mac = der.sequence([der.oid("2.16.840.1.101.3.4.2.1")]), der.sequence([der.oid("1.2.840.113549.2.9")])
        parameters = der.sequence([der.octet_string(self.salt), owf, der.integer(_OWN_ITERATIONS), mac])
        return der.sequence([der.oid(asn1.PBM), parameters])

    def protect(self, data: bytes) -> bytes:
        """The MAC over ProtectedPart."""
        if self.by == asn1.PBMAC1:
            return pbmac1(self.secret, self.salt, _SHA256, _OWN_ITERATIONS, _OWN_KEY_OCTETS, _SHA256, data)
        return pbm(self.secret, self.salt, "sha256", _OWN_ITERATIONS, "sha256", data)
