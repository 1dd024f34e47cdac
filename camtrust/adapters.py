"""What one room needs of another, in that room's words: the seams of `ports.py`, filled with the real thing."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509

from issuing_ca.service import CertificateAuthority


class CaTimestamps:
    """`signing.ports.TimestampAuthority` over the timestamping service of this process."""

    def __init__(self, ca: CertificateAuthority) -> None:
        self._ca = ca

    def token(self, imprint: bytes, hash_name: str) -> bytes:
        return self._ca.timestamps.token(imprint, hash_name)

    def certificates(self) -> Sequence[x509.Certificate]:
        authority = self._ca.authorities.get("tsa")
        return (authority.certificate, *authority.chain, authority.root)


class CaStatus:
    """`signing.ports.StatusSource` over the status services of this process."""

    def __init__(self, ca: CertificateAuthority) -> None:
        self._ca = ca

    def ocsp(self, certificate: x509.Certificate) -> bytes | None:
        return self._ca.fresh_ocsp(certificate)

    def crl(self, issuer: x509.Certificate) -> bytes | None:
        return self._ca.fresh_crl(issuer)
