"""CAdES signatures over documents (EN 319 122-1), the document inside or beside: read, and handed on to be judged.

    C9   the certificates, CRLs and OCSP responses of SignedData are material, believed only under their own signatures
    C10  an archive-time-stamp-v3 is over the document, the signature, and what its hash index names; all that it names
         is here (EN 319 122-1 §5.5)                                                          TST-IMPRINT

    C11  a signature that announces another one beside it stands beside exactly that one, which announces it (RFC 5752
         §4.6): a parallel signature cannot be taken away                                       CMS-PARALLEL
    C12  counter signatures (RFC 5652 §11.4) are over the value of the signature that they stand in, and are judged
         like any other                                                                         CMS-COUNTER

Each signer has a verdict, and all have to hold. A message that is not in DER has no archive timestamps, parallel or
counter signatures that count: what they are over could not be told again octet for octet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from hashlib import new as new_hash

from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509.status_evidence import Evidence, EvidenceKind, read_evidence
from signing.cms_parts import (
    ARCHIVE_TIMESTAMP_V3,
    COUNTER_SIGNATURE,
    HASH_INDEX_V3,
    SIGNATURE_TIMESTAMP,
    CmsParts,
)
from signing.parallel_signatures import names
from signing.verify.cms import (
    DATA,
    CmsMalformed,
    SignedMessage,
    check_message,
    read_counter_signature,
    read_messages,
)
from signing.verify.model import (
    Reason,
    SignatureKind,
    SignatureVerdict,
    SubIndication,
    failed,
    indeterminate,
    noted,
)
from signing.verify.policy import Policy
from signing.verify.signature import Claim, DigestOf, Known, Stamp, case_of, judge
from signing.verify.signature_value import other_content
from signing.verify.standing import DOCUMENT, Case
from signing.verify.trust import Trust

_MAX_ARCHIVE = 20
_MAX_COUNTERS, _MAX_DEPTH = 20, 4
ALGORITHM_NAMES = {
    "2.16.840.1.101.3.4.3.17": "ML-DSA-44",
    "2.16.840.1.101.3.4.3.18": "ML-DSA-65",
    "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
    "1.2.840.10045.4.3.2": "ECDSA",
    "1.2.840.10045.4.3.3": "ECDSA",
    "1.2.840.10045.4.3.4": "ECDSA",
    "1.2.840.113549.1.1.10": "RSA-PSS",
    "1.2.840.113549.1.1.11": "RSA",
    "1.2.840.113549.1.1.12": "RSA",
    "1.2.840.113549.1.1.13": "RSA",
}


def judge_messages(
    data: bytes, trust: Trust, at: datetime, policy: Policy, detached: bytes | None, field: str = "-"
) -> tuple[SignatureVerdict, ...]:
    """The verdicts on a CMS message, signer by signer; ``detached``: the document, where it is not inside. Raises
    CmsMalformed for what is none."""
    messages = read_messages(data)
    parts = _split(data, len(messages))
    called = [field] if len(messages) == 1 else [f"{field}#{number}" for number in range(1, len(messages) + 1)]
    found: list[SignatureVerdict] = []
    for number, message in enumerate(messages):
        own = parts[number]
        verdict = _judged(own, message, trust, at, policy, detached, called[number])
        found.append(verdict.with_reasons(tuple(parallel_reasons(number, messages, parts))))
        if own is not None:
            found.extend(_countersigned(own, message, trust, at, policy, called[number], 1))
    return tuple(found)


def _judged(
    parts: CmsParts | None,
    message: SignedMessage,
    trust: Trust,
    at: datetime,
    policy: Policy,
    detached: bytes | None,
    field: str,
) -> SignatureVerdict:
    """The verdict on one signer."""
    base = SignatureVerdict(SignatureKind.SIGNATURE, field, ())
    content = message.content if message.content is not None else detached
    if content is None:
        clause, sub = "EN 319 102-1 §5.2.7", SubIndication.SIGNED_DATA_NOT_FOUND
        return base.with_reasons((indeterminate("CMS-DETACHED", clause, "verify_detached", sub),))
    if message.content is not None and detached not in (None, content):
        return base.with_reasons((other_content("CMS-DETACHED"),))
    octets = content

    @cache  # archive timestamps ask for it again
    def digest_of(name: str) -> bytes:
        return new_hash(name, octets).digest()

    claim = claim_of(message, digest_of, policy, parts)
    return judge(_case(parts, message, trust, at, policy), base, claim, Known(at))


def _case(parts: CmsParts | None, message: SignedMessage, trust: Trust, at: datetime, policy: Policy) -> Case:
    evidence = evidence_of(parts.ocsps, parts.crls) if parts else ()
    return case_of(at, policy, trust, message.certificates, evidence)


def parallel_reasons(
    number: int, messages: Sequence[SignedMessage], parts: Sequence[CmsParts | None]
) -> Iterator[Reason]:
    """C11, for the signature of this number among those that stand side by side."""
    if not messages[number].announces:
        return
    own = parts[number]
    for other, beside in enumerate(parts):
        if other == number or own is None or beside is None:
            continue
        if _announces(own, beside, messages[other]) and _announces(beside, own, messages[number]):
            algorithm = ALGORITHM_NAMES.get(messages[other].signature_algorithm, messages[other].signature_algorithm)
            yield noted("CMS-PARALLEL", "RFC 5752 §4.6", "verify_parallel", algorithm=algorithm)
            return
    yield failed("CMS-PARALLEL", "RFC 5752 §4.6", "verify_parallel_missing", SubIndication.FORMAT_FAILURE)


def _announces(own: CmsParts, other: CmsParts, message: SignedMessage) -> bool:
    return any(names(own, other, one.public_bytes(Encoding.DER)) for one in message.candidates)


def _countersigned(
    parts: CmsParts, message: SignedMessage, trust: Trust, at: datetime, policy: Policy, field: str, depth: int
) -> Iterator[SignatureVerdict]:
    """C12, counter signatures on counter signatures included."""

    def digest_of(name: str) -> bytes:
        return new_hash(name, parts.signature).digest()

    for number, octets in enumerate(parts.of_kind(COUNTER_SIGNATURE)[:_MAX_COUNTERS], 1):
        called = f"{field}/counter-{number}"
        base = SignatureVerdict(SignatureKind.COUNTER_SIGNATURE, called, ())
        try:
            if depth > _MAX_DEPTH:
                raise CmsMalformed
            counter, own = read_counter_signature(octets, message.certificates), parts.counter_signed(octets)
        except (CmsMalformed, ValueError, IndexError):
            sub = SubIndication.FORMAT_FAILURE
            yield base.with_reasons((failed("CMS-COUNTER", "RFC 5652 §11.4", "verify_format_failure", sub),))
            continue
        claim = claim_of(counter, digest_of, policy, None, None)
        note = noted("CMS-COUNTER", "RFC 5652 §11.4", "verify_counter", field=field)
        yield judge(_case(own, counter, trust, at, policy), base, claim, Known(at)).with_reasons((note,))
        yield from _countersigned(own, counter, trust, at, policy, called, depth + 1)


def claim_of(
    message: SignedMessage,
    digest_of: DigestOf,
    policy: Policy,
    parts: CmsParts | None = None,
    content_type: str | None = DATA,
) -> Claim:
    """Step 3 for a CMS signature (`cms`), and the timestamps that it carries (EN 319 122-1 §5.3, §5.5).

    ``parts``: the same message in its elements; without them its archive timestamps are not looked at.
    ``content_type`` None: a counter signature."""
    check = check_message(message, digest_of, content_type, policy)

    def imprint(name: str) -> bytes:
        return new_hash(name, message.signature).digest()

    archive = _archive(parts, digest_of) if parts else ()

    def stamp(kind: bytes, token: bytes, over: DigestOf) -> Stamp:
        covering = (number for number, one in enumerate(archive) if (kind, token) in one.attributes)
        return Stamp(token, over, frozenset(covering))

    return Claim(
        check.signer,
        check.reasons,
        message.signing_time,
        tuple(stamp(SIGNATURE_TIMESTAMP, token, imprint) for token in message.timestamp_tokens),
        tuple(stamp(ARCHIVE_TIMESTAMP_V3, one.token, one.digest_of) for one in archive),
        archive_complete=bool(archive) and archive[-1].complete,
        log_proofs=message.log_proofs,
    )


def evidence_of(ocsps: Iterable[bytes], crls: Iterable[bytes]) -> tuple[Evidence | None, ...]:
    """Status from the document, read and not believed."""
    return (
        *(read_evidence(EvidenceKind.OCSP, one, DOCUMENT) for one in ocsps),
        *(read_evidence(EvidenceKind.CRL, one, DOCUMENT) for one in crls),
    )


def _split(data: bytes, count: int) -> tuple[CmsParts | None, ...]:
    try:
        found = CmsParts.split(data)
    except ValueError:
        return (None,) * count
    return found if len(found) == count else (None,) * count


class _Archived:
    """One archive timestamp: its token, what it has to be over, and what it covers besides the signature.

    A hash index that is none, or that names what is not here, gives an imprint that no token has.
    """

    def __init__(self, token: bytes, parts: CmsParts, content_digest: Callable[[str], bytes]) -> None:
        self.token, self._parts, self._content_digest = token, parts, content_digest
        self.attributes: tuple[tuple[bytes, bytes], ...] = ()
        self.complete = False
        self._index: bytes | None = None
        try:
            (index,) = CmsParts.parse(token).of_kind(HASH_INDEX_V3)
            covered = parts.covered(index)
        except (ValueError, IndexError):
            return
        self._index, self.attributes, self.complete = index, covered.attributes, covered.evidence

    def digest_of(self, name: str) -> bytes:
        if self._index is None:
            return b""
        return self._parts.archive_imprint(name, self._content_digest(name), self._index)


def _archive(parts: CmsParts, digest_of: DigestOf) -> tuple[_Archived, ...]:
    """The archive timestamps in the order in which they cover each other, the oldest first."""
    found = [_Archived(token, parts, digest_of) for token in parts.of_kind(ARCHIVE_TIMESTAMP_V3)[:_MAX_ARCHIVE]]
    found.sort(key=lambda one: sum(kind == ARCHIVE_TIMESTAMP_V3 for kind, _ in one.attributes))
    return tuple(found)
