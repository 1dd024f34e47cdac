"""A path and the status of everyone in it, by CRLs whose signers are judged in the same way (RFC 5280 §6.1, §6.3).

    V1  candidate paths in turn                                   `path.valid_paths`
    V2  from below the anchor down, nobody is revoked and every status is known and current
    V3  who signs a CRL under another key than the issuer's has a path to the same anchor and a good status itself

V3 asks V1 and V2 again. What is being judged cannot vouch for itself: a status that rests on its own bearer's word,
directly or around a corner, stays unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from foundation.x509.crl_check import CrlSigners
from foundation.x509.name_matching import NameKey, name_key, subject_key
from foundation.x509.path import CertificatePath, NoPath, PathRules, valid_paths
from foundation.x509.path_search import TrustAnchor
from foundation.x509.revocation import Recency, Standing, Status, examine, status_of
from foundation.x509.status_evidence import Evidence, extension_of

_MOST_SIGNERS = 8  # of one name
_MOST_NESTED = 4  # signers of lists about signers of lists …


@dataclass(frozen=True)
class Question:
    """What everything is judged with: a time, and evidence and certificates that are searched, never trusted."""

    pool: Sequence[x509.Certificate]
    evidence: Sequence[Evidence]
    at: datetime
    now: datetime
    rules: PathRules = field(default_factory=PathRules)


@dataclass(frozen=True)
class PathStatus:
    """A valid path and the statuses of its certificates, target first, the anchor left out."""

    path: CertificatePath
    statuses: tuple[Status, ...]

    @property
    def good(self) -> bool:
        return all(one.standing is Standing.GOOD for one in self.statuses)

    @property
    def worst(self) -> Standing:
        standings = {one.standing for one in self.statuses}
        return next((one for one in (Standing.REVOKED, Standing.UNKNOWN) if one in standings), Standing.GOOD)


def check_path_status(
    target: x509.Certificate, anchors: Sequence[TrustAnchor], question: Question
) -> PathStatus | NoPath:
    """V1, V2: the first path whose statuses are all good, else the first with a revocation, else the first at all."""
    return _judge(target, anchors, question, ())


def crl_signers(anchor: TrustAnchor, question: Question) -> CrlSigners:
    """V3 for paths that end at ``anchor``; what is found is kept for as long as the object lives."""
    return _PathCrlSigners(anchor, question, ())


def _judge(
    target: x509.Certificate,
    anchors: Sequence[TrustAnchor],
    question: Question,
    judging: tuple[x509.Certificate, ...],
) -> PathStatus | NoPath:
    found: list[PathStatus] = []
    failure: NoPath | None = None
    for one in valid_paths(target, question.pool, anchors, question.at, question.rules):
        if isinstance(one, NoPath):
            failure = one
            break
        status = PathStatus(one, _statuses(one, question, judging))
        if status.good:
            return status
        found.append(status)
    if not found:
        return failure or NoPath(())
    return next((one for one in found if one.worst is Standing.REVOKED), found[0])


def _statuses(path: CertificatePath, question: Question, judging: tuple[x509.Certificate, ...]) -> tuple[Status, ...]:
    statuses: list[Status] = []
    signers = _PathCrlSigners(path.anchor, question, judging)
    recency = Recency(question.at, after_use=False)
    for depth in range(len(path.certificates) - 2, -1, -1):
        certificate, issuer = path.certificates[depth], path.certificates[depth + 1]
        if certificate in judging and depth > 0:
            statuses.append(Status(Standing.UNKNOWN, None, ()))
            continue
        signers.judging = (*judging, certificate)
        findings = examine(
            certificate, issuer, question.evidence, question.now, question.rules.algorithms, signers=signers
        )
        statuses.append(status_of(findings, recency))
    return tuple(reversed(statuses))


class _PathCrlSigners:
    """`crl_check.CrlSigners`: ``judging`` are the certificates whose status is being asked for, outermost first."""

    def __init__(self, anchor: TrustAnchor, question: Question, judging: tuple[x509.Certificate, ...]) -> None:
        self._anchor, self._question, self.judging = anchor, question, judging
        self._known: dict[tuple[NameKey, tuple[x509.Certificate, ...]], tuple[x509.Certificate, ...]] = {}

    def named(self, name: x509.Name) -> Sequence[x509.Certificate]:
        """Certificates of this name, with cRLSign, that pass V1 and V2."""
        if len(self.judging) > _MOST_NESTED:
            return ()
        asked = (name_key(name), self.judging)
        if asked not in self._known:
            candidates = [one for one in self._question.pool if subject_key(one) == asked[0] and _may_sign_lists(one)]
            self._known[asked] = tuple(one for one in _distinct(candidates)[:_MOST_SIGNERS] if self._stands(one))
        return self._known[asked]

    def _stands(self, candidate: x509.Certificate) -> bool:
        if candidate in self.judging:
            return False
        judged = _judge(candidate, (self._anchor,), self._question, self.judging)
        return isinstance(judged, PathStatus) and judged.good


def _may_sign_lists(certificate: x509.Certificate) -> bool:
    try:
        usage = extension_of(certificate, x509.KeyUsage)
    except Exception:  # extensions that cannot be read
        return False
    return usage is not None and usage.crl_sign


def _distinct(certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    return list(dict.fromkeys(certificates))
