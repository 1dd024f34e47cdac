"""What signing needs of others; the roof passes the real thing in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cryptography import x509

from foundation.keys.port import KeyStore, WrappedKeys


class SigningKeys(KeyStore, WrappedKeys, Protocol):
    """The token: organisations' keys by their handles, persons' keys by what it gave out sealed."""


class TimestampAuthority(Protocol):
    """RFC 3161 timestamps."""

    def token(self, imprint: bytes, hash_name: str) -> bytes:
        """A DER TimeStampToken over ``imprint``, a digest by ``hash_name`` (``sha256``, ...).

        The unit's certificate is inside. Raises a CamTrustError when there is no token to be had.
        """
        ...

    def certificates(self) -> Sequence[x509.Certificate]:
        """The certificates above the timestamping unit's: its issuer first, the root last."""
        ...


class StatusSource(Protocol):
    """Revocation status, fresh from who is responsible for it."""

    def ocsp(self, certificate: x509.Certificate) -> bytes | None:
        """A DER OCSPResponse about ``certificate`` produced by this call, not one from before; None: there is none."""
        ...

    def crl(self, issuer: x509.Certificate) -> bytes | None:
        """The current DER CRL of ``issuer``; None where it publishes none."""
        ...


class LogProofs(Protocol):
    """Proofs that certificates stand in the issuance log."""

    def proof(self, certificate: x509.Certificate) -> bytes:
        """A C2SP tlog-proof. Raises a CamTrustError when there is none to be had."""
        ...


class Acting(Protocol):
    """Who of the registered may act."""

    def key_of(self, actor_id: str) -> bytes | None:
        """The public key (DER) of an officer, client or operator; None for one that is unknown or disabled."""
        ...


class Clients(Protocol):
    """The agencies' clients that are registered here."""

    def known(self, client_id: str) -> tuple[str, bool]:
        """The label under which a client was registered, and whether it may act; an empty label for a stranger."""
        ...


class Blobs(Protocol):
    """Octets by key. Writing is all or nothing; a key holds ``[a-z0-9/._-]``."""

    def put(self, key: str, data: bytes) -> None:
        """Store, replacing what was there."""
        ...

    def get(self, key: str) -> bytes:
        """Give back. Raises an error of kind NOT_FOUND for a key that holds nothing."""
        ...

    def delete(self, key: str) -> None:
        """Remove; nothing happens where there is nothing."""
        ...
