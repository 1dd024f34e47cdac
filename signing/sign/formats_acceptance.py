"""Our own check of what was made in another format than PDF, before anybody gets it: by the verifier that all use.

SIGN-OUT-READ      it is read as the format that was asked for, with exactly one signature
SIGN-OUT-FIELD     by exactly the signer's certificate
SIGN-OUT-SIGNATURE nothing speaks against it but what a signature of its level cannot know yet
SIGN-OUT-LEVEL     it carries itself what its level asks for, under the roots that it was made under
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from signing.errors import SignatureNotAccepted
from signing.forms import Form, Packaging
from signing.model import Level
from signing.sign.envelope import Job
from signing.verify.model import Indication
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file

# what cannot be known below B-LT, where neither status nor the certificates above a timestamping unit are inside
_NOT_YET_KNOWN = {"REV-UNKNOWN", "PATH-NO-ISSUER"}


def accept(
    signed: bytes, job: Job, form: Form, level: Level, above_unit: Sequence[x509.Certificate], now: datetime
) -> None:
    """All checks above; SignatureNotAccepted names the first that does not pass."""
    roots = [job.signatory.chain[-1], *above_unit[-1:]]
    trust = build_trust(None, frozenset(), roots, now, STRICT)
    outside = job.data if form.packaging is Packaging.DETACHED else None
    verdict = verify_file(signed, job.name, trust, now, STRICT, detached=outside)
    _require("SIGN-OUT-READ", verdict.format is not None and len(verdict.signatures) == 1)
    (found,) = verdict.signatures
    own = job.signatory.certificate.fingerprint(hashes.SHA256()).hex()
    _require("SIGN-OUT-FIELD", found.signer is not None and found.signer.sha256 == own)
    every = (*verdict.reasons, *found.reasons)
    against = {reason.rule for reason in every if reason.indication is not Indication.TOTAL_PASSED}
    complete = level.includes(Level.B_LT)
    _require("SIGN-OUT-SIGNATURE", against <= (set() if complete else _NOT_YET_KNOWN))
    if complete:
        _require("SIGN-OUT-LEVEL", found.level == level.value)


def _require(check: str, holds: bool) -> None:
    if not holds:
        raise SignatureNotAccepted(check=check)
