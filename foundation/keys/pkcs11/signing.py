"""Our algorithms and mechanisms in a module's words, and what comes back in the form that X.509 and CMS use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asn1crypto.algos import DigestInfo
from asn1crypto.core import OctetString
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import MGF, KeyType
from pkcs11.mechanisms import Mechanism as Ckm

from foundation.keys.capabilities import Capabilities
from foundation.keys.errors import DataInvalid, MechanismInvalid
from foundation.keys.mechanisms import FAMILIES, SCHEMES, Family, hash_for
from foundation.keys.port import KeyAlgorithm, Mechanism


@dataclass(frozen=True)
class KeyShape:
    """How a key pair is asked for. ``parameters``: what the public template adds."""

    key_type: KeyType
    generated_by: Ckm
    bits: int
    parameters: Mapping[Any, Any]


def _ec(oid: str, bits: int) -> KeyShape:
    parameters = {Attribute.EC_PARAMS: bytes.fromhex(oid)}
    return KeyShape(KeyType.EC, Ckm.EC_KEY_PAIR_GEN, bits, parameters)


def _rsa(bits: int) -> KeyShape:
    return KeyShape(KeyType.RSA, Ckm.RSA_PKCS_KEY_PAIR_GEN, bits, {})


# EC parameters: the DER of the curve's OID (RFC 5480 §2.1.1.1, RFC 8410 §3).
SHAPES: Mapping[KeyAlgorithm, KeyShape] = {
    KeyAlgorithm.EC_P256: _ec("06082a8648ce3d030107", 256),
    KeyAlgorithm.EC_P384: _ec("06052b81040022", 384),
    KeyAlgorithm.EC_P521: _ec("06052b81040023", 521),
    KeyAlgorithm.RSA_2048: _rsa(2048),
    KeyAlgorithm.RSA_3072: _rsa(3072),
    KeyAlgorithm.RSA_4096: _rsa(4096),
    KeyAlgorithm.ED25519: KeyShape(
        KeyType.EC_EDWARDS,
        Ckm.EC_EDWARDS_KEY_PAIR_GEN,
        255,
        {Attribute.EC_PARAMS: bytes.fromhex("06032b6570")},
    ),
}
_CURVES: Mapping[KeyAlgorithm, ec.EllipticCurve] = {
    KeyAlgorithm.EC_P256: ec.SECP256R1(),
    KeyAlgorithm.EC_P384: ec.SECP384R1(),
    KeyAlgorithm.EC_P521: ec.SECP521R1(),
}
# What stands for a mechanism that a module lacks: the digest goes to this one.
_RAW: Mapping[Family, Ckm] = {
    Family.ECDSA: Ckm.ECDSA,
    Family.RSA_PKCS1: Ckm.RSA_PKCS,
    Family.RSA_PSS: Ckm.RSA_PKCS_PSS,
}
_PSS: Mapping[str, tuple[Ckm, MGF, int]] = {
    "sha256": (Ckm.SHA256, MGF.SHA256, 32),
    "sha384": (Ckm.SHA384, MGF.SHA384, 48),
    "sha512": (Ckm.SHA512, MGF.SHA512, 64),
}


def _own(mechanism: Mechanism) -> Ckm:
    """The mechanism of the same name; PKCS#11's names are ours."""
    return Ckm[mechanism.value.removeprefix("CKM_")]


def capabilities_of(token: Any) -> Capabilities:
    """What a token (as python-pkcs11 shows it) offers of our algorithms and mechanisms."""
    there = token.slot.get_mechanisms()
    mechanisms, hashed_outside = set(), set()
    for mechanism, scheme in SCHEMES.items():
        if scheme.family is Family.ML_DSA:
            continue  # no module to try it on yet
        if _own(mechanism) in there:
            mechanisms.add(mechanism)
        elif scheme.hash is not None and _RAW[scheme.family] in there:
            mechanisms.add(mechanism)
            hashed_outside.add(mechanism)
    families = {SCHEMES[mechanism].family for mechanism in mechanisms}
    algorithms = {
        algorithm
        for algorithm, shape in SHAPES.items()
        if shape.generated_by in there and FAMILIES[algorithm] & families and _wide_enough(token, shape)
    }
    return Capabilities(
        frozenset(algorithms),
        frozenset(mechanisms),
        frozenset(hashed_outside),
        emulated=token.manufacturer_id.startswith("SoftHSM"),
    )


