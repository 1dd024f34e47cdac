"""ECDSA signatures as XML and JSON write them: r and s side by side, where X.509 and CMS have DER."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature


def raw_ecdsa(signature: bytes, key: ec.EllipticCurvePublicKey) -> bytes:
    """r and s side by side, each as long as the curve's order (XML Signature 1.1 §6.4.3, RFC 7518 §3.4)."""
    r, s = decode_dss_signature(signature)
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def der_ecdsa(signature: bytes, key: ec.EllipticCurvePublicKey) -> bytes:
    """The inverse. ValueError for another length: there is one way to write a signature."""
    size = (key.curve.key_size + 7) // 8
    if len(signature) != 2 * size:
        raise ValueError("not r and s")
    return encode_dss_signature(int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big"))
