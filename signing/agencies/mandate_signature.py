"""The signature over a mandate, verified as anybody would: by the verifier, against the root of the signer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives import hashes

from signing.agencies.errors import MandateNotHeld
from signing.agencies.mandate import NAME
from signing.model import Credential
from signing.verify.model import Indication
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file


def signer_of(credentials: Sequence[Credential], mandate: bytes, signature: bytes, now: datetime) -> str:
    """SHA-256 of the certificate, one of these, that made this detached CAdES signature over the mandate, and nothing
    beside it. Raises MandateNotHeld."""
    own = {one.signatory.certificate.fingerprint(hashes.SHA256()).hex() for one in credentials}
    roots = list(dict.fromkeys(one.signatory.chain[-1] for one in credentials))
    trust = build_trust(None, frozenset(), roots, now, STRICT)
    verdict = verify_file(signature, NAME, trust, now, STRICT, detached=mandate)
    if verdict.indication is not Indication.TOTAL_PASSED or len(verdict.signatures) != 1:
        raise MandateNotHeld
    signer = verdict.signatures[0].signer
    if verdict.format != "CMS" or signer is None or signer.sha256 not in own:
        raise MandateNotHeld
    return signer.sha256
