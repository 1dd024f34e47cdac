"""Starting an enrolment, consenting, leaving, and what happens to those that nobody finishes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.documents.images import blob_key
from ekyc.errors import EnrolmentUnknown, LevelNotHigher, LevelUnknown, WithdrawTooLate
from ekyc.evidence.record import EvidenceKind
from ekyc.model import RAISABLE, TRANSITIONS, Enrolment, State
from ekyc.policy import Level
from ekyc.ports import Blobs, Sessions
from ekyc.terms import Acceptance, Terms, check_acceptance
from foundation.db.engine import StaleWrite
from foundation.http.actor import Actor

_SWEEP = 100


@dataclass(frozen=True)
class Started:
    """A new enrolment, and the token of the session that may go on with it: given once, kept nowhere."""

    enrolment: Enrolment
    session_token: str


class EnrolmentDesk:
    """Start, consent, withdraw; expiry and erasure."""

    def __init__(self, files: CaseFiles, sessions: Sessions, blobs: Blobs) -> None:
        self._files = files
        self._blobs = blobs
        self._sessions = sessions

    @property
    def terms(self) -> Terms:
        """What must be accepted, as it is in force."""
        return self._files.terms

    def start(self, level: str, language: str) -> Started:
        """A new enrolment of a new, opaque person. Raises LevelUnknown."""
        enrolment = self._files.create(level, language)
        return Started(enrolment, self._sessions.open(enrolment.person_id))

    def show(self, actor: Actor, enrolment_id: str | None = None) -> Enrolment:
        """The caller's own enrolment. Raises EnrolmentUnknown."""
        return self._files.of_person(actor, enrolment_id)

    def destruction(self, enrolment_id: str) -> bytes:
        """The token's certificate that the keys of this enrolment's person were destroyed, for whoever knows its id:
        the person's session is gone with the rest. Raises EnrolmentUnknown before there is one.
        """
        with self._files.database.read() as connection:
            certificate = store.load(connection, enrolment_id).destruction
        if certificate is None:
            raise EnrolmentUnknown
        return certificate

    def consent(
        self, actor: Actor, enrolment_id: str, acceptance: Acceptance, *, if_version: int | None = None
    ) -> Enrolment:
        """Accept purpose and subscriber agreement. Raises TermsOutdated unless it is what is in force."""
        enrolment = self._files.begin(actor, enrolment_id, State.DRAFT, if_version=if_version)
        check_acceptance(self.terms, acceptance)
        consent = {"purpose": acceptance.purpose, "version": acceptance.consent_version}
        agreement = {"version": acceptance.agreement_version, "digest": acceptance.agreement_digest}
        records = [
            (kind, facts, self._files.seal(enrolment, kind, facts))
            for kind, facts in ((EvidenceKind.CONSENT, consent), (EvidenceKind.AGREEMENT, agreement))
        ]
        with self._files.step(enrolment) as connection:
            for kind, facts, sealed in records:
                self._files.record(connection, enrolment, kind, "accepted", sealed, str(actor), facts)
            return self._files.advance(connection, enrolment, State.CONSENTED, str(actor))

    def raise_level(self, actor: Actor, enrolment_id: str, level: str, *, if_version: int | None = None) -> Started:
        """Go on at a level that asks for more; what was shown stays. Every session ends, and a new one begins.

        Raises LevelUnknown, LevelNotHigher, WrongState (it is decided on, or about to be).
        """
        files = self._files
        enrolment = files.begin(actor, enrolment_id, *RAISABLE, if_version=if_version)
        wanted, present = files.policy.level(level), files.policy.level(enrolment.level)
        if not wanted.offered:
            raise LevelUnknown
        if not _asks_for_more(wanted, present):
            raise LevelNotHigher
        with files.step(enrolment) as connection:
            raised = store.change(connection, enrolment, {"level": level})
            details = {"from": enrolment.level, "to": level}
            files.audit.append(connection, str(actor), "ekyc.level_raised", enrolment.id, details)
        return self.new_session(raised)

    def new_session(self, enrolment: Enrolment) -> Started:
        """End every session of the person and open one: whoever held the one before is left behind (fixation)."""
        self._sessions.close_all(enrolment.person_id)
        return Started(enrolment, self._sessions.open(enrolment.person_id))

    def withdraw(self, actor: Actor, enrolment_id: str, *, if_version: int | None = None) -> Enrolment:
        """Leave before a key is made: all personal data is destroyed, every session ends. Repeating it is safe.

        Raises WithdrawTooLate once there is a key or a decision against: then other rules hold (revocation, appeal).
        """
        enrolment = self._files.of_person(actor, enrolment_id)
        if enrolment.state is not State.WITHDRAWN:
            self._files.check(enrolment, if_version=if_version)
            if State.WITHDRAWN not in TRANSITIONS[enrolment.state]:
                raise WithdrawTooLate
            with self._files.step(enrolment) as connection:
                enrolment = self._files.advance(
                    connection, enrolment, State.WITHDRAWN, str(actor), reason="reason_withdrawn", subject_index=None
                )
        return self.erase(enrolment)

    def sweep(self) -> int:
        """Expire what nobody finished and complete erasures that were interrupted; gives how many changed."""
        now, expirable = self._files.clock.now(), [s for s in State if State.EXPIRED in TRANSITIONS[s]]
        with self._files.database.read() as connection:
            late = store.due(connection, expirable, now, _SWEEP)
        changed = 0
        for enrolment in late:
            try:
                self._files.expire(enrolment)
                changed += 1
            except StaleWrite:
                continue  # its person went on just now
        with self._files.database.read() as connection:
            unfinished = store.to_erase(connection, _SWEEP)
        for enrolment in unfinished:
            self.erase(enrolment)
        return changed + len(unfinished)

    def erase(self, enrolment: Enrolment) -> Enrolment:
        """Destroy the person's keys, then say so. Killed in between, it is done again: destroying twice is safe.

        What was claimed for the person is free again: they can enrol anew.
        """
        if enrolment.erased_at is not None:
            return enrolment
        self._sessions.close_all(enrolment.person_id)
        certificate = self._files.vault.destroy(enrolment.person_id)
        for record in self._files.ledger(enrolment):
            if record.kind is EvidenceKind.IMAGE:
                self._blobs.delete(blob_key(record.facts["image"]))
        with self._files.step(enrolment) as connection:
            store.forget_messages(connection, enrolment.person_id, enrolment.id)
            values = {"erased_at": self._files.clock.now(), "subject_index": None, "destruction": certificate}
            erased = store.change(connection, enrolment, values, claimed_index=None, namesake_index=None)
            details = {"certificate": hashlib.sha256(certificate).hexdigest()}
            self._files.audit.append(connection, "service:ekyc", "ekyc.erased", enrolment.id, details)
        return erased


def _asks_for_more(wanted: Level, present: Level) -> bool:
    """A level is higher if it has a certificate where the other has none, or else by the arc of its OID."""
    if wanted.policy_oid is None or present.policy_oid is None:
        return wanted.policy_oid is not None and present.policy_oid is None
    return _arc(wanted.policy_oid) > _arc(present.policy_oid)


def _arc(oid: str) -> tuple[int, ...]:
    return tuple(int(part) for part in oid.split("."))
