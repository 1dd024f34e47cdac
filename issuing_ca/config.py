"""Settings of the issuing CA: frozen, unknown keys refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from foundation.arc import ARC, TIMESTAMP_POLICY, checked_arc
from foundation.citizen_subject import CitizenNaming
from foundation.keys.port import KeyAlgorithm

BULK_REVOCATION = "bulk-revocation"  # beside profiles in two_officers


class IssuingCaSettings(BaseModel):
    """``[ca]`` in camtrust.toml. Durations are ISO 8601 or seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    public_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] = "http://127.0.0.1:8440"
    """Where relying parties reach us; goes into every certificate (AIA, CRL distribution point)."""

    organisation: str = "SPECIMEN CamTrust"
    """O of the certificates that the service makes for itself (OCSP responders, TSA units)."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "KH"
    mark: str | None = "SPECIMEN"
    """Stands before every citizen's CN, so that no demo signature looks real; None in production."""

    identifier_scheme: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "CT"
    """The two characters of the national scheme in the subject's serialNumber (EN 319 412-1 §5.1.3)."""

    policy_arc: Annotated[str, AfterValidator(checked_arc)] = ARC
    """The arc below which the packaged profiles have their policies. 2.999 is the arc for examples: what stands below
    it is a specimen."""

    policies: Mapping[str, str] = {
        "low": "2.999.116.1.1.1",
        "substantial": "2.999.116.1.1.2",
        "high": "2.999.116.1.1.3",
    }
    """Certificate policy by assurance level."""

    citizens: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")] = "issuing"
    """The issuing CA of persons' certificates. Those that another one issued stay its own."""

    registration_authority: frozenset[str] = frozenset()
    """SHA-256 (hexadecimal) of the SubjectPublicKeyInfo of each key whose statements approve citizens' certificates.
    None: no citizen gets one."""

    weak_keys_file: Path | None = None
    """Keys that are certified for nobody (`issuing_ca.weak_keys`), read at start."""

    issuance_token_validity: timedelta = timedelta(minutes=10)

    authority_algorithm: KeyAlgorithm = KeyAlgorithm.EC_P384
    unit_algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256
    """Keys of OCSP responders and TSA units (RSA where CamDX members run X-Road before 7.6)."""

    crl_validity: timedelta = timedelta(days=7)
    crl_renew_after: timedelta = timedelta(days=1)

    crl_full_at_once_up_to: Annotated[int, Field(ge=0)] = 1000
    """A full CRL of more entries is made anew when it is due, and at once after a compromise; deltas tell the rest."""

    crl_partitions: Literal[0, 16, 256] = 0
    """Into how many CRLs, by the last digits of their serial numbers, new certificates are spread; 0: they point to the
    full CRL. Certificates that point to partitions of another count keep theirs."""

    ocsp_validity: timedelta = timedelta(hours=1)
    """nextUpdate - thisUpdate of an answer."""

    ocsp_cache: timedelta = timedelta(minutes=5)
    """How long a cache may keep an answer to a GET (RFC 5019 §6); shorter than its validity, revocation counts soon."""

    ocsp_cert_hash: bool = True
    """Whether answers carry certHash, the positive proof that exactly this certificate was issued."""

    ocsp_produced_at_once: Annotated[int, Field(ge=0)] = 2000
    """How many responses upkeep makes in one go, before they are asked for. Others are made when asked, and kept."""

    responder_renew_before: timedelta = timedelta(days=7)
    tsa_renew_before: timedelta = timedelta(days=90)

    lint_at_once: Annotated[int, Field(ge=1)] = 100
    """How many certificates upkeep has pkilint look at in one go, after they were issued."""

    lint_explained: frozenset[str] = frozenset()
    """Findings of pkilint, ``SEVERITY code``, that are known and right."""

    two_officers: frozenset[str] = frozenset()
    """Profiles whose certificates two different officers must approve, neither of whom asked. ``bulk-revocation``:
    revoking by a query takes two different officers too."""

    acme_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks beside the public ones where http-01 may look (agencies' own)."""

    acme_http_port: Annotated[int, Field(ge=1, le=65535)] = 80
    """The port of http-01; another one is for tests (RFC 8555 §8.3)."""

    acme_resolvers: tuple[str, ...] = ()
    """Addresses of the DNS servers that are asked about applicants' names; none: those of the machine."""

    acme_resolver_port: Annotated[int, Field(ge=1, le=65535)] = 53

    tsa_announce: timedelta = timedelta(days=30)
    """How long a timestamping unit's certificate is published before it begins to work: members pin it."""

    tsa_policy: str = TIMESTAMP_POLICY
    """What a timestamp's token names (RFC 3161 §2.4.2)."""

    tsa_accuracy: Annotated[int, Field(ge=1, le=60)] = 1
    """Seconds."""

    @property
    def naming(self) -> CitizenNaming:
        """How citizens' subjects are made."""
        return CitizenNaming(self.country, self.identifier_scheme, self.mark)
