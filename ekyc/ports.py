"""What enrolment needs from outside; the roof passes the real things in. Keys and factors: `foundation.keys.port`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import Connection

from foundation.approval import Approval
from foundation.citizen_subject import CitizenNaming
from foundation.keys.port import Attesting, WrappedKey, WrappedKeys


@dataclass(frozen=True)
class Notice:
    """A message, written and sealed; ``id`` names it wherever it goes. After ``expires_at`` it is of no use."""

    id: str
    person_id: str
    channel: str
    template: str
    sealed: bytes = field(repr=False)
    expires_at: datetime | None


class Notifier(Protocol):
    """Tells a person something over a channel."""

    def compose(
        self,
        channel: str,
        address: str,
        template: str,
        params: Mapping[str, str],
        *,
        person: str,
        language: str,
        expires_at: datetime | None = None,
    ) -> Notice:
        """``channel``: ``sms`` or ``email``; ``template``: a key of this room's catalogue, filled with ``params``.

        ``person`` (opaque id) is whose data it is, so that what is kept of the message is sealed for them. With
        ``expires_at`` it is a secret for the person alone, and never sent late. Raises NotifierUnavailable.
        """
        ...

    def post(self, connection: Connection, notice: Notice) -> None:
        """See to it that the message goes, in the caller's transaction: if that is undone, so is this."""
        ...


@dataclass(frozen=True)
class Outgoing:
    """A message as a sender gets it; ``id`` is the same each time it is tried."""

    id: str
    address: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    language: str


class SenderFailed(Exception):
    """The message was not taken now; another try may do. ``rule`` says why, without personal data."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class SenderRefused(SenderFailed):
    """The message will not be taken, however often it is tried."""


class Sender(Protocol):
    """Gives messages of one channel to a server."""

    def deliver(self, notice: Outgoing, at: datetime) -> None:
        """The server has taken it over when this returns. Raises SenderFailed, SenderRefused."""
        ...

    def close(self) -> None: ...


class RegistryOutcome(StrEnum):
    """What a base registry answers about a person. It never gives data out, it compares."""

    MATCH = "match"
    NO_MATCH = "no-match"
    REVIEW = "review"  # an officer must look


class FieldOutcome(StrEnum):
    """How one field compared."""

    MATCH = "match"
    MISMATCH = "mismatch"
    NOT_COMPARED = "not-compared"


VITAL_STATUS = "vital_status"  # the field that mismatches when the person is deceased


@dataclass(frozen=True)
class RegistryQuery:
    """What is asked. Latin names as in the MRZ (surname first), Khmer names canonical, empty for a passport.

    A passport is asked for in the register of foreign residents, by issuing state and number.
    """

    document_number: str
    surname: str
    given_names: str
    date_of_birth: date
    sex: str
    surname_km: str
    given_names_km: str
    document_type: str = "khmer-id-card"
    issuing_state: str = "KHM"
    nationality: str = "KHM"


@dataclass(frozen=True)
class RegistryAnswer:
    """The outcome, how each field compared, and the registry's own reference of the exchange."""

    outcome: RegistryOutcome
    fields: Mapping[str, FieldOutcome]
    reference: str


class Registry(Protocol):
    """The base registry of persons."""

    def match(self, query: RegistryQuery) -> RegistryAnswer:
        """Raises RegistryUnavailable: then we wait. Anything unclear is unavailable, never a match."""
        ...


@dataclass(frozen=True)
class RelationParty:
    """A person by their document: number, issuing state, birth."""

    document_number: str
    issuing_state: str
    date_of_birth: date


@dataclass(frozen=True)
class RelationQuery:
    """Whether ``guardian`` is to ``child`` what ``relation`` says (``mother``, ``father``, ``guardian``)."""

    child: RelationParty
    guardian: RelationParty
    relation: str


class RelationRegistry(Protocol):
    """The register of families and guardians."""

    def relation(self, query: RelationQuery) -> RegistryAnswer:
        """Raises RegistryUnavailable: then we wait. Anything unclear is unavailable, never a match."""
        ...


class Sessions(Protocol):
    """Sessions of persons."""

    def open(self, person_id: str) -> str:
        """A new session; gives its token."""
        ...

    def close_all(self, person_id: str) -> None:
        """End every session of the person."""
        ...


class Officers(Protocol):
    """What is known of officers."""

    def reviewers(self) -> Sequence[str]:
        """The ids of the active officers who may review."""
        ...

    def key_of(self, officer_id: str) -> bytes | None:
        """The registered public key (SubjectPublicKeyInfo, DER) of an active officer; None for anybody else."""
        ...

    def person_of(self, officer_id: str) -> str | None:
        """The person id under which this officer is enrolled themselves; None where that is not known."""
        ...


