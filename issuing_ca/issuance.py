"""Issuance in two steps, joined by a one-use token.

*prepare* reserves the serial number, lints the certificate under a dummy signature and writes the intent down;
*issue* redeems the token by compare-and-set and signs exactly the octets that were linted. The token is bound to those
octets, so whoever changes them in the database has no token for them. What a crash leaves is an orphan, by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite
from foundation.keys.handles import public_key
from foundation.keys.port import KeyInfo
from foundation.randomness import Randomness
from foundation.x509.profile import Profile
from foundation.x509.template import unsigned_certificate
from issuing_ca import issuance_store, status_journal, store
from issuing_ca.approvals import Approvals
from issuing_ca.authorities import Authorities
from issuing_ca.config import IssuingCaSettings
from issuing_ca.drafts import CITIZEN_SIGN, Draft, Drafts
from issuing_ca.errors import IssuanceMismatch, IssuanceTokenInvalid, KeyNotTheirs, RequestRefused, TransitionRefused
from issuing_ca.group_commit import GroupCommit
from issuing_ca.issuance_batch import SIGNING_TIME, IssuanceBatch
from issuing_ca.log import IssuanceLog
from issuing_ca.model import (
    CertificateRequest,
    CertificateState,
    CitizenRequest,
    IssuedCertificate,
    Orphan,
    PreparedCertificate,
    Reason,
)
from issuing_ca.ports import AttestedKeys

_MOST = 256  # certificates in one unit of work


class Issuance:
    """Certificates: prepare, issue, and what is left when that is cut short."""

    def __init__(
        self,
        database: Database,
        keys: AttestedKeys,
        authorities: Authorities,
        profiles: Mapping[str, Profile],
        clock: Clock,
        randomness: Randomness,
        audit: AuditTrail,
        settings: IssuingCaSettings,
        log: IssuanceLog | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._authorities = authorities
        self._clock = clock
        self._randomness = randomness
        self._audit = audit
        self._settings = settings
        self._approvals = Approvals(clock, settings)
        self._drafts = Drafts(keys, authorities, profiles, clock, randomness, settings)
        self._batch = IssuanceBatch(database, authorities, clock, audit, log)
        self._group = GroupCommit(self._batch.issue, most=_MOST)
        self.templates = self._drafts.templates

    def prepare(self, request: CertificateRequest) -> PreparedCertificate:
        """Check, lint and reserve; gives the one-use token that has the certificate signed.

        Raises ProfileUnknown, ProfileRefused, KeyRefused, KeyInUse, KeyNotTheirs, RequestRefused, AuthorityUnknown,
        AuthorityNotInstalled, ApprovalRefused, and the refusals of `foundation.x509` (NameInvalid, ProfileMismatch,
        LintFailed).
        """
        draft = self._drafts.draft(request)
        secret = self._randomness.bytes(32).hex()
        expires = self._clock.now() + self._settings.issuance_token_validity
        token_digest = _token_digest(secret, draft.row["tbs_digest"])
        [refusal] = self._batch.reserve([draft], CertificateState.PREPARED, expires, token_digest)
        if refusal is not None:
            raise refusal
        return PreparedCertificate(draft.serial, f"{draft.serial}.{secret}", expires)

    def issue(self, token: str) -> IssuedCertificate:
        """Redeem the token: sign what was linted, verify it, store it.

        Raises IssuanceTokenInvalid, IssuanceMismatch, ApprovalRefused, and the key store's errors; the token is used up
        in any case.
        """
        serial, _, secret = token.partition(".")
        now = self._clock.now()
        with self._database.unit_of_work() as connection:
            row = issuance_store.prepared_row(connection, serial)
            if row is None or row.token_expires is None or row.token_expires <= now:
                raise IssuanceTokenInvalid
            if row.state != CertificateState.PREPARED.value:
                raise IssuanceTokenInvalid
            if row.token_digest != _token_digest(secret, row.tbs_digest):
                raise IssuanceTokenInvalid
            try:
                store.move(
                    connection,
                    serial,
                    CertificateState.PREPARED,
                    CertificateState.SIGNING,
                    token_digest=None,
                    token_expires=now + SIGNING_TIME,
                )
            except StaleWrite:
                raise IssuanceTokenInvalid from None
        known = {"tbs_digest": row.tbs_digest, "requested_by": row.requested_by}
        draft = Draft(serial, self._authorities.get(row.authority), row.tbs, known, reserved=True)
        self._hold(draft)
        return self._group.do(draft)

    def issue_now(self, request: CertificateRequest) -> IssuedCertificate:
        """Both steps at once, for whoever holds the approval already. Raises what both raise."""
        return self._issue_now(request, None)

    def _issue_now(self, request: CertificateRequest, info: KeyInfo | None) -> IssuedCertificate:
        return self._group.do(self._drafts.draft(request, info))

    def issue_many(self, requests: Sequence[CertificateRequest]) -> list[IssuedCertificate | Exception]:
        """Many at once, of any profiles: for each request its certificate, or what :meth:`issue_now` would raise.

        They share their commits and their round trip to the token; one's failure is its own.
        """
        made = [self._drafted(request) for request in requests]
        drafts = [one for one in made if isinstance(one, Draft)]
        issued = [
            outcome
            for start in range(0, len(drafts), _MOST)
            for outcome in self._batch.issue(drafts[start : start + _MOST])
        ]
        following = iter(issued)
        return [next(following) if isinstance(one, Draft) else one for one in made]

    def _drafted(self, request: CertificateRequest) -> Draft | Exception:
        try:
            return self._drafts.draft(request)
        except Exception as error:
            return error

    def issue_citizen(self, request: CitizenRequest, authority: str = "issuing") -> IssuedCertificate:
        """A citizen's certificate for the key in the token that is theirs (proof of possession: the token owns it).

        Raises KeyNotTheirs, RequestRefused (level, evidence), ApprovalRefused, and what :meth:`issue_now` raises.
        """
        policy = self._settings.policies.get(request.level)
        if policy is None:
            raise RequestRefused(field="level")
        if not request.person_id:
            raise RequestRefused(field="person_id")
        info = self._keys.get(request.key_id)
        if info.owner != request.person_id:
            raise KeyNotTheirs
        return self._issue_now(
            CertificateRequest(
                authority=authority,
                profile=CITIZEN_SIGN,
                subject=self._settings.naming.subject(
                    request.person_id, request.surname, request.given_name, request.khmer_name
                ),
                public_key=public_key(info),
                owner=request.person_id,
                requested_by=request.requested_by,
                key_id=request.key_id,
                not_after_limit=request.not_after_limit,
                evidence=request.evidence,
                policies=(policy,),
                approval=request.approval,
            ),
            info,
        )

    def orphans(self) -> tuple[Orphan, ...]:
        """Serial numbers whose certificate did not come out and no longer can. Start-up and doctor name them."""
        with self._database.read() as connection:
            return store.orphans(connection, self._clock.now())

    def abandon(self, serial: str, actor: str) -> None:
        """Close an orphan. One that may have been signed is revoked, whether or not its certificate is anywhere.

        Raises CertificateUnknown, TransitionRefused.
        """
        if serial not in {orphan.serial for orphan in self.orphans()}:
            with self._database.read() as connection:
                state = store.certificate(connection, serial).state
            raise TransitionRefused(state=state.value, wanted=CertificateState.ABANDONED.value)
        with self._database.unit_of_work() as connection:
            record = store.certificate(connection, serial, lock=True)
            if record.state is CertificateState.SIGNING:
                wanted, values = (
                    CertificateState.REVOKED,
                    {"revoked_at": self._now(), "reason": Reason.UNSPECIFIED.value},
                )
            else:
                wanted, values = CertificateState.ABANDONED, {}
            store.move(connection, serial, record.state, wanted, tbs=None, token_digest=None, **values)
            if wanted is CertificateState.REVOKED:
                status_journal.record(connection, record.authority, serial, wanted, Reason.UNSPECIFIED, self._now())
            self._audit.append(connection, actor, "issuing_ca.orphan_closed", serial, {"state": wanted.value})

    def _hold(self, draft: Draft) -> None:
        """What was prepared has been in the database since: a citizen's certificate is held against its approval."""
        try:
            if hashlib.sha256(draft.tbs).hexdigest() != draft.row["tbs_digest"]:
                raise IssuanceMismatch
            unsigned = unsigned_certificate(draft.tbs, self._authorities.signer(draft.authority).algorithm)
            with self._database.read() as connection:
                self._approvals.hold(connection, draft.serial, unsigned)
        except Exception as error:
            self._batch.refuse(draft, error)
            raise

    def _now(self) -> datetime:
        return self._clock.now().replace(microsecond=0)


def _token_digest(secret: str, tbs_digest: str) -> str:
    return hashlib.sha256(f"{secret}.{tbs_digest}".encode()).hexdigest()
