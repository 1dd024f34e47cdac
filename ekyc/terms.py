"""What a person agrees to: the consent and the subscriber agreement in force, with their digests. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ekyc.errors import EkycError, TermsOutdated
from foundation.canonical import digest


class TermsInvalid(EkycError):
    """The file of the terms is not one. Parameters ``file``, ``problem``."""

    code = "ekyc.terms_invalid"


@dataclass(frozen=True)
class Terms:
    """The texts in force, by language, and the digest (hex) of the agreement in all its languages."""

    purpose: str
    consent_version: str
    consent: Mapping[str, str]
    agreement_version: str
    agreement: Mapping[str, str]
    agreement_digest: str


@dataclass(frozen=True)
class Acceptance:
    """What a person says they read and accept."""

    purpose: str
    consent_version: str
    agreement_version: str
    agreement_digest: str


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    version: str = Field(pattern=r"^[0-9A-Za-z.-]{1,40}$")
    en: str = Field(min_length=1, max_length=20_000)
    km: str = Field(min_length=1, max_length=20_000)
    review_km: bool = False


class _Consent(_Part):
    purpose: str = Field(pattern=r"^[a-z-]{1,40}$")


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    consent: _Consent
    agreement: _Part


def read_terms(file: Path | None = None) -> Terms:
    """The terms in a file, in the form of the packaged one (``ekyc/terms.toml``); None: the packaged ones, which are
    specimens. Raises TermsInvalid."""
    try:
        source = files("ekyc").joinpath("terms.toml") if file is None else file
        read = _File.model_validate(tomllib.loads(source.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TermsInvalid(file=str(file), problem=f"{where}: {first['msg']}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TermsInvalid(file=str(file), problem=str(error)) from None
    consent, agreement = read.consent, read.agreement
    texts = {"en": agreement.en, "km": agreement.km}
    return Terms(
        purpose=consent.purpose,
        consent_version=consent.version,
        consent={"en": consent.en, "km": consent.km},
        agreement_version=agreement.version,
        agreement=texts,
        agreement_digest=digest({"texts": texts, "version": agreement.version}).hex(),
    )


def check_acceptance(terms: Terms, acceptance: Acceptance) -> None:
    """Raises TermsOutdated unless exactly what is in force is accepted."""
    in_force = (terms.purpose, terms.consent_version, terms.agreement_version, terms.agreement_digest)
    accepted = (
        acceptance.purpose,
        acceptance.consent_version,
        acceptance.agreement_version,
        acceptance.agreement_digest,
    )
    if accepted != in_force:
        raise TermsOutdated
