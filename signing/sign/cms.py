"""The CMS parts of a PAdES signature: signed attributes, SignedData, and the timestamp token that goes into it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import cms, tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.general import extract_certificate_info
from pyhanko.sign.validation.generic_cms import validate_sig_integrity

from foundation.log_proof import PROOF_ATTRIBUTE
from foundation.x509 import der
from foundation.x509.algorithms import signature_oid
from signing.errors import TimestampUnavailable
from signing.model import Signatory
from signing.sign.token_signer import SigningAlgorithm

MAX_TIMESTAMP_SKEW = 300.0  # seconds between a token's time and our clock


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
_NULL = der.tlv(der.NULL, b"")
_TAG_0, _TAG_1, _DIRECTORY_NAME = 0xA0, 0xA1, 4


def signed_attributes(document_digest: bytes, certificate: x509.Certificate) -> bytes:
    """DER of the signed attributes (a SET OF, as it is hashed: RFC 5652 §5.4).

    contentType, messageDigest and signing-certificate-v2 (EN 319 142-1 §6.3); no signing-time: a PDF signature says it
    in /M alone. The certificate is named by its SHA-256, the default that DER leaves out (RFC 5035 §4).
    """
    issuer, serial = _issuer_and_serial(certificate)
    named = der.sequence((der.sequence((der.explicit(_DIRECTORY_NAME, issuer),)), serial))
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    certificate_id = der.sequence((der.octet_string(digest), named))
    return _set_of(
        (
            _attribute(_CONTENT_TYPE, _DATA),
            _attribute(_MESSAGE_DIGEST, der.octet_string(document_digest)),
            _attribute(_SIGNING_CERTIFICATE_V2, der.sequence((der.sequence((certificate_id,)),))),
        )
    )


def signed_data(
    attributes: bytes,
    signature: bytes,
    signatory: Signatory,
    algorithm: SigningAlgorithm,
    token: bytes | None,
    log_proof: bytes | None = None,
) -> bytes:
    """DER of a detached SignedData (RFC 5652 §5) over ``attributes``, with the timestamp token, and the proof that the
    certificate stands in the issuance log, as unsigned attributes.

    Carries the signer's certificate and those above it but the root, which a verifier has or does not trust. It is
    written, not built from objects: the signed attributes go in octet for octet as they were hashed. (And asn1crypto
    takes a length that ends in octet 0x80 for an indefinite one, re-encodes everything below, and needs seconds.)
    """
    digest_algorithm = _DIGESTS[algorithm.hash_name]
    public_key = signatory.certificate.public_key()
    signature_algorithm = [der.oid(signature_oid(public_key))]
    if isinstance(public_key, rsa.RSAPublicKey):
        signature_algorithm.append(_NULL)  # RFC 4055 §5
    signer_info = [
        der.integer(1),
        der.sequence(_issuer_and_serial(signatory.certificate)),
        digest_algorithm,
        _retagged(_TAG_0, attributes),
        der.sequence(signature_algorithm),
        der.octet_string(signature),
    ]
    unsigned = []
    if token is not None:
        unsigned.append(_attribute(_SIGNATURE_TIMESTAMP, token))
    if log_proof is not None:
        unsigned.append(_attribute(_LOG_PROOF, der.octet_string(log_proof)))
    if unsigned:
        signer_info.append(_retagged(_TAG_1, _set_of(unsigned)))
    carried = (signatory.certificate, *(one for one in signatory.chain if one.subject != one.issuer))
    content = der.sequence(
        (
            der.integer(1),
            _set_of((digest_algorithm,)),
            der.sequence((_DATA,)),
            _retagged(_TAG_0, _set_of(one.public_bytes(Encoding.DER) for one in carried)),
            _set_of((der.sequence(signer_info),)),
        )
    )
    return der.sequence((_SIGNED_DATA, der.explicit(0, content)))


def _issuer_and_serial(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    """As they stand in the certificate (RFC 5280 §4.1): version, serial number, signature, issuer, ..."""
    parts = der.children(certificate.tbs_certificate_bytes)
    return parts[3], parts[1]


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.sequence((kind, _set_of((value,))))


def _set_of(items: Iterable[bytes]) -> bytes:
    """SET OF in the order of DER (X.690 §11.6)."""
    return der.tlv(der.SET, b"".join(sorted(items)))


def _retagged(tag: int, element: bytes) -> bytes:
    """The same element with an implicit tag."""
    return bytes((tag,)) + element[1:]


@dataclass(frozen=True)
class TimestampToken:
    """A token that was checked: its DER, the time it states, who signed it, and every certificate inside."""

    der: bytes
    time: datetime
    unit: x509.Certificate
    certificates: tuple[x509.Certificate, ...]


def read_token(der: bytes, imprint: bytes, hash_name: str, now: datetime) -> TimestampToken:
    """Check that a token is for ``imprint``, of about ``now``, and signed by the certificate inside (RFC 3161 §2.4.2).

    Raises TimestampUnavailable: a token that does not check out is no token. Trust is not judged here.
    """
    try:
        token = _parse(der, imprint, hash_name)
    except (ValueError, TypeError, KeyError) as error:  # asn1crypto's and pyHanko's ways to say: malformed
        raise TimestampUnavailable from error
    if abs((token.time - now).total_seconds()) > MAX_TIMESTAMP_SKEW:
        raise TimestampUnavailable
    return token


def _parse(der: bytes, imprint: bytes, hash_name: str) -> TimestampToken:
    content_info = cms.ContentInfo.load(der, strict=True)
    if content_info["content_type"].native != "signed_data":
        raise ValueError("not a SignedData")
    signed: Any = content_info["content"]
    encapsulated = signed["encap_content_info"]
    if encapsulated["content_type"].native != "tst_info":
        raise ValueError("not a timestamp token")
    info: Any = tsp.TSTInfo.load(bytes(encapsulated["content"]))
    stated = info["message_imprint"]
    if stated["hash_algorithm"]["algorithm"].native != hash_name or stated["hashed_message"].native != imprint:
        raise ValueError("a token for something else")
    check_signed_data(signed, bytes(encapsulated["content"]), "tst_info")
    certificates = tuple(x509.load_der_x509_certificate(one.chosen.dump()) for one in signed["certificates"])
    signer = x509.load_der_x509_certificate(extract_certificate_info(signed).signer_cert.dump())
    return TimestampToken(der, info["gen_time"].native, signer, certificates)


def check_signed_data(signed: Any, content: bytes, content_type: str) -> None:
    """Verify the one signature of a SignedData over ``content`` under the certificate that it carries; ValueError.

    This checks the mathematics and the message digest, not who the certificate belongs to.
    """
    if len(signed["signer_infos"]) != 1:
        raise ValueError("not one signature")
    signer_info = signed["signer_infos"][0]
    certificate = extract_certificate_info(signed).signer_cert
    digest = hashlib.new(signer_info["digest_algorithm"]["algorithm"].native, content).digest()
    intact, valid = validate_sig_integrity(signer_info, certificate, content_type, digest)
    if not (intact and valid):
        raise ValueError("the signature does not verify")
