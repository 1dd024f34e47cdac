"""Which signature algorithms of CMS count, and whether a signature by one of them verifies (C7, C8 of `cms`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from foundation.x509.signature_check import SIGNATURE_ALGORITHMS, Outcome, Scheme, check_signature
from signing.verify.policy import Policy

if TYPE_CHECKING:
    from signing.verify.cms import SignedMessage

_RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
_STRONG = {"sha512", "sha3-512"}
_STRONGER = _STRONG | {"sha384", "sha3-384"}
# RFC 9882 §3.3: digests that are not weaker than the key
_ML_DSA_DIGESTS = {
    "2.16.840.1.101.3.4.3.17": _STRONGER | {"sha256", "sha3-256"},
    "2.16.840.1.101.3.4.3.18": _STRONGER,
    "2.16.840.1.101.3.4.3.19": _STRONG,
}


def check_value(message: SignedMessage, signer: x509.Certificate, name: str | None, policy: Policy) -> Outcome:
    """Whether the signature over the signed attributes verifies; ``name``: of the message's digest algorithm."""
    scheme: Scheme
    if message.signature_algorithm == _RSA_ENCRYPTION:
        scheme, hash_name = Scheme.RSA_PKCS1, name
    elif message.signature_algorithm in SIGNATURE_ALGORITHMS:
        scheme, hash_name = SIGNATURE_ALGORITHMS[message.signature_algorithm]
        if scheme is Scheme.RSA_PSS:
            hash_name = message.pss_hash
    else:
        return Outcome.REFUSED
    if hash_name is not None and hash_name != name:
        return Outcome.REFUSED  # RFC 6211 is about this substitution
    if scheme is Scheme.ML_DSA and name not in _ML_DSA_DIGESTS[message.signature_algorithm]:
        return Outcome.REFUSED
    try:
        key = signer.public_key()
    except Exception:  # a key that cannot be read: cryptography raises several kinds
        return Outcome.REFUSED
    return check_signature(
        key,
        scheme,
        hash_name,
        message.signature,
        message.signed_attributes or b"",
        policy.algorithms,
        message.pss,
    )