def _wide_enough(token: Any, shape: KeyShape) -> bool:
    if shape.key_type is KeyType.EC_EDWARDS:
        return True  # modules count its bits as 255 or 256
    try:
        offered = token.slot.get_mechanism_info(shape.generated_by)
    except PKCS11Error:
        return False
    return bool(offered.min_key_length <= shape.bits <= offered.max_key_length)


def generate_pair(session: Any, algorithm: KeyAlgorithm, key_id: bytes, label: str) -> tuple[Any, Any]:
    """A public and a private key in the token; the private one signs, and nothing else can be done with it."""
    shape = SHAPES[algorithm]
    pair: tuple[Any, Any] = session.generate_keypair(
        shape.key_type,
        key_length=shape.bits if shape.key_type is KeyType.RSA else None,
        id=key_id,
        label=label,
        store=True,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        public_template=dict(shape.parameters),
        private_template={
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.MODIFIABLE: False,
        },
    )
    return pair


def is_protected(private: Any) -> bool:
    """Whether a private key is as it was asked for: made in the token, never readable, good for signing alone."""
    return all(
        bool(private[attribute]) is wanted
        for attribute, wanted in (
            (Attribute.LOCAL, True),
            (Attribute.PRIVATE, True),
            (Attribute.SENSITIVE, True),
            (Attribute.ALWAYS_SENSITIVE, True),
            (Attribute.EXTRACTABLE, False),
            (Attribute.NEVER_EXTRACTABLE, True),
            (Attribute.SIGN, True),
            (Attribute.DECRYPT, False),
            (Attribute.UNWRAP, False),
            (Attribute.DERIVE, False),
        )
    )


def public_key_of(public: Any, algorithm: KeyAlgorithm) -> bytes:
    """The DER SubjectPublicKeyInfo of a public key in the token. ValueError when it is no key of the algorithm."""
    key: rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
    if SHAPES[algorithm].key_type is KeyType.RSA:
        modulus, exponent = (int.from_bytes(public[one]) for one in (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT))
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        if key.key_size != SHAPES[algorithm].bits:
            raise ValueError("not as long as it was asked for")
    else:
        point = OctetString.load(public[Attribute.EC_POINT], strict=True).native
        if algorithm is KeyAlgorithm.ED25519:
            key = ed25519.Ed25519PublicKey.from_public_bytes(point)
        else:
            key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[algorithm], point)
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sign(private: Any, mechanism: Mechanism, data: bytes, capabilities: Capabilities) -> bytes:
    """A signature as X.509 and CMS have it (ECDSA: DER, RFC 3279 §2.2.3).

    Raises MechanismInvalid for what the token lacks, DataInvalid for a digest of no SHA-2 length, and the module's.
    """
    if mechanism not in capabilities.mechanisms:
        raise MechanismInvalid
    scheme = SCHEMES[mechanism]
    ckm, parameter = _own(mechanism), None
    if scheme.family is Family.EDDSA:
        return bytes(private.sign(data, mechanism=ckm))
    hash_name = scheme.hash or _hash_of_digest(mechanism, data)
    if mechanism in capabilities.hashed_outside:
        ckm, data = _RAW[scheme.family], hashlib.new(hash_name, data).digest()
    if ckm is Ckm.RSA_PKCS:
        # This one pads what it gets (PKCS#11 v2.40 §2.1.6): the DigestInfo of RFC 8017 §9.2 is ours to make.
        data = DigestInfo({"digest_algorithm": {"algorithm": hash_name}, "digest": data}).dump()
    if scheme.family is Family.RSA_PSS:
        parameter = _PSS[hash_name]
    made: bytes = private.sign(data, mechanism=ckm, mechanism_param=parameter)
    return _der(made) if scheme.family is Family.ECDSA else made


def _hash_of_digest(mechanism: Mechanism, data: bytes) -> str:
    hash_for(mechanism, data)
    return {32: "sha256", 48: "sha384", 64: "sha512"}[len(data)]


def _der(pair: bytes) -> bytes:
    """r and s, of equal length, one after the other (PKCS#11 v2.40 §2.3.1), as DER."""
    half = len(pair) // 2
    if not half or len(pair) % 2:
        raise DataInvalid
    return encode_dss_signature(int.from_bytes(pair[:half]), int.from_bytes(pair[half:]))
