"""The registration authority's word: what the CA needs before it certifies a person's key (`foundation.approval`).

Before the statement is signed, the decision is judged again from the evidence that is stored, names are read from what
was sealed for this person, and the key is the person's by the token's own attestation. EKYC-APPROVAL.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.decision import Decider
from ekyc.documents.desk import end_of_day
from ekyc.errors import ApprovalImpossible, DecisionNotReproduced, EnrolmentUnknown
from ekyc.model import Enrolment, State
from ekyc.policy import Outcome
from ekyc.ports import AttestedPersonKeys, RegistrationAuthority
from foundation.approval import LIFETIME, Approval
from foundation.citizen_subject import Pairs, subject_digest
from foundation.clock import parse_rfc3339
from foundation.keys.attestation import KeyAttestation, verify
from foundation.keys.port import KeyInfo, KeyUse

DECLARED = "declared"  # the type of a document that there is none of: its holder was vouched for


@dataclass(frozen=True)
class VerifiedName:
    """A person's name as it was verified: Latin as in the document, Khmer canonical where the document has it."""

    surname: str
    given_names: str
    khmer: str | None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> VerifiedName:
        """From the sealed content of a document's record; a passport has no name in Khmer."""
        parts = [document[field]["canonical"] for field in ("surname_km", "given_names_km") if field in document]
        return cls(document["surname"], document["given_names"], " ".join(parts) or None)


def carries_until(document: Mapping[str, Any], now: datetime) -> datetime | None:
    """Until when a document's record carries a certificate at the longest; None: as long as the profile does.

    A declaration carries no further than it says. Where the end of a document is over, the minor of then is of age:
    their card carries on, their passport until it ends itself.
    """
    until = document.get("carries_until")
    if document["document_type"] == DECLARED:
        return parse_rfc3339(str(until))
    if until is None or parse_rfc3339(until) > now:
        return None if until is None else parse_rfc3339(until)
    ends = document["date_of_expiry"] if document["document_type"].startswith("TD3/") else ""
    return end_of_day(date.fromisoformat(ends)) if ends else None


@dataclass(frozen=True)
class LoginApproval:
    """An approved certificate for a key of the person's own device."""

    subject: Pairs
    level: str
    evidence: str
    document: bytes


class ApprovalDesk:
    """Makes approval statements."""

    def __init__(
        self, files: CaseFiles, decider: Decider, keys: AttestedPersonKeys, authority: RegistrationAuthority
    ) -> None:
        self._files = files
        self._decider = decider
        self._keys = keys
        self._authority = authority

    def for_signing(self, enrolment: Enrolment, key: KeyInfo) -> bytes:
        """For the enrolment's key in the token: the signed statement.

        Raises ApprovalImpossible (the decision does not follow from the evidence, or the key is not attested as
        theirs), EvidenceChainBroken, and what the token raises.
        """
        self._check_key(enrolment.person_id, key)
        return self._approve(enrolment, "citizen-sign", key.public_key, key.key_id)[0]

    def for_login(self, person_id: str, public_key: bytes) -> LoginApproval | None:
        """For a key of the person's own device; None for who is no activated person. Raises as above."""
        try:
            with self._files.database.read() as connection:
                enrolment = store.load_of_person(connection, person_id)
        except EnrolmentUnknown:
            return None
        if enrolment.state is not State.ACTIVATED:
            return None
        document, subject, approval = self._approve(enrolment, "citizen-auth", public_key, None)
        return LoginApproval(subject, enrolment.level, approval.evidence, document)

    def _approve(
        self, enrolment: Enrolment, profile: str, public_key: bytes, key_id: str | None
    ) -> tuple[bytes, Pairs, Approval]:
        files = self._files
        evidence = self._judged(enrolment)
        with files.database.read() as connection:
            shown = files.open_identity(connection, enrolment)
        name = VerifiedName.of(shown)
        naming, now = self._authority.naming, files.clock.now().replace(microsecond=0)
        until = carries_until(shown, now)
        if until is not None and until <= now:
            raise ApprovalImpossible(problem="evidence")
        subject = naming.subject(enrolment.person_id, name.surname, name.given_names, name.khmer)
        approval = Approval(
            authority=self._authority.issuer,
            profile=profile,
            person=enrolment.person_id,
            subject=subject_digest(subject),
            public_key=hashlib.sha256(public_key).hexdigest(),
            key_id=key_id,
            level=enrolment.level,
            evidence=evidence,
            not_after=until,
            at=now,
            expires=now + LIFETIME,
            nonce=files.randomness.bytes(32).hex(),
        )
        with files.database.unit_of_work() as connection:
            details = {"profile": profile, "nonce": approval.nonce, "expires": approval.expires.isoformat()}
            files.audit.append(connection, "service:ekyc", "ekyc.approval_signed", enrolment.id, details)
        return self._authority.sign(approval), subject, approval

    def _judged(self, enrolment: Enrolment) -> str:
        """SHA-256 of the decision, which follows from the evidence and is an approval of this level."""
        try:
            decisions = self._decider.replay(enrolment.id)
            levels = [json.loads(one.document)["level"] for one in decisions]
        except (DecisionNotReproduced, ValueError, KeyError, TypeError):
            raise ApprovalImpossible(problem="decision") from None
        if not decisions or decisions[-1].outcome is not Outcome.APPROVED or levels[-1] != enrolment.level:
            raise ApprovalImpossible(problem="decision")
        return hashlib.sha256(decisions[-1].document).hexdigest()

    def _check_key(self, person_id: str, key: KeyInfo) -> None:
        said = verify(self._keys.attest(key.key_id), self._keys.token_key(), KeyAttestation)
        public_key = hashlib.sha256(key.public_key).hexdigest()
        if (said.key_id, said.owner, said.public_key) != (key.key_id, person_id, public_key):
            raise ApprovalImpossible(problem="key")
        if said.use != KeyUse.CITIZEN_SIGN.value or said.exportable or said.origin != "generated":
            raise ApprovalImpossible(problem="key")
