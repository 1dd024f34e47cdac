"""The certificate of a TLS client, as the proxy that ends TLS hands it over in a header.

It is believed only beside the secret that proxy and service share (``ca.proxy_secret_file``); without the secret, or
with a header twice, nothing is believed and the request is refused: somebody is trying something.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from fastapi import Request

CERTIFICATE_HEADER = "x-camtrust-client-certificate"
SECRET_HEADER = "x-camtrust-proxy-secret"  # noqa: S105 - a name


class CertificateDisbelieved(Exception):
    """``reason``: PROXY (no secret, or another one), ONE-PROOF (the header came twice) or CERTIFICATE (unreadable)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def shown_certificate(request: Request, proxy_secret: bytes | None) -> x509.Certificate | None:
    """The certificate that the TLS client proved to have; None where the proxy shows none (no header, or empty).

    ``proxy_secret`` None: no header is believed. Raises CertificateDisbelieved.
    """
    certificates = request.headers.getlist(CERTIFICATE_HEADER)
    if not certificates or certificates == [""]:
        return None
    secrets = request.headers.getlist(SECRET_HEADER)
    if proxy_secret is None or len(secrets) != 1 or not _same(secrets[0].encode("latin-1"), proxy_secret):
        raise CertificateDisbelieved("PROXY")
    if len(certificates) != 1:
        raise CertificateDisbelieved("ONE-PROOF")
    try:  # PEM as nginx escapes it ($ssl_client_escaped_cert)
        return x509.load_pem_x509_certificate(unquote_to_bytes(certificates[0]))
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateDisbelieved("CERTIFICATE") from None


def thumbprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the certificate's DER (RFC 8705 §3.1, ``x5t#S256``)."""
    return certificate.fingerprint(hashes.SHA256())


def _same(given: bytes, wanted: bytes) -> bool:
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(wanted).digest())
