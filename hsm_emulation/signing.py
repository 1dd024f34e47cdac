"""Signing with keys that the token holds: what is loaded, what is checked, and what is on the disk before it."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foundation.clock import Clock
from foundation.keys.errors import (
    ActivationRequired,
    DataInvalid,
    KeyDisabled,
    KeyHandleInvalid,
    WrappedKeyInvalid,
)
from foundation.keys.mechanisms import authorised_digest
from foundation.keys.port import MOST_INPUTS, KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from foundation.randomness import Randomness
from hsm_emulation import epoch, key_states, policies
from hsm_emulation.activations import Activations
from hsm_emulation.audit import AuditLog, Results
from hsm_emulation.gate import Facts, Gate
from hsm_emulation.keys import LoadedKey, check_request
from hsm_emulation.master_keys import MasterKeys
from hsm_emulation.persons import Persons
from hsm_emulation.sealing import unseal
from hsm_emulation.sessions import Session, Sessions
from hsm_emulation.staged import Staged
from hsm_emulation.store import Store

_LOADED_KEYS = 1024


@dataclass
class _Known:
    """A key that was loaded, and the exact row that it was loaded from.

    ``past``: the key under which its past is sealed, where it has one that matters. ``issuer``: for whom it signs, once
    that is on the disk; it never changes again.
    """

    row: tuple[Any, ...]
    info: KeyInfo
    key: LoadedKey
    gate: Gate
    past: bytes | None
    issuer: bytes | None = None


class Signing:
    """Signs with keys of the store."""

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        masters: MasterKeys,
        persons: Persons,
        activations: Activations,
        audit: AuditLog,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._clock, self._randomness = clock, randomness
        self._store, self._sessions, self._masters, self._persons = store, sessions, masters, persons
        self._activations, self._audit = activations, audit
        self._loaded: OrderedDict[str, _Known] = OrderedDict()
        self._results = Results(store, audit, "sign")
        self._lock = threading.Lock()
        self._generation = -1

    def sign(
        self,
        session: Session,
        key_id: str,
        mechanism: Mechanism,
        inputs: Sequence[bytes],
        contents: Sequence[bytes] | None,
        activation: bytes | None,
        audience: str | None,
    ) -> Staged[list[bytes]]:
        """Sign each input and verify, all or none. Intent and the uses of the activation are on disk before that.

        The result's audit row is in a later commit; an answer does not wait for it, and if it cannot be written, the
        next intent cannot either. KeyHandleInvalid, WrappedKeyInvalid, KeyDisabled, MechanismInvalid, DataInvalid,
        ActivationRequired, PolicyRefused at once; PolicyRefused (for what the key has signed before) and
        ActivationInvalid in the work; SignatureInvalid at the end.
        """
        if not 1 <= len(inputs) <= MOST_INPUTS or (contents is not None and len(contents) != len(inputs)):
            raise DataInvalid
        now = self._clock.now()
        shown: Sequence[bytes | None] = contents or [None] * len(inputs)
        known = self._cached(key_id) or self._load(self._store.read(), key_id)
        info = known.info
        if not info.enabled:
            raise KeyDisabled
        for data in inputs:
            check_request(info.algorithm, info.use, mechanism, data)
        if info.use.needs_activation and activation is None:
            raise ActivationRequired
        facts = known.gate.judge_all(mechanism, inputs, shown, now)
        issuer: bytes | None = None
        details = describe(mechanism, inputs)

        intent = 0

        def work(connection: sqlite3.Connection) -> None:
            nonlocal known, facts, issuer, intent
            epoch.require_newest(connection)
            if tuple(stored_key(connection, key_id)) != known.row:
                known = self._load(connection, key_id)
                if not known.info.enabled:
                    raise KeyDisabled
                facts = known.gate.judge_all(mechanism, inputs, shown, now)
            issuer = self._account(connection, known, facts)
            if activation is not None:
                digests = [authorised_digest(mechanism, data) for data in inputs]
                self._activations.consume(connection, activation, info, digests, audience)
            intent = self._audit.append(connection, session.actor, "sign", key_id, "intent", details)

        def finish() -> list[bytes]:
            known.issuer = issuer  # it is on the disk now
            signatures = [known.key.sign(mechanism, data) for data in inputs]
            self._results.done(session.actor, key_id, intent)
            return signatures

        return Staged(work, finish, len(inputs))

    def checked(self, connection: sqlite3.Connection, key_id: str) -> KeyInfo:
        """What the seal of a key's row vouches for. KeyHandleInvalid, WrappedKeyInvalid."""
        return self._load(connection, key_id).info

    def _account(self, connection: sqlite3.Connection, known: _Known, facts: Sequence[Facts]) -> bytes | None:
        """Hold what is to be signed against what the key has signed, unless that says nothing new. Gives the issuer."""
        if known.past is None:
            return None
        if not key_states.counts(known.gate.policy) and all(one.issuer in (None, known.issuer) for one in facts):
            return known.issuer
        return key_states.account(connection, known.info.key_id, known.past, known.gate.policy, facts, self._randomness)

    def wrapping_key(self, connection: sqlite3.Connection, row: sqlite3.Row) -> bytes:
        """What the key of this row is sealed under: a version of the master key, or its owner's key."""
        if row["owner"] is None:
            return self._masters.key(connection, row["master"])
        key = self._persons.existing_key(row["owner"], connection)
        if key is None:
            raise WrappedKeyInvalid  # an edited row: the owner it names has no key
        return key

    def forget_all(self) -> None:
        """Let every loaded key go."""
        with self._lock:
            self._loaded.clear()

    def _cached(self, key_id: str) -> _Known | None:
        """A loaded key, unless something has changed since; the work compares its row with the store's in any case."""
        generation = self._store.shared.generation
        with self._lock:
            if generation != self._generation:
                self._loaded.clear()
                self._generation = generation
            known = self._loaded.get(key_id)
            if known is not None:
                self._loaded.move_to_end(key_id)
        if known is not None:
            self._sessions.master_key()  # NotLoggedIn once the token is locked
        return known

    def _load(self, connection: sqlite3.Connection, key_id: str) -> _Known:
        row = stored_key(connection, key_id)
        try:
            private = unseal(self.wrapping_key(connection, row), row["sealed"], bound_to(key_of(row)))
        except WrappedKeyInvalid:
            moved = stored_key(connection, key_id)  # a rotation that ended in between: see Persons.record
            if tuple(moved) == tuple(row):
                raise
            row = moved
            private = unseal(self.wrapping_key(connection, row), row["sealed"], bound_to(key_of(row)))
        info = key_of(row)
        policy = policies.load(connection, info.policy)
        past = key_states.state_key(private) if key_states.has_past(policy) else None
        known = _Known(tuple(row), info, LoadedKey(private, info.public_key), Gate(policy, info), past)
        with self._lock:
            self._loaded[key_id] = known
            if len(self._loaded) > _LOADED_KEYS:
                self._loaded.popitem(last=False)
        return known


