"""Control of names: authorizations and their challenges (RFC 8555 §7.5, §8)."""

from __future__ import annotations

import json

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite
from foundation.errors import CamTrustError
from issuing_ca.acme import store, validation
from issuing_ca.acme.accounts import Asked
from issuing_ca.acme.errors import URN, AcmeRefused, Malformed, ResourceUnknown
from issuing_ca.acme.model import Account, Authorization, Challenge, Status
from issuing_ca.acme.ports import ChallengeFetcher, TextRecords


class Control:
    """Looks whether whoever holds an account controls the names of its orders."""

    def __init__(
        self, database: Database, clock: Clock, audit: AuditTrail, fetcher: ChallengeFetcher, records: TextRecords
    ) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._fetcher = fetcher
        self._records = records

    def authorization(self, asked: Asked, authorization_id: str) -> Authorization:
        """An authorization of this account; deactivated where the request says so. Raises an AcmeRefused."""
        found = self._own_authorization(asked.account, authorization_id)
        if not asked.request.payload:
            return found
        if asked.request.json() != {"status": "deactivated"}:
            raise Malformed(what="status")
        with self._database.unit_of_work() as connection:
            if found.status in (Status.PENDING, Status.VALID):
                store.move_authorization(connection, found.id, found.status, Status.DEACTIVATED)
            order = store.order(connection, found.order, lock=True)
            if order is not None and order[0].status in (Status.PENDING, Status.READY):
                store.move_order(connection, found.order, order[0].status, Status.INVALID, self._clock.now())
        return self._own_authorization(asked.account, authorization_id)

    def challenge(self, account: Account, challenge_id: str) -> tuple[Challenge, Authorization]:
        """A challenge of this account. Raises Unauthorized, ResourceUnknown."""
        with self._database.read() as connection:
            found = store.challenge(connection, challenge_id)
        if found is None:
            raise ResourceUnknown
        return found, self._own_authorization(account, found.authorization)

    def respond(self, account: Account, challenge_id: str) -> tuple[Challenge, Authorization]:
        """Look now whether the challenge is met, once; a second request meanwhile sees it as processing.

        Raises Unauthorized, ResourceUnknown; what was found wrong stands in the challenge.
        """
        challenge, authorization = self.challenge(account, challenge_id)
        now = self._clock.now()
        if (
            challenge.status is not Status.PENDING
            or authorization.status is not Status.PENDING
            or authorization.expires <= now
        ):
            return challenge, authorization
        try:
            with self._database.unit_of_work() as connection:
                store.move_challenge(connection, challenge.id, Status.PENDING, Status.PROCESSING)
        except StaleWrite:
            return self.challenge(account, challenge_id)
        refusal: CamTrustError | None = None
        try:
            validation.check(
                challenge.kind, authorization.name, challenge.token, account.thumbprint, self._fetcher, self._records
            )
        except AcmeRefused as error:
            refusal = error
        except Exception:
            # a defect of ours proves nothing: the challenge is open again, and the failure is told
            with self._database.unit_of_work() as connection:
                store.move_challenge(connection, challenge.id, Status.PROCESSING, Status.PENDING)
            raise
        self._settle(account, challenge, authorization, refusal)
        return self.challenge(account, challenge_id)

    def _settle(
        self, account: Account, challenge: Challenge, authorization: Authorization, refusal: CamTrustError | None
    ) -> None:
        now = self._clock.now()
        outcome = Status.INVALID if refusal is not None else Status.VALID
        with self._database.unit_of_work() as connection:
            found = store.order(connection, authorization.order, lock=True)
            error = json.dumps(told(refusal)) if refusal is not None else None
            store.move_challenge(
                connection,
                challenge.id,
                Status.PROCESSING,
                outcome,
                validated_at=now if refusal is None else None,
                error=error,
            )
            try:
                store.move_authorization(connection, authorization.id, Status.PENDING, outcome)
            except StaleWrite:
                return  # another challenge, or the account, was faster
            details = {"kind": challenge.kind.value, "outcome": outcome.value}
            if isinstance(refusal, AcmeRefused):
                details["error"] = refusal.type
            self._audit.append(
                connection, f"acme:{account.id}", "issuing_ca.acme_control_checked", authorization.id, details
            )
            if found is None or found[0].status is not Status.PENDING:
                return
            if refusal is not None:
                store.move_order(connection, authorization.order, Status.PENDING, Status.INVALID, now, error=error)
            elif all(status is Status.VALID for _, status in store.authorizations_of(connection, authorization.order)):
                store.move_order(connection, authorization.order, Status.PENDING, Status.READY, now)

    def _own_authorization(self, account: Account, authorization_id: str) -> Authorization:
        with self._database.read() as connection:
            found = store.authorization(connection, authorization_id)
        if found is None or found.account != account.id:
            raise ResourceUnknown
        return found


def told(error: CamTrustError) -> dict[str, object]:
    """A refusal as it stands in a challenge or an order."""
    kind = error.type if isinstance(error, AcmeRefused) else "serverInternal"
    return {"type": URN + kind, "detail": error.message(), "code": error.code}
