"""A person's history: every use of their key, written down before the key is used, committed to in the issuance log.

record     seal the record for the person, store it, queue the notice, and have the log commit to it: one unit of
           work. Where that fails the key is not used
complete   what came of it, afterwards: outside of the proof, since what is proved never changes
notify     tell the persons, one notice each for all that happened since the last (docs/decisions/0023)
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives import hashes

from foundation.clock import Clock
from foundation.db.engine import Database
from foundation.errors import CamTrustError, Kind
from foundation.http.actor import Actor
from foundation.randomness import Randomness
from foundation.use_record import SALT_SIZE, Act, UsedFor, UseRecord, use_subject
from foundation.vault import Vault
from signing import history_store
from signing.cursor import read_cursor, write_cursor
from signing.model import Credential, Outcome
from signing.ports import KeyNotices, UseLog

_log = logging.getLogger(__name__)
_PURPOSE = "key-use:"
_NOTICES = 1000  # read at a time
_PATIENCE = timedelta(days=3)
MAX_PAGE = 50


class Door(StrEnum):
    """Where a use of a key came in."""

    SIGN = "sign"  # /sign/v1, the person's own doing
    REQUEST = "request"  # /sign/v1, asked for by an agency's client
    CSC = "csc"  # /csc/v1 and /csc/v2


@dataclass(frozen=True)
class Through:
    """A door, and the id of the client that stood in it; None: the person's own session."""

    door: Door
    client: str | None = None


OWN = Through(Door.SIGN)


@dataclass(frozen=True)
class Entry:
    """One entry of a history. ``record``: its octets, which ``proof`` (a C2SP tlog-proof) is about; None: the log does
    not cover it yet. ``completion``: what came of it, None where that is not known."""

    read: UseRecord
    record: bytes
    proof: bytes | None
    completion: Mapping[str, Any] | None


@dataclass(frozen=True)
class HistoryPage:
    """Some of a history, the newest first; ``log_key``: the verifier key of the log; ``next``: the following cursor."""

    entries: tuple[Entry, ...]
    log_key: str
    next: str | None


class History:
    """Keeps and shows persons' histories."""

    def __init__(
        self, database: Database, vault: Vault, clock: Clock, randomness: Randomness, log: UseLog, notices: KeyNotices
    ) -> None:
        self._database, self._vault, self._clock, self._randomness = database, vault, clock, randomness
        self._use_log, self._notices = log, notices

    def record(
        self,
        credential: Credential,
        act: Act,
        digests: Sequence[bytes],
        through: Through,
        *,
        documents: Sequence[UsedFor] = (),
        code: str | None = None,
    ) -> str:
        """Write down what is about to be done with a person's key; gives the record's id. Raises as the vault does."""
        record = UseRecord(
            record_id=self._randomness.bytes(16).hex(),
            act=act,
            at=self._clock.now().replace(microsecond=0),
            credential_id=credential.credential_id,
            certificate=credential.signatory.certificate.fingerprint(hashes.SHA256()),
            door=through.door.value,
            client=through.client,
            digests=tuple(digests),
            documents=tuple(documents),
            code=code,
            salt=self._randomness.bytes(SALT_SIZE),
        )
        sealed = self._vault.seal(credential.owner, _PURPOSE + record.record_id, bytes(record))
        with self._database.unit_of_work() as connection:
            history_store.insert(connection, record.record_id, credential.owner, sealed, record.digest)
            history_store.add_notice(
                connection, record.record_id, credential.owner, act.value, len(digests), self._clock.now()
            )
            self._use_log.record(connection, record.digest, use_subject(credential.signatory.certificate))
        return record.record_id

    def complete(self, record_id: str, outcomes: Sequence[Outcome] = (), error: CamTrustError | None = None) -> None:
        """What came of it: ``error``: the token did not do it, and then there is nothing to tell the person of."""
        told: dict[str, Any] = {"at": self._clock.now().isoformat(), "code": error.code if error else None}
        told["documents"] = [{"id": one.document_id, "code": one.error.code if one.error else None} for one in outcomes]
        with self._database.unit_of_work() as connection:
            history_store.complete(connection, record_id, told)
            if error is not None:
                history_store.drop_notice(connection, record_id)

    def page(self, actor: Actor, cursor: str | None = None, limit: int = 20) -> HistoryPage:
        """The actor's own history. Raises CursorInvalid for a cursor that no page gave."""
        limit = max(1, min(limit, MAX_PAGE))
        with self._database.read() as connection:
            rows = history_store.of_owner(connection, actor.id, read_cursor(cursor), limit + 1)
        entries = []
        for row in rows[:limit]:
            octets = self._vault.open(actor.id, _PURPOSE + row.record_id, row.record)
            entries.append(Entry(UseRecord.parse(octets), octets, self._proof(row.digest), row.completion))
        following = write_cursor(rows[limit - 1].sequence) if len(rows) > limit else None
        return HistoryPage(tuple(entries), self._use_log.verifier_key(), following)

    def notify(self) -> int:
        """Send what waits: to each person one notice for each kind of act, however often it happened since the last.

        A notice that cannot be sent waits for the next call, for _PATIENCE at most; gives how many were sent.
        """
        with self._database.read() as connection:
            rows = history_store.waiting(connection, _NOTICES)
        told: dict[tuple[str, str], list[history_store.Waiting]] = defaultdict(list)
        for row in rows:
            told[row.owner, row.act].append(row)
        count = 0
        for (owner, act), group in told.items():
            sequences = [one.sequence for one in group]
            try:
                with self._database.unit_of_work() as connection:
                    self._notices.tell(connection, owner, Act(act), sum(one.count for one in group), _latest(group))
                    history_store.sent(connection, sequences)
                count += 1
            except CamTrustError as error:
                _log.warning("a notice about a key could not be sent: %s", error.code)
                late = _latest(group) < self._clock.now() - _PATIENCE
                if error.kind is not Kind.UNAVAILABLE or late:  # erased, never had a contact, or no channel to it
                    with self._database.unit_of_work() as connection:
                        history_store.sent(connection, sequences)
        return count

    def _proof(self, digest: bytes) -> bytes | None:
        try:
            return self._use_log.proof(digest)
        except CamTrustError as error:
            if error.kind is Kind.THROTTLED or error.kind is Kind.UNAVAILABLE:
                return None
            raise


def _latest(group: Sequence[history_store.Waiting]) -> datetime:
    return max(one.at for one in group)
