"""TLS between a client on another machine and the daemon: version 1.3, both sides known by their very certificates.

No authority is trusted: the daemon lists the certificates of its clients, each with a role, and a client has the
daemon's. A certificate that an allowed one has issued is none of the allowed.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.keys.errors import TokenUnavailable
from hsm_emulation.sessions import Role

SCHEME = "tls://"


@dataclass(frozen=True)
class TlsServer:
    """Where the daemon listens, with which certificate, and which certificates (PEM files) may come in which role."""

    host: str
    port: int
    certificate: Path
    key: Path
    allowed: Sequence[tuple[Role, Path]]

    def context(self) -> ssl.SSLContext:
        """For the daemon's side. OSError and ssl.SSLError for files that are not there or hold nothing of use."""
        context = _context(ssl.PROTOCOL_TLS_SERVER, [path for _, path in self.allowed])
        context.load_cert_chain(self.certificate, self.key)
        context.num_tickets = 0  # every connection shows its certificate
        return context

    def roles(self) -> Mapping[bytes, frozenset[Role]]:
        """The roles of each certificate, by the SHA-256 of its DER."""
        roles: dict[bytes, frozenset[Role]] = {}
        for role, path in self.allowed:
            known = fingerprint(path)
            roles[known] = roles.get(known, frozenset()) | {role}
        return roles


@dataclass(frozen=True)
class TlsIdentity:
    """A client's certificate and key, and the daemon's certificate (PEM files)."""

    certificate: Path
    key: Path
    daemon: Path

    def context(self) -> ssl.SSLContext:
        """For the client's side."""
        context = _context(ssl.PROTOCOL_TLS_CLIENT, [self.daemon])
        context.load_cert_chain(self.certificate, self.key)
        return context


def address(written: str) -> tuple[str, int]:
    """Host and port of ``tls://host:port`` or ``host:port``; ValueError."""
    host, colon, port = written.removeprefix(SCHEME).rpartition(":")
    if not colon or not host or not 0 < int(port) < 1 << 16:
        raise ValueError("an address is HOST:PORT")
    return host.strip("[]"), int(port)


def fingerprint(path: Path) -> bytes:
    """SHA-256 of the one certificate in a PEM file. ValueError when there is none."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text(encoding="ascii").strip())).digest()


def shown(connection: ssl.SSLSocket) -> bytes:
    """SHA-256 of the certificate that the other side has shown; TokenUnavailable when it has shown none."""
    certificate = connection.getpeercert(binary_form=True)
    if not certificate:
        raise TokenUnavailable
    return hashlib.sha256(certificate).digest()


def _context(protocol: int, known: Sequence[Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the certificate itself is compared, which says more
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for path in known:
        context.load_verify_locations(cafile=path)
    return context
