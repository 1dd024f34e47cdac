"""Specimen signing authorities, document signers and CRLs, built element by element.

Built from DER pieces, not by a certificate library: the tests need what no honest library makes (explicit curves with
another generator, two signers, elements after the signature).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from ekyc.chip.curves import CURVES, Curve
from foundation.x509 import der

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
ISSUED = NOW - timedelta(days=400)
YEAR = timedelta(days=365)
DIGESTS = {
    "sha1": "1.3.14.3.2.26",
    "sha224": "2.16.840.1.101.3.4.2.4",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
HASHES = {
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_ECDSA = {"sha1": "4.1", "sha224": "4.3.1", "sha256": "4.3.2", "sha384": "4.3.3", "sha512": "4.3.4"}
_PKCS1 = {"sha1": 5, "sha224": 14, "sha256": 11, "sha384": 12, "sha512": 13}
NULL = b"\x05\x00"
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def ec_key(curve: type[ec.EllipticCurve], which: str = "") -> ec.EllipticCurvePrivateKey:
    """One key per curve and use: tests share them."""
    return ec.generate_private_key(curve())


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def digest(name: str, data: bytes) -> bytes:
    state = hashes.Hash(HASHES[name])
    state.update(data)
    return state.finalize()


def digest_id(name: str) -> bytes:
    return der.sequence([der.oid(DIGESTS[name]), NULL])


@dataclass(frozen=True)
class Method:
    """How to sign: the hash, and for RSA whether by PSS or under the plain name rsaEncryption."""

    hash: str = "sha256"
    pss: bool = False
    plain_rsa_name: bool = False

    def identifier(self, key: PrivateKey) -> bytes:
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return der.sequence([der.oid(f"1.2.840.10045.{_ECDSA[self.hash]}")])
        if self.pss:
            mask = der.sequence([der.oid("1.2.840.113549.1.1.8"), digest_id(self.hash)])
            salt = der.integer(HASHES[self.hash].digest_size)
            parts = [der.explicit(0, digest_id(self.hash)), der.explicit(1, mask), der.explicit(2, salt)]
            return der.sequence([der.oid("1.2.840.113549.1.1.10"), der.sequence(parts)])
        arc = 1 if self.plain_rsa_name else _PKCS1[self.hash]
        return der.sequence([der.oid(f"1.2.840.113549.1.1.{arc}"), NULL])

    def sign(self, key: PrivateKey, message: bytes) -> bytes:
        chosen = HASHES[self.hash]
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(message, ec.ECDSA(chosen))
        scheme = padding.PSS(padding.MGF1(chosen), chosen.digest_size) if self.pss else padding.PKCS1v15()
        return key.sign(message, scheme, chosen)


def public_info(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def curve_of(key: ec.EllipticCurvePrivateKey) -> Curve:
    return next(one for one in CURVES if one.name == key.curve.name)


def explicit_info(curve: Curve, point: bytes, *, cofactor: bool = True, generator: bytes = b"") -> bytes:
    """SubjectPublicKeyInfo whose curve is stated in full."""
    size = curve.octets
    base = generator or b"\x04" + curve.x.to_bytes(size, "big") + curve.y.to_bytes(size, "big")
    parameters = der.sequence(
        [
            der.integer(1),
            der.sequence([der.oid("1.2.840.10045.1.1"), der.integer(curve.p)]),
            der.sequence(
                [der.octet_string(curve.a.to_bytes(size, "big")), der.octet_string(curve.b.to_bytes(size, "big"))]
            ),
            der.octet_string(base),
            der.integer(curve.n),
            der.integer(curve.h) if cofactor else b"",
        ]
    )
    return der.sequence([der.sequence([der.oid("1.2.840.10045.2.1"), parameters]), der.bit_string(point)])


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def name(country: str, common: str) -> bytes:
    return x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, country, _validate=False),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "SPECIMEN"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, common),
        ]
    ).public_bytes()


def extension(identifier: str, value: bytes, *, critical: bool = False) -> bytes:
    return der.sequence([der.oid(identifier), der.TRUE if critical else b"", der.octet_string(value)])


DIGITAL_SIGNATURE = extension("2.5.29.15", b"\x03\x02\x07\x80", critical=True)
SIGNS_CERTIFICATES = extension("2.5.29.15", b"\x03\x02\x01\x06", critical=True)
IS_CA = extension("2.5.29.19", der.sequence([der.TRUE, der.integer(0)]), critical=True)
OTHER_PURPOSE = extension("2.5.29.37", der.sequence([der.oid("2.23.136.1.1.3")]), critical=True)


@dataclass(frozen=True)
class Party:
    """Somebody with a key and a certificate."""

    key: PrivateKey
    name: bytes
    certificate: bytes
    serial: int
    method: Method

    @property
    def key_id(self) -> bytes:
        return digest("sha1", public_info(self.key))


def certify(
    key: PrivateKey,
    subject: bytes,
    issuer: tuple[PrivateKey, bytes],
    *,
    serial: int,
    extensions: Sequence[bytes],
    method: Method,
    info: bytes | None = None,
    begins: datetime = ISSUED - YEAR,
    ends: datetime = NOW + 10 * YEAR,
    after_signature: bytes = b"",
    key_id: bytes | None = None,
) -> bytes:
    """A v3 certificate. ``after_signature`` stands inside of the certificate, behind all that is signed."""
    authority = key_id if key_id is not None else digest("sha1", public_info(issuer[0]))
    identifiers = [
        extension("2.5.29.14", der.octet_string(digest("sha1", public_info(key)))),
        extension("2.5.29.35", der.sequence([der.tlv(0x80, authority)])),
    ]
    algorithm = method.identifier(issuer[0])
    tbs = der.sequence(
        [
            der.explicit(0, der.integer(2)),
            der.integer(serial),
            algorithm,
            issuer[1],
            der.sequence([der.time(begins), der.time(ends)]),
            subject,
            info or public_info(key),
            der.explicit(3, der.sequence([*identifiers, *extensions])),
        ]
    )
    signature = der.bit_string(method.sign(issuer[0], tbs))
    return der.sequence([tbs, algorithm, signature, after_signature])


def authority(
    key: PrivateKey | None = None, *, country: str = "KH", method: Method | None = None, info: bytes | None = None
) -> Party:
    """A country signing authority, self-signed."""
    key, method = key or ec_key(ec.SECP384R1, "csca"), method or Method()
    subject = name(country, "SPECIMEN CSCA")
    certificate = certify(
        key, subject, (key, subject), serial=1, extensions=[SIGNS_CERTIFICATES, IS_CA], method=method, info=info
    )
    return Party(key, subject, certificate, 1, method)


def document_signer(
    issuer: Party,
    key: PrivateKey | None = None,
    *,
    country: str = "KH",
    method: Method | None = None,
    info: bytes | None = None,
    extensions: Sequence[bytes] = (DIGITAL_SIGNATURE,),
    begins: datetime = ISSUED - timedelta(days=10),
    ends: datetime = NOW + 5 * YEAR,
    after_signature: bytes = b"",
    key_id: bytes | None = None,
) -> Party:
    """A document signer, certified by ``issuer`` (whose method signs the certificate); ``method`` signs chips."""
    key = key or ec_key(ec.SECP256R1, "dsc")
    subject = name(country, "SPECIMEN DS")
    certificate = certify(
        key,
        subject,
        (issuer.key, issuer.name),
        serial=77,
        extensions=extensions,
        method=issuer.method,
        info=info,
        begins=begins,
        ends=ends,
        after_signature=after_signature,
        key_id=key_id,
    )
    return Party(key, subject, certificate, 77, method or Method())


def crl(issuer: Party, revoked: Sequence[int] = (), *, begins: datetime = NOW - timedelta(days=5)) -> bytes:
    """A full CRL, good for 30 days."""
    algorithm = issuer.method.identifier(issuer.key)
    entries = [der.sequence([der.integer(one), der.time(begins - timedelta(days=1))]) for one in revoked]
    tbs = der.sequence(
        [
            der.integer(1),
            algorithm,
            issuer.name,
            der.time(begins),
            der.time(begins + timedelta(days=30)),
            der.sequence(entries) if entries else b"",
            der.explicit(0, der.sequence([extension("2.5.29.20", der.integer(9))])),
        ]
    )
    return der.sequence([tbs, algorithm, der.bit_string(issuer.method.sign(issuer.key, tbs))])
