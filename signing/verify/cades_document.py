"""CAdES signatures over documents (EN 319 122-1), the document inside or beside: read, and handed on to be judged.

    C9   the certificates, CRLs and OCSP responses of SignedData are material, believed only under their own signatures
    C10  an archive-time-stamp-v3 is over the document, the signature, and what its hash index names; all that it names
         is here (EN 319 122-1 §5.5)                                                          TST-IMPRINT

A message that is not in DER has neither: what was timestamped could not be told again octet for octet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from hashlib import new as new_hash

from foundation.x509.status_evidence import Evidence, EvidenceKind, read_evidence
from signing.cms_parts import ARCHIVE_TIMESTAMP_V3, HASH_INDEX_V3, SIGNATURE_TIMESTAMP, CmsParts
from signing.verify.cms import DATA, SignedMessage, check_message
from signing.verify.model import SignatureKind, SignatureVerdict, SubIndication, indeterminate
from signing.verify.policy import Policy
from signing.verify.signature import Claim, DigestOf, Known, Stamp, case_of, judge
from signing.verify.signature_value import other_content
from signing.verify.standing import DOCUMENT
from signing.verify.trust import Trust

_MAX_ARCHIVE = 20


def judge_cms(
    data: bytes,
    message: SignedMessage,
    trust: Trust,
    at: datetime,
    policy: Policy,
    detached: bytes | None,
    field: str = "-",
) -> SignatureVerdict:
    """The verdict on one CMS signature, ``data``; ``detached``: the document, where it is not inside."""
    base = SignatureVerdict(SignatureKind.SIGNATURE, field, ())
    content = message.content if message.content is not None else detached
    if content is None:
        return base.with_reasons(
            (
                indeterminate(
                    "CMS-DETACHED", "EN 319 102-1 §5.2.7", "verify_detached", SubIndication.SIGNED_DATA_NOT_FOUND
                ),
            )
        )
    if message.content is not None and detached not in (None, content):
        return base.with_reasons((other_content("CMS-DETACHED"),))
    octets = content

    @cache  # archive timestamps ask for it again
    def digest_of(name: str) -> bytes:
        return new_hash(name, octets).digest()

    parts = _parts(data)
    claim = claim_of(message, digest_of, policy, parts)
    evidence = evidence_of(parts.ocsps, parts.crls) if parts else ()
    return judge(case_of(at, policy, trust, message.certificates, evidence), base, claim, Known(at))


def claim_of(message: SignedMessage, digest_of: DigestOf, policy: Policy, parts: CmsParts | None = None) -> Claim:
    """Step 3 for a CMS signature (`cms`), and the timestamps that it carries (EN 319 122-1 §5.3, §5.5).

    ``parts``: the same message in its elements; without them its archive timestamps are not looked at."""
    check = check_message(message, digest_of, DATA, policy)

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


def _parts(data: bytes) -> CmsParts | None:
    try:
        return CmsParts.parse(data)
    except ValueError:
        return None


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
