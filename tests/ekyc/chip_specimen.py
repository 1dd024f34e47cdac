"""Specimen chips: files, the signed object over them, and what an inspection has at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from ekyc import mrz
from foundation.x509 import der
from tests.ekyc.chip_parties import (
    HASHES,
    Party,
    PrivateKey,
    authority,
    crl,
    digest,
    digest_id,
    document_signer,
    public_info,
)

TAGS = {1: 0x61, 2: 0x75, 3: 0x63, 11: 0x6B, 14: 0x6E, 15: 0x6F}


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


TRAILERS = {"sha1": "bc", "sha224": "38cc", "sha256": "34cc", "sha384": "36cc", "sha512": "35cc"}


def representative(octets: int, nonce: bytes, hash_name: str = "sha256") -> bytes:
    """What a chip with an RSA key signs: ISO/IEC 9796-2 scheme 1, with the nonce as the part that is not recovered."""
    trailer = bytes.fromhex(TRAILERS[hash_name])
    free = octets - 1 - HASHES[hash_name].digest_size - len(trailer)
    first = (b"SPECIMEN" * octets)[:free]
    return b"\x6a" + first + digest(hash_name, first + nonce) + trailer


def raised(key: rsa.RSAPrivateKey, opened: bytes) -> bytes:
    """The private operation on any octets: what it takes to open to them."""
    numbers = key.private_numbers()
    number = pow(int.from_bytes(opened, "big"), numbers.d, numbers.public_numbers.n)
    return number.to_bytes((key.key_size + 7) // 8, "big")


def rsa_answer(key: rsa.RSAPrivateKey, nonce: bytes, hash_name: str = "sha256") -> bytes:
    """The answer of a chip with an RSA key."""
    return raised(key, representative(key.key_size // 8, nonce, hash_name))
