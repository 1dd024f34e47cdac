"""A person who has lost every factor, and is known again: an officer who sees them lets them start from APPROVED.

The certificate is revoked, the key destroyed in the token together with the factors, every session ended; what was
verified about the person stays. Each of these can be done again, so a request that was cut off is repeated. The new
session token is for the person who stands there; key and certificate will be new ones, under the same person id. They
do not sign before `ekyc.authenticators.cool_off` has ended.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from ekyc import store
from ekyc.authenticators.cool_off import CoolOffDesk
from ekyc.casefile import CaseFiles
from ekyc.evidence.record import EvidenceKind
from ekyc.model import RECOVERABLE, Enrolment, State
from ekyc.ports import Cause, CertificateIssuer, Sessions
from ekyc.review.desk import ReviewDesk
from foundation.http.actor import Actor
from foundation.keys.errors import FactorsNotEnrolled
from foundation.keys.factors import PersonFactors


class Loss(StrEnum):
    """What has become of the factors."""

    LOST = "lost"
    STOLEN = "stolen"  # somebody else may have them: the certificate is revoked as compromised


@dataclass(frozen=True)
class Recovered:
    """The enrolment as it is now, and a session for the person."""

    enrolment: Enrolment
    session_token: str


class RecoveryDesk:
    """The way back in."""

    def __init__(
        self,
        files: CaseFiles,
        review: ReviewDesk,
        factors: PersonFactors,
        issuer: CertificateIssuer,
        sessions: Sessions,
        cool_off: CoolOffDesk,
    ) -> None:
        self._files, self._review, self._factors, self._cool_off = files, review, factors, cool_off
        self._issuer, self._sessions = issuer, sessions

    def recover(self, officer: Actor, enrolment_id: str, loss: Loss, *, if_version: int | None = None) -> Recovered:
        """The officer has the person before them. Raises EnrolmentUnknown, WrongState, SelfReview, StaleWrite, and
        what issuer and token raise; then it can be repeated.
        """
        files = self._files
        with files.database.read() as connection:
            enrolment = store.load(connection, enrolment_id)
        files.check(enrolment, *RECOVERABLE, if_version=if_version)
        self._review.not_their_own(officer, enrolment)
        with files.database.unit_of_work() as connection:
            files.audit.append(connection, str(officer), "ekyc.recovery_begun", enrolment.id, {"loss": loss.value})
        if enrolment.certificate_serial is not None:
            self._issuer.revoke_citizen(
                enrolment.certificate_serial, Cause.COMPROMISED if loss is Loss.STOLEN else Cause.SUPERSEDED
            )
        with suppress(FactorsNotEnrolled):
            self._factors.lose_factors(enrolment.person_id)
        self._sessions.close_all(enrolment.person_id)
        sealed = files.seal(enrolment, EvidenceKind.FACTOR, {"loss": loss.value})
        beginning = self._cool_off.prepare(enrolment)
        with files.step(enrolment) as connection:
            facts = {"kind": loss.value, "method": "in-person"}
            files.record(connection, enrolment, EvidenceKind.FACTOR, "lost", sealed, str(officer), facts)
            self._cool_off.begin(connection, beginning)
            moved = files.advance(
                connection,
                enrolment,
                State.APPROVED,
                str(officer),
                key_id=None,
                certificate_serial=None,
                credential_id=None,
                expires_at=files.clock.now() + timedelta(days=files.settings.enrolment_days),
            )
        return Recovered(moved, self._sessions.open(moved.person_id))
