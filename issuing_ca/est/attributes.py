"""CsrAttrs (RFC 7030 §4.5.2, RFC 9908 §3): which key a profile certifies, and the names that the request may hold."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509

from foundation.keys.port import KeyAlgorithm
from foundation.x509 import der
from foundation.x509.profile import Profile

EC_PUBLIC_KEY, _RSA_ENCRYPTION = "1.2.840.10045.2.1", "1.2.840.113549.1.1.1"
_EXTENSION_REQUEST, _SUBJECT_ALTERNATIVE_NAME = "1.2.840.113549.1.9.14", "2.5.29.17"
_SET = 0x31
CURVES = {KeyAlgorithm.EC_P256: "1.2.840.10045.3.1.7", KeyAlgorithm.EC_P384: "1.3.132.0.34"}
RSA_BITS = {KeyAlgorithm.RSA_2048: 2048, KeyAlgorithm.RSA_3072: 3072, KeyAlgorithm.RSA_4096: 4096}


def csr_attributes(profile: Profile, names: Sequence[str]) -> bytes:
    """CsrAttrs ::= SEQUENCE SIZE (0..MAX) OF AttrOrOID, DER: the first key algorithm of the profile, and the SAN."""
    first = next(one for one in profile.key.algorithms if one in CURVES or one in RSA_BITS)
    if first in CURVES:
        attributes = [_attribute(EC_PUBLIC_KEY, der.oid(CURVES[first]))]
    else:
        attributes = [_attribute(_RSA_ENCRYPTION, der.integer(RSA_BITS[first]))]
    if names:
        value = x509.SubjectAlternativeName([x509.DNSName(name) for name in names]).public_bytes()
        extension = der.sequence([der.oid(_SUBJECT_ALTERNATIVE_NAME), der.octet_string(value)])
        attributes.append(_attribute(_EXTENSION_REQUEST, der.sequence([extension])))
    return der.sequence(attributes)


def _attribute(kind: str, value: bytes) -> bytes:
    return der.sequence([der.oid(kind), der.tlv(_SET, value)])
