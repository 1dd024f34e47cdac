"""One signature, whatever its format, judged alike: time, certificate, trust, level (steps 4 to 7 of `verdict`).

A format's reader does what only it can: it finds what was signed, checks digest and signature, and identifies the
signer's certificate. What it found is a :class:`Claim`; from there on all formats go the same way.

    4  Time          archive timestamps, from the last to the first; then signature timestamps. A token that an archive
                     timestamp covers is judged at the time that this one proves, any other at the time of verification
    5  Certificate   path, purpose and status of the signer at the proven time (`standing`)
    6  Trust         what is wrong with the bundle weighs on it
    7  Level         B-B, B-T with a proven time, B-LT when the document itself carries all certificates and status,
                     B-LTA when a timestamp covers those too
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509

from foundation.clock import rfc3339
from foundation.x509.status_evidence import Evidence
from signing.verify.bundle import SOURCE
from signing.verify.logged import LogRequirement, judge_logged
from signing.verify.model import (
    Indication,
    Reason,
    ReliedOn,
    SignatureVerdict,
    SubIndication,
    noted,
    worst,
)
from signing.verify.policy import Policy
from signing.verify.standing import DOCUMENT, Case, identity, judge_signer, judge_unit
from signing.verify.timestamps import Timestamp, check_token
from signing.verify.trust import Trust

DigestOf = Callable[[str], bytes]


@dataclass(frozen=True)
class Stamp:
    """A timestamp token that travels with a signature, and the digest of what it has to be about, by a hash's name.

    ``covered_by``: which of the signature's archive timestamps are over this token too, by their number.
    """

    token: bytes
    digest_of: DigestOf
    covered_by: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Claim:
    """What a format's reader found. ``signer`` None: no certificate to judge. ``archive``: the oldest first;
    ``archive_complete``: whether the last of them covers all evidence that the signature carries."""

    signer: x509.Certificate | None
    reasons: tuple[Reason, ...]
    claimed_at: datetime | None = None
    stamps: tuple[Stamp, ...] = ()
    archive: tuple[Stamp, ...] = ()
    archive_complete: bool = True
    log_proofs: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Known:
    """Since when a signature, and everything that travels with it, is known to have existed by what lies around it.
    ``archived``: a timestamp that counts proves it; ``complete``: for its evidence too."""

    at: datetime
    archived: bool = False
    complete: bool = False


def judge(case: Case, base: SignatureVerdict, claim: Claim, known: Known) -> SignatureVerdict:
    """Steps 4 to 7. ``base``: what the verdict says already; ``known``: what lies around the signature proves."""
    verdict = replace(base, claimed_at=claim.claimed_at or base.claimed_at)
    if claim.signer is None:
        return verdict.with_reasons(claim.reasons)
    verdict = replace(verdict, signer=identity(claim.signer)).with_reasons(claim.reasons)
    if worst(claim.reasons)[0] is Indication.TOTAL_FAILED:
        return verdict  # nothing else matters for octets that the signer did not sign
    archive = _archive(case, claim, known)  # step 4
    time = _time(case, claim.stamps, known, archive)
    verdict = verdict.with_reasons((*archive.reasons, *time.reasons))
    used_at = time.proved_at or case.at
    signer = judge_signer(case, claim.signer, used_at, time.proved_at is not None)  # steps 5, 6
    logs = case.trust.logs if signer.anchor == SOURCE else LogRequirement()
    logged, proofs = judge_logged(claim.signer, claim.log_proofs, logs, identity(claim.signer).subject)
    verdict = replace(
        verdict,
        proved_at=time.proved_at,
        relied_on=(*signer.relied_on, *proofs, *time.relied_on, *archive.relied_on),
        specimen=signer.specimen,
    ).with_reasons((*signer.reasons, *logged))
    return replace(
        verdict,
        level=_level(time, signer.embedded, archive.known),  # step 7
    ).with_reasons(specimen_note(signer.specimen))


def specimen_note(specimen: bool) -> tuple[Reason, ...]:
    """What a verdict says of a path with an example policy."""
    return (noted("SPECIMEN", "ITU-T X.660 2.999", "verify_specimen"),) if specimen else ()


def case_of(
    at: datetime,
    policy: Policy,
    trust: Trust,
    certificates: Iterable[x509.Certificate],
    evidence: Iterable[Evidence | None] = (),
) -> Case:
    """What a signature is judged with: its own material beside the trust, each certificate once, within the limits."""
    pool = tuple(dict.fromkeys(certificates))[: policy.max_certificates]
    read = tuple(one for one in evidence if one is not None)[: policy.max_evidence]
    return Case(at, policy, trust, pool, read)


@dataclass(frozen=True)
class _Archive:
    """What the archive timestamps prove; ``times``: of those that hold, by number."""

    reasons: tuple[Reason, ...]
    known: Known
    relied_on: tuple[ReliedOn, ...]
    times: dict[int, datetime]

    def control(self, stamp: Stamp, known: Known) -> datetime:
        """When a token is known to have existed: now, or what those that hold and cover it prove."""
        return min(known.at, *(self.times[one] for one in stamp.covered_by if one in self.times), known.at)


def _archive(case: Case, claim: Claim, known: Known) -> _Archive:
    """The archive timestamps inside a signature (EN 319 122-1 §5.5.3), each judged at what those after it prove."""
    found = _Archive((), known, (), {})
    last = len(claim.archive) - 1
    for number in range(last, -1, -1):
        stamp = claim.archive[number]
        judged = _stamped(case, stamp, found.control(stamp, known))
        found = replace(found, reasons=(*found.reasons, *judged.reasons))
        if judged.time is not None:
            complete = found.known.complete or (number == last and claim.archive_complete)
            found = replace(
                found,
                known=Known(min(found.known.at, judged.time), True, complete),
                relied_on=(*found.relied_on, *judged.relied_on),
                times={**found.times, number: judged.time},
            )
    return found


@dataclass(frozen=True)
class _Time:
    """What is proved about when a signature was made. ``tokens`` counts those that hold."""

    reasons: tuple[Reason, ...]
    proved_at: datetime | None
    relied_on: tuple[ReliedOn, ...]
    tokens: int
    embedded: bool


def _time(case: Case, stamps: Sequence[Stamp], known: Known, archive: _Archive) -> _Time:
    """Step 4: the signature timestamps (EN 319 122-1 §5.3), and what a later timestamp proves."""
    reasons: list[Reason] = []
    relied: list[ReliedOn] = []
    times: list[datetime] = []
    embedded = True
    for stamp in stamps:
        found = _stamped(case, stamp, archive.control(stamp, known))
        reasons.extend(found.reasons)
        if found.time is not None:
            times.append(found.time)
            relied.extend(found.relied_on)
            embedded = embedded and found.embedded
    if archive.known.archived:
        times.append(archive.known.at)
    proved_at = min(times, default=None)
    if proved_at is None and stamps:
        reasons.append(noted("TST-UNUSED", "EN 319 102-1 §5.5", "verify_timestamp_unused"))
    elif proved_at is None:
        reasons.append(noted("TST-NONE", "EN 319 102-1 §5.3", "verify_no_timestamp"))
    else:
        reasons.append(noted("TST-PROOF", "EN 319 102-1 §5.5", "verify_timestamp", when=shown(proved_at)))
    return _Time(tuple(reasons), proved_at, tuple(relied), len(times), embedded)


@dataclass(frozen=True)
class _Stamped:
    """What one token proves: ``time`` None: nothing."""

    reasons: tuple[Reason, ...]
    time: datetime | None = None
    relied_on: tuple[ReliedOn, ...] = ()
    embedded: bool = False


def _stamped(case: Case, stamp: Stamp, control: datetime) -> _Stamped:
    token = check_token(stamp.token, stamp.digest_of, case.policy)
    found: tuple[Reason, ...]
    if isinstance(token, Timestamp):
        # the certificates inside the token help to build its path
        judged = judge_unit(with_certificates(case, token.certificates), token.unit, token.time, control)
        found = judged.reasons
        if worst(found)[0] is Indication.TOTAL_PASSED:
            who = identity(token.unit).subject
            own = ReliedOn("timestamp", "time", who, DOCUMENT, token.sha256, token.time)
            return _Stamped((), token.time, (*judged.relied_on, own), judged.embedded)
    else:
        found = token.reasons
    return _Stamped(tuple(_softened(one, case.policy) for one in found))


def _softened(reason: Reason, policy: Policy) -> Reason:
    """A timestamp that does not hold leaves the time unproven; it does not make the signature a false one."""
    if policy.failed_timestamp_allowed:
        return replace(reason, indication=Indication.TOTAL_PASSED, sub_indication=None)
    if reason.indication is Indication.TOTAL_FAILED:
        return replace(
            reason,
            key="signing.verify_timestamp_failed",
            about=None,
            indication=Indication.INDETERMINATE,
            sub_indication=SubIndication.NO_POE,
        )
    return reason


def _level(time: _Time, embedded: bool, known: Known) -> str:
    """Step 7 (EN 319 142-1 §6, EN 319 122-1 §6, EN 319 132-1 §6, TS 119 182-1 §6)."""
    if time.proved_at is None:
        return "B-B"
    if not (embedded and time.embedded):
        return "B-T"
    return "B-LTA" if known.archived and known.complete else "B-LT"


def with_certificates(case: Case, certificates: Iterable[x509.Certificate]) -> Case:
    """The same with more certificates to build paths from."""
    return replace(case, certificates=tuple(dict.fromkeys((*case.certificates, *certificates))))


def shown(at: datetime) -> str:
    """A time as sentences have it."""
    return rfc3339(at.replace(microsecond=0))
