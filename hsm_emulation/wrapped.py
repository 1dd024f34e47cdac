"""Wrapped keys: made here, kept by the services, used here. `foundation.keys.port.WrappedKeys`.

    CTW1 | length of the head (2 octets) | head: canonical JSON | nonce and AES-256-GCM of the private key (PKCS#8)

The head says what the key is; the same values, with the hash of the public key, are the associated data. The token's
record of the person has them too, with the version that is good and whether the key is enabled. So a wrapping that was
edited does not open, one that was swapped is another key's or another person's, and one that was put back from an old
copy is of a version that is good no more.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from foundation.canonical import canonical_json
from foundation.keys.errors import (
    ActivationRequired,
    DataInvalid,
    KeyDisabled,
    KeyHandleInvalid,
    PolicyInvalid,
    WrappedKeyInvalid,
)
from foundation.keys.mechanisms import authorised_digest
from foundation.keys.policy import KeyPolicy, policy_for
from foundation.keys.port import MOST_INPUTS, KeyAlgorithm, KeyInfo, KeyUse, Mechanism, WrappedKey
from foundation.randomness import Randomness
from hsm_emulation import epoch, policies
from hsm_emulation.activations import Activations
from hsm_emulation.audit import AuditLog, Results
from hsm_emulation.gate import judge_document
from hsm_emulation.keys import LoadedKey, check_request, make
from hsm_emulation.person_record import PersonRecord, WrappedState, Wrapping
from hsm_emulation.persons import Persons
from hsm_emulation.sealing import seal, unseal
from hsm_emulation.sessions import Session
from hsm_emulation.shared import changed
from hsm_emulation.signing import describe
from hsm_emulation.staged import Staged
from hsm_emulation.store import Store

MOST_KEYS = 64  # live wrapped keys of one person: the record is read whole
_FORMAT = b"CTW1"


@dataclass(frozen=True)
class _Head:
    """What a wrapping says of itself; believed when the token's record says the same and the seal holds."""

    key_id: str
    owner: str
    version: int


@dataclass(frozen=True)
class _Opened:
    head: _Head
    state: WrappedState
    key: LoadedKey


