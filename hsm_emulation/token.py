"""The token: keys, what may be done with them, and the parts around them. No socket here; the daemon is one way in."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from foundation.clock import Clock
from foundation.keys.errors import (
    ActivationRequired,
    DataInvalid,
    KeyDisabled,
    KeyHandleInvalid,
    LabelExists,
    TokenPinInvalid,
    WrappedKeyInvalid,
)
from foundation.keys.mechanisms import authorised_digest
from foundation.keys.policy import KeyPolicy, policy_for
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from foundation.randomness import Randomness, SystemRandomness
from hsm_emulation import policies
from hsm_emulation.activations import Activations
from hsm_emulation.audit import AuditLog, Entry
from hsm_emulation.keys import LoadedKey, check_request, make
from hsm_emulation.persons import Persons
from hsm_emulation.sealing import FORMAT, KEY_LENGTH, Cost, Costs, seal, unseal
from hsm_emulation.sessions import Role, Session, Sessions, check_operator_pin, wrap_master_key
from hsm_emulation.store import Store, create

PAGE = 500
_LOADED_KEYS = 1024


def initialise(
    directory: Path,
    so_pin: str,
    user_pin: str,
    *,
    clock: Clock,
    randomness: Randomness | None = None,
    costs: Costs | None = None,
) -> None:
    """Make a token in ``directory`` (made 0700): a random master key under both operators' PINs, and nothing else.

    Raises TokenAlreadyInitialised and TokenPinInvalid (too short, or the same PIN for both roles).
    """
    check_operator_pin(so_pin)
    check_operator_pin(user_pin)
    if so_pin == user_pin:
        raise TokenPinInvalid
    chosen, source = costs or Costs(), randomness or SystemRandomness()
    master = source.bytes(KEY_LENGTH)

    def fill(connection: sqlite3.Connection) -> None:
        values = {
            "format": FORMAT.encode(),
            "serial": source.bytes(8).hex().encode(),
            "costs": json.dumps(asdict(chosen)).encode(),
        }
        connection.executemany("INSERT INTO meta (name, value) VALUES (?, ?)", values.items())
        for role, pin in ((Role.SO, so_pin), (Role.USER, user_pin)):
            wrap_master_key(connection, role, pin, master, chosen.operator, source)
        AuditLog(clock).append(connection, Role.SO.value, "initialise", "token", "done")

    create(directory, fill)


class Token:
    """An initialised token. Every method that takes a session trusts that it is alive and of the right role."""

    def __init__(self, store: Store, clock: Clock, randomness: Randomness | None = None) -> None:
        self.store = store
        self.audit = AuditLog(clock)
        self._randomness = randomness or SystemRandomness()
        meta = {row["name"]: row["value"] for row in store.read().execute("SELECT name, value FROM meta")}
        self.serial: str = meta["serial"].decode()
        costs = {name: Cost(**cost) for name, cost in json.loads(meta["costs"]).items()}
        self.sessions = Sessions(store, self.audit, clock, self._randomness, costs["operator"], self._forget_keys)
        self.persons = Persons(store, self.sessions, self.audit, clock, self._randomness)
        self.activations = Activations(store, self.persons, self.audit, clock, self._randomness, costs["person"])
        self._loaded: OrderedDict[str, tuple[bytes, dict[str, Any], LoadedKey]] = OrderedDict()
        self._loaded_lock = threading.Lock()

    def close(self) -> None:
        """Write what is waiting and forget every key."""
        self.store.close()
        self._forget_keys()

    def generate(
        self,
        session: Session,
        label: str,
        algorithm: KeyAlgorithm,
        use: KeyUse,
        owner: str | None,
        policy: KeyPolicy | None,
    ) -> KeyInfo:
        """Make a key pair, sealed under the master key, or under the owner's key.

        LabelExists; DataInvalid when a key that needs activation has no owner, or one that certifies has one;
        OwnerDestroyed; PolicyInvalid.
        """
        if (use.needs_activation and owner is None) or (use.certifies and owner is not None):
            raise DataInvalid
        if self.store.read().execute("SELECT 1 FROM keys WHERE label = ?", (label,)).fetchone():
            raise LabelExists
        chosen = policy_for(use, policy)
        key_id = self._randomness.bytes(16).hex()
        details = {"algorithm": algorithm.value, "use": use.value, "owner": owner, "policy": chosen.hash}
        self._intent(session, "generate", key_id, details)
        private, public = make(algorithm)
        info = KeyInfo(key_id, label, algorithm, use, public, owner, True, chosen.hash)

        def work(connection: sqlite3.Connection) -> None:
            wrapping = self.persons.key_in(connection, owner) if owner else self.sessions.master_key()
            policies.keep(connection, chosen)
            try:
                connection.execute(
                    "INSERT INTO keys (key_id, label, algorithm, use, owner, public_key, policy, enabled, sealed)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)",
                    (
                        *(key_id, label, algorithm.value, use.value, owner, public, chosen.hash),
                        seal(wrapping, private, _bound_to(info), self._randomness),
                    ),
                )
            except sqlite3.IntegrityError:
                raise LabelExists from None
            self.audit.append(connection, session.actor, "generate", key_id, "done", details)

        self.store.write(work)
        return info

    def find(
        self, *, label: str | None, use: KeyUse | None, owner: str | None, after: int = 0
    ) -> tuple[list[KeyInfo], int | None]:
        """A page of the keys that match, oldest first, and where the next page begins (None: there is none)."""
        wanted = {"label": label, "use": use.value if use else None, "owner": owner}
        given = {name: value for name, value in wanted.items() if value is not None}
        clauses = " AND ".join(["sequence > ?", *(f"{name} = ?" for name in given)])
        query = f"SELECT * FROM keys WHERE {clauses} ORDER BY sequence LIMIT ?"  # noqa: S608 (our three names)
        rows = self.store.read().execute(query, (after, *given.values(), PAGE)).fetchall()
        return [_info(row) for row in rows], rows[-1]["sequence"] if len(rows) == PAGE else None

    def get(self, key_id: str) -> KeyInfo:
        """One key; KeyHandleInvalid."""
        return _info(_row(self.store.read(), key_id))

    def sign(
        self,
        session: Session,
        key_id: str,
        mechanism: Mechanism,
        data: bytes,
        activation: bytes | None,
        audience: str | None,
    ) -> bytes:
        """Sign and verify. The intent, and the use of the activation, are on disk before the key is used.

        The result's audit row is in the next commit; an answer does not wait for it, and if it cannot be written,
        the next intent cannot either.
        """
        row = _row(self.store.read(), key_id)
        info = _info(row)
        key = self._load(row, info)
        if not info.enabled:
            raise KeyDisabled
        check_request(info.algorithm, info.use, mechanism, data)
        if info.use.needs_activation and activation is None:
            raise ActivationRequired
        details = {"mechanism": mechanism.value, "input": hashlib.sha256(data).hexdigest()}

        def intend(connection: sqlite3.Connection) -> None:
            if _row(connection, key_id)["sealed"] != row["sealed"]:
                raise KeyDisabled  # disabled, enabled or destroyed since it was read
            if activation is not None:
                digest = authorised_digest(mechanism, data)
                self.activations.consume(connection, activation, info, digest, audience)
            self.audit.append(connection, session.actor, "sign", key_id, "intent", details)

        self.store.write(intend)
        signature = key.sign(mechanism, data)
        self.store.submit(lambda connection: self.audit.append(connection, session.actor, "sign", key_id, "done"))
        return signature

    def set_enabled(self, session: Session, key_id: str, enabled: bool) -> None:
        """Disable or enable. The state is under the key's seal: a row edited back does not sign."""

        def work(connection: sqlite3.Connection) -> None:
            row = _row(connection, key_id)
            before = _info(row)
            if before.enabled == enabled:
                return
            wrapping = self._wrapping_key(connection, before.owner)
            after = KeyInfo(**{**_fields(before), "enabled": enabled})
            sealed = seal(
                wrapping, unseal(wrapping, row["sealed"], _bound_to(before)), _bound_to(after), self._randomness
            )
            connection.execute(
                "UPDATE keys SET enabled = ?, sealed = ? WHERE key_id = ?", (int(enabled), sealed, key_id)
            )
            self.audit.append(connection, session.actor, "enable" if enabled else "disable", key_id, "done")

        self.store.write(work)

    def destroy(self, session: Session, key_id: str) -> None:
        """Destroy a key for good, and the activations for it."""
        _row(self.store.read(), key_id)
        self._intent(session, "destroy", key_id)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM activations WHERE key_id = ?", (key_id,))
            if connection.execute("DELETE FROM keys WHERE key_id = ?", (key_id,)).rowcount != 1:
                raise KeyHandleInvalid
            self.audit.append(connection, session.actor, "destroy", key_id, "done")

        self.store.write(work)
        self._forget(key_id)
        self.store.scrub()

    def destroy_owner(self, session: Session, owner: str) -> None:
        """Destroy a person's key and everything under it."""
        for key_id in self.persons.destroy(session, owner):
            self._forget(key_id)

    def inventory(self) -> dict[str, Any]:
        """How much of what is in the token; ids and secrets are not in it."""
        read = self.store.read()
        keys = read.execute("SELECT use, algorithm, enabled, COUNT(*) FROM keys GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
        counts = {
            name: read.execute(query).fetchone()[0]
            for name, query in {
                "owners": "SELECT COUNT(*) FROM owners WHERE destroyed IS NULL",
                "owners_destroyed": "SELECT COUNT(*) FROM owners WHERE destroyed IS NOT NULL",
                "factors": "SELECT COUNT(*) FROM factors",
                "audit_rows": "SELECT COUNT(*) FROM audit",
            }.items()
        }
        grouped = [
            {"use": use, "algorithm": algorithm, "enabled": bool(enabled), "count": count}
            for use, algorithm, enabled, count in keys
        ]
        return {"serial": self.serial, "emulated": True, "keys": grouped, **counts}

    def audit_entries(self, after: int, limit: int) -> list[Entry]:
        """Rows of the daemon's audit log."""
        return self.audit.entries(self.store.read(), after, min(limit, PAGE))

    def verify_audit(self) -> int:
        """Check the daemon's audit chain; AuditBroken."""
        return self.audit.verify(self.store.read())

    def _load(self, row: sqlite3.Row, info: KeyInfo) -> LoadedKey:
        """The key of a row, kept while the row is exactly the one it was loaded from."""
        bound = _bound_to(info)
        wrapping = self._wrapping_key(self.store.read(), info.owner)
        with self._loaded_lock:
            known = self._loaded.get(info.key_id)
            if known and known[0] == row["sealed"] and known[1] == bound:
                self._loaded.move_to_end(info.key_id)
                return known[2]
        key = LoadedKey(unseal(wrapping, row["sealed"], bound), info.public_key)
        with self._loaded_lock:
            self._loaded[info.key_id] = (row["sealed"], bound, key)
            if len(self._loaded) > _LOADED_KEYS:
                self._loaded.popitem(last=False)
        return key

    def _wrapping_key(self, connection: sqlite3.Connection, owner: str | None) -> bytes:
        if owner is None:
            return self.sessions.master_key()
        key = self.persons.existing_key(owner, connection)
        if key is None:
            raise WrappedKeyInvalid  # an edited row: the owner it names has no key
        return key

    def _forget(self, key_id: str) -> None:
        with self._loaded_lock:
            self._loaded.pop(key_id, None)

    def _forget_keys(self) -> None:
        with self._loaded_lock:
            self._loaded.clear()

    def _intent(self, session: Session, action: str, subject: str, details: dict[str, Any] | None = None) -> None:
        self.store.write(
            lambda connection: self.audit.append(connection, session.actor, action, subject, "intent", details)
        )


def _row(connection: sqlite3.Connection, key_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute("SELECT * FROM keys WHERE key_id = ?", (key_id,)).fetchone()
    if row is None:
        raise KeyHandleInvalid
    return row


def _info(row: sqlite3.Row) -> KeyInfo:
    try:
        algorithm, use = KeyAlgorithm(row["algorithm"]), KeyUse(row["use"])
    except ValueError:
        raise WrappedKeyInvalid from None  # an edited row
    return KeyInfo(
        *(row["key_id"], row["label"], algorithm, use, row["public_key"], row["owner"], bool(row["enabled"])),
        row["policy"],
    )


def _fields(info: KeyInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in KeyInfo.__dataclass_fields__}


def _bound_to(info: KeyInfo) -> dict[str, Any]:
    """The associated data of a sealed key: everything that is fixed about it, and whether it is enabled."""
    return {
        "what": "signing-key",
        "key_id": info.key_id,
        "label": info.label,
        "owner": info.owner,
        "algorithm": info.algorithm.value,
        "use": info.use.value,
        "public_key": hashlib.sha256(info.public_key).hexdigest(),
        "enabled": info.enabled,
        "policy": info.policy,
    }