@dataclass(frozen=True)
class CitizenCertificateRequest:
    """An approved person's certificate. Names as verified; ``evidence``: digest (hex) of the decision; ``approval``:
    the registration authority's signed statement about exactly this certificate (`foundation.approval`), good once;
    ``not_after``: until when it may last at the longest, None: as long as the profile does.

    The public key stands in the key store under ``key_id``, owned by ``person_id``.
    """

    enrolment_id: str
    person_id: str
    key_id: str
    public_key: bytes
    surname: str
    given_names: str
    khmer_name: str | None
    level: str
    policy_oid: str
    evidence: str
    approval: bytes
    not_after: datetime | None = None


@dataclass(frozen=True)
class IssuedCertificate:
    """A certificate (DER), its serial number (lower-case hex), and the chain above it (DER), without the root."""

    serial: str
    certificate: bytes
    chain: tuple[bytes, ...] = ()


class Cause(StrEnum):
    """Why a certificate is revoked for good (RFC 5280 §5.3.1)."""

    COMPROMISED = "keyCompromise"  # somebody else may have had the use of the key
    SUPERSEDED = "superseded"
    RENAMED = "affiliationChanged"  # what it says of its subject has changed, and nothing is wrong with the key


class CertificateIssuer(Protocol):
    """The issuing CA."""

    def issue_citizen(self, request: CitizenCertificateRequest) -> IssuedCertificate:
        """Idempotent by ``enrolment_id`` and ``key_id``: asked again, gives the certificate that was issued before."""
        ...

    def revoke_citizen(self, serial: str, cause: Cause) -> None:
        """Revoke for good, and withdraw what was registered over it. Once more changes nothing."""
        ...

    def in_force(self, serial: str, at: datetime) -> bool:
        """Whether a certificate is good: issued, not on hold, not revoked, not over at that time."""
        ...

    def release_citizens(self, person_ids: Sequence[str], by: str) -> None:
        """Release every certificate of these persons that enrolment or the registry put on hold, and none that somebody
        else did. Once more changes nothing.
        """
        ...

    def suspend_citizens(self, person_ids: Sequence[str], by: str) -> None:
        """Put every good certificate of these persons on hold, and make the lists anew once. Once more changes
        nothing.
        """
        ...


class AttestedPersonKeys(WrappedKeys, Attesting, Protocol):
    """A token that makes persons' keys and signs what it says of them."""


class RegistrationAuthority(Protocol):
    """The registration authority's own key, which signs approval statements and nothing else."""

    @property
    def naming(self) -> CitizenNaming:
        """How the CA names citizens."""
        ...

    @property
    def issuer(self) -> str:
        """The issuing CA that certifies them."""
        ...

    def sign(self, approval: Approval) -> bytes:
        """The signed document of a statement. Raises what the key store raises."""
        ...


class ReceiptAuthority(Protocol):
    """Signs, timestamps and logs receipts of proofing, with a key for nothing else."""

    @property
    def issuer(self) -> str:
        """Who says so: an address of ours."""
        ...

    def public_key(self) -> bytes:
        """The key's SubjectPublicKeyInfo (DER)."""
        ...

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The receipt (`ekyc.receipts.receipt`). Raises what the key store raises."""
        ...

    def timestamp(self, digest: bytes) -> bytes:
        """An RFC 3161 token (DER) over a SHA-256. Raises what the timestamping service raises."""
        ...

    def record(self, connection: Connection, digest: bytes, subject: str) -> None:
        """Put the digest into the issuance log, in the caller's transaction."""
        ...

    def proof(self, digest: bytes) -> bytes:
        """That the log has it (C2SP tlog-proof). Raises what the log raises."""
        ...

    def log_key(self) -> str:
        """The log's verifier key."""
        ...


class CardPrinter(Protocol):
    """Makes the card that a person takes along."""

    def card(self, codes: Sequence[str], enrolment_id: str, at: datetime) -> bytes:
        """A PDF with these codes; it names nobody."""
        ...


class KeyCustody(Protocol):
    """Keeps persons' keys as the token gave them out: sealed, and of no use without it."""

    def keep(self, connection: Connection, key: WrappedKey) -> None:
        """Keep a key, in the caller's transaction."""
        ...

    def kept(self, person_id: str) -> frozenset[str]:
        """The ids of the person's keys that are kept."""
        ...


class Blobs(Protocol):
    """Octets by key, for what is too large for a table. Everything that goes in is sealed."""

    def put(self, key: str, data: bytes) -> None: ...
    def get(self, key: str) -> bytes: ...
    def delete(self, key: str) -> None: ...


class Credentials(Protocol):
    """Signing credentials of persons."""

    def register(self, person_id: str, key_id: str, certificate: bytes, chain: tuple[bytes, ...]) -> str:
        """Make the key usable for signing; gives the credential's id. Idempotent by ``key_id``."""
        ...
