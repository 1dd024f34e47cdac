"""Certificates and CRLs in files: PEM or DER in, PEM or DER out, with errors that name the file."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509.errors import PemInvalid

MAX_CERTIFICATES = 100  # in one PEM file that comes from outside


def read_certificate(data: bytes, name: str = "certificate") -> x509.Certificate:
    """Exactly one certificate, PEM or DER. PemInvalid (with ``name``) for none, several, or something else."""
    if data[:1] == b"\x30":
        try:
            return x509.load_der_x509_certificate(data)
        except (ValueError, x509.InvalidVersion):
            raise PemInvalid(what=name, reason="it is not a DER certificate") from None
    found = read_certificates(data, name)
    if len(found) != 1:
        raise PemInvalid(what=name, reason=f"it holds {len(found)} certificates, not one")
    return found[0]


def read_certificates(data: bytes, name: str = "certificates") -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file, in order; PemInvalid for none, more than `MAX_CERTIFICATES`, or a broken one."""
    if data.count(b"-----BEGIN CERTIFICATE-----") > MAX_CERTIFICATES:
        raise PemInvalid(what=name, reason=f"it holds more than {MAX_CERTIFICATES} certificates")
    try:
        return tuple(x509.load_pem_x509_certificates(data))
    except (ValueError, x509.InvalidVersion):
        raise PemInvalid(what=name, reason="it holds no PEM certificate that can be read") from None


def read_crl(data: bytes, name: str = "CRL") -> x509.CertificateRevocationList:
    """One CRL, PEM or DER; PemInvalid otherwise."""
    try:
        return x509.load_der_x509_crl(data) if data[:1] == b"\x30" else x509.load_pem_x509_crl(data)
    except (ValueError, x509.InvalidVersion):
        raise PemInvalid(what=name, reason="it is not a CRL") from None


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """One certificate as PEM (RFC 7468 §5)."""
    return certificate.public_bytes(Encoding.PEM)


def encoded_pem(certificate: bytes) -> bytes:
    """The same of one certificate in DER, which is not read."""
    text = b2a_base64(certificate, newline=False)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join((b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""))


def chain_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Certificates as PEM, one after the other, in the order given."""
    return b"".join(certificate_pem(certificate) for certificate in certificates)
