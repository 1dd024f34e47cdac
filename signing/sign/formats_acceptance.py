"""Our own check of what was made in another format than PDF, before anybody gets it: by the verifier that all use.

SIGN-OUT-READ      it is read as the format that was asked for, with exactly the signatures that were made,
                   and those that were there
SIGN-OUT-FIELD     by exactly the signers' certificates
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
    signed: bytes, jobs: Sequence[Job], form: Form, level: Level, above_unit: Sequence[x509.Certificate], now: datetime
) -> None:
    """All checks above; SignatureNotAccepted names the first that does not pass. ``jobs``: one for each signer."""
    roots = [*(one.signatory.chain[-1] for one in jobs), *above_unit[-1:]]
    trust = build_trust(None, frozenset(), roots, now, STRICT)
    outside = jobs[0].data if form.packaging is Packaging.DETACHED else None
    verdict = verify_file(signed, jobs[0].name, trust, now, STRICT, detached=outside)
    own = {one.signatory.certificate.fingerprint(hashes.SHA256()).hex() for one in jobs}
    mine = [one for one in verdict.signatures if one.signer is not None and one.signer.sha256 in own]
    added = form.packaging is not None and form.packaging.adds
    _require("SIGN-OUT-READ", verdict.format is not None and (added or len(verdict.signatures) == len(jobs)))
    _require("SIGN-OUT-FIELD", {one.signer.sha256 for one in mine if one.signer is not None} == own)
    broken = (one.indication is Indication.TOTAL_FAILED for one in verdict.signatures)
    _require("SIGN-OUT-SIGNATURE", not any(broken))  # who signed before may be unknown here, but not false
    every = (*verdict.reasons, *(reason for one in mine for reason in one.reasons))
    against = {reason.rule for reason in every if reason.indication is not Indication.TOTAL_PASSED}
    complete = level.includes(Level.B_LT)
    _require("SIGN-OUT-SIGNATURE", against <= (set() if complete else _NOT_YET_KNOWN))
    if complete:
        _require("SIGN-OUT-LEVEL", all(one.level == level.value for one in mine))


def _require(check: str, holds: bool) -> None:
    if not holds:
        raise SignatureNotAccepted(check=check)
