"""Enrolment credentials: what lets a machine ask for the certificate that an officer has verified for it.

credential  new ─enrol─▶ signing ─▶ used        withdrawn: no enrolment and no renewal any more
                 ◀─ refused ─┘
            new ─two officers approved, and the machine fetched it─▶ used
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes


class CredentialState(StrEnum):
    """A credential is good for one certificate, and for the renewals that follow it."""

    NEW = "new"
    SIGNING = "signing"
    USED = "used"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class EnrolmentCredential:
    """Who the machine is, as an officer verified it: the whole subject, and the names for the subjectAltName.

    ``authority``: the issuing CA that it is good at, and no other.
    """

    reference: str
    authority: str
    profile: str
    subject: tuple[tuple[str, str], ...]
    dns_names: tuple[str, ...]
    owner: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    changed_at: datetime
    state: CredentialState


@dataclass(frozen=True)
class NewEnrolmentCredential:
    """A credential with its secret, which is shown once."""

    credential: EnrolmentCredential
    secret: str


@dataclass(frozen=True)
class Applicant:
    """Who asks, proved: by the secret of a credential, or by a certificate that followed from it."""

    credential: EnrolmentCredential
    certificate: x509.Certificate | None = None


@dataclass(frozen=True)
class Wanted:
    """What a request brings: a key whose possession is proved, and what it says about its subject, if anything."""

    public_key: CertificatePublicKeyTypes
    subject: x509.Name | None = None
    dns_names: tuple[str, ...] | None = None
    proof: bytes = b""  # DER, as it came: PKCS#10, or CRMF's CertReqMsg
