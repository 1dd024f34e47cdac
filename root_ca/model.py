"""A ceremony as values: one file is one act. Strict: unknown, missing and unused keys are refused, dates are explicit.

act = "root"             key, certificate, outputs
act = "subordinate"      previous, key, certificate, urls, inputs (csr, issuer), outputs
act = "ocsp-responder"   the same as subordinate
act = "root-crl"         previous, key, crl, inputs (issuer), outputs
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cryptography import x509
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from foundation.canonical import digest
from foundation.x509.crl import RevokedEntry
from root_ca.words import words

CONFIRMATION_WORDS = 6

Text = Annotated[str, Field(min_length=1, max_length=200)]
Label = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{2,63}$")]
RelativePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", max_length=200)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=100)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
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
    algorithm: Literal["ec-p384"]


class Keys(Part):
    """The keys that an act uses."""

    label: Label
    audit_label: Label


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


class CsrInputs(Part):
    csr: RelativePath
    csr_sha256: Sha256 | None = None
    issuer: RelativePath
    issuer_sha256: Sha256 | None = None


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


class RootAct(Part):
    act: Literal["root"]
    title: Text
    key: NewKeys
    certificate: CertificatePart
    outputs: CertificateOutputs


class SubordinateAct(Part):
    act: Literal["subordinate", "ocsp-responder"]
    title: Text
    previous: RelativePath
    key: Keys
    certificate: CertificatePart
    urls: UrlsPart
    inputs: CsrInputs
    outputs: CertificateOutputs


class RootCrlAct(Part):
    act: Literal["root-crl"]
    title: Text
    previous: RelativePath
    key: Keys
    crl: CrlPart
    inputs: IssuerInputs
    outputs: CrlOutputs


Act = RootAct | SubordinateAct | RootCrlAct


@dataclass(frozen=True)
class Ceremony:
    """A ceremony file that was read: where it lies, its octets, and the act that it describes."""

    path: Path
    raw: bytes
    act: Act

    @property
    def directory(self) -> Path:
        return self.path.parent

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def previous(self) -> str | None:
        return None if isinstance(self.act, RootAct) else self.act.previous

    @property
    def inputs(self) -> dict[str, str | None]:
        """Input paths, each with the SHA-256 that the file states, if it does."""
        if isinstance(self.act, RootAct):
            return {}
        stated: dict[str, str | None] = {self.act.inputs.issuer: self.act.inputs.issuer_sha256}
        if isinstance(self.act, SubordinateAct):
            stated[self.act.inputs.csr] = self.act.inputs.csr_sha256
        return stated

    @property
    def output(self) -> str:
        """The path of the certificate or CRL."""
        outputs = self.act.outputs
        return outputs.crl if isinstance(outputs, CrlOutputs) else outputs.certificate

    @property
    def unfinished(self) -> str:
        """The path of the record that lies there while the act is under way, and stays when it stops half-way."""
        return f"{self.act.outputs.transcript}.unfinished"


def confirmation(ceremony: Ceremony, inputs: dict[str, str], previous: str | None) -> tuple[str, ...]:
    """The words that stand for this file with exactly these inputs and this past: 48 bits, to type before signing.

    ``inputs`` maps path to SHA-256; ``previous`` is the SHA-256 of the previous transcript.
    """
    bound = digest({"ceremony": ceremony.sha256, "inputs": inputs, "previous": previous})
    return words(bound)[:CONFIRMATION_WORDS]


@dataclass(frozen=True)
class CheckResult:
    """One rule examined. ``passed`` is None where an earlier failure left nothing to examine."""

    rule: str
    passed: bool | None
    detail: str
