"""The tables that ceremony files are made of. Strict: unknown, missing and unused keys are refused, dates are explicit.

Which table stands in which act is in `root_ca.acts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from cryptography import x509
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from foundation.arc import checked_arc
from foundation.x509.crl import RevokedEntry

Text = Annotated[str, Field(min_length=1, max_length=200)]
Label = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{2,63}$")]
RelativePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", max_length=200)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=100)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RootAlgorithm = Literal["ec-p384", "rsa-4096", "ml-dsa-87"]
Notice = Annotated[str, Field(min_length=1, max_length=4000)]
DnsName = Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$", max_length=200)]
Url = Annotated[str, Field(pattern=r"^http://[!-~]+$", max_length=300)]

REASONS = {
    "unspecified": x509.ReasonFlags.unspecified,
    "keyCompromise": x509.ReasonFlags.key_compromise,
    "cACompromise": x509.ReasonFlags.ca_compromise,
    "affiliationChanged": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessationOfOperation": x509.ReasonFlags.cessation_of_operation,
    "privilegeWithdrawn": x509.ReasonFlags.privilege_withdrawn,
}


class Part(BaseModel):
    """A table of a ceremony file."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _whole_seconds_utc(cls, value: object) -> object:
        if isinstance(value, datetime) and (value.microsecond or value.utcoffset() != UTC.utcoffset(None)):
            raise ValueError("a time is UTC (Z) in whole seconds")
        return value


class NewKeys(Part):
    """The keys that the act ``root`` makes: the root key, and the key that signs transcripts and nothing else."""

    label: Label
    audit_label: Label
    algorithm: RootAlgorithm


class Keys(Part):
    """The keys that an act uses."""

    label: Label
    audit_label: Label


class NextKeys(Part):
    """A new root key ``label``, and the root key ``beside`` which it stands, or which it follows."""

    label: Label
    beside: Label
    audit_label: Label
    algorithm: RootAlgorithm


class PoliciesPart(Part):
    """The arc that was assigned to the operator, below which the policies of certificates stand."""

    arc: Annotated[str, AfterValidator(checked_arc)]


class PersonPart(Part):
    """Somebody who signs the transcript: by which key (SHA-256 of its SubjectPublicKeyInfo), in which role."""

    name: Text
    role: Literal["administrator", "custodian", "witness"]
    key_sha256: Sha256


class CertificatePart(Part):
    profile: Text
    cps: Text
    subject: Annotated[tuple[Annotated[tuple[str, str], Field(strict=False)], ...], Field(strict=False, min_length=1)]
    not_before: AwareDatetime
    not_after: AwareDatetime


class UrlsPart(Part):
    ocsp: Url | None = None
    issuer: Url | None = None
    crl: Url | None = None


class LinkPart(Part):
    """A link certificate (RFC 9810 §4.4): its subject is the root's name; its key the other generation's."""

    profile: Text
    cps: Text
    not_before: AwareDatetime
    not_after: AwareDatetime
    issuer: Url
    crl: Url


class StatementPart(Part):
    """The statement that two roots stand side by side, signed with both keys."""

    profile: Text
    cps: Text
    subject: Annotated[tuple[Annotated[tuple[str, str], Field(strict=False)], ...], Field(strict=False, min_length=1)]
    not_before: AwareDatetime
    not_after: AwareDatetime
    en: Notice
    km: Notice


class ConstraintsPart(Part):
    """What a licensed CA may name (RFC 5280 §4.2.1.10): ``o`` are organisations below C=KH, as directory names."""

    o: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    dns: Annotated[tuple[DnsName, ...], Field(strict=False)] = ()
    email: Annotated[tuple[DnsName, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _something(self) -> ConstraintsPart:
        if not (self.o or self.dns or self.email):
            raise ValueError("a licence permits at least one name")
        return self


class AuditPart(Part):
    """The audit on which a licence rests."""

    reference: Text
    auditor: Text
    criteria: Text
    valid_until: AwareDatetime


class ServicePart(Part):
    """How the service is listed (ETSI TS 119 612 §5.5)."""

    en: Text
    km: Text
    type: Literal["CA/QC", "CA/PKC"]
    since: AwareDatetime


class NoticePart(Part):
    """What the public is told, in both languages, under a reference."""

    reference: Text
    effective: AwareDatetime
    contact: Text
    en: Notice
    km: Notice


class IncidentPart(Part):
    """What happened: when it was noticed, and what the public is told."""

    reference: Text
    detected_at: AwareDatetime
    contact: Text
    en: Notice
    km: Notice


class DestructionPart(Part):
    """Why a key is destroyed: its CA has ended, or it is compromised and its CRL says so."""

    cps: Text
    reason: Literal["ended"]
    reference: Text


class RevokedPart(Part):
    serial: Annotated[str, Field(pattern=r"^[0-9a-f]{16,40}$")]
    revoked_at: AwareDatetime
    reason: Literal[
        "unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation",
        "privilegeWithdrawn",
    ]  # fmt: skip
    invalidity_date: AwareDatetime | None = None

    def entry(self) -> RevokedEntry:
        return RevokedEntry(int(self.serial, 16), self.revoked_at, REASONS[self.reason], self.invalidity_date)


class CrlPart(Part):
    cps: Text
    number: int = Field(ge=1, lt=1 << 159)
    this_update: AwareDatetime
    next_update: AwareDatetime
    revoked: Annotated[tuple[RevokedPart, ...], Field(strict=False)] = ()


class LastCrlPart(Part):
    """The last CRL of a root that ends; it has no next update (99991231235959Z)."""

    cps: Text
    number: int = Field(ge=1, lt=1 << 159)
    this_update: AwareDatetime
    expired_since: AwareDatetime
    revoked: Annotated[tuple[RevokedPart, ...], Field(strict=False)] = ()


class CsrInputs(Part):
    csr: RelativePath
    csr_sha256: Sha256 | None = None
    issuer: RelativePath
    issuer_sha256: Sha256 | None = None


class CrossInputs(CsrInputs):
    """``certificate`` is the other CA's own one."""

    certificate: RelativePath
    certificate_sha256: Sha256 | None = None


class LicenceInputs(CsrInputs):
    audit_report: RelativePath
    audit_report_sha256: Sha256


class IssuerInputs(Part):
    issuer: RelativePath
    issuer_sha256: Sha256 | None = None


class CertificateOutputs(Part):
    """The transcript lies beside the ceremony file, so that its paths mean the same."""

    certificate: RelativePath
    transcript: FileName


class CrlOutputs(Part):
    crl: RelativePath
    transcript: FileName


class TwinOutputs(CertificateOutputs):
    """``by_new`` and ``by_old``: the statement under each root's key."""

    by_new: RelativePath
    by_old: RelativePath


class LinkOutputs(CertificateOutputs):
    old_with_new: RelativePath
    new_with_old: RelativePath


class LicenceOutputs(CertificateOutputs):
    """``status``: the history of the service for the trust list."""

    status: RelativePath


class NoticeOutputs(CrlOutputs):
    notice: RelativePath


class DestroyOutputs(Part):
    record: RelativePath
    transcript: FileName


@dataclass(frozen=True)
class CheckResult:
    """One rule examined. ``passed`` is None where an earlier failure left nothing to examine."""

    rule: str
    passed: bool | None
    detail: str
