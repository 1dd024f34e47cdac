"""The registration authority: requests that two different officers approve, renewal, and revocation by its holders.

RA-OTHER    whoever asked does not decide, under no actor of theirs
RA-ONCE     an officer decides once about a request
RA-TWO      two approvals, of two different persons, before anything is signed
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.base64url import typable
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError, Kind
from foundation.http.actor import Actor, ActorKind
from foundation.randomness import Randomness
from foundation.vault import Vault
from foundation.x509.csr import read_csr
from foundation.x509.names import name_pairs, subject_name
from issuing_ca.config import BULK_REVOCATION
from issuing_ca.dns_names import dns_names
from issuing_ca.drafts import CITIZEN_AUTH, CITIZEN_SIGN
from issuing_ca.errors import (
    BulkApprovalRequired,
    CertificateUnknown,
    DecisionRefused,
    HolderReasonRefused,
    KeyNotTheirs,
    ProfileRefused,
    QueryChanged,
    QueryEmpty,
    RaRequestUnknown,
    TransitionRefused,
)
from issuing_ca.key_checks import check_public_key
from issuing_ca.model import (
    ISSUING,
    CertificateRecord,
    CertificateRequest,
    CertificateState,
    IssuedCertificate,
    Reason,
)
from issuing_ca.ports import HolderFactors, LoginApprovals, OfficerPersons
from issuing_ca.ra import store
from issuing_ca.ra.model import (
    HOLDER_REASONS,
    LIFETIME,
    ApprovalReason,
    BulkProgress,
    CertificateApplication,
    CertificateQuery,
    Decision,
    Matching,
    RejectionReason,
    RequestState,
    serials_digest,
)
from issuing_ca.service import BY_REQUEST, CertificateAuthority

APPROVALS = 2
_VAULT_OWNER = "service:ra"
_SHOWN = 20
_AT_ONCE = 200


class Registration:
    """The use cases of the registration authority."""

    def __init__(
        self,
        ca: CertificateAuthority,
        database: Database,
        vault: Vault,
        clock: Clock,
        randomness: Randomness,
        audit: AuditTrail,
        persons: OfficerPersons,
        factors: HolderFactors,
        approvals: LoginApprovals,
    ) -> None:
        self.ca = ca
        self._database = database
        self._vault = vault
        self._clock = clock
        self._randomness = randomness
        self._audit = audit
        self._persons = persons
        self._factors = factors
        self._approvals = approvals

    # --- requests -------------------------------------------------------------------------------------------------

    def request(
        self,
        actor: Actor,
        profile: str,
        csr: bytes,
        subject: Sequence[tuple[str, str]],
        owner: str,
        not_after: datetime | None = None,
        names: Sequence[str] = (),
        authority: str = ISSUING,
    ) -> IssuedCertificate | CertificateApplication:
        """A certificate at once, or, where the profile asks for two officers, a request that waits for them.

        Raises AuthorityUnknown, ProfileRefused, CsrInvalid, KeyRefused, NameInvalid, DnsNameRefused, and from issuing.
        """
        if profile not in self.ca.settings.two_officers:
            return self.ca.issue_for_request(profile, csr, subject, owner, str(actor), not_after, authority, names)
        if profile not in BY_REQUEST:
            raise ProfileRefused(profile=profile)
        self.ca.authorities.get(authority)
        request = read_csr(csr)
        check_public_key(request.public_key())
        now = self._clock.now()
        one = CertificateApplication(
            id=typable(self._randomness, 15),
            authority=authority,
            profile=profile,
            csr=request.public_bytes(Encoding.DER),
            subject=name_pairs(subject_name(subject)),
            dns_names=dns_names(names),
            owner=owner,
            not_after=not_after,
            requested_by=str(actor),
            requested_at=now,
            expires_at=now + LIFETIME,
            state=RequestState.PENDING,
            serial=None,
            failure=None,
        )
        with self._database.unit_of_work() as connection:
            store.add(connection, one)
            self._audit.append(connection, str(actor), "issuing_ca.ra_requested", one.id, {"profile": profile})
        return one

    def renew(
        self, actor: Actor, serial: str, csr: bytes, not_after: datetime | None = None
    ) -> IssuedCertificate | CertificateApplication:
        """The same names, profile and CA again, for the key of the CSR: the old one (renewal) or another (rekey).

        Of a certificate that is good or has run out, never of one that is revoked or on hold.
        Raises CertificateUnknown, TransitionRefused, and what :meth:`request` raises.
        """
        record = self.ca.certificate(serial)
        if record.state is not CertificateState.ISSUED or record.certificate is None:
            raise TransitionRefused(state=record.state.value, wanted="renewal")
        certificate = x509.load_der_x509_certificate(record.certificate)
        try:
            alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            names = alternative.get_values_for_type(x509.DNSName)
        except x509.ExtensionNotFound:
            names = []
        pairs = name_pairs(certificate.subject)
        return self.request(actor, record.profile, csr, pairs, record.owner, not_after, names, record.authority)

    def show(self, request_id: str) -> CertificateApplication:
        """A request with its history. Raises RaRequestUnknown."""
        with self._database.read() as connection:
            one = store.request(connection, request_id)
            rows = store.decisions_of(connection, request_id)
        if one is None:
            raise RaRequestUnknown
        return replace(one.at(self._clock.now()), decisions=tuple(self._decision(row) for row in rows))

    def list(self, after: str | None, limit: int, state: RequestState | None) -> tuple[CertificateApplication, ...]:
        """Requests in the order of their ids, without history."""
        with self._database.read() as connection:
            return store.page(connection, after, limit, state, self._clock.now())

    def approve(
        self, actor: Actor, request_id: str, reason: ApprovalReason, comment: str | None = None
    ) -> CertificateApplication:
        """One officer's approval; with the second one the certificate is issued.

        Asked again once both are there, issues what a failure of ours left unissued.
        Raises RaRequestUnknown, DecisionRefused (naming the rule), TransitionRefused.
        """
        now, sealed = self._clock.now(), self._sealed(request_id, comment)
        with self._database.unit_of_work() as connection:
            one = self._open(connection, actor, request_id, now, RequestState.PENDING, RequestState.APPROVED)
            given = {row.officer for row in store.decisions_of(connection, request_id) if row.approves}
            if one.state is RequestState.PENDING:
                if any(self.same_person(str(actor), officer) for officer in given):
                    raise DecisionRefused(rule="RA-ONCE" if str(actor) in given else "RA-TWO")
                if not store.decide(connection, request_id, str(actor), True, reason.value, sealed, now):
                    raise DecisionRefused(rule="RA-ONCE")
                self._audit.append(
                    connection, str(actor), "issuing_ca.ra_approved", request_id, {"reason": reason.value}
                )
                if len(given) + 1 < APPROVALS:
                    return self._reread(connection, request_id)
                store.move(connection, request_id, RequestState.PENDING, RequestState.APPROVED, now)
            elif str(actor) not in given:
                raise DecisionRefused(rule="RA-ONCE")
        return self._issue(request_id)

    def reject(
        self, actor: Actor, request_id: str, reason: RejectionReason, comment: str | None = None
    ) -> CertificateApplication:
        """One rejection ends a request; whoever asked may withdraw it.

        Raises RaRequestUnknown, DecisionRefused, TransitionRefused.
        """
        now, sealed = self._clock.now(), self._sealed(request_id, comment)
        with self._database.unit_of_work() as connection:
            own = (found := store.request(connection, request_id)) is not None and str(actor) in found.askers
            if own != (reason is RejectionReason.WITHDRAWN):
                raise DecisionRefused(rule="RA-OTHER")
            self._open(connection, actor, request_id, now, RequestState.PENDING, own=own)
            if not store.decide(connection, request_id, str(actor), False, reason.value, sealed, now):
                raise DecisionRefused(rule="RA-ONCE")
            store.move(connection, request_id, RequestState.PENDING, RequestState.REJECTED, now)
            self._audit.append(connection, str(actor), "issuing_ca.ra_rejected", request_id, {"reason": reason.value})
        return self.show(request_id)

    def _open(
        self,
        connection: Any,
        actor: Actor,
        request_id: str,
        now: datetime,
        *states: RequestState,
        own: bool = False,
    ) -> CertificateApplication:
        one = store.request(connection, request_id, lock=True)
        if one is None:
            raise RaRequestUnknown
        if one.state not in states or (one.state is RequestState.PENDING and one.expires_at <= now):
            raise TransitionRefused(state=one.state.value, wanted="decision")
        if not own and any(self.same_person(str(actor), asker) for asker in one.askers):
            raise DecisionRefused(rule="RA-OTHER")
        return one

    def same_person(self, one: str, other: str) -> bool:
        """Whether two actors are the same, or the same enrolled person under two names."""
        if one == other:
            return True
        persons = [self._persons.person_of(actor.partition(":")[2]) for actor in (one, other)]
        return persons[0] is not None and persons[0] == persons[1]

    def _issue(self, request_id: str) -> CertificateApplication:
        one = self.show(request_id)
        evidence = hashlib.sha256(f"ra request {one.id}".encode()).hexdigest()
        state, values = RequestState.ISSUED, dict[str, Any]()
        record = self._of_evidence(one.owner, evidence)
        if record is not None:
            values = {"serial": record.serial}
        else:
            try:
                issued = self.ca.issue_now(
                    CertificateRequest(
                        authority=one.authority,
                        profile=one.profile,
                        subject=one.subject,
                        public_key=one.key(),
                        owner=one.owner,
                        requested_by=one.requested_by,
                        not_after_limit=one.not_after,
                        evidence=evidence,
                        dns_names=one.dns_names,
                    )
                )
                values = {"serial": issued.serial}
            except CamTrustError as error:
                if error.kind not in (Kind.INVALID, Kind.CONFLICT, Kind.FORBIDDEN):
                    raise  # of ours: it stays approved, and is asked again
                state, values = RequestState.FAILED, {"failure": error.code}
        with self._database.unit_of_work() as connection:
            store.move(connection, one.id, RequestState.APPROVED, state, self._clock.now(), **values)
        return self.show(request_id)

    def _of_evidence(self, owner: str, evidence: str) -> CertificateRecord | None:
        query = CertificateQuery(owner=owner, evidence=evidence)
        with self._database.read() as connection:
            found = store.serials(connection, query)
        return self.ca.certificate(found[0]) if found else None

    def _reread(self, connection: Any, request_id: str) -> CertificateApplication:
        one = store.request(connection, request_id)
        if one is None:
            raise RaRequestUnknown
        return replace(one, decisions=tuple(self._decision(row) for row in store.decisions_of(connection, request_id)))

    def _sealed(self, request_id: str, comment: str | None) -> bytes | None:
        return self._vault.seal(_VAULT_OWNER, f"ra:{request_id}", comment.encode()) if comment else None

    def _decision(self, row: Any) -> Decision:
        comment = None
        if row.comment is not None:
            comment = self._vault.open(_VAULT_OWNER, f"ra:{row.request}", bytes(row.comment)).decode()
        return Decision(row.officer, row.approves, row.reason, comment, row.at)

    # --- holders --------------------------------------------------------------------------------------------------

    def own(self, person: Actor) -> tuple[CertificateRecord, ...]:
        """A person's own certificates, the first 200."""
        return self.ca.certificates(None, 200, None, person.id)

    def revoke_own(self, person: Actor, serial: str, reason: Reason, pin: str, totp: str) -> CertificateRecord:
        """A holder revokes or suspends, with both factors. A certificate of others is as unknown as one that never was.

        Raises CertificateUnknown, HolderReasonRefused, TransitionRefused, and what checking the factors raises.
        """
        record = self.ca.certificate(serial)
        if person.kind is not ActorKind.PERSON or record.owner != person.id:
            raise CertificateUnknown
        if reason not in HOLDER_REASONS:
            raise HolderReasonRefused
        self._factors.check(person.id, pin, totp)
        return self.ca.revoke(serial, reason, str(person))

    def issue_own(self, person: Actor, csr: bytes, pin: str, totp: str) -> IssuedCertificate:
        """A citizen-auth certificate for a key on the person's own device, with both factors.

        Names, level and evidence are what the registration authority approves for it; the end is that of the person's
        good citizen-sign certificate. Raises CsrInvalid, CertificateUnknown (nothing to go by), KeyNotTheirs,
        ApprovalRefused, and what the factors and issuing raise.
        """
        request = read_csr(csr)
        now = self._clock.now()
        standing = [
            record
            for record in self.ca.certificates(None, 200, CertificateState.ISSUED, person.id)
            if record.profile == CITIZEN_SIGN and record.not_before <= now < record.not_after and record.certificate
        ]
        if person.kind is not ActorKind.PERSON or not standing:
            raise CertificateUnknown
        newest = max(standing, key=lambda record: record.not_after)
        held = [x509.load_der_x509_certificate(record.certificate or b"").public_key() for record in standing]
        if request.public_key() in held:
            raise KeyNotTheirs  # the token's key signs documents and nothing else
        self._factors.check(person.id, pin, totp)
        key = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        approved = self._approvals.approve_login(person.id, key)
        policy = None if approved is None else self.ca.settings.policies.get(approved.level)
        if approved is None or policy is None:
            raise CertificateUnknown
        return self.ca.issue_now(
            CertificateRequest(
                authority=self.ca.settings.citizens,
                profile=CITIZEN_AUTH,
                subject=approved.subject,
                public_key=request.public_key(),
                owner=person.id,
                requested_by=str(person),
                not_after_limit=newest.not_after,
                evidence=approved.evidence,
                policies=(policy,),
                approval=approved.document,
            )
        )

    # --- many at once ---------------------------------------------------------------------------------------------

    def matching(self, query: CertificateQuery) -> Matching:
        """What a bulk revocation would revoke: a dry run. Raises QueryEmpty."""
        if query.empty:
            raise QueryEmpty
        with self._database.read() as connection:
            found = store.serials(connection, query)
        return Matching(
            len(found), serials_digest(found), tuple(self.ca.certificate(serial) for serial in found[:_SHOWN])
        )

    def revoke_matching(
        self, actor: Actor, query: CertificateQuery, reason: Reason, digest: str, most: int = _AT_ONCE
    ) -> BulkProgress:
        """Revoke up to ``most`` of what a query finds, for good. ``digest``: that of the dry run, and then that of each
        answer, so that what is revoked is what was seen. The CRLs are made anew once for all of them.

        Raises BulkApprovalRequired where it takes two officers (`issuing_ca.ra.proposals`), QueryEmpty, QueryChanged,
        HolderReasonRefused, and what revoking raises.
        """
        if BULK_REVOCATION in self.ca.settings.two_officers:
            raise BulkApprovalRequired
        if query.empty:
            raise QueryEmpty
        if reason in (Reason.CERTIFICATE_HOLD, Reason.REMOVE_FROM_CRL):
            raise HolderReasonRefused
        with self._database.read() as connection:
            found = store.serials(connection, query)
        if serials_digest(found) != digest:
            raise QueryChanged
        authorities = {self.ca.revocation.revoke(serial, reason, str(actor)).authority for serial in found[:most]}
        for name in authorities:
            self.ca.lists.current(name)
        return BulkProgress(len(found[:most]), len(found[most:]), serials_digest(found[most:]))
