"""Whom a CertID can name (RFC 6960 §4.1.1): our CAs by themselves, and the root by its delegated responder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.ocsp import OCSPRequestBuilder

from issuing_ca.authorities import Authorities
from issuing_ca.model import Authority, AuthorityKind
from issuing_ca.ocsp_message import CertId

_Key = tuple[str, bytes, bytes]


@dataclass(frozen=True)
class Issuer:
    """An issuer whose certificates we can speak about."""

    authority: Authority
    sha1_name: bytes
    sha1_key: bytes

    @property
    def name(self) -> str:
        return self.authority.name

    @property
    def certificate(self) -> x509.Certificate:
        return self.authority.root if self.is_root else self.authority.certificate

    @property
    def is_root(self) -> bool:
        return self.authority.kind is AuthorityKind.ROOT_OCSP


class Issuers:
    """Finds the issuer that a CertID names. Installed authorities never change, so they are hashed once."""

    def __init__(self, authorities: Authorities) -> None:
        self._authorities = authorities
        self._by_hash: dict[_Key, Issuer] = {}

    def find(self, asked: CertId) -> Issuer | None:
        """The issuer; None for a stranger, and for a hash other than SHA-1 and SHA-256."""
        if asked.hash is None:
            return None
        found = self._by_hash.get((asked.hash, asked.issuer_name_hash, asked.issuer_key_hash))
        if found is not None:
            return found
        installed = self._authorities.all()
        if {authority.name for authority in installed} != {issuer.name for issuer in self._by_hash.values()}:
            self._by_hash = {key: issuer for authority in installed for key, issuer in _hashed(authority).items()}
        return self._by_hash.get((asked.hash, asked.issuer_name_hash, asked.issuer_key_hash))

    def all(self) -> tuple[Issuer, ...]:
        """Every issuer, once."""
        self.find(CertId("sha1", b"", b"", 1, b""))
        return tuple({issuer.name: issuer for issuer in self._by_hash.values()}.values())


def _hashed(authority: Authority) -> dict[_Key, Issuer]:
    certificate = authority.root if authority.kind is AuthorityKind.ROOT_OCSP else authority.certificate
    name = certificate.subject.public_bytes()
    found: dict[str, tuple[bytes, bytes]] = {}
    algorithms: tuple[hashes.HashAlgorithm, ...] = (hashes.SHA1(), hashes.SHA256())  # noqa: S303 - names, no protection
    for algorithm in algorithms:
        request = OCSPRequestBuilder().add_certificate(certificate, certificate, algorithm).build()
        name_hash = hashlib.new(algorithm.name, name, usedforsecurity=False).digest()
        found[algorithm.name] = name_hash, request.issuer_key_hash
    issuer = Issuer(authority, *found["sha1"])
    return {(algorithm, *hashed): issuer for algorithm, hashed in found.items()}
