"""What camtrust.toml says of the issuing CA, in that room's words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from camtrust.settings import Settings
from foundation.arc import ARC, TIMESTAMP_POLICY, below
from foundation.keys.port import KeyAlgorithm
from foundation.time_source import AssumedTime, KernelTime, TimeSource
from issuing_ca.background_lint import EXAMPLE_ARC
from issuing_ca.config import IssuingCaSettings


def ca_settings_of(settings: Settings, policies: Mapping[str, str]) -> IssuingCaSettings:
    """The issuing CA's own settings. ``policies``: certificate policies by assurance level."""
    return IssuingCaSettings(
        public_url=settings.public_url,
        organisation="SPECIMEN CamTrust" if settings.specimen else "CamTrust",
        mark="SPECIMEN" if settings.specimen else None,
        policy_arc=policy_arc_of(settings),
        policies=policies,
        tsa_policy=below(policy_arc_of(settings), TIMESTAMP_POLICY),
        weak_keys_file=settings.ca.weak_keys_file,
        citizens=settings.ca.citizens,
        authority_algorithm=KeyAlgorithm(settings.ca.algorithm),
        crl_validity=timedelta(days=settings.ca.crl_days),
        crl_partitions=settings.ca.crl_partitions,
        ocsp_validity=timedelta(minutes=settings.ca.ocsp_minutes),
        lint_at_once=max(settings.ca.lint_a_minute, 1),
        lint_explained=frozenset({EXAMPLE_ARC} if settings.specimen else ()),
        two_officers=frozenset(settings.ca.two_officers),
        acme_networks=settings.ca.acme_networks,
        acme_resolvers=settings.ca.acme_resolvers,
    )


def policy_arc_of(settings: Settings) -> str:
    """The arc below which policies stand: the operator's own, or that of examples."""
    return settings.policies.arc or ARC


def time_source_of(settings: Settings) -> TimeSource:
    """Who vouches for the clock."""
    chosen = settings.ca.time_source or ("assumed" if settings.specimen else "kernel")
    return KernelTime() if chosen == "kernel" else AssumedTime()
