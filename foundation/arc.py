"""Object identifiers of our own: each number once, with its one meaning (docs/object-identifiers.md).

``2.999`` is the example arc (ITU-T X.660): nothing below it is assigned, so nothing of ours can be taken for real.
Cambodia's own arc is 2.16.116; a production installation has its policies below an arc that was assigned to its
operator (:func:`below`), each under the number that it has here. What stands behind ``.9`` is no policy and stays in
production too: software reads it, and no law. So does the sandbox's policy, which is an example everywhere.
"""

from __future__ import annotations

import re
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

TIMESTAMP_POLICY = f"{ARC}.2.2"
SANDBOX_SEAL_POLICY = f"{ARC}.1.9"
LOG_PROOF = f"{ARC}.9.4"
LOG_PROOF_BEFORE = f"{ARC}.9.1"
"""What stood there until each number had one meaning: read in signatures of before, and not written any more."""
PARALLEL_MESSAGE = f"{ARC}.9.2"
PARALLEL_SIGNER = f"{ARC}.9.3"
STATEMENT = f"{ARC}.9.1"


_DOTTED = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,9}))+")
_SHORTEST, _LONGEST, _LARGEST = 4, 20, 2**31 - 1  # numbers in an arc; the largest number that every reader takes
_REGISTRIES = ("1.3.6.1.4.1",)  # hand out numbers below themselves, and are nobody's
_STANDARDS = ("0.4.0", "1.3.6.1.5", "2.5", "2.23")  # ETSI, the Internet's, X.500, international organisations


def checked_arc(dotted: str) -> str:
    """An arc that policies can stand below, as it was given. ValueError says why one cannot be.

    An example arc is one too; whether it may be used is for whoever asks (:func:`is_example`).
    """
    if not _DOTTED.fullmatch(dotted):
        raise ValueError("it is no object identifier in dotted form")
    numbers = [int(one) for one in dotted.split(".")]
    if len(numbers) > _LONGEST or max(numbers) > _LARGEST or (numbers[0] < 2 and numbers[1] > 39):
        raise ValueError("it is no object identifier that every reader takes")
    if is_example(dotted):
        return dotted
    if len(numbers) < _SHORTEST or dotted in _REGISTRIES:
        raise ValueError("it is too short to have been assigned to one operator")
    if any(dotted == one or dotted.startswith(f"{one}.") for one in _STANDARDS):
        raise ValueError("standards have their own numbers there")
    return dotted


def below(arc: str, dotted: str) -> str:
    """A policy of ours under ``arc``: the same number below it. Policies of others (as anyPolicy), the sandbox's and
    what software reads (``.9``) stay as they are."""
    number = dotted.removeprefix(f"{ARC}.")
    if number == dotted or dotted == SANDBOX_SEAL_POLICY or number.startswith("9."):
        return dotted
    return f"{arc}.{number}"


def is_example(dotted: str) -> bool:
    """Whether an identifier lies below the example arc, so that no policy of it may be used in production."""
    return dotted == EXAMPLE or dotted.startswith(f"{EXAMPLE}.")
