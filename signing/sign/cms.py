"""The CMS parts of a PAdES signature: signed attributes, SignedData, and the timestamp token that goes into it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import cms, tsp
from cryptography import x509
from pyhanko.sign.general import as_signing_certificate_v2, extract_certificate_info
from pyhanko.sign.validation.generic_cms import validate_sig_integrity

from signing.errors import TimestampUnavailable
from signing.model import Signatory
from signing.sign.token_signer import SigningAlgorithm, asn1

MAX_TIMESTAMP_SKEW = 300.0  # seconds between a token's time and our clock


def signed_attributes(document_digest: bytes, certificate: x509.Certificate) -> bytes:
    """DER of the signed attributes (a SET OF, as it is hashed: RFC 5652 §5.4).

    contentType, messageDigest and signing-certificate-v2 (EN 319 142-1 §6.3); no signing-time: a PDF signature says it
    in /M alone.
    """
    attributes = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["data"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [document_digest]}),
            cms.CMSAttribute(
                {"type": "signing_certificate_v2", "values": [as_signing_certificate_v2(asn1(certificate))]}
            ),
        ]
    )
    encoded: bytes = attributes.dump()
    return encoded


def signed_data(
    attributes: bytes, signature: bytes, signatory: Signatory, algorithm: SigningAlgorithm, token: bytes | None
) -> bytes:
    """DER of a detached SignedData (RFC 5652) over ``attributes``, with the timestamp token as unsigned attribute.

    Carries the signer's certificate and those above it but the root, which a verifier has or does not trust.
    """
    certificate = asn1(signatory.certificate)
    digest_algorithm = {"algorithm": algorithm.hash_name}
    signer_info: dict[str, Any] = {
        "version": "v1",
        "sid": {"issuer_and_serial_number": {"issuer": certificate.issuer, "serial_number": certificate.serial_number}},
        "digest_algorithm": digest_algorithm,
        "signed_attrs": cms.CMSAttributes.load(attributes),
        "signature_algorithm": {"algorithm": algorithm.cms_name},
        "signature": signature,
    }
    if token is not None:
        signer_info["unsigned_attrs"] = [
            cms.CMSAttribute({"type": "signature_time_stamp_token", "values": [cms.ContentInfo.load(token)]})
        ]
    above = [asn1(one) for one in signatory.chain if one.subject != one.issuer]
    content = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [digest_algorithm],
            "encap_content_info": {"content_type": "data"},
            "certificates": [cms.CertificateChoices("certificate", value=one) for one in (certificate, *above)],
            "signer_infos": [signer_info],
        }
    )
    encoded: bytes = cms.ContentInfo({"content_type": "signed_data", "content": content}).dump()
    return encoded


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
