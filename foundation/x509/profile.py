"""Certificate profiles as data: what a certificate of a kind contains, exactly, and which clause asks for it.

A profile file is TOML: one table per profile, whose sub-tables each name the ``clause`` that they implement. It is
parsed once, strictly (unknown keys refused, no default that adds anything to a certificate), into a frozen `Profile`.
The builder takes everything from it, and the lint holds every certificate against it.

    [NAME]                             title, cps (section of the CP/CPS), specimen, emulated_keys; ``extends`` another,
                                       ``without`` some of its tables; ``abstract``: to be extended, never issued
    [NAME.subject]                     order, optional, fixed
    [NAME.key]                         algorithms of the subject's key (foundation.keys.port.KeyAlgorithm)
    [NAME.signature]                   algorithms of the issuer's key
    [NAME.validity]                    max_days; both ends count (RFC 5280 §4.1.2.5), so N days end one second earlier
    [NAME.basic_constraints]           ca, path_length
    [NAME.key_usage]                   bits (RFC 5280 names); always critical
    [NAME.extended_key_usage]          usages, critical
    [NAME.policies]                    oids, cps_uri
    [NAME.subject_alternative_name]    presence, kinds ("dns", "email"; left out: any)
    [NAME.authority_information_access] ocsp, issuer: whether each address stands in it
    [NAME.crl_distribution_points]     present when the table is
    [NAME.ocsp_nocheck]                present when the table is
    [NAME.name_constraints]            present when the table is: what is permitted or excluded is given per certificate
    [NAME.statement]                   present when the table is: a critical extension with a statement for people
    [NAME.qc_statements]               compliance, legislation, type, sscd
    [NAME.authority_key_identifier]    present when the table is
    [NAME.subject_key_identifier]      method: "rfc7093-1" (leftmost 160 bits of SHA-256, RFC 7093 §2 method 1)
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal

from cryptography.x509 import ObjectIdentifier
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from foundation.arc import SANDBOX_SEAL_POLICY, below, is_example
from foundation.keys.port import KeyAlgorithm
from foundation.x509.errors import ProfileInvalid
from foundation.x509.names import ATTRIBUTES, checked_value

Strings = Annotated[tuple[str, ...], Field(strict=False)]
Algorithms = Annotated[tuple[Annotated[KeyAlgorithm, Field(strict=False)], ...], Field(strict=False, min_length=1)]

# RFC 5280 §4.2.1.3, in bit order; nonRepudiation is what X.509 now calls contentCommitment.
KeyUsageBit = Literal[
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
]
EXTENDED_KEY_USAGES = {
    "serverAuth": "1.3.6.1.5.5.7.3.1",
    "clientAuth": "1.3.6.1.5.5.7.3.2",
    "emailProtection": "1.3.6.1.5.5.7.3.4",
    "timeStamping": "1.3.6.1.5.5.7.3.8",
    "OCSPSigning": "1.3.6.1.5.5.7.3.9",
    "documentSigning": "1.3.6.1.5.5.7.3.36",  # RFC 9336
}


class Rule(BaseModel):
    """One part of a profile, with the clause that it implements."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    clause: str = Field(min_length=4)


class SubjectRule(Rule):
    """``order``: the attributes, in this order; ``optional``: those that may be missing; ``fixed``: their one value."""

    order: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    optional: Strings = ()
    fixed: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> SubjectRule:
        for attribute in self.order:
            if attribute not in ATTRIBUTES:
                raise ValueError(f"unknown attribute {attribute}")
        if len(set(self.order)) != len(self.order):
            raise ValueError("an attribute stands twice in order")
        if stray := (set(self.optional) | set(self.fixed)) - set(self.order):
            raise ValueError(f"not in order: {', '.join(sorted(stray))}")
        for attribute, value in self.fixed.items():
            checked_value(attribute, value)
        return self


class AlgorithmRule(Rule):
    algorithms: Algorithms


class ValidityRule(Rule):
    max_days: int = Field(gt=0, le=36525)

    @cached_property
    def maximum(self) -> timedelta:
        return timedelta(days=self.max_days)


class BasicConstraintsRule(Rule):
    """Always critical for a CA; for an end entity the extension is left out (RFC 5280 §4.2.1.9) unless ``present``."""

    ca: bool
    path_length: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _path_length(self) -> BasicConstraintsRule:
        if not self.ca and self.path_length is not None:
            raise ValueError("path_length is for CAs only")
        return self


class KeyUsageRule(Rule):
    bits: Annotated[tuple[KeyUsageBit, ...], Field(strict=False, min_length=1)]