class WrappedKeys:
    """Keys whose private halves the token gives out sealed, and takes back to use."""

    def __init__(
        self, store: Store, persons: Persons, activations: Activations, audit: AuditLog, randomness: Randomness
    ) -> None:
        self._store, self._persons, self._activations = store, persons, activations
        self._audit, self._randomness = audit, randomness
        self._results = Results(store, audit, "sign-wrapped")

    def generate(
        self, session: Session, owner: str, algorithm: KeyAlgorithm, use: KeyUse, policy: KeyPolicy | None
    ) -> WrappedKey:
        """Make a key pair for a person. One commit: what is not written down is in no wrapping that opens.

        DataInvalid for a use that certifies, or a person who has too many keys; OwnerDestroyed; PolicyInvalid.
        """
        if use.certifies:
            raise DataInvalid
        chosen = policy_for(use, policy)
        if chosen.use_limit is not None:
            raise PolicyInvalid(field="use_limit")  # uses are counted for keys that the store itself holds
        private, public = make(algorithm)
        key_id = self._randomness.bytes(16).hex()

        def work(connection: sqlite3.Connection) -> tuple[WrappedState, bytes]:
            epoch.require_newest(connection)
            record = self._persons.record_in(connection, owner)
            if len(record.keys) >= MOST_KEYS:
                raise DataInvalid
            state = WrappedState(algorithm, use, public, chosen.hash, Wrapping(1, record.generation))
            policies.keep(connection, chosen)
            self._persons.save(connection, owner, record.with_key(key_id, state))
            connection.execute("INSERT INTO wrapped_keys (key_id, owner) VALUES (?, ?)", (key_id, owner))
            details = {"algorithm": algorithm.value, "use": use.value, "owner": owner, "policy": chosen.hash}
            self._audit.append(connection, session.actor, "generate-wrapped", key_id, "done", details)
            return state, record.wrapping[record.generation]

        state, wrapping_key = self._store.write(work)
        wrapped = self._wrap(_Head(key_id, owner, 1), state, wrapping_key, private)
        return WrappedKey(_info(key_id, owner, state), wrapped)

    def get(self, key_id: str) -> KeyInfo:
        """One live key; KeyHandleInvalid."""
        owner = self.owner_of(key_id)
        if owner is None:
            raise KeyHandleInvalid
        return self.state_of(self._store.read(), owner, key_id)[0]

    def owner_of(self, key_id: str) -> str | None:
        """Whose wrapped key this is, as an index says that is not sealed; None for what is no wrapped key."""
        query = "SELECT owner FROM wrapped_keys WHERE key_id = ?"
        row = self._store.read().execute(query, (key_id,)).fetchone()
        return row["owner"] if row else None

    def state_of(self, connection: sqlite3.Connection, owner: str, key_id: str) -> tuple[KeyInfo, int]:
        """A live key and the version of its good wrapping; KeyHandleInvalid."""
        record = self._persons.record(owner, connection)
        if record is None or key_id not in record.keys:
            raise KeyHandleInvalid
        return _info(key_id, owner, record.keys[key_id]), record.keys[key_id].now.version

    def of_owner(self, owner: str) -> tuple[KeyInfo, ...]:
        """A person's live keys; OwnerDestroyed."""
        record = self._persons.record(owner)
        return tuple(_info(key_id, owner, state) for key_id, state in record.keys.items()) if record else ()

    def sign(
        self,
        session: Session,
        wrapped: bytes,
        mechanism: Mechanism,
        inputs: Sequence[bytes],
        activation: bytes | None,
        audience: str | None,
    ) -> Staged[list[bytes]]:
        """Sign every input, or none. The intent, and the use of the activation, are on disk before the key is used.

        WrappedKeyInvalid, KeyHandleInvalid (destroyed), KeyDisabled, OwnerDestroyed, MechanismInvalid, DataInvalid,
        ActivationRequired, PolicyRefused at once; in the work once more for what has changed since, and
        ActivationInvalid; SignatureInvalid at the end.
        """
        if not 1 <= len(inputs) <= MOST_INPUTS:
            raise DataInvalid
        opened = self._open(wrapped)
        head, state = opened.head, opened.state
        if not state.enabled:
            raise KeyDisabled
        policy = policies.load(self._store.read(), state.policy)
        for data in inputs:
            check_request(state.algorithm, state.use, mechanism, data)
        if state.use.needs_activation and activation is None:
            raise ActivationRequired
        for data in inputs:
            judge_document(policy, mechanism, data)
        info = _info(head.key_id, head.owner, state)
        details = describe(mechanism, inputs)

        intent = 0

        def work(connection: sqlite3.Connection) -> None:
            nonlocal intent
            epoch.require_newest(connection)
            record, current = self._state(connection, head)
            if not current.enabled:
                raise KeyDisabled
            if activation is not None:
                digests = [authorised_digest(mechanism, data) for data in inputs]
                self._activations.consume(connection, activation, info, digests, audience)
            if current.following is not None and current.following.version == head.version:
                # It was stored, since it came back: the one before is good no more.
                moved = replace(current, now=current.following, following=None)
                self._persons.save(connection, head.owner, record.with_key(head.key_id, moved))
            self._persons.rewrap(connection, head.owner)
            intent = self._audit.append(connection, session.actor, "sign-wrapped", head.key_id, "intent", details)

        def finish() -> list[bytes]:
            signatures = [opened.key.sign(mechanism, data) for data in inputs]
            self._results.done(session.actor, head.key_id, intent)
            return signatures

        return Staged(work, finish, len(inputs))

    def rewrap(self, session: Session, wrapped: bytes) -> bytes:
        """The same key under the person's newest wrapping key; the same octets when it is there already.

        The wrapping that was given stays good until the new one is used: it is safe to lose the answer. Raises what
        :meth:`sign` raises for a wrapping that is not good.
        """
        head, state, private = self._unwrap(wrapped)
        record, _ = self._state(self._store.read(), head)
        good = state.wrapping(head.version)
        if good is not None and good.generation == record.generation:
            return wrapped

        def work(connection: sqlite3.Connection) -> tuple[WrappedState, int, bytes]:
            record, current = self._state(connection, head)
            good = current.wrapping(head.version)
            if good is None:
                raise WrappedKeyInvalid
            last = max(one.version for one in (current.now, current.following) if one is not None)
            following = Wrapping(last + 1, record.generation)
            moved = replace(current, now=good, following=following)
            self._persons.save(connection, head.owner, record.with_key(head.key_id, moved))
            self._audit.append(connection, session.actor, "rewrap", head.key_id, "done", {"version": following.version})
            return moved, following.version, record.wrapping[record.generation]

        state, version, wrapping_key = self._store.write(work)
        return self._wrap(replace(head, version=version), state, wrapping_key, private)

    def set_enabled(self, session: Session, owner: str, key_id: str, enabled: bool) -> None:
        """Disable or enable: in the person's record, which the services do not have. KeyHandleInvalid."""

        def change(state: WrappedState) -> WrappedState | None:
            return None if state.enabled == enabled else replace(state, enabled=enabled)

        self._change(session, owner, key_id, "enable" if enabled else "disable", change)

    def destroy(self, session: Session, owner: str, key_id: str) -> None:
        """Destroy a key for good: no wrapping of it signs any more, wherever it is kept. KeyHandleInvalid."""

        def work(connection: sqlite3.Connection) -> None:
            record = self._persons.record(owner, connection)
            if record is None or key_id not in record.keys:
                raise KeyHandleInvalid
            self._persons.save(connection, owner, record.with_key(key_id, None))
            connection.execute("DELETE FROM wrapped_keys WHERE key_id = ?", (key_id,))
            connection.execute("DELETE FROM activations WHERE key_id = ?", (key_id,))
            changed(connection)
            self._audit.append(connection, session.actor, "destroy-wrapped", key_id, "done")

        self._store.write(work)
        self._store.scrub()

    def renew(self, session: Session, owner: str) -> None:
        """Give the person a new wrapping key. Their keys move to it one by one (:meth:`rewrap`), and the old wrapping
        key is gone when the last of them has been used under the new one. KeyHandleInvalid for a person without keys.
        """

        def work(connection: sqlite3.Connection) -> None:
            record = self._persons.record(owner, connection)
            if record is None:
                raise KeyHandleInvalid
            generation = record.generation + 1
            wrapping = {**record.wrapping, generation: self._randomness.bytes(32)}
            self._persons.save(connection, owner, replace(record, wrapping=wrapping))
            self._audit.append(connection, session.actor, "renew-person", owner, "done", {"generation": generation})

        self._store.write(work)

    def _change(
        self,
        session: Session,
        owner: str,
        key_id: str,
        action: str,
        change: Callable[[WrappedState], WrappedState | None],
    ) -> None:
        def work(connection: sqlite3.Connection) -> None:
            record = self._persons.record(owner, connection)
            if record is None or key_id not in record.keys:
                raise KeyHandleInvalid
            after = change(record.keys[key_id])
            if after is None:
                return
            self._persons.save(connection, owner, record.with_key(key_id, after))
            changed(connection)
            self._audit.append(connection, session.actor, action, key_id, "done")

        self._store.write(work)

    def _state(self, connection: sqlite3.Connection, head: _Head) -> tuple[PersonRecord, WrappedState]:
        """What the token says of the key of a wrapping; it must be a good one."""
        record = self._persons.record(head.owner, connection)
        if record is None:
            raise WrappedKeyInvalid  # nobody of ours
        state = record.keys.get(head.key_id)
        if state is None:
            raise KeyHandleInvalid
        if state.wrapping(head.version) is None:
            raise WrappedKeyInvalid  # rolled back
        return record, state

    def _open(self, wrapped: bytes) -> _Opened:
        head, state, private = self._unwrap(wrapped)
        return _Opened(head, state, LoadedKey(private, state.public_key))

    def _unwrap(self, wrapped: bytes) -> tuple[_Head, WrappedState, bytes]:
        head, encoded, sealed = _parse(wrapped)
        record, state = self._state(self._store.read(), head)
        if encoded != _encode_head(head, state):
            raise WrappedKeyInvalid
        good = state.wrapping(head.version)
        if good is None:
            raise WrappedKeyInvalid
        return head, state, unseal(record.wrapping[good.generation], sealed, _bound_to(head, state))

    def _wrap(self, head: _Head, state: WrappedState, wrapping_key: bytes, private: bytes) -> bytes:
        encoded = _encode_head(head, state)
        sealed = seal(wrapping_key, private, _bound_to(head, state), self._randomness)
        return _FORMAT + len(encoded).to_bytes(2, "big") + encoded + sealed


