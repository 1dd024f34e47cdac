"""What is asked of a signature, as data. The default is strict; `EUROPEAN` is nearer to common AdES practice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from foundation import arc
from foundation.x509.path import PathRules
from foundation.x509.signature_check import AlgorithmRules

SANDBOX = arc.SANDBOX_SEAL_POLICY  # certificates of organisations that only try the service


@dataclass(frozen=True)
class Policy:
    """A signature validation policy (EN 319 102-1 §5.1.4). Sizes in octets, counts as they are."""

    name: str = "camtrust-strict"
    algorithms: AlgorithmRules = field(default_factory=AlgorithmRules)
    digests: frozenset[str] = frozenset({"sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"})
    required_policies: frozenset[str] | None = None  # certificate policies of signers; None: any

    # the bundle
    max_bundle_age: timedelta = timedelta(days=30)  # since its issue, whatever it says of its own expiry
    clock_skew: timedelta = timedelta(seconds=60)  # between this machine and those that wrote the times we read

    # time and status
    status_after_signing: bool = True  # the signer's status must be from the proven signing time or later
    failed_timestamp_allowed: bool = False  # whether a signature whose timestamp does not check out may pass without

    # PDF
    later_form_filling: bool = False  # whether fields may be filled in after the signature
    later_visible_signatures: bool = False  # whether new visible signature fields may appear after the signature

    # limits
    max_file_size: int = 512 * 1024 * 1024
    max_signatures: int = 100
    max_revisions: int = 500
    max_evidence: int = 500
    max_certificates: int = 500

    @property
    def path_rules(self) -> PathRules:
        """What is asked of paths."""
        return PathRules(algorithms=self.algorithms)

    @property
    def signer_path_rules(self) -> PathRules:
        return PathRules(algorithms=self.algorithms, required_policies=self.required_policies)


STRICT = Policy()
EUROPEAN = replace(
    STRICT,
    name="eu-style",
    status_after_signing=False,
    failed_timestamp_allowed=True,
    later_form_filling=True,
    later_visible_signatures=True,
)
POLICIES = {policy.name: policy for policy in (STRICT, EUROPEAN)}


def is_specimen(policies: frozenset[str]) -> bool:
    """Whether a certificate policy below the example arc is among these OIDs."""
    return any(map(arc.is_example, policies))
