"""CAdES signatures over documents (EN 319 122-1), the document inside or beside: read, and handed on to be judged."""

from __future__ import annotations

from datetime import datetime
from hashlib import new as new_hash

from signing.verify.cms import DATA, SignedMessage, check_message
from signing.verify.model import SignatureKind, SignatureVerdict, SubIndication, indeterminate
from signing.verify.policy import Policy
from signing.verify.signature import Claim, DigestOf, Known, Stamp, case_of, judge
from signing.verify.trust import Trust


def judge_cms(
    message: SignedMessage, trust: Trust, at: datetime, policy: Policy, detached: bytes | None
) -> SignatureVerdict:
    """The verdict on one CMS signature; ``detached``: the document, where it is not inside."""
    base = SignatureVerdict(SignatureKind.SIGNATURE, "-", ())
    content = message.content if message.content is not None else detached
    if content is None:
        return base.with_reasons(
            (
                indeterminate(
                    "CMS-DETACHED", "EN 319 102-1 §5.2.7", "verify_detached", SubIndication.SIGNED_DATA_NOT_FOUND
                ),
            )
        )
    octets = content
    claim = claim_of(message, lambda name: new_hash(name, octets).digest(), policy)
    return judge(case_of(at, policy, trust, message.certificates), base, claim, Known(at))


def claim_of(message: SignedMessage, digest_of: DigestOf, policy: Policy) -> Claim:
    """Step 3 for a CMS signature (`cms`), and the signature timestamps that it carries (EN 319 122-1 §5.3)."""
    check = check_message(message, digest_of, DATA, policy)

    def imprint(name: str) -> bytes:
        return new_hash(name, message.signature).digest()

    return Claim(
        check.signer,
        check.reasons,
        message.signing_time,
        tuple(Stamp(token, imprint) for token in message.timestamp_tokens),
        log_proofs=message.log_proofs,
    )
