"""A certificate that ends soon: reminders, and a new one without a gap. Check: EKYC-RENEWAL.

The person asks in their own session with both factors. The document must still stand, and the base registry is asked
again: who died, or is not found as before, is not renewed. A new key is made and certified under the decision that
approved the person; when it can sign, the certificate before is revoked as superseded (RFC 5280 §5.3.1), and not
earlier. Evidence that is older than the policy permits is not renewed: an officer sees the person
(`ekyc.authenticators.recovery`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from sqlalchemy import ColumnElement, select, update

from ekyc import store
from ekyc.approval import carries_until
from ekyc.casefile import CaseFiles
from ekyc.contacts.telling import Telling
from ekyc.corrections import store as correction_store
from ekyc.documents.lost import LostDocuments
from ekyc.errors import DocumentExpired, DocumentReportedLost, PersonDeceased, RegistryNoMatch
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.issuance import IssuanceDesk
from ekyc.lifecycle_errors import RenewalNeedsProofing, RenewalTooEarly
from ekyc.model import Enrolment, State
from ekyc.policy import Renewal
from ekyc.ports import VITAL_STATUS, Cause, CertificateIssuer, FieldOutcome, Registry, RegistryOutcome
from ekyc.recall.desk import exchange_digest
from ekyc.registry.match import query_of
from foundation.http.actor import Actor
from foundation.keys.port import Factors

_AT_ONCE = 100
_BEING_RENEWED = (State.KEY_GENERATED, State.CERTIFICATE_ISSUED, State.SUSPENDED)


class RenewalDesk:
    """Reminds, renews, and takes back what was renewed."""

    def __init__(
        self,
        files: CaseFiles,
        issuance: IssuanceDesk,
        registry: Registry,
        issuer: CertificateIssuer,
        factors: Factors,
        lost: LostDocuments,
        telling: Telling,
    ) -> None:
        self._files, self._issuance, self._registry = files, issuance, registry
        self._issuer, self._factors, self._lost, self._telling = issuer, factors, lost, telling

    def renew(
        self, actor: Actor, enrolment_id: str, pin: str, totp: str, *, if_version: int | None = None
    ) -> Enrolment:
        """A new key and certificate; the one before is superseded. Interrupted, ``certificate`` goes on with it.

        Raises RenewalTooEarly, RenewalNeedsProofing, DocumentExpired, DocumentReportedLost, RegistryUnavailable,
        RegistryNoMatch, PersonDeceased, and what the token says of the factors and the CA of the certificate.
        """
        files, now = self._files, self._files.clock.now()
        enrolment = files.begin(actor, enrolment_id, State.ACTIVATED, if_version=if_version)
        rules = self._rules()
        opens = self._ends(actor, enrolment) - timedelta(days=rules.days_before)
        if now < opens:
            raise RenewalTooEarly(date=f"{opens:%Y-%m-%d}")
        self._is_fresh(enrolment, rules, now)
        self._document_stands(enrolment, now)
        self._factors.check(enrolment.person_id, pin, totp)
        enrolment = self._ask_registry(actor, enrolment)
        self._issuance.renew_key(str(actor), enrolment)
        renewed = self._issuance.certificate(actor, enrolment.id)
        self.resume(only=renewed.id)
        return renewed

    def remind(self) -> int:
        """Tell whoever's certificate ends soon, once for each of the policy's days; gives how many were told."""
        rules = self._files.policy.renewal
        return 0 if rules is None else sum(self._remind(days) for days in sorted(rules.reminders))

    def resume(self, *, only: str | None = None) -> int:
        """Revoke what was superseded, once the new certificate can sign; gives how many there were."""
        waiting = store.enrolments.c.superseded_serial.is_not(None)
        ready: ColumnElement[bool] = store.enrolments.c.state.not_in([state.value for state in _BEING_RENEWED])
        query = select(store.enrolments.c.id).where(waiting & ready).limit(_AT_ONCE)
        if only is not None:
            query = query.where(store.enrolments.c.id == only)
        with self._files.database.read() as connection:
            found = [store.load(connection, one) for one in connection.execute(query).scalars()]
        for enrolment in found:
            serial = str(enrolment.superseded_serial)
            with self._files.database.read() as connection:
                renamed = correction_store.renamed(connection, enrolment.id, serial)
            self._issuer.revoke_citizen(serial, Cause.RENAMED if renamed else Cause.SUPERSEDED)
            with self._files.step(enrolment) as connection:
                store.change(connection, enrolment, {"superseded_serial": None})
        return len(found)

    def _rules(self) -> Renewal:
        rules = self._files.policy.renewal
        if rules is None:
            raise RenewalNeedsProofing
        return rules

    def _ends(self, actor: Actor, enrolment: Enrolment) -> datetime:
        certificate = self._issuance.issued(actor, enrolment.id).certificate
        return x509.load_der_x509_certificate(certificate).not_valid_after_utc

    def _is_fresh(self, enrolment: Enrolment, rules: Renewal, now: datetime) -> None:
        """Raises RenewalNeedsProofing where the decision is older than the policy permits, or there is no document."""
        ledger = self._files.ledger(enrolment)
        decided = latest(ledger, EvidenceKind.DECISION)
        if latest(ledger, EvidenceKind.DOCUMENT) is None:  # vouched for: provisional, and never more than once
            raise RenewalNeedsProofing
        if decided is None or decided.at + timedelta(days=rules.proofing_days) <= now:
            raise RenewalNeedsProofing

    def _document_stands(self, enrolment: Enrolment, now: datetime) -> None:
        with self._files.database.read() as connection:
            shown = self._files.open(connection, enrolment, EvidenceKind.DOCUMENT)
        until = carries_until(shown, now)
        if until is not None and until <= now:
            raise DocumentExpired
        if self._lost.holds(shown["document_type"].rsplit("/", 1)[-1], shown["document_number"]):
            raise DocumentReportedLost

    def _ask_registry(self, actor: Actor, enrolment: Enrolment) -> Enrolment:
        """The enrolment with the registry's answer of now in its ledger. Raises what :meth:`renew` says."""
        files = self._files
        answer = self._registry.match(query_of(files, enrolment))
        died = answer.fields.get(VITAL_STATUS) is FieldOutcome.MISMATCH
        outcome = "deceased" if died else answer.outcome.value
        fields = {name: value.value for name, value in answer.fields.items()}
        sealed = files.seal(enrolment, EvidenceKind.REGISTRY, {"fields": fields, "reference": answer.reference})
        facts = {"exchange": exchange_digest(answer.reference), "for": "renewal"}
        with files.step(enrolment) as connection:
            files.record(connection, enrolment, EvidenceKind.REGISTRY, outcome, sealed, str(actor), facts)
            asked = files.touch(connection, enrolment)
        if died:
            raise PersonDeceased
        if answer.outcome is RegistryOutcome.NO_MATCH:
            raise RegistryNoMatch(left=0)
        if answer.outcome is RegistryOutcome.REVIEW:
            raise RenewalNeedsProofing
        return asked

    def _remind(self, days: int) -> int:
        files, table = self._files, store.enrolments
        now = files.clock.now()
        soon = (table.c.certificate_ends_at > now) & (table.c.certificate_ends_at <= now + timedelta(days=days))
        untold = table.c.reminded_days.is_(None) | (table.c.reminded_days > days)
        query = select(table.c.id).where((table.c.state == State.ACTIVATED.value) & soon & untold).limit(_AT_ONCE)
        with files.database.read() as connection:
            people = [store.load(connection, one) for one in connection.execute(query).scalars()]
        for enrolment in people:
            params = {"days": str(max(1, (_end(enrolment) - now).days))}
            notices = self._telling.everyone(enrolment, "notice_certificate_ends", params)
            with files.step(enrolment) as connection:
                self._telling.post(connection, notices)
                connection.execute(update(table).where(table.c.id == enrolment.id).values(reminded_days=days))
                files.audit.append(connection, "service:ekyc", "ekyc.reminded", enrolment.id, {"days": days})
        return len(people)


def _end(enrolment: Enrolment) -> datetime:
    assert enrolment.certificate_ends_at is not None  # noqa: S101 - the query asked for those that have one
    return enrolment.certificate_ends_at