def describe(mechanism: Mechanism, inputs: Sequence[bytes]) -> dict[str, Any]:
    """What an audit row says of the inputs: the SHA-256 of one, or of the SHA-256 of each, in their order."""
    digests = [hashlib.sha256(data) for data in inputs]
    if len(digests) == 1:
        return {"mechanism": mechanism.value, "input": digests[0].hexdigest()}
    together = hashlib.sha256(b"".join(one.digest() for one in digests)).hexdigest()
    return {"mechanism": mechanism.value, "count": len(digests), "inputs": together}


def stored_key(connection: sqlite3.Connection, key_id: str) -> sqlite3.Row:
    """The row of a key; KeyHandleInvalid."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM keys WHERE key_id = ?", (key_id,)).fetchone()
    if row is None:
        raise KeyHandleInvalid
    return row


def key_of(row: sqlite3.Row) -> KeyInfo:
    """What a row says of its key; WrappedKeyInvalid for a row that no token wrote."""
    try:
        algorithm, use = KeyAlgorithm(row["algorithm"]), KeyUse(row["use"])
    except ValueError:
        raise WrappedKeyInvalid from None  # an edited row
    return KeyInfo(
        *(row["key_id"], row["label"], algorithm, use, row["public_key"], row["owner"], bool(row["enabled"])),
        row["policy"],
    )


def bound_to(info: KeyInfo) -> dict[str, Any]:
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
