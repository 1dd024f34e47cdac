"""What signing needs of others; the roof passes the real thing in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from cryptography import x509
from sqlalchemy import Connection

from foundation.http.actor import Actor
from foundation.keys.port import KeyInfo, KeyStore, Mechanism, WrappedKeys
from foundation.use_record import Act
from signing.model import Credential


class SignsDigests(Protocol):
    """What making a signature needs of a key store, wherever that is."""

    def get(self, key_id: str) -> KeyInfo:
        """The key of this id. Raises KeyHandleInvalid."""
        ...

    def sign_many(
        self, key_id: str, mechanism: Mechanism, inputs: Sequence[bytes], *, activation: bytes | None = None
    ) -> list[bytes]:
        """Sign inputs with a key of the store, all or none, in order."""
        ...

    def sign_wrapped(
        self, wrapped: bytes, mechanism: Mechanism, inputs: Sequence[bytes], *, activation: bytes | None = None
    ) -> list[bytes]:
        """Sign inputs with a key that the services keep, sealed, all or none, in order."""
        ...


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


@dataclass(frozen=True)
class Hold:
    """A person whose keys may not sign now; ``until``: when that ends by itself, None where somebody must act."""

    until: datetime | None


class Restraints(Protocol):
    """Who may not sign for a time, whatever factors they show."""

    def held(self, owner: str) -> Hold | None:
        """None: nothing speaks against it."""
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


class AgencyClients(Protocol):
    """Where the clients of organisations are registered; and who officers are as persons."""

    def register(self, by: Actor, label: str, public_key: bytes) -> str:
        """A client that may seal, by its public key; gives its id. Raises a CamTrustError for a key that cannot be."""
        ...

    def disable(self, by: Actor, client_id: str) -> None:
        """End what a client may do, at once and for good. Nothing happens where that was done."""
        ...

    def acts(self, client_id: str) -> bool:
        """Whether a client may act now."""
        ...

    def person_of(self, officer_id: str) -> str | None:
        """The person id under which an officer is enrolled; None where that is not known."""
        ...


@dataclass(frozen=True)
class SealTerms:
    """What a seal credential would say if it was made now. ``subject``: the names of its certificate; ``days``: for how
    long it is good at most; ``until``: when one that is made now ends."""

    profile: str
    subject: tuple[tuple[str, str], ...]
    days: int
    until: datetime


@dataclass(frozen=True)
class SealOrder:
    """What a credential is made by. ``evidence``: SHA-256 of the terms, which the certificate's record will name;
    ``two_officers``: two approved them; ``follows``: the credential that this one is the successor of, under a new key
    by the same algorithm."""

    evidence: str
    two_officers: bool
    follows: Credential | None = None


class AgencySeals(Protocol):
    """Makes what organisations seal with."""

    def terms(self, organisation: str, number: str, *, sandbox: bool) -> SealTerms:
        """What would be certified. Raises a CamTrustError for what cannot be."""
        ...

    def make(
        self,
        by: str,
        client_id: str,
        organisation: str,
        number: str,
        *,
        sandbox: bool,
        order: SealOrder | None = None,
    ) -> str:
        """The client's credential, in the organisation's name; the same one while it is good, or for the same order.
        ``sandbox``: one that no verifier passes. Raises a CamTrustError where none can be issued."""
        ...

    def revoke(self, by: str, client_id: str) -> None:
        """Revoke every seal certificate of the client that is in force or on hold."""
        ...


class SealImages(Protocol):
    """Where images of strangers are decoded: in a process that can do nothing else."""

    def clean(self, data: bytes) -> bytes:
        """A JPEG of the pixels alone, encoded anew: no metadata, transparent parts white, at most 800 pixels a side.

        Raises SealImageRefused with the cause; what can be tried again is of kind UNAVAILABLE or THROTTLED.
        """
        ...


class PersonTokens(Protocol):
    """The authorisation server: access tokens of clients, and sessions."""

    def revoke(self, actor: Actor, token: str) -> bool:
        """End a token of the actor's own; False where it is none of theirs."""
        ...


class UseLog(Protocol):
    """The log that commits to records of what was done with persons' keys."""

    def record(self, connection: Connection, digest: bytes, subject: str) -> None:
        """Commit to a record by its SHA-256, in the caller's unit of work; ``subject``: whose label it stands under."""
        ...

    def proof(self, digest: bytes) -> bytes:
        """A C2SP tlog-proof. Raises a CamTrustError; of kind UNAVAILABLE where there will be one."""
        ...

    def verifier_key(self) -> str:
        """What its proofs are checked with, as a line of text (C2SP signed-note)."""
        ...


class KeyNotices(Protocol):
    """Tells persons what was done with their keys."""

    def tell(self, connection: Connection, owner: str, act: Act, count: int, last: datetime) -> None:
        """``count`` digests in all acts of this kind since the last notice, the last of them at ``last``; sent if the
        caller's transaction stands.

        Raises a CamTrustError; of kind UNAVAILABLE where it can be tried again.
        """
        ...


class RequestNotices(Protocol):
    """Tells persons that somebody asks them to sign."""

    def asked(self, connection: Connection, person: str, requester: str) -> None:
        """Sent if the caller's transaction stands; ``requester``: the label under which the client is registered.

        Raises a CamTrustError where there is no way to tell the person.
        """
        ...


class Standing(StrEnum):
    """How a certificate stands in the books of its CA."""

    GOOD = "good"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class CertificateStanding(Protocol):
    """The books of the CA."""

    def of(self, certificate: x509.Certificate) -> Standing:
        """How it stands at this moment; REVOKED for one that the CA does not know."""
        ...

    def suspend(self, certificate: x509.Certificate, by: str) -> None:
        """Put it on hold and stop its key, at once. Raises a CamTrustError where its state does not allow that."""
        ...


class DelegatedActivations(Protocol):
    """What persons let clients sign: the activations behind access tokens."""

    def is_token(self, sad: str) -> bool:
        """Whether this is an access token, good or not, and no activation of the key store's own."""
        ...

    def activation(self, token: str, client_id: str, person_id: str, credential_id: str) -> bytes:
        """The key store's activation behind an access token: for the client that it was given to, for this person and
        credential. Raises Unauthenticated for any other."""
        ...


class MessageSender(Protocol):
    """Sends messages to addresses that clients named."""

    def check(self, url: str) -> None:
        """Raises WebhookUrlInvalid for an address that nothing is sent to."""
        ...

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """POST, once; gives the HTTP status of the answer. Raises WebhookUnreachable where none came."""
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
