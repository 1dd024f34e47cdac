"""Specimen master lists, signed by a state's master list signer (ICAO 9303-12 §9)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import ec

from foundation.x509 import der
from tests.ekyc.chip_parties import DIGITAL_SIGNATURE, Party, authority, digest, digest_id, document_signer, ec_key
from tests.ekyc.chip_parties import extension as extension_of

SIGNS_LISTS = extension_of("2.5.29.37", der.sequence([der.oid("2.23.136.1.1.3")]), critical=True)
CONTENT_TYPE = "2.23.136.1.1.2"


def list_signer(issuer: Party | None = None, *, purpose: bytes = SIGNS_LISTS) -> Party:
    """A signer of master lists; without ``purpose`` it is a document signer like any other."""
    key = ec_key(ec.SECP256R1, "master-list")
    return document_signer(issuer or authority(), key, extensions=[DIGITAL_SIGNATURE, *([purpose] if purpose else [])])


def master_list(
    certificates: Sequence[bytes],
    signer: Party | None = None,
    *,
    content_type: str = CONTENT_TYPE,
    changed: bool = False,
    version: int = 0,
) -> bytes:
    """CMS SignedData over CscaMasterList. ``changed``: something is added after signing."""
    issuer = authority()
    signer = signer or list_signer(issuer)
    content = der.sequence([der.integer(version), der.tlv(0x31, b"".join(sorted(certificates)))])
    attributes = b"".join(
        sorted(
            [
                der.sequence([der.oid("1.2.840.113549.1.9.3"), der.tlv(0x31, der.oid(content_type))]),
                der.sequence(
                    [
                        der.oid("1.2.840.113549.1.9.4"),
                        der.tlv(0x31, der.octet_string(digest(signer.method.hash, content))),
                    ]
                ),
            ]
        )
    )
    info = der.sequence(
        [
            der.integer(1),
            der.sequence([issuer.name, der.integer(signer.serial)]),
            digest_id(signer.method.hash),
            der.tlv(0xA0, attributes),
            signer.method.identifier(signer.key),
            der.octet_string(signer.method.sign(signer.key, der.tlv(0x31, attributes))),
        ]
    )
    if changed:
        content = der.sequence(
            [der.integer(version), der.tlv(0x31, b"".join(sorted([*certificates, certificates[0]])))]
        )
    signed_data = der.sequence(
        [
            der.integer(3),
            der.tlv(0x31, digest_id(signer.method.hash)),
            der.sequence([der.oid(content_type), der.explicit(0, der.octet_string(content))]),
            der.tlv(0xA0, signer.certificate),
            der.tlv(0x31, info),
        ]
    )
    return der.sequence([der.oid("1.2.840.113549.1.7.2"), der.explicit(0, signed_data)])
