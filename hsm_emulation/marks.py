"""What the token remembers for others, and lets go forward alone (`foundation.keys.marks`).

All marks are one value, sealed under the key that logins open, so that nobody who edits the store writes one; taking
it away is WrappedKeyInvalid, as the audit log knows that there was one. The store put back as a whole is another
matter: that is what its epoch is for.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence

from foundation.canonical import canonical_json
from foundation.keys.errors import DataInvalid, WrappedKeyInvalid
from foundation.keys.marks import MOST_MARKS, Mark, MarkBehind
from foundation.randomness import Randomness
from hsm_emulation import epoch
from hsm_emulation.audit import AuditLog
from hsm_emulation.sealing import seal, unseal
from hsm_emulation.sessions import Session
from hsm_emulation.store import Store

_ACTION = "set-marks"
_BOUND = {"what": "marks"}


class TokenMarks:
    """The marks of one token. ``key``: gives the key that logins open (NotLoggedIn)."""

    def __init__(self, store: Store, key: Callable[[], bytes], audit: AuditLog, randomness: Randomness) -> None:
        self._store, self._key, self._audit, self._randomness = store, key, audit, randomness

    def all(self) -> list[bytes]:
        """All marks, encoded, by name. StoreRolledBack, WrappedKeyInvalid."""
        connection = self._store.read()
        epoch.require_newest(connection)
        return [mark.encode() for _, mark in sorted(self._read(connection).items())]

    def set(self, session: Session, marks: Sequence[bytes], again: bool) -> None:
        """See :meth:`foundation.keys.marks.Marks.set_marks`."""
        given = {mark.name: mark for mark in map(Mark.parse, marks)}
        if len(given) != len(marks):
            raise DataInvalid

        def work(connection: sqlite3.Connection) -> None:
            epoch.require_newest(connection)
            known = self._read(connection)
            if not again and any(one.name in known and not one.follows(known[one.name]) for one in given.values()):
                raise MarkBehind
            after = given if again else {**known, **given}
            if len(after) > MOST_MARKS:
                raise DataInvalid
            if after == known:
                return
            value = canonical_json([mark.encode().decode() for mark in after.values()])
            sealed = seal(self._key(), value, _BOUND, self._randomness)
            connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('marks', ?)", (sealed,))
            details = {"again": again, "marks": {one.name: one.count for one in given.values()}}
            self._audit.append(connection, session.actor, _ACTION, "token", "done", details)

        self._store.write(work)

    def _read(self, connection: sqlite3.Connection) -> dict[str, Mark]:
        row = connection.execute("SELECT value FROM meta WHERE name = 'marks'").fetchone()
        if row is None:
            if connection.execute("SELECT 1 FROM audit WHERE action = ? LIMIT 1", (_ACTION,)).fetchone():
                raise WrappedKeyInvalid
            return {}
        marks = (Mark.parse(one.encode()) for one in json.loads(unseal(self._key(), row[0], _BOUND)))
        return {mark.name: mark for mark in marks}
