"""A person's authenticators: a passkey as the first factor, what they have, and changes of it.

Nothing is decided here: the token keeps the factors, judges every proof, and lets a factor be changed by a factor only.
"""

from __future__ import annotations

from ekyc.casefile import CaseFiles
from ekyc.contacts.telling import Telling
from ekyc.errors import ChangeUnknown
from ekyc.evidence.record import EvidenceKind
from ekyc.model import CLOSED, ISSUING, Enrolment, State
from foundation.http.actor import Actor
from foundation.keys.activation import Method, Proof
from foundation.keys.errors import ActivationInvalid, FactorsEnrolled
from foundation.keys.factors import ChangeRequest, FactorChange, FactorsOf, PersonFactors

_ENROLLED = (*ISSUING, State.ACTIVATED)


class AuthenticatorDesk:
    """Passkeys, and changes of factors."""

    def __init__(self, files: CaseFiles, factors: PersonFactors, telling: Telling) -> None:
        self._files, self._factors, self._telling = files, factors, telling

    def show(self, actor: Actor) -> FactorsOf:
        """What the caller has."""
        enrolment = self._files.of_person(actor)
        return FactorsOf(frozenset(), ()) if enrolment.state in CLOSED else self._factors.factors_of(actor.id)

    def begin_passkey(self, actor: Actor) -> str:
        """JSON for ``navigator.credentials.create()``: for a first factor, or one to add. PasskeysUnavailable."""
        enrolment = self._files.of_person(actor)
        self._files.check(enrolment, State.APPROVED, *_ENROLLED)
        return self._factors.begin_passkey(enrolment.person_id)

    def bind_passkey(
        self, actor: Actor, enrolment_id: str, response: str, *, if_version: int | None = None
    ) -> Enrolment:
        """Make a passkey the first factor. Raises PasskeyInvalid, ActivationInvalid (asked too long ago)."""
        files = self._files
        enrolment = files.begin(actor, enrolment_id, State.APPROVED, if_version=if_version)
        try:
            self._factors.finish_passkey(enrolment.person_id, response)
        except (FactorsEnrolled, ActivationInvalid):
            # Registered in the token, and killed before it was written down here; otherwise there is nothing.
            if Method.PASSKEY not in self._factors.factors_of(enrolment.person_id).methods:
                raise
        sealed = files.seal(enrolment, EvidenceKind.FACTOR, {"factors": ["passkey"]})
        with files.step(enrolment) as connection:
            files.record(connection, enrolment, EvidenceKind.FACTOR, "bound", sealed, str(actor), {"kind": "passkey"})
            return files.advance(connection, enrolment, State.FACTOR_BOUND, str(actor))

    def ask_change(self, actor: Actor, change: FactorChange, method: Method) -> ChangeRequest:
        """Ask for a change, to be approved by a factor that the caller has. Raises what the token refuses."""
        enrolment = self._files.of_person(actor)
        self._files.check(enrolment, *_ENROLLED)
        return self._factors.prepare_change(enrolment.person_id, change, method)

    def change(self, actor: Actor, change_id: str, proof: Proof, new_code: str | None) -> None:
        """Make the change. ChangeUnknown when the caller asked for none such, or too long ago; PinIncorrect, …"""
        enrolment = self._files.of_person(actor)
        self._files.check(enrolment, *_ENROLLED)
        try:
            self._factors.approve_change(enrolment.person_id, bytes.fromhex(change_id), proof, new_code)
        except ActivationInvalid:
            raise ChangeUnknown from None
        notices = self._telling.everyone(enrolment, "notice_factors_changed")
        with self._files.database.unit_of_work() as connection:
            self._telling.post(connection, notices)
            self._files.audit.append(connection, str(actor), "ekyc.factors_changed", enrolment.id, {})
