"""What the issuance log has under a person's label: every certificate in their name, each with its proof.

The label is computed from the person's identifier, as a verifier computes it from a certificate: one that verifies in
their name is under it. What the log has there and the CA does not know as theirs is shown too, without a certificate:
it is what they should ask about.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from foundation.http.actor import Actor
from foundation.log_proof import InclusionProof
from issuing_ca.log import IssuanceLog
from issuing_ca.model import CertificateRecord
from issuing_ca.service import CertificateAuthority

_MOST = 200


@dataclass(frozen=True)
class LoggedAsTheirs:
    """An entry under the person's label. ``record``: the certificate that it opens to; None where it is not theirs."""

    proof: InclusionProof
    record: CertificateRecord | None


class OwnLog:
    """Shows persons what is logged in their name."""

    def __init__(self, ca: CertificateAuthority, log: IssuanceLog) -> None:
        self._ca = ca
        self._log = log

    def subject(self, person: Actor) -> str:
        """What the person's label is made from: the serialNumber in the subject of their certificates."""
        return self._ca.settings.naming.identifier(person.id)

    def of(self, person: Actor) -> tuple[LoggedAsTheirs, ...]:
        """Everything under the person's label, oldest first. Raises what the log raises."""
        records = self._ca.certificates(limit=_MOST, owner=person.id)
        known = {hashlib.sha256(one.certificate).digest(): one for one in records if one.certificate is not None}
        return tuple(
            LoggedAsTheirs(proof, known.get(proof.opening.digest))
            for proof in self._log.of_subject(self.subject(person))
        )
