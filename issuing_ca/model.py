"""The issuing CA's values and the states of a certificate.

PREPARED ──redeem──▶ SIGNING ──sign, store──▶ ISSUED ◀──hold / release──▶ HELD
    │                   │                        │                         │
    └─▶ ABANDONED       └─▶ REVOKED (no certificate came out)              │
                                                 └────────▶ REVOKED ◀──────┘
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from foundation.keys.port import KeyUse
from issuing_ca.errors import ReasonUnknown

ISSUING = "issuing"  # the CA that is meant where none is named
ROOT = "root"  # the name under which the root's CRL and certificate are published; no authority of ours has it
TSA_UNIT, OCSP_RESPONDER, CMP_SIGNER = "tsa", "ocsp-responder", "cmp-signer"  # profiles of the service's own units


class AuthorityKind(StrEnum):
    """What an authority of this room does with its key."""

    ISSUING = "issuing"
    TSA = "tsa"
    ROOT_OCSP = "root-ocsp"  # not a CA: the root's delegated responder for its subordinates' status

    @property
    def key_use(self) -> KeyUse:
        """The use that the authority's key is made for."""
        return {
            AuthorityKind.ISSUING: KeyUse.ISSUING_CA,
            AuthorityKind.TSA: KeyUse.TSA_CA,
            AuthorityKind.ROOT_OCSP: KeyUse.OCSP_RESPONDER,
        }[self]


@dataclass(frozen=True)
class Authority:
    """An installed authority. ``chain``: the certificates between its own and the root, nearest first."""

    name: str
    kind: AuthorityKind
    key_id: str
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    root: x509.Certificate


class CertificateState(StrEnum):
    """Where a serial number of ours stands."""

    PREPARED = "prepared"
    SIGNING = "signing"
    ISSUED = "issued"
    HELD = "held"
    REVOKED = "revoked"
    ABANDONED = "abandoned"


class Reason(StrEnum):
    """Why a certificate is revoked, in RFC 5280's words (§5.3.1)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    REMOVE_FROM_CRL = "removeFromCRL"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"

    @classmethod
    def parse(cls, value: str) -> Reason:
        """A reason by its name in any case, or by its number. Raises ReasonUnknown."""
        for reason in cls:
            if value.strip().lower() in (reason.value.lower(), str(reason.number)):
                return reason
        raise ReasonUnknown(allowed=", ".join(cls))

    @property
    def number(self) -> int:
        """The CRLReason that goes into CRL entries and OCSP answers (7 is not used)."""
        position = list(Reason).index(self)
        return position if position < 7 else position + 1

    @property
    def flag(self) -> x509.ReasonFlags | None:
        """The same for `cryptography`; None for *unspecified*, which is told by saying nothing (RFC 5280 §5.3.1)."""
        return None if self is Reason.UNSPECIFIED else x509.ReasonFlags(self.value)


@dataclass(frozen=True)
class CertificateRequest:
    """What is asked of :meth:`Issuance.prepare`. Whoever asks has verified all of it; nothing comes from a CSR.

    ``owner``: opaque id of whom the certificate names; ``key_id``: the key in our token, if it is there;
    ``not_after_limit``: until when the evidence carries; ``evidence``: hex SHA-256 of the approval it rests on;
    ``policies``: policy OIDs in place of the profile's own (the assurance level decides them);
    ``dns_names``: names whose control was proved, for the subjectAltName; ``approval``: the registration authority's
    signed statement (`foundation.approval`), without which no citizen's certificate is issued; ``encoded_key``:
    ``public_key`` as SubjectPublicKeyInfo, where it was read from a request (`foundation.x509.csr.ProvenKey`).
    """

    authority: str
    profile: str
    subject: tuple[tuple[str, str], ...]
    public_key: CertificatePublicKeyTypes
    owner: str
    requested_by: str
    key_id: str | None = None
    not_after_limit: datetime | None = None
    evidence: str | None = None
    policies: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    approval: bytes | None = None
    encoded_key: bytes | None = None


@dataclass(frozen=True)
class CertificateAsked:
    """What an officer or a machine asks for with a CSR, which gives the public key and the proof of its possession,
    nothing else; the subject and the names are what whoever asks has verified."""

    profile: str
    csr: bytes
    subject: tuple[tuple[str, str], ...]
    owner: str
    requested_by: str
    not_after_limit: datetime | None = None
    dns_names: tuple[str, ...] = ()
    authority: str = ISSUING


@dataclass(frozen=True)
class PreparedCertificate:
    """A reserved serial number with a linted certificate, and the one-use token that has it signed."""

    serial: str
    token: str
    expires: datetime


@dataclass(frozen=True)
class IssuedCertificate:
    """A certificate that was signed, verified and stored. ``encoded``: its DER as stored. ``chain``: from its issuer
    up, without the root."""

    serial: str
    encoded: bytes
    chain: tuple[x509.Certificate, ...]
    root: x509.Certificate

    @cached_property
    def certificate(self) -> x509.Certificate:
        """The same for whoever looks into it: most who ask for certificates pass them on."""
        return x509.load_der_x509_certificate(self.encoded)


@dataclass(frozen=True)
class CertificateRecord:
    """What the store knows of a serial number (lower-case hex without leading zeros)."""

    serial: str
    authority: str
    profile: str
    state: CertificateState
    owner: str
    key_id: str | None
    subject_digest: str
    tbs_digest: str
    evidence: str | None
    requested_by: str
    prepared_at: datetime
    issued_at: datetime | None
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None
    reason: Reason | None
    invalidity_at: datetime | None
    key_wanted: str | None  # "enabled" or "disabled" where the token has still to be told
    certificate: bytes | None  # DER


@dataclass(frozen=True)
class StatusEntry:
    """What an OCSP answer needs of a record."""

    state: CertificateState
    revoked_at: datetime | None
    reason: Reason | None
    certificate: bytes | None  # DER


@dataclass(frozen=True)
class Orphan:
    """A serial number that was reserved, and whose certificate never came out; ``signing``: it may have been signed."""

    serial: str
    authority: str
    profile: str
    prepared_at: datetime
    signing: bool


@dataclass(frozen=True)
class CitizenRequest:
    """A citizen's certificate, as the registration authority approved it.

    The public key comes from the token by ``key_id``, whose owner must be ``person_id``. Names are as verified: Latin
    as on the document, Khmer canonical; ``level`` is a key of the settings' policies. ``approval``: the registration
    authority's signed statement about exactly this certificate.
    """

    person_id: str
    key_id: str
    given_name: str
    surname: str
    level: str
    evidence: str
    requested_by: str
    khmer_name: str | None = None
    not_after_limit: datetime | None = None
    approval: bytes | None = None


def serial_text(serial: int) -> str:
    """The one way we write serial numbers: lower-case hex without leading zeros."""
    return format(serial, "x")
