"""A ceremony as values: one file is one act.

    act = "root"               key, certificate, outputs
    act = "twin-root"          previous, key, certificate, statement, inputs (issuer), outputs
    act = "rollover"           previous, key, certificate, old_with_new, new_with_old, inputs (issuer), outputs
    act = "subordinate"        previous, key, certificate, urls, inputs (csr, issuer), outputs
    act = "ocsp-responder"     the same as subordinate
    act = "cross-certificate"  the same, with inputs.certificate
    act = "licensed-ca"        the same, with constraints, audit, service and inputs.audit_report
    act = "root-crl"           previous, key, crl, inputs (issuer), outputs
    act = "emergency-crl"      the same, with incident
    act = "end-of-ca"          the same, with notice
    act = "destroy"            previous, key, destruction, inputs (issuer), outputs

Every act may name ``people``: those who sign its transcript. Every act of a root that is no specimen names
``policies.arc``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from foundation.arc import ARC
from foundation.canonical import digest
from root_ca.model import (
    AuditPart,
    CertificateOutputs,
    CertificatePart,
    ConstraintsPart,
    CrlOutputs,
    CrlPart,
    CrossInputs,
    CsrInputs,
    DestroyOutputs,
    DestructionPart,
    IncidentPart,
    IssuerInputs,
    Keys,
    LastCrlPart,
    LicenceInputs,
    LicenceOutputs,
    LinkOutputs,
    LinkPart,
    NewKeys,
    NextKeys,
    NoticeOutputs,
    NoticePart,
    Part,
    PersonPart,
    PoliciesPart,
    RelativePath,
    ServicePart,
    StatementPart,
    Text,
    TwinOutputs,
    UrlsPart,
)

CONFIRMATION_WORDS = 6


class _Act(Part):
    """What every act has."""

    title: Text
    policies: PoliciesPart | None = None
    people: Annotated[tuple[PersonPart, ...], Field(strict=False, max_length=40)] = ()

    @property
    def arc(self) -> str:
        """The arc below which policies stand; that of examples where the file names none."""
        return self.policies.arc if self.policies is not None else ARC

    @model_validator(mode="after")
    def _people_are_different(self) -> _Act:
        for what in ("name", "key_sha256"):
            if len({getattr(one, what) for one in self.people}) != len(self.people):
                raise ValueError(f"two people have the same {what}")
        return self


class _Continued(_Act):
    """An act that follows another one."""

    previous: RelativePath


class RootAct(_Act):
    act: Literal["root"]
    key: NewKeys
    certificate: CertificatePart
    outputs: CertificateOutputs


class TwinRootAct(_Continued):
    """A root of another kind beside the first, under another name; both sign that they belong together."""

    act: Literal["twin-root"]
    key: NextKeys
    certificate: CertificatePart
    statement: StatementPart
    inputs: IssuerInputs
    outputs: TwinOutputs


class RolloverAct(_Continued):
    """A new key for a root, under the same name, with both link certificates (RFC 9810 §4.4)."""

    act: Literal["rollover"]
    key: NextKeys
    certificate: CertificatePart
    old_with_new: LinkPart
    new_with_old: LinkPart
    inputs: IssuerInputs
    outputs: LinkOutputs


class SubordinateAct(_Continued):
    act: Literal["subordinate", "ocsp-responder"]
    key: Keys
    certificate: CertificatePart
    urls: UrlsPart
    inputs: CsrInputs
    outputs: CertificateOutputs


class CrossCertificateAct(_Continued):
    """Certifies another root's key under this one."""

    act: Literal["cross-certificate"]
    key: Keys
    certificate: CertificatePart
    urls: UrlsPart
    inputs: CrossInputs
    outputs: CertificateOutputs


class LicenceAct(_Continued):
    """Certifies another organisation's CA, within constraints and on an audit, and opens its status history."""

    act: Literal["licensed-ca"]
    key: Keys
    certificate: CertificatePart
    urls: UrlsPart
    constraints: ConstraintsPart
    audit: AuditPart
    service: ServicePart
    inputs: LicenceInputs
    outputs: LicenceOutputs


class RootCrlAct(_Continued):
    act: Literal["root-crl"]
    key: Keys
    crl: CrlPart
    inputs: IssuerInputs
    outputs: CrlOutputs


class EmergencyCrlAct(_Continued):
    """A CRL out of turn, because a key was compromised; with a notice."""

    act: Literal["emergency-crl"]
    key: Keys
    crl: CrlPart
    incident: IncidentPart
    inputs: IssuerInputs
    outputs: NoticeOutputs


class EndAct(_Continued):
    """The end of a root: its last CRL, and a notice."""

    act: Literal["end-of-ca"]
    key: Keys
    crl: LastCrlPart
    notice: NoticePart
    inputs: IssuerInputs
    outputs: NoticeOutputs


class DestroyAct(_Continued):
    """Destroys the key of a root that has ended."""

    act: Literal["destroy"]
    key: Keys
    destruction: DestructionPart
    inputs: IssuerInputs
    outputs: DestroyOutputs


BelowAct = SubordinateAct | CrossCertificateAct | LicenceAct
NewRootAct = RootAct | TwinRootAct | RolloverAct
CrlAct = RootCrlAct | EmergencyCrlAct | EndAct
Act = NewRootAct | BelowAct | CrlAct | DestroyAct
# For isinstance, which takes no alias of a union with generics: the same, as tuples.
BELOW = (SubordinateAct, CrossCertificateAct, LicenceAct)
NEW_ROOT = (RootAct, TwinRootAct, RolloverAct)
CRLS = (RootCrlAct, EmergencyCrlAct, EndAct)

ACTS: dict[str, type[Act]] = {
    "root": RootAct,
    "twin-root": TwinRootAct,
    "rollover": RolloverAct,
    "subordinate": SubordinateAct,
    "ocsp-responder": SubordinateAct,
    "cross-certificate": CrossCertificateAct,
    "licensed-ca": LicenceAct,
    "root-crl": RootCrlAct,
    "emergency-crl": EmergencyCrlAct,
    "end-of-ca": EndAct,
    "destroy": DestroyAct,
}


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
        given = self.act.inputs.model_dump()
        return {path: given.get(f"{name}_sha256") for name, path in given.items() if not name.endswith("_sha256")}

    @property
    def outputs(self) -> tuple[str, ...]:
        """The paths of everything that the act makes, the transcript aside; the first is its main one."""
        given = self.act.outputs.model_dump()
        main = [name for name in ("certificate", "crl", "record") if name in given]
        rest = [name for name in given if name not in (*main, "transcript")]
        return tuple(str(given[name]) for name in (*main, *rest))

    @property
    def output(self) -> str:
        """The path of the certificate, CRL or record."""
        return self.outputs[0]

    @property
    def unfinished(self) -> str:
        """The path of the record that lies there while the act is under way, and stays when it stops half-way."""
        return f"{self.act.outputs.transcript}.unfinished"


def confirmation(ceremony: Ceremony, inputs: dict[str, str], previous: str | None) -> bytes:
    """What stands for this file with exactly these inputs and this past: the first octets of a SHA-256 (48 bits).

    They are shown as words, to be typed before signing. ``inputs`` maps path to SHA-256; ``previous`` is the SHA-256
    of the previous transcript.
    """
    bound = digest({"ceremony": ceremony.sha256, "inputs": inputs, "previous": previous})
    return bound[:CONFIRMATION_WORDS]
