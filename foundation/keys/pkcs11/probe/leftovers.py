"""Nothing of a run stays in the token, also when a check crashed half-way.

A key of a run is known by its label; a record of the key store (:mod:`foundation.keys.pkcs11.records`) by the label
that it names; an enabled-marker by the id of such a key or record. Nothing else is touched.
"""

from __future__ import annotations

from typing import Any

from pkcs11.constants import Attribute, ObjectClass

from foundation.keys.errors import KeyHandleInvalid
from foundation.keys.pkcs11 import records
from foundation.keys.pkcs11.sessions import GONE, Connection, TokenSession
from foundation.keys.probe.report import Finding, Verdict

_KEYS = (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY, ObjectClass.SECRET_KEY)


def sweep(connection: Connection, prefix: str) -> Finding:
    """Destroy what is left of the run; look again; FAIL if something stays."""
    found = connection.run(lambda session: _sweep(session, prefix), writes=True)
    left = connection.run(lambda session: len(_of_run(session, prefix)))
    details = {"swept": found, "left": left}
    if left:
        return Finding("left behind", Verdict.FAIL, f"{left} objects of this run cannot be destroyed", details)
    said = f"nothing ({found} objects of checks that broke off were destroyed)" if found else "nothing"
    return Finding("left behind", Verdict.PASS, said, details)


def _sweep(session: TokenSession, prefix: str) -> int:
    found = _of_run(session, prefix)
    for one in found:
        try:
            one.destroy()
        except GONE:
            continue
    return len(found)


def _of_run(session: TokenSession, prefix: str) -> list[Any]:
    found, ids = [], set()
    for kind in _KEYS:
        for one in session.search({Attribute.CLASS: kind, Attribute.TOKEN: True}):
            if str(one[Attribute.LABEL]).startswith(prefix):
                found.append(one)
                ids.add(bytes(one[Attribute.ID]).hex())
    for one in session.search(records.template(records.KEY)):
        try:
            record = records.read(bytes(one[Attribute.VALUE]))
        except KeyHandleInvalid:
            continue
        if record.label.startswith(prefix):
            found.append(one)
            ids.add(record.key_id)
    for key_id in ids:
        found += session.search(records.template(records.ENABLED, key_id))
    return found
