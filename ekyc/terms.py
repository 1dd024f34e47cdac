"""What a person agrees to: the consent and the subscriber agreement in force, with their digests. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ekyc.errors import TermsOutdated
from foundation.canonical import digest


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


@cache
def terms_in_force() -> Terms:
    """The terms that this build brings."""
    data = tomllib.loads(files("ekyc").joinpath("terms.toml").read_text(encoding="utf-8"))
    consent, agreement = data["consent"], data["agreement"]
    texts = {language: str(agreement[language]) for language in ("en", "km")}
    return Terms(
        purpose=consent["purpose"],
        consent_version=consent["version"],
        consent={language: str(consent[language]) for language in ("en", "km")},
        agreement_version=agreement["version"],
        agreement=texts,
        agreement_digest=digest({"texts": texts, "version": agreement["version"]}).hex(),
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