def _info(key_id: str, owner: str, state: WrappedState) -> KeyInfo:
    return KeyInfo(
        key_id=key_id,
        label=key_id,
        algorithm=state.algorithm,
        use=state.use,
        public_key=state.public_key,
        owner=owner,
        enabled=state.enabled,
        policy=state.policy,
    )


def _bound_to(head: _Head, state: WrappedState) -> dict[str, Any]:
    """The associated data of a wrapping."""
    return {"what": "wrapped-key", **_head_value(head, state)}


def _head_value(head: _Head, state: WrappedState) -> dict[str, Any]:
    return {
        "key_id": head.key_id,
        "owner": head.owner,
        "version": head.version,
        "algorithm": state.algorithm.value,
        "use": state.use.value,
        "public_key": hashlib.sha256(state.public_key).hexdigest(),
        "policy": state.policy,
    }


def _encode_head(head: _Head, state: WrappedState) -> bytes:
    return canonical_json(_head_value(head, state))


def _parse(wrapped: bytes) -> tuple[_Head, bytes, bytes]:
    """The head, its octets, and what is sealed; WrappedKeyInvalid for what is no wrapping."""
    start = len(_FORMAT) + 2
    if wrapped[: len(_FORMAT)] != _FORMAT or len(wrapped) < start:
        raise WrappedKeyInvalid
    end = start + int.from_bytes(wrapped[len(_FORMAT) : start], "big")
    encoded = wrapped[start:end]
    try:
        value = json.loads(encoded)
        key_id, owner, version = value["key_id"], value["owner"], value["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise WrappedKeyInvalid from None
    if not isinstance(key_id, str) or not isinstance(owner, str) or not isinstance(version, int):
        raise WrappedKeyInvalid
    return _Head(key_id, owner, version), encoded, wrapped[end:]
