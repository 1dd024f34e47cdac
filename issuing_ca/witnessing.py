"""Asking witnesses to cosign the log's newest checkpoint (c2sp.org/tlog-witness). Nothing waits for one that fails.

What came of it is written down for each: how far it cosigned last, and since when it does not, with a code.

    WITNESS-UNREACHABLE    no answer, or one that is too long
    WITNESS-REFUSED        a status that is no cosignature; the witness may not know the log
    WITNESS-ANSWER         an answer that is no cosignature of its key over this checkpoint
    WITNESS-BEHIND         it has cosigned more than our log has: the log was rolled back, or is not ours
    WITNESS-INCONSISTENT   it saw another tree of the same size, or one that ours does not continue: a fork
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx2
from sqlalchemy import Connection, insert, select, update

from foundation.clock import Clock
from foundation.db.engine import Database, StaleWrite
from foundation.signed_note import Checkpoint, NoteInvalid, NoteKey, read_note
from issuing_ca.errors import WitnessesFail
from issuing_ca.log import IssuanceLog
from issuing_ca.tables import log_witnesses
from issuing_ca.witness_request import AddCheckpoint, WitnessAddress, told_size

_log = logging.getLogger(__name__)

_TIMEOUT = 5.0  # seconds
_LARGEST = 16 * 1024
_TRIES = 3  # the first may tell the size from which the witness wants the proof
_PAUSE = timedelta(minutes=1)  # before one that failed is asked again


@dataclass(frozen=True)
class WitnessState:
    """What is known of a witness."""

    name: str
    size: int
    cosigned_at: datetime | None
    failing_since: datetime | None
    tried_at: datetime | None
    failure: str | None


class _Failed(Exception):
    """The witness did not cosign; the first argument is the code."""


class Witnessing:
    """Asks every witness, and remembers what it said."""

    def __init__(self, log: IssuanceLog, database: Database, clock: Clock, witnesses: Sequence[WitnessAddress]) -> None:
        self._logged = log
        self._database = database
        self._clock = clock
        self._witnesses = tuple(witnesses)
        self._client = httpx2.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def ask(self) -> int:
        """Have the newest checkpoint cosigned by each that has not; gives by how many it is cosigned now.

        One that failed a moment ago is left alone. Raises what the log itself raises.
        """
        for witness in self._witnesses:
            if witness.key in self._cosigners():
                continue
            state = self._state(witness.key.name)
            if state.failing_since and state.tried_at and timedelta(0) <= self._clock.now() - state.tried_at < _PAUSE:
                continue
            try:
                size = self._ask(witness, state.size)
            except _Failed as failed:
                self._failed(witness.key.name, str(failed))
            else:
                self._cosigned(witness.key.name, size)
        return len(self._cosigners()) if self._witnesses else 0

    def states(self) -> tuple[WitnessState, ...]:
        """Every witness of the settings."""
        return tuple(self._state(one.key.name) for one in self._witnesses)

    def require_well(self) -> None:
        """Raises WitnessesFail where one does not cosign; for who watches the service."""
        failing = [f"{one.name} ({one.failure})" for one in self.states() if one.failing_since is not None]
        if failing:
            raise WitnessesFail(witnesses=", ".join(failing))

    # --- steps ----------------------------------------------------------------------------------------------------

    def _ask(self, witness: WitnessAddress, old: int) -> int:
        """One witness; gives the size that it cosigned. Raises _Failed."""
        for _ in range(_TRIES):
            note = self._logged.checkpoint()
            size = Checkpoint.parse(read_note(note).text).size
            if old > size:
                raise _Failed("WITNESS-BEHIND")
            proof = self._logged.consistency(old, size) if 0 < old < size else ()
            status, content_type, body = self._post(witness, bytes(AddCheckpoint(old, proof, note)))
            if status == 200:
                return self._taken(body, size)
            told = told_size(content_type, body) if status == 409 else None
            if told is None or told == old:
                raise _Failed("WITNESS-INCONSISTENT" if status in (409, 422) else "WITNESS-REFUSED")
            old = told
        raise _Failed("WITNESS-REFUSED")

    def _post(self, witness: WitnessAddress, body: bytes) -> tuple[int, str, bytes]:
        headers = {"content-type": "text/plain; charset=utf-8"}
        content = b""
        try:
            with self._client.stream("POST", f"{witness.url}/add-checkpoint", content=body, headers=headers) as answer:
                for chunk in answer.iter_bytes():
                    content += chunk
                    if len(content) > _LARGEST:
                        raise _Failed("WITNESS-UNREACHABLE")
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise _Failed("WITNESS-UNREACHABLE") from None
        return answer.status_code, answer.headers.get("content-type", ""), content

    def _taken(self, body: bytes, size: int) -> int:
        try:
            self._logged.cosign(body.decode())
        except StaleWrite:
            return size  # the log has gone on meanwhile: it is cosigned next time
        except (NoteInvalid, UnicodeDecodeError):
            raise _Failed("WITNESS-ANSWER") from None
        return size

    def _cosigners(self) -> frozenset[NoteKey]:
        """Who has cosigned the newest checkpoint."""
        note = read_note(self._logged.checkpoint())
        return frozenset(
            one.key for one in self._witnesses if any(one.key.verify(line, note.text) for line in note.signatures)
        )

    # --- what is remembered ---------------------------------------------------------------------------------------

    def _state(self, name: str) -> WitnessState:
        with self._database.read() as connection:
            row = connection.execute(select(log_witnesses).where(log_witnesses.c.name == name)).one_or_none()
        if row is None:
            return WitnessState(name, 0, None, None, None, None)
        return WitnessState(name, row.size, row.cosigned_at, row.failing_since, row.tried_at, row.failure)

    def _failed(self, name: str, code: str) -> None:
        now, state = self._clock.now(), self._state(name)
        if state.failure != code:
            _log.error("witness %s does not cosign the issuance log: %s", name, code)
        with self._database.unit_of_work() as connection:
            _keep(
                connection, name, failing_since=state.failing_since or now, tried_at=now, failure=code, size=state.size
            )

    def _cosigned(self, name: str, size: int) -> None:
        with self._database.unit_of_work() as connection:
            _keep(
                connection,
                name,
                size=size,
                cosigned_at=self._clock.now(),
                tried_at=self._clock.now(),
                failing_since=None,
                failure=None,
            )


def _keep(connection: Connection, name: str, **values: object) -> None:
    if connection.execute(update(log_witnesses).where(log_witnesses.c.name == name).values(**values)).rowcount == 0:
        connection.execute(insert(log_witnesses).values(name=name, **values))
