"""What a verification may trust: the bundle, if it stands up, and the anchors that were given by hand.

    S1  a bundle was given, is sound and signed by a pinned operator (`signing.verify.bundle`)   BND-…
    S2  its sequence and its set of operators are not older than asked for         BND-SEQUENCE, BND-OPERATORS
    S3  the clock is not before its issue                                                        BND-CLOCK
    S4  it has not expired, and is not older than the policy allows                              BND-STALE

A bundle that fails S1 contributes nothing. One that fails S2 to S4 still shows what is wrong with a signature, but
nothing that rests on it passes: its reasons are added to every verdict that used it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography import x509

from foundation.clock import rfc3339
from foundation.x509.path_search import TrustAnchor
from foundation.x509.status_evidence import Evidence
from signing.verify.bundle import SOURCE, Bundle, BundleProblem, read_bundle
from signing.verify.logged import LogRequirement
from signing.verify.model import Reason, SubIndication, indeterminate
from signing.verify.policy import Policy
from signing.verify.trust_list_model import SOURCE as LIST
from signing.verify.trust_list_model import TrustList

HAND = "hand"


@dataclass(frozen=True)
class Trust:
    """``reasons`` weigh on everything that rests on the bundle. ``claimed``: a bundle that is shown but not used."""

    anchors: tuple[TrustAnchor, ...]
    certificates: tuple[x509.Certificate, ...]
    evidence: tuple[Evidence, ...]
    reasons: tuple[Reason, ...]
    bundle: Bundle | None
    claimed: Bundle | None
    fresh: bool
    rollback_checked: bool
    lists: tuple[TrustList | Reason, ...] = ()  # trust lists of countries that were named, or why one is not used

    @property
    def logs(self) -> LogRequirement:
        """The issuance logs of the bundle, and whether it requires their proofs."""
        return self.bundle.contents.logs if self.bundle is not None else LogRequirement()

    @property
    def vouched_at(self) -> datetime | None:
        """When a fresh bundle gave its evidence out as current; None for one that is not fresh."""
        return self.bundle.contents.issued if self.bundle is not None and self.fresh else None

    def json(self) -> dict[str, Any]:
        """The ``bundle`` object of the contract."""
        shown = self.bundle or self.claimed
        contents = shown.contents if shown else None
        return {
            "sequence": contents.sequence if contents else None,
            "issued": rfc3339(contents.issued) if contents else None,
            "expires": rfc3339(contents.expires) if contents else None,
            "fresh": self.fresh,
            "pinned": self.bundle is not None,
            "rollback_checked": self.rollback_checked,
            "specimen": contents.specimen if contents else None,
            "sha256": shown.sha256 if shown else None,
            "signers": list(shown.signers) if shown else [],
            "operators": _operators(shown),
            "hand_anchors": sum(one.source == HAND for one in self.anchors),
            "reasons": [reason.json() for reason in self.reasons],
            "trust_lists": [{"reason": one.json()} if isinstance(one, Reason) else one.json() for one in self.lists],
        }

    def with_lists(self, lists: Sequence[TrustList | Reason]) -> Trust:
        """With the authorities of these lists as anchors too."""
        more = (anchor for one in lists if not isinstance(one, Reason) for anchor in one.anchors())
        known = {one.certificate for one in self.anchors}
        anchors = (TrustAnchor(one, LIST) for one in more if one not in known)
        return replace(self, anchors=(*self.anchors, *anchors), lists=tuple(lists))


def _operators(shown: Bundle | None) -> dict[str, Any] | None:
    """The newest set of operators, where the bundle names one."""
    if shown is None or not shown.sets:
        return None
    newest = shown.sets[-1]
    return {"version": newest.version, "threshold": newest.threshold, "sha256": newest.sha256}


def build_trust(
    bundle: bytes | None,
    pins: frozenset[str],
    hand_anchors: Sequence[x509.Certificate],
    at: datetime,
    policy: Policy,
    min_sequence: int | None = None,
    min_operators: int = 0,
) -> Trust:
    """S1-S4 at the time ``at``. Raises nothing for a bad bundle."""
    by_hand = tuple(TrustAnchor(one, HAND) for one in hand_anchors)
    if bundle is None:
        none = indeterminate("BND-NONE", "EN 319 102-1 §5.2.6", "bundle_none", SubIndication.NO_CERTIFICATE_CHAIN_FOUND)
        return Trust(by_hand, (), (), () if by_hand else (none,), None, None, False, False)
    read = read_bundle(bundle, pins)
    if isinstance(read, BundleProblem):  # S1
        return Trust(by_hand, (), (), (read.reason,), None, read.claimed, False, False)
    return trust_of(read, by_hand, at, policy, min_sequence, min_operators)


def trust_of(
    bundle: Bundle,
    by_hand: Sequence[TrustAnchor],
    at: datetime,
    policy: Policy,
    min_sequence: int | None = None,
    min_operators: int = 0,
) -> Trust:
    """S2-S4 for a bundle that was read already."""
    contents = bundle.contents
    reasons: list[Reason] = []
    if min_sequence is not None and contents.sequence < min_sequence:  # S2
        reasons.append(
            indeterminate(
                "BND-SEQUENCE",
                "camtrust bundle S2",
                "bundle_rolled_back",
                SubIndication.BUNDLE_ROLLED_BACK,
                sequence=str(contents.sequence),
                asked=str(min_sequence),
            )
        )
    if bundle.operators_version < min_operators:
        reasons.append(
            indeterminate(
                "BND-OPERATORS",
                "camtrust bundle S2",
                "bundle_operators_replaced",
                SubIndication.BUNDLE_ROLLED_BACK,
                version=str(bundle.operators_version),
                asked=str(min_operators),
            )
        )
    early = at + policy.clock_skew < contents.issued  # S3
    stale = at > contents.expires or at - contents.issued > policy.max_bundle_age  # S4
    if early:
        reasons.append(
            indeterminate(
                "BND-CLOCK",
                "camtrust bundle S3",
                "bundle_clock",
                SubIndication.CLOCK_BEFORE_BUNDLE,
                now=rfc3339(at.replace(microsecond=0)),
                issued=rfc3339(contents.issued),
            )
        )
    if stale:
        reasons.append(
            indeterminate(
                "BND-STALE",
                "camtrust bundle S4",
                "bundle_stale",
                SubIndication.BUNDLE_STALE,
                days=str((at - contents.issued).days),
                issued=rfc3339(contents.issued),
            )
        )
    return Trust(
        anchors=(*by_hand, *(TrustAnchor(one, SOURCE) for one in contents.anchors)),
        certificates=(*contents.intermediates, *contents.tsa),
        evidence=bundle.evidence,
        reasons=tuple(reasons),
        bundle=bundle,
        claimed=None,
        fresh=not early and not stale,
        rollback_checked=min_sequence is not None,
    )
