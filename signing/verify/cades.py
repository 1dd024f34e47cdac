"""CAdES detached signatures in one canonical form (EN 319 122-1 §6, level B-B): made, and made again to compare.

The bundle's signatures are of this form. A reader that builds the message again from its values and compares the
octets leaves no room for anything that the signature does not cover.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from asn1crypto import cms, tsp  # noqa: F401  (tsp registers the signing-certificate attributes)
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509.algorithms import sign, signature_hash, signature_oid
from signing.verify.cms import SignedMessage, digest_name


def sign_detached(
    content: bytes, key: CertificateIssuerPrivateKeyTypes, certificate: x509.Certificate, at: datetime
) -> bytes:
    """DER of a detached CAdES B-B signature over ``content``; signing-time is ``at``. ValueError for a foreign key."""
    if key.public_key() != certificate.public_key():
        raise ValueError("the key is not the certificate's")
    algorithm = signature_hash(key.public_key())
    name = algorithm.name if algorithm is not None else "sha512"
    attributes = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["data"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [hashlib.new(name, content).digest()]}),
            cms.CMSAttribute(
                {"type": "signing_time", "values": [cms.Time({"utc_time": at.astimezone(UTC).replace(microsecond=0)})]}
            ),
            cms.CMSAttribute(
                {
                    "type": "signing_certificate_v2",
                    "values": [
                        {
                            "certs": [
                                {
                                    "hash_algorithm": {"algorithm": "sha256"},
                                    "cert_hash": hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest(),
                                }
                            ]
                        }
                    ],
                }
            ),
        ]
    )
    encoded: bytes = attributes.dump()
    return _assemble(certificate, encoded, name, signature_oid(key.public_key()), sign(key, encoded))


def rebuild(message: SignedMessage) -> bytes:
    """The message built again from what was read of it. ValueError where something is missing."""
    name = digest_name(message)
    if len(message.certificates) != 1 or message.signed_attributes is None or name is None:
        raise ValueError("not in the canonical form")
    return _assemble(
        message.certificates[0], message.signed_attributes, name, message.signature_algorithm, message.signature
    )


def _assemble(certificate: x509.Certificate, attributes: bytes, digest: str, algorithm: str, signature: bytes) -> bytes:
    signer = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
    content: Any = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [{"algorithm": digest}],
            "encap_content_info": {"content_type": "data"},
            "certificates": [cms.CertificateChoices("certificate", value=signer)],
            "signer_infos": [
                {
                    "version": "v1",
                    "sid": {
                        "issuer_and_serial_number": {
                            "issuer": signer.issuer,
                            "serial_number": signer.serial_number,
                        }
                    },
                    "digest_algorithm": {"algorithm": digest},
                    "signed_attrs": cms.CMSAttributes.load(attributes),
                    "signature_algorithm": {"algorithm": algorithm},
                    "signature": signature,
                }
            ],
        }
    )
    encoded: bytes = cms.ContentInfo({"content_type": "signed_data", "content": content}).dump()
    return encoded
