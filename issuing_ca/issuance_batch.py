"""The durable steps of issuance, for one certificate or many at once: intents, signatures, results.

All intents are one unit of work, committed before anything is signed; all signatures are one round trip to the token,
each verified; all results are one unit of work. Where a step fails for many, it is tried for each by itself, so that
one's failure is its own; nothing is tried again where what we need is down. What a crash leaves between two commits
are reserved serial numbers, which :meth:`issuing_ca.issuance.Issuance.orphans` names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from cryptography import x509

from foundation.approval import ApprovalRefused
from foundation.clock import Clock
from foundation.db.audit import Act, AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError, Kind
from foundation.log_proof import subject_of
from foundation.x509.template import algorithm_and_issuer_of, signed_octets
from issuing_ca import approvals, issuance_store, store
from issuing_ca.authorities import Authorities
from issuing_ca.drafts import Draft
from issuing_ca.errors import IssuanceMismatch, KeyInUse
from issuing_ca.log import IssuanceLog
from issuing_ca.model import Authority, CertificateState, IssuedCertificate

SIGNING_TIME = timedelta(minutes=1)  # a signature that has not come out by then never will

Item = TypeVar("Item")
Result = TypeVar("Result")


class IssuanceBatch:
    """Reserves, signs and stores."""

    def __init__(
        self,
        database: Database,
        authorities: Authorities,
        clock: Clock,
        audit: AuditTrail,
        log: IssuanceLog | None = None,
    ) -> None:
        self._database = database
        self._authorities = authorities
        self._clock = clock
        self._audit = audit
        self._log = log

    def issue(self, drafts: Sequence[Draft]) -> list[IssuedCertificate | Exception]:
        """A certificate for each draft, or what came in its way. What is reserved already is not reserved again."""
        outcomes: list[IssuedCertificate | Exception | None] = [None] * len(drafts)
        new = [at for at, draft in enumerate(drafts) if not draft.reserved]
        for at, refusal in zip(new, _together(self.reserve, [drafts[at] for at in new]), strict=True):
            outcomes[at] = refusal
        standing = [at for at, outcome in enumerate(outcomes) if outcome is None]
        for at, outcome in zip(standing, self._finish([drafts[at] for at in standing]), strict=True):
            outcomes[at] = outcome
        return outcomes  # type: ignore[return-value]

    def reserve(
        self,
        drafts: Sequence[Draft],
        state: CertificateState = CertificateState.SIGNING,
        expires: datetime | None = None,
        token_digest: str | None = None,
    ) -> list[KeyInUse | ApprovalRefused | None]:
        """Write the intents down, in one unit of work, and use their approvals up; those whose public key is not theirs
        or whose approval was used are left out and told."""
        now = self._clock.now()
        given = {
            "state": state.value,
            "token_expires": expires or now + SIGNING_TIME,
            "token_digest": token_digest,
            "prepared_at": now,
        }
        with self._database.unit_of_work() as connection:
            claims = [(draft.row["public_key_digest"], draft.row["owner"]) for draft in drafts]
            refused = issuance_store.claim_public_keys(connection, claims)
            used = approvals.redeem(connection, [one for at, one in enumerate(drafts) if at not in refused], now)
            kept = [one for at, one in enumerate(drafts) if at not in refused and one.serial not in used]
            issuance_store.add_certificates(connection, [{**draft.row, **given} for draft in kept])
            self._audit.append_many(connection, [_prepared(draft) for draft in kept])
        return [
            KeyInUse() if at in refused else ApprovalRefused(rule="APPROVAL-USED") if one.serial in used else None
            for at, one in enumerate(drafts)
        ]

    def refuse(self, draft: Draft, error: Exception) -> None:
        """Close a reserved serial number whose certificate is not to be signed."""
        self._stored([(draft, error)])

    # --- steps ----------------------------------------------------------------------------------------------------

    def _finish(self, drafts: Sequence[Draft]) -> list[IssuedCertificate | Exception]:
        signed = dict[int, bytes | Exception]()
        for name in dict.fromkeys(draft.authority.name for draft in drafts):
            of_one = [at for at, draft in enumerate(drafts) if draft.authority.name == name]
            for at, made in zip(of_one, _together(self._signed, [drafts[at] for at in of_one]), strict=True):
                signed[at] = made
        return _together(self._stored, [(draft, signed[at]) for at, draft in enumerate(drafts)])

    def _signed(self, drafts: Sequence[Draft]) -> list[bytes | Exception]:
        """Certificates (DER) of one authority: each draft as it was linted, under a signature that was verified."""
        authority = drafts[0].authority
        signer = self._authorities.signer(authority)
        if signer.public_key != authority.certificate.public_key():
            raise IssuanceMismatch
        own = signer.algorithm + authority.certificate.subject.public_bytes()
        altered = {
            at
            for at, one in enumerate(drafts)
            if hashlib.sha256(one.tbs).hexdigest() != one.row["tbs_digest"] or algorithm_and_issuer_of(one.tbs) != own
        }
        to_sign = [draft for at, draft in enumerate(drafts) if at not in altered]
        signatures = iter(signer.sign_each([draft.tbs for draft in to_sign]) if to_sign else ())
        made: list[bytes | Exception] = []
        for at, draft in enumerate(drafts):
            signature = IssuanceMismatch() if at in altered else next(signatures)
            made.append(
                signature if isinstance(signature, Exception) else signed_octets(draft.tbs, signer.algorithm, signature)
            )
        return made

    def _stored(self, results: Sequence[tuple[Draft, bytes | Exception]]) -> list[IssuedCertificate | Exception]:
        """Write down what came out, in one unit of work. No certificate: the serial number is closed at once, rather
        than left as an orphan."""
        made = [(draft, one) for draft, one in results if isinstance(one, bytes)]
        with self._database.unit_of_work() as connection:
            issuance_store.issued(connection, [(draft.serial, one) for draft, one in made], self._clock.now())
            for draft, one in results:
                if isinstance(one, Exception):
                    states = CertificateState.SIGNING, CertificateState.ABANDONED
                    store.move(connection, draft.serial, *states, tbs=None)
            if self._log is not None:
                about = [(one, draft.named or _subject(one)) for draft, one in made]
                self._log.record_certificates(connection, about)
            self._audit.append_many(connection, [_ended(draft, one) for draft, one in results])
        return [
            one if isinstance(one, Exception) else _issued(draft.authority, draft.serial, one) for draft, one in results
        ]


def _together(work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]) -> list[Result | Exception]:
    """Results of all items at once; where that fails, of each by itself."""
    if not items:
        return []
    try:
        return list(work(items))
    except Exception as error:
        if len(items) == 1 or (isinstance(error, CamTrustError) and error.kind is Kind.UNAVAILABLE):
            return [error] * len(items)
    return [result for item in items for result in _together(work, [item])]


def _issued(authority: Authority, serial: str, encoded: bytes) -> IssuedCertificate:
    return IssuedCertificate(serial, encoded, (authority.certificate, *authority.chain), authority.root)


def _subject(encoded: bytes) -> str:
    return subject_of(x509.load_der_x509_certificate(encoded))


def _prepared(draft: Draft) -> Act:
    row = draft.row
    details = {"profile": row["profile"], "authority": row["authority"], "evidence": row["evidence"]}
    return Act(row["requested_by"], "issuing_ca.certificate_prepared", draft.serial, details)


def _ended(draft: Draft, outcome: bytes | Exception) -> Act:
    by = draft.row["requested_by"]
    if isinstance(outcome, Exception):
        code = getattr(outcome, "code", "foundation.internal")
        return Act(by, "issuing_ca.issuance_failed", draft.serial, {"code": code})
    return Act(by, "issuing_ca.certificate_issued", draft.serial, {"tbs": draft.row["tbs_digest"]})
