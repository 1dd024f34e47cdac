"""Object identifiers of our own: each number once, with its one meaning (docs/object-identifiers.md).

``2.999`` is the example arc (ITU-T X.660): nothing below it is assigned, so nothing of ours can be taken for real.
Cambodia's own arc is 2.16.116; a production profile names policies below an arc that was assigned to its operator. What
stands behind ``.9`` is no policy and stays in production too: software reads it, and no law.
"""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLE = "2.999"
ARC = f"{EXAMPLE}.116"

NUMBERS: Mapping[str, str] = {
    "1.1": "policy: certificate that a citizen signs with; the level of assurance stands below",
    "1.1.1": "policy: … at the level low",
    "1.1.2": "policy: … at the level substantial",
    "1.1.3": "policy: … at the level high",
    "1.2": "policy: organisation's seal",
    "1.3": "policy: officer's certificate",
    "1.4": "policy: certificate that a citizen logs in with",
    "1.5": "policy: certificate that an organisation logs in with",
    "1.9": "policy: organisation's seal of the sandbox, which no verifier passes",
    "2.1": "policy: certificate of a timestamping unit",
    "2.2": "policy: timestamp token",
    "3.1": "policy: OCSP responder, of the root or of an issuing CA",
    "3.2": "policy: signer of CMP messages",
    "4.1": "policy: licensed CA of another organisation",
    "5.1": "policy: CamDX member that signs",
    "5.2": "policy: CamDX member that authenticates",
    "6.1": "policy: TLS server",
    "9.1": "certificate extension: statement for people, as that of twin roots; critical, processed by nobody",
    "9.2": "CMS attribute: second message of a hybrid seal",
    "9.3": "JWS header: second signer of a hybrid seal",
    "9.4": "CMS attribute, JSON member and XML namespace: proof of the issuance log beside a signature",
}
"""What each number stands for. One that was used is never used again for anything else."""

SANDBOX_SEAL_POLICY = f"{ARC}.1.9"
LOG_PROOF = f"{ARC}.9.4"
LOG_PROOF_BEFORE = f"{ARC}.9.1"
"""What stood there until each number had one meaning: read in signatures of before, and not written any more."""
PARALLEL_MESSAGE = f"{ARC}.9.2"
PARALLEL_SIGNER = f"{ARC}.9.3"
STATEMENT = f"{ARC}.9.1"


def is_example(dotted: str) -> bool:
    """Whether an identifier lies below the example arc, so that no policy of it may be used in production."""
    return dotted == EXAMPLE or dotted.startswith(f"{EXAMPLE}.")