class ExtendedKeyUsageRule(Rule):
    usages: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    critical: bool = False

    @field_validator("usages")
    @classmethod
    def _known(cls, usages: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(usages) - set(EXTENDED_KEY_USAGES):
            raise ValueError(f"unknown usage {', '.join(sorted(unknown))}")
        return usages

    @property
    def oids(self) -> tuple[ObjectIdentifier, ...]:
        return tuple(ObjectIdentifier(EXTENDED_KEY_USAGES[usage]) for usage in self.usages)


class PoliciesRule(Rule):
    oids: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    cps_uri: str | None = Field(default=None, pattern=r"^https?://[!-~]+$")

    @field_validator("oids")
    @classmethod
    def _are_oids(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            ObjectIdentifier(value)
        if len(set(values)) != len(values):
            raise ValueError("a policy stands twice (RFC 5280 §4.2.1.4)")
        return values


class AlternativeNameRule(Rule):
    presence: Literal["required", "optional"]
    kinds: Annotated[tuple[Literal["dns", "email"], ...], Field(strict=False)] = ()


class InformationAccessRule(Rule):
    ocsp: bool
    issuer: bool

    @model_validator(mode="after")
    def _something(self) -> InformationAccessRule:
        if not (self.ocsp or self.issuer):
            raise ValueError("leave the table out when neither address is wanted")
        return self


class PresenceRule(Rule):
    """An extension whose content follows from elsewhere: it is there when this table is."""


class KeyIdentifierRule(Rule):
    method: Literal["rfc7093-1"]


class QcStatementsRule(Rule):
    """EN 319 412-5. Compliance alone would claim *EU* qualification (§4.2.4): another country needs its legislation."""

    compliance: bool
    type: Literal["esign", "eseal"]
    legislation: Strings = ()
    sscd: bool = False

    @model_validator(mode="after")
    def _legislation(self) -> QcStatementsRule:
        if self.compliance and not self.legislation:
            raise ValueError("compliance without legislation claims EU qualification (EN 319 412-5 §4.2.4)")
        return self


class Profile(BaseModel):
    """What a certificate of this kind contains, exactly. A missing table means: not in the certificate."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: str
    cps: str = Field(min_length=3, description="the section of the CP/CPS that it implements")
    specimen: bool = Field(description="whether O and CN must say SPECIMEN")
    emulated_keys: Literal["allow", "refuse"] = Field(
        default="allow", description="whether keys of an emulated token, or that no token vouches for, are certified"
    )
    subject: SubjectRule
    key: AlgorithmRule
    signature: AlgorithmRule
    validity: ValidityRule
    basic_constraints: BasicConstraintsRule
    key_usage: KeyUsageRule
    subject_key_identifier: KeyIdentifierRule
    authority_key_identifier: PresenceRule | None = None
    extended_key_usage: ExtendedKeyUsageRule | None = None
    policies: PoliciesRule | None = None
    subject_alternative_name: AlternativeNameRule | None = None
    authority_information_access: InformationAccessRule | None = None
    crl_distribution_points: PresenceRule | None = None
    ocsp_nocheck: PresenceRule | None = None
    qc_statements: QcStatementsRule | None = None
    name_constraints: PresenceRule | None = None
    statement: PresenceRule | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        signs = {"keyCertSign", "cRLSign"} & set(self.key_usage.bits)
        if self.basic_constraints.ca != ("keyCertSign" in self.key_usage.bits):
            raise ValueError("keyCertSign goes with a CA and with nothing else (RFC 5280 §4.2.1.9)")
        if signs and not self.basic_constraints.ca:
            raise ValueError("cRLSign is for CAs only")
        return self

    @property
    def ca(self) -> bool:
        return self.basic_constraints.ca

    def data(self) -> dict[str, Any]:
        """The profile as plain JSON values, the inverse of `parse_profile`: for transcripts and digests."""
        return self.model_dump(mode="json", exclude_defaults=True)


def parse_profile(data: Mapping[str, Any]) -> Profile:
    """One profile from plain values (``name`` among them); ProfileInvalid names the first key that is wrong."""
    try:
        return Profile.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "profile"
        raise ProfileInvalid(profile=str(data.get("name", "?")), where=where, reason=first["msg"]) from None


def load_profiles(text: str) -> Mapping[str, Profile]:
    """The profiles of a TOML file, by name. ProfileInvalid for what is not TOML, not a profile, or has unknown keys."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileInvalid(profile="?", where="file", reason=str(error)) from None
    for name, table in tables.items():
        if not isinstance(table, dict) or "name" in table:
            raise ProfileInvalid(profile=name, where=name, reason="one table per profile, named by its heading")
    return {
        name: parse_profile({"name": name, **_inherited(tables, name, ())})
        for name, table in tables.items()
        if table.get("abstract") is not True
    }


def profiles_below(profiles: Mapping[str, Profile], arc: str) -> Mapping[str, Profile]:
    """The profiles of an installation whose policies stand below ``arc``; none of them is a specimen unless the arc is
    one of examples. The sandbox's stay what they are: never real, wherever they are."""
    return {name: _below(profile, arc) for name, profile in profiles.items()}


def _below(profile: Profile, arc: str) -> Profile:
    policies = profile.policies
    if policies is not None and SANDBOX_SEAL_POLICY in policies.oids:
        return profile
    moved = policies and policies.model_copy(update={"oids": tuple(below(arc, one) for one in policies.oids)})
    return profile.model_copy(update={"specimen": profile.specimen and is_example(arc), "policies": moved})


def _inherited(tables: Mapping[str, dict[str, Any]], name: str, heirs: tuple[str, ...]) -> dict[str, Any]:
    """The tables of a profile, its ancestors' among them. An own table replaces the inherited one as a whole, so that
    no rule is ever half of one clause and half of another."""
    own = dict(tables[name])
    parent, dropped = own.pop("extends", None), own.pop("without", [])
    own.pop("abstract", None)
    if parent is None:
        if dropped:
            raise ProfileInvalid(profile=name, where="without", reason="it extends nothing")
        return own
    if not isinstance(parent, str) or parent not in tables or parent in (*heirs, name):
        raise ProfileInvalid(profile=name, where="extends", reason="no such profile, or one that extends this one")
    inherited = _inherited(tables, parent, (*heirs, name))
    if not isinstance(dropped, list) or not set(dropped) <= set(inherited):
        raise ProfileInvalid(profile=name, where="without", reason="not a table of what it extends")
    return {key: value for key, value in inherited.items() if key not in dropped} | own


def last_second(not_before: datetime, days: int) -> datetime:
    """The notAfter of a validity of ``days``: both ends count (RFC 5280 §4.1.2.5), so one second less."""
    return not_before + _whole(days)


@lru_cache(maxsize=256)
def _whole(days: int) -> timedelta:
    return timedelta(days=days) - timedelta(seconds=1)
