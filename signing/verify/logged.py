"""Whether the signer's certificate stands in the issuance log (docs/decisions/0007), by a proof that travels with it.

    L1  the bundle names a log: its key, and the witnesses that must have cosigned
    L2  the signature carries a proof                                                            LOG-MISSING
    L3  one proof at least is good: signed, witnessed, included, and its leaf opens to this
        certificate and to the label of its subject (`foundation.log_proof`)                     LOG-…

Whoever publishes the bundle decides whether a proof is required of certificates below its anchors. Where it is not,
what is found is told and does not weigh: anybody can take an unsigned attribute away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from foundation.log_proof import RULES, InclusionProof, LogProofInvalid, check_inclusion
from foundation.signed_note import NoteInvalid, NoteKey
from signing.verify.model import Reason, ReliedOn, SubIndication, indeterminate, noted

DOCUMENT = "document"


@dataclass(frozen=True)
class LogRequirement:
    """The logs that a bundle trusts. ``keys`` and ``witnesses``: verifier keys as C2SP signed-note writes them.

    ``quorum``: how many of the witnesses must have cosigned. ``required``: certificates without a proof do not pass.
    """

    keys: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()
    quorum: int = 0
    required: bool = False

    def problem(self) -> bool:
        """Whether this cannot be: a key that is none, a quorum that nobody can reach, a proof required of no log."""
        try:
            keys = [NoteKey.parse(one) for one in (*self.keys, *self.witnesses)]
        except NoteInvalid:
            return True
        distinct = len({key.public_key for key in keys}) == len(keys)
        return not distinct or not 0 <= self.quorum <= len(self.witnesses) or (self.required and not self.keys)


def judge_logged(
    certificate: x509.Certificate, proofs: Sequence[bytes], logs: LogRequirement, subject: str
) -> tuple[tuple[Reason, ...], tuple[ReliedOn, ...]]:
    """L1-L3. ``proofs`` are octets from the document; nothing is raised for what they hold."""
    if not logs.keys:
        return (), ()
    broken: str | None = None
    for octets in proofs:
        rule = _first_objection(certificate, octets, logs)
        if rule is None:
            digest = hashlib.sha256(octets).hexdigest()
            reason = noted("LOG-PROVED", "camtrust decision 0007", "verify_log_proved")
            return (reason,), (ReliedOn("log-proof", "signer", subject, DOCUMENT, digest),)
        broken = broken or rule
    if broken is None:
        rule, key = "LOG-MISSING", "verify_log_missing"
    else:
        rule, key = broken, "verify_log_bad"
    clause = RULES.get(rule, "camtrust decision 0007")
    if not logs.required:
        return (noted(rule, clause, key),) if broken else (), ()
    return (indeterminate(rule, clause, key, SubIndication.CHAIN_CONSTRAINTS_FAILURE),), ()


def _first_objection(certificate: x509.Certificate, octets: bytes, logs: LogRequirement) -> str | None:
    """The rule that speaks against a proof under every one of the logs; None where it is good under one."""
    try:
        proof = InclusionProof.parse(octets)
    except (LogProofInvalid, ValueError):
        return "LOG-FORM"
    witnesses = [NoteKey.parse(one) for one in logs.witnesses]
    objection: str | None = None
    for key in logs.keys:
        findings = check_inclusion(proof, NoteKey.parse(key), certificate, witnesses, logs.quorum)
        if not findings:
            return None
        objection = objection or findings[0].rule
    return objection
