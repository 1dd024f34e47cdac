"""Specimen chips: signing authorities, document signers, CRLs and chip files, built element by element.

Built from DER pieces, not by a certificate library: the tests need what no honest library makes (explicit curves with
another generator, two signers, elements after the signature).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from ekyc import mrz
from ekyc.chip.curves import CURVES, Curve
from foundation.x509 import der

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
ISSUED = NOW - timedelta(days=400)
YEAR = timedelta(days=365)
TAGS = {1: 0x61, 2: 0x75, 3: 0x63, 11: 0x6B, 14: 0x6E, 15: 0x6F}
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


def dg1(issuing_state: str = "KHM", number: str = "N00000017") -> bytes:
    fields = {
        "document_code": "P",
        "issuer": issuing_state,
        "document_number": number,
        "nationality": issuing_state,
        "date_of_birth": "900101",
        "sex": "F",
        "date_of_expiry": "310101",
    }
    lines = "".join(mrz.write(mrz.TD3, fields, "SPECIMEN", "SOKHA"))
    return der.tlv(0x61, b"\x5f\x1f" + der.length(len(lines)) + lines.encode())


def dg15(key: PrivateKey) -> bytes:
    return der.tlv(0x6F, public_info(key))


def dg14(algorithm: str = "0.4.0.127.0.7.1.1.4.1.3") -> bytes:
    info = der.sequence([der.oid("2.23.136.1.1.5"), der.integer(1), der.oid(algorithm)])
    return der.tlv(0x6E, der.tlv(0x31, info))


def com(groups: Sequence[int]) -> bytes:
    head = b"\x5f\x01\x040107\x5f\x36\x06040000"
    return der.tlv(0x60, head + der.tlv(0x5C, bytes(TAGS[one] for one in groups)))


@dataclass(frozen=True)
class Sealing:
    """How EF.SOD is made; what differs from a good one is an attack or an old document."""

    lds_hash: str = "sha256"
    lds_version: int = 0
    attributes: bool = True
    signing_time: datetime | None = None
    signers: int = 1
    unsigned: bytes = b""
    certificates: Sequence[bytes] | None = None
    by_key_id: bool = False
    listed: Mapping[int, bytes] = field(default_factory=dict)


def security_object(groups: Mapping[int, bytes], how: Sealing) -> bytes:
    entries = [
        der.sequence([der.integer(number), der.octet_string(digest(how.lds_hash, data))])
        for number, data in sorted({**groups, **how.listed}.items())
    ]
    info = der.sequence([b"\x13\x040108", b"\x13\x06040000"]) if how.lds_version else b""
    return der.sequence([der.integer(how.lds_version), digest_id(how.lds_hash), der.sequence(entries), info])


def sod(groups: Mapping[int, bytes], signer: Party, issuer: bytes, how: Sealing | None = None) -> bytes:
    """EF.SOD over ``groups``."""
    how = how or Sealing()
    content = security_object(groups, how)
    attributes = [
        der.sequence([der.oid("1.2.840.113549.1.9.3"), der.tlv(0x31, der.oid("2.23.136.1.1.1"))]),
        der.sequence(
            [
                der.oid("1.2.840.113549.1.9.4"),
                der.tlv(0x31, der.octet_string(digest(signer.method.hash, content))),
            ]
        ),
    ]
    if how.signing_time is not None:
        attributes.append(der.sequence([der.oid("1.2.840.113549.1.9.5"), der.tlv(0x31, der.time(how.signing_time))]))
    signed = b"".join(sorted(attributes))
    identifier = der.tlv(0x80, signer.key_id) if how.by_key_id else der.sequence([issuer, der.integer(signer.serial)])
    info = der.sequence(
        [
            der.integer(3 if how.by_key_id else 1),
            identifier,
            digest_id(signer.method.hash),
            der.tlv(0xA0, signed) if how.attributes else b"",
            signer.method.identifier(signer.key),
            der.octet_string(signer.method.sign(signer.key, der.tlv(0x31, signed) if how.attributes else content)),
            how.unsigned,
        ]
    )
    certificates = [signer.certificate] if how.certificates is None else how.certificates
    digests = {signer.method.hash, how.lds_hash}
    signed_data = der.sequence(
        [
            der.integer(3),
            der.tlv(0x31, b"".join(sorted(map(digest_id, digests)))),
            der.sequence([der.oid("2.23.136.1.1.1"), der.explicit(0, der.octet_string(content))]),
            der.tlv(0xA0, b"".join(certificates)),
            der.tlv(0x31, info * how.signers),
        ]
    )
    return der.tlv(0x77, der.sequence([der.oid("1.2.840.113549.1.7.2"), der.explicit(0, signed_data)]))


@dataclass(frozen=True)
class Chip:
    """A chip's files with what an inspection of it has at hand."""

    files: Mapping[str, bytes]
    anchors: Sequence[bytes]
    crls: Sequence[bytes]

    def with_files(self, **changed: bytes) -> Chip:
        named = {one.replace("_", "."): data for one, data in changed.items()}
        return replace(self, files={**self.files, **named})


def chip(
    signer: Party | None = None,
    issuer: Party | None = None,
    how: Sealing | None = None,
    *,
    issuing_state: str = "KHM",
    possession_key: PrivateKey | None = None,
) -> Chip:
    """A chip that passes, unless a part that is given is not a good one."""
    issuer = issuer or authority()
    signer = signer or document_signer(issuer)
    groups = {1: dg1(issuing_state), 2: der.tlv(0x75, b"SPECIMEN portrait" * 20)}
    if possession_key is not None:
        groups |= {14: dg14(), 15: dg15(possession_key)}
    files = {f"DG{number}": data for number, data in groups.items()}
    files["EF.COM"] = com(sorted({**groups, **(how.listed if how else {})}))
    files["EF.SOD"] = sod(groups, signer, issuer.name, how)
    return Chip(files, [issuer.certificate], [crl(issuer)])


def answer(key: ec.EllipticCurvePrivateKey, nonce: bytes) -> bytes:
    """The chip's answer to a challenge: r and s beside each other."""
    r, s = decode_dss_signature(key.sign(nonce, ec.ECDSA(hashes.SHA256())))
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")
