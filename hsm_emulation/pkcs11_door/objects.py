"""What PKCS#11 programs see of a key: a public and a private object of one CKA_ID, and no secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asn1crypto.core import ObjectIdentifier, OctetString
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from foundation.keys.port import KeyInfo
from hsm_emulation.pkcs11_door.mechanisms import SHOWN
from hsm_emulation.pkcs11_door.messages import Value
from hsm_emulation.pkcs11_door.names import CKA, CKK_EC, CKK_RSA, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY

_CURVES = {"secp256r1": "1.2.840.10045.3.1.7", "secp384r1": "1.3.132.0.34", "secp521r1": "1.3.132.0.35"}

_SECRET_PARTS = ("VALUE", "PRIVATE_EXPONENT", "PRIME_1", "PRIME_2", "EXPONENT_1", "EXPONENT_2", "COEFFICIENT")
SENSITIVE = frozenset(CKA[name] for name in _SECRET_PARTS)
"""The attributes of a private key that nobody is told: CKR_ATTRIBUTE_SENSITIVE."""

Attributes = Mapping[int, Value]


def shown(key: KeyInfo) -> bool:
    """Whether programs see this key: one of RSA or ECDSA, and no person's, whose every signature its owner approves."""
    return key.algorithm in SHOWN and not key.use.needs_activation


def public_object(key: KeyInfo) -> Attributes:
    """The attributes of its CKO_PUBLIC_KEY."""
    return _numbered({**_both(key, CKO_PUBLIC_KEY), "PRIVATE": False, "VERIFY": True, "VERIFY_RECOVER": False}) | (
        _numbered({"ENCRYPT": False, "WRAP": False, "TRUSTED": False})
    )


def private_object(key: KeyInfo) -> Attributes:
    """The attributes of its CKO_PRIVATE_KEY, as far as they may be told."""
    told: dict[str, Value] = {**_both(key, CKO_PRIVATE_KEY), "PRIVATE": True, "SIGN": key.enabled}
    told |= dict.fromkeys(("SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE"), True)
    told |= dict.fromkeys(("EXTRACTABLE", "DECRYPT", "UNWRAP", "SIGN_RECOVER"), False)
    told |= dict.fromkeys(("ALWAYS_AUTHENTICATE", "WRAP_WITH_TRUSTED"), False)
    return _numbered(told)


def matches(attributes: Attributes, template: Sequence[tuple[int, Value | None]]) -> bool:
    """Whether an object has every value of a template."""
    return all(kind in attributes and attributes[kind] == value for kind, value in template)


def _both(key: KeyInfo, kind: int) -> dict[str, Value]:
    common: dict[str, Value] = {"CLASS": kind, "LABEL": key.label.encode(), "ID": bytes.fromhex(key.key_id)}
    common |= {"TOKEN": True, "LOCAL": True, "MODIFIABLE": False, "COPYABLE": False, "DERIVE": False}
    common |= {"SUBJECT": b"", "START_DATE": b"", "END_DATE": b"", "PUBLIC_KEY_INFO": key.public_key}
    public = load_der_public_key(key.public_key)
    if isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        curve = ObjectIdentifier(_CURVES[public.curve.name]).dump()
        return {**common, "KEY_TYPE": CKK_EC, "EC_PARAMS": curve, "EC_POINT": OctetString(point).dump()}
    assert isinstance(public, rsa.RSAPublicKey)  # noqa: S101 (what is shown is one of the two)
    numbers = public.public_numbers()
    return {
        **common,
        "KEY_TYPE": CKK_RSA,
        "MODULUS": _unsigned(numbers.n),
        "MODULUS_BITS": public.key_size,
        "PUBLIC_EXPONENT": _unsigned(numbers.e),
    }


def _unsigned(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _numbered(named: Mapping[str, Value]) -> dict[int, Value]:
    return {CKA[name]: value for name, value in named.items()}
