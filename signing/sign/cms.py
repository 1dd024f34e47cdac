"""The CMS parts of a PAdES signature: signed attributes and SignedData, written and not built from objects.

What depends on the signatory alone is encoded once and kept: its identifier, its certificates, its algorithms. The
rest is spliced in. Tests build the same structures with asn1crypto and compare octet for octet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.log_proof import PROOF_ATTRIBUTE
from foundation.x509 import der
from signing.model import Signatory
from signing.parallel_signatures import PARALLEL_MESSAGE, Attributes
from signing.sign.token_signer import SigningAlgorithm

_DATA = der.oid("1.2.840.113549.1.7.1")
_SIGNED_DATA = der.oid("1.2.840.113549.1.7.2")
_CONTENT_TYPE = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = der.oid("1.2.840.113549.1.9.4")
_SIGNATURE_TIMESTAMP = der.oid("1.2.840.113549.1.9.16.2.14")
_SIGNING_CERTIFICATE_V2 = der.oid("1.2.840.113549.1.9.16.2.47")
_LOG_PROOF = der.oid(PROOF_ATTRIBUTE)
_DIGESTS = {
    "sha256": der.sequence((der.oid("2.16.840.1.101.3.4.2.1"),)),
    "sha384": der.sequence((der.oid("2.16.840.1.101.3.4.2.2"),)),
    "sha512": der.sequence((der.oid("2.16.840.1.101.3.4.2.3"),)),
}
_TAG_0, _TAG_1, _DIRECTORY_NAME = 0xA0, 0xA1, 4
_KEPT_SIGNATORIES = 1024


def signed_attributes(document_digest: bytes, certificate: x509.Certificate, more: Attributes = ()) -> bytes:
    """DER of the signed attributes (a SET OF, as it is hashed: RFC 5652 §5.4).

    contentType, messageDigest and signing-certificate-v2 (EN 319 142-1 §6.3); no signing-time: a PDF signature says it
    in /M alone. The certificate is named by its SHA-256, the default that DER leaves out (RFC 5035 §4).
    """
    digest = _attribute(_MESSAGE_DIGEST, der.octet_string(document_digest))
    besides = [_attribute(kind, value) for kind, value in more]
    return _set_of((_CONTENT_TYPE_IS_DATA, digest, _names_certificate(certificate), *besides))


@lru_cache(maxsize=_KEPT_SIGNATORIES)
def _names_certificate(certificate: x509.Certificate) -> bytes:
    issuer, serial = _issuer_and_serial(certificate)
    named = der.sequence((der.sequence((der.explicit(_DIRECTORY_NAME, issuer),)), serial))
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    certificate_id = der.sequence((der.octet_string(digest), named))
    return _attribute(_SIGNING_CERTIFICATE_V2, der.sequence((der.sequence((certificate_id,)),)))


def signed_data(
    attributes: bytes,
    signature: bytes,
    signatory: Signatory,
    algorithm: SigningAlgorithm,
    token: bytes | None,
    log_proof: bytes | None = None,
    parallel: bytes | None = None,
) -> bytes:
    """DER of a detached SignedData (RFC 5652 §5) over ``attributes``, with the timestamp token, and the proof that the
    certificate stands in the issuance log, as unsigned attributes; ``parallel``: the message of the one beside it.

    Carries the signer's certificate and those above it but the root, which a verifier has or does not trust. The
    signed attributes go in octet for octet as they were hashed.
    """
    template = _template(signatory.certificate, signatory.chain, algorithm)
    signer_info = [
        template.before_attributes,
        _retagged(_TAG_0, attributes),
        template.signature_algorithm,
        der.octet_string(signature),
    ]
    unsigned = []
    if token is not None:
        unsigned.append(_attribute(_SIGNATURE_TIMESTAMP, token))
    if log_proof is not None:
        unsigned.append(_attribute(_LOG_PROOF, der.octet_string(log_proof)))
    if parallel is not None:
        unsigned.append(_attribute(PARALLEL_MESSAGE, parallel))
    if unsigned:
        signer_info.append(_retagged(_TAG_1, _set_of(unsigned)))
    signers = der.tlv(der.SET, der.sequence(signer_info))
    return der.sequence((_SIGNED_DATA, der.explicit(0, der.sequence((template.before_signers, signers)))))


@dataclass(frozen=True)
class _Template:
    """What is the same in all signatures of one signatory, as octets."""

    before_signers: bytes  # version, digestAlgorithms, encapContentInfo, certificates
    before_attributes: bytes  # version, sid, digestAlgorithm
    signature_algorithm: bytes


@lru_cache(maxsize=_KEPT_SIGNATORIES)
def _template(
    certificate: x509.Certificate, chain: tuple[x509.Certificate, ...], algorithm: SigningAlgorithm
) -> _Template:
    version, digest_algorithm = der.integer(1), _DIGESTS[algorithm.hash_name]
    carried = (certificate, *(one for one in chain if one.subject != one.issuer))
    certificates = _retagged(_TAG_0, _set_of(one.public_bytes(Encoding.DER) for one in carried))
    return _Template(
        b"".join((version, _set_of((digest_algorithm,)), der.sequence((_DATA,)), certificates)),
        b"".join((version, der.sequence(_issuer_and_serial(certificate)), digest_algorithm)),
        algorithm.identifier(certificate),
    )


def _issuer_and_serial(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    """As they stand in the certificate (RFC 5280 §4.1): version, serial number, signature, issuer, ..."""
    parts = der.children(certificate.tbs_certificate_bytes)
    return parts[3], parts[1]


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.sequence((kind, der.tlv(der.SET, value)))


def _set_of(items: Iterable[bytes]) -> bytes:
    """SET OF in the order of DER (X.690 §11.6)."""
    return der.tlv(der.SET, b"".join(sorted(items)))


def _retagged(tag: int, element: bytes) -> bytes:
    """The same element with an implicit tag."""
    return bytes((tag,)) + element[1:]


_CONTENT_TYPE_IS_DATA = _attribute(_CONTENT_TYPE, _DATA)
