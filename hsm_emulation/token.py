"""The token: keys, what may be done with them, and the parts around them. No socket here; the daemon is one way in."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from foundation.clock import Clock
from foundation.keys.attestation import Checkpoint, verify
from foundation.keys.errors import (
    DataInvalid,
    KeyHandleInvalid,
    KeyStoreError,
    LabelExists,
    TokenPinInvalid,
)
from foundation.keys.policy import KeyPolicy, policy_for
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from foundation.keys.quorum import Custodians
from foundation.randomness import Randomness, SystemRandomness
from hsm_emulation import epoch, key_states, policies
from hsm_emulation.activations import Activations
from hsm_emulation.attestation import Attestation, make_token_key
from hsm_emulation.audit import AuditLog, Entry
from hsm_emulation.backup import write_backup
from hsm_emulation.cards import CardSet, card_set, make_cards, open_with_cards
from hsm_emulation.enrolment import FactorEnrolment
from hsm_emulation.keys import make
from hsm_emulation.marks import TokenMarks
from hsm_emulation.master_keys import MasterKeys, add_master_key
from hsm_emulation.passkeys import RelyingParty
from hsm_emulation.persons import Persons
from hsm_emulation.proofs import Proofs
from hsm_emulation.quorum import Quorum, write_custodians
from hsm_emulation.requests import Requests
from hsm_emulation.rotation import Rotation
from hsm_emulation.sealing import FORMAT, KEY_LENGTH, Cost, Costs, seal, unseal
from hsm_emulation.sessions import Role, Session, Sessions, check_operator_pin, wrap_master_key
from hsm_emulation.shared import changed
from hsm_emulation.signing import Signing, bound_to, key_of, stored_key
from hsm_emulation.staged import Staged
from hsm_emulation.store import Store, create
from hsm_emulation.wrapped import WrappedKeys

PAGE = 500


def initialise(
    directory: Path,
    so_pin: str | None,
    user_pin: str | None,
    *,
    clock: Clock,
    randomness: Randomness | None = None,
    costs: Costs | None = None,
    relying_party: RelyingParty | None = None,
    card_size: CardSet | None = None,
    custodians: Custodians | None = None,
) -> tuple[str, ...]:
    """Make a token in ``directory`` (made 0700): a random master key, and nothing else.

    It is under both operators' PINs; or under a set of cards, which come back and are kept nowhere, and then no PIN is
    given. ``custodians``: who must approve what `hsm_emulation.quorum_operations` lists. ``relying_party``: whose
    passkeys it takes. The security officer can set either later too.

    Raises TokenAlreadyInitialised and TokenPinInvalid (too short, the same PIN for both roles, or PINs beside cards).
    """
    pins = _checked_pins(so_pin, user_pin, card_size)
    cards: list[str] = []
    chosen, source = costs or Costs(), randomness or SystemRandomness()
    master = source.bytes(KEY_LENGTH)

    def fill(connection: sqlite3.Connection) -> None:
        values = {
            "format": FORMAT.encode(),
            "serial": source.bytes(8).hex().encode(),
            "costs": json.dumps(asdict(chosen)).encode(),
        }
        if relying_party is not None:
            values["relying_party"] = relying_party.encode()
        connection.executemany("INSERT INTO meta (name, value) VALUES (?, ?)", values.items())
        if card_size is not None:
            cards.extend(make_cards(connection, card_size, master, source))
        for role, pin in pins.items():
            wrap_master_key(connection, role, pin, master, chosen.operator, source)
        make_token_key(connection, add_master_key(connection, master, 1, source), 1, source)
        write_custodians(connection, custodians or Custodians(), master, source)
        epoch.begin(connection)
        AuditLog(clock).append(connection, Role.SO.value, "initialise", "token", "done")

    create(directory, fill)
    return tuple(cards)


def _checked_pins(so_pin: str | None, user_pin: str | None, size: CardSet | None) -> dict[Role, str]:
    if size is not None and so_pin is None and user_pin is None:
        return {}
    if size is not None or so_pin is None or user_pin is None or so_pin == user_pin:
        raise TokenPinInvalid
    check_operator_pin(so_pin)
    check_operator_pin(user_pin)
    return {Role.SO: so_pin, Role.USER: user_pin}


class Token:
    """An initialised token. Every method that takes a session trusts that it is alive and of the right role."""

    def __init__(self, store: Store, clock: Clock, randomness: Randomness | None = None) -> None:
        self.store = store
        self.audit = AuditLog(clock)
        self._randomness = randomness or SystemRandomness()
        meta = {row["name"]: row["value"] for row in store.read().execute("SELECT name, value FROM meta")}
        self.serial: str = meta["serial"].decode()
        costs = {name: Cost(**cost) for name, cost in json.loads(meta["costs"]).items()}
        self.sessions = Sessions(store, self.audit, clock, self._randomness, costs["operator"], self._when_locked)
        self.masters = MasterKeys(self.sessions.master_key, lambda: store.shared.generation)
        self.attestation = Attestation(self.masters, clock, self.serial, self._randomness)
        self.persons = Persons(store, self.masters, self.attestation, self.audit, clock, self._randomness)
        proofs = Proofs(store, self.persons, clock, self._randomness, costs["person"])
        parts = (store, self.persons, proofs, Requests(self.persons, clock, self._randomness), self.audit, clock)
        self.factors = FactorEnrolment(*parts, self._randomness)
        self.activations = Activations(*parts, self._randomness)
        self.signing = Signing(
            *(store, self.sessions, self.masters, self.persons, self.activations, self.audit),
            *(clock, self._randomness),
        )
        self.rotation = Rotation(
            store,
            self.sessions,
            self.masters,
            self.attestation,
            self.persons,
            self.audit,
            self._randomness,
        )
        self.marks = TokenMarks(store, self.sessions.master_key, self.audit, self._randomness)
        self.quorum = Quorum(store, self.sessions, self.audit, clock, self._randomness, self.serial)
        self.wrapped = WrappedKeys(store, self.persons, self.activations, self.audit, self._randomness)

    def close(self) -> None:
        """Write what is waiting and forget every key."""
        self.store.close()
        self.signing.forget_all()
        self.masters.forget()

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
            epoch.require_newest(connection)
            master = None if owner else self.masters.current(connection)
            wrapping = self.persons.key_in(connection, owner) if owner else self.masters.key(connection, master or 0)
            policies.keep(connection, chosen)
            try:
                connection.execute(
                    "INSERT INTO keys"
                    " (key_id, label, algorithm, use, owner, public_key, policy, enabled, master, sealed)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
                    (
                        *(key_id, label, algorithm.value, use.value, owner, public, chosen.hash, master),
                        seal(wrapping, private, bound_to(info), self._randomness),
                    ),
                )
            except sqlite3.IntegrityError:
                raise LabelExists from None
            if key_states.has_past(chosen):
                key_states.begin(connection, key_id, key_states.state_key(private), self._randomness)
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
        return [key_of(row) for row in rows], rows[-1]["sequence"] if len(rows) == PAGE else None

    def get(self, key_id: str) -> KeyInfo:
        """One key, a person's wrapped one too; KeyHandleInvalid."""
        if self.wrapped.owner_of(key_id) is not None:
            return self.wrapped.get(key_id)
        return key_of(stored_key(self.store.read(), key_id))

    def sign(
        self,
        session: Session,
        key_id: str,
        mechanism: Mechanism,
        inputs: Sequence[bytes],
        activation: bytes | None,
        audience: str | None,
        contents: Sequence[bytes] | None = None,
    ) -> Staged[list[bytes]]:
        """Sign each input, all or none (:mod:`hsm_emulation.signing`)."""
        return self.signing.sign(session, key_id, mechanism, inputs, contents, activation, audience)

    def set_enabled(self, session: Session, key_id: str, enabled: bool) -> None:
        """Disable or enable, a person's wrapped key too. The state is under a seal: a row edited back does not sign."""
        owner = self.wrapped.owner_of(key_id)
        if owner is not None:
            self.wrapped.set_enabled(session, owner, key_id, enabled)
            return

        def work(connection: sqlite3.Connection) -> None:
            row = stored_key(connection, key_id)
            before = key_of(row)
            if before.enabled == enabled:
                return
            wrapping = self.signing.wrapping_key(connection, row)
            after = replace(before, enabled=enabled)
            sealed = seal(
                wrapping, unseal(wrapping, row["sealed"], bound_to(before)), bound_to(after), self._randomness
            )
            connection.execute(
                "UPDATE keys SET enabled = ?, sealed = ? WHERE key_id = ?", (int(enabled), sealed, key_id)
            )
            changed(connection)
            self.audit.append(connection, session.actor, "enable" if enabled else "disable", key_id, "done")

        self.store.write(work)

    def set_policy(self, session: Session, key_id: str, policy: KeyPolicy) -> KeyInfo:
        """Give a key another policy, under its seal; what it signed stays counted. KeyHandleInvalid, PolicyInvalid."""

        def work(connection: sqlite3.Connection) -> KeyInfo:
            epoch.require_newest(connection)
            row = stored_key(connection, key_id)
            before = key_of(row)
            wrapping = self.signing.wrapping_key(connection, row)
            private = unseal(wrapping, row["sealed"], bound_to(before))
            after = replace(before, policy=policy_for(before.use, policy).hash)
            policies.keep(connection, policy)
            if key_states.has_past(policy) and not key_states.has_past(policies.load(connection, before.policy)):
                key_states.begin(connection, key_id, key_states.state_key(private), self._randomness)
            connection.execute(
                "UPDATE keys SET policy = ?, sealed = ? WHERE key_id = ?",
                (after.policy, seal(wrapping, private, bound_to(after), self._randomness), key_id),
            )
            changed(connection)
            details = {"before": before.policy, "after": after.policy}
            self.audit.append(connection, session.actor, "set-policy", key_id, "done", details)
            return after

        return self.store.write(work)

    def accept_store(self, session: Session) -> int:
        """Take the store for the newest there is, in a new epoch, whose number comes back (:mod:`~.epoch`)."""
        return self.store.write(lambda connection: epoch.accept(connection, self.audit, session.actor))

    def backup(self, session: Session) -> str:
        """Write a sealed backup beside the store, to be moved away by whoever asked; gives its path."""

        def work(connection: sqlite3.Connection) -> bytes:
            epoch.require_newest(connection)
            self.audit.append(connection, session.actor, "backup", "token", "done")
            return self.attestation.checkpoint(connection, epoch.current(connection))

        parts = (self.store.write(work), self.token_key(), self._randomness)
        return str(write_backup(self.store.read(), self.store.directory, self.sessions.master_key(), *parts))

    def destroy(self, session: Session, key_id: str) -> None:
        """Destroy a key for good, a person's wrapped one too, and the activations for it."""
        owner = self.wrapped.owner_of(key_id)
        if owner is not None:
            self.wrapped.destroy(session, owner, key_id)
            return
        stored_key(self.store.read(), key_id)
        self._intent(session, "destroy", key_id)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM activations WHERE key_id = ?", (key_id,))
            if connection.execute("DELETE FROM keys WHERE key_id = ?", (key_id,)).rowcount != 1:
                raise KeyHandleInvalid
            key_states.forget(connection, key_id)
            changed(connection)
            self.audit.append(connection, session.actor, "destroy", key_id, "done")

        self.store.write(work)
        self.store.scrub()

    def destroy_owner(self, session: Session, owner: str) -> bytes:
        """Destroy a person's key and everything under it; gives the certificate of destruction."""
        return self.persons.destroy(session, owner)

    def attest(self, key_id: str) -> bytes:
        """A signed statement about a key (`foundation.keys.attestation.KeyAttestation`), read under its seal."""
        connection = self.store.read()
        epoch.require_newest(connection)
        owner = self.wrapped.owner_of(key_id)
        if owner is not None:
            info, version = self.wrapped.state_of(connection, owner, key_id)
            return self.attestation.key(connection, info, "wrapped", version)
        return self.attestation.key(connection, self.signing.checked(connection, key_id), "token", 1)

    def witness(self, session: Session, last: bytes | None) -> bytes:
        """A checkpoint of the store, to be kept elsewhere; ``last``: the one that was kept before.

        StoreRolledBack when the store is older than that, or was found to be before; AttestationInvalid when ``last``
        is no checkpoint of this token.
        """
        connection = self.store.read()
        witnessed = None if last is None else verify(last, self.token_key(), Checkpoint)
        if witnessed is not None and not epoch.contains(connection, witnessed):
            self.store.write(lambda writing: epoch.note(writing, self.audit, session.actor, witnessed))
        epoch.require_newest(connection)
        return self.attestation.checkpoint(connection, epoch.current(connection))

    def token_key(self) -> bytes:
        """The public key (DER SubjectPublicKeyInfo) that the token's own statements are verified with."""
        return self.attestation.public_key(self.store.read())

    def login_with_cards(self, role: Role, cards: Sequence[str]) -> tuple[Session, bytes]:
        """A session for those who hold enough cards, and its token; what :func:`open_with_cards` raises."""
        try:
            master = open_with_cards(self.store.read(), cards)
        except KeyStoreError as error:
            code = error.code
            self.store.write(lambda connection: self.audit.append(connection, role.value, "login-cards", "token", code))
            raise
        return self.sessions.open(role, master)

    def openings(self) -> dict[str, Any]:
        """What opens the token, for whoever asks before logging in: ``cards`` as ``3of5``, or None for PINs."""
        cards = card_set(self.store.read())
        return {"cards": None if cards is None else str(cards)}

    def inventory(self) -> dict[str, Any]:
        """How much of what is in the token; ids and secrets are not in it."""
        read = self.store.read()
        keys = read.execute("SELECT use, algorithm, enabled, COUNT(*) FROM keys GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
        counts = {
            name: read.execute(query).fetchone()[0]
            for name, query in {
                "owners": "SELECT COUNT(*) FROM owners WHERE destroyed IS NULL",
                "owners_destroyed": "SELECT COUNT(*) FROM owners WHERE destroyed IS NOT NULL",
                "wrapped_keys": "SELECT COUNT(*) FROM wrapped_keys",
                "factors": "SELECT COUNT(*) FROM factors",
                "audit_rows": "SELECT COUNT(*) FROM audit",
            }.items()
        }
        grouped = [
            {"use": use, "algorithm": algorithm, "enabled": bool(enabled), "count": count}
            for use, algorithm, enabled, count in keys
        ]
        told = {**self.openings(), "quorum": self.quorum.told()}
        return {"serial": self.serial, "emulated": True, "keys": grouped, **counts, **told}

    def audit_entries(self, after: int, limit: int) -> list[Entry]:
        """Rows of the daemon's audit log."""
        return self.audit.entries(self.store.read(), after, min(limit, PAGE))

    def verify_audit(self) -> int:
        """Check the daemon's audit chain; AuditBroken."""
        return self.audit.verify(self.store.read())

    def _when_locked(self) -> None:
        self.masters.forget()
        self.signing.forget_all()

    def _intent(self, session: Session, action: str, subject: str, details: dict[str, Any] | None = None) -> None:
        self.store.write(
            lambda connection: self.audit.append(connection, session.actor, action, subject, "intent", details)
        )
