"""Authorisation next to the key (EN 419 241): what its owner approved is signed, exactly that, each digest once.

prepare   the digests are laid down under a nonce; the answer must prove `foundation.keys.activation.ActivationData`
approve   the proof is checked, the nonce used up, and an activation of 32 random octets given out
consume   digests are used up, all that are asked for or none, on the disk before the signature is made

Of an activation only the SHA-256 is stored. Its row is sealed under the person's key with key id, digests, audience,
expiry, method, and which digests are used: a row that was edited permits nothing.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from foundation.clock import Clock
from foundation.keys.activation import (
    MOST_DIGESTS,
    ActivationData,
    Method,
    PinTotp,
    Proof,
    digests_root,
)
from foundation.keys.errors import (
    ActivationInvalid,
    DataInvalid,
    FactorsNotEnrolled,
    KeyDisabled,
    MethodRefused,
    WrappedKeyInvalid,
)
from foundation.keys.factors import ApprovalRequest
from foundation.keys.port import Activation, KeyInfo
from foundation.randomness import Randomness
from hsm_emulation import policies
from hsm_emulation.audit import AuditLog
from hsm_emulation.passkeys import assertion_options
from hsm_emulation.persons import Persons
from hsm_emulation.proofs import Proofs
from hsm_emulation.requests import Requests
from hsm_emulation.sealing import KEY_LENGTH, seal, unseal
from hsm_emulation.sessions import Session
from hsm_emulation.store import Store

_KEPT_AFTER_EXPIRY = 3600
_ACT = "sign"


class Activations:
    """What persons approve to be signed."""

    def __init__(
        self,
        store: Store,
        persons: Persons,
        proofs: Proofs,
        requests: Requests,
        audit: AuditLog,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._store, self._persons, self._proofs, self._requests = store, persons, proofs, requests
        self._audit, self._clock, self._randomness = audit, clock, randomness

    def prepare(
        self, session: Session, info: KeyInfo, digests: Sequence[bytes], audience: str, method: Method
    ) -> ApprovalRequest:
        """Ask the owner of a key to approve these digests. DataInvalid, KeyDisabled, FactorsNotEnrolled."""
        owner = self._check(info, digests, method)
        record = self._proofs.record(owner)
        if record is None or method not in record.methods:
            raise FactorsNotEnrolled
        nonce, expires = self._requests.new()
        data = _data(info, owner, digests, audience, nonce, expires, method)
        options = assertion_options(record.passkeys, data.challenge()) if method is Method.PASSKEY else None
        content = {
            "act": _ACT,
            "key_id": info.key_id,
            "audience": audience,
            "method": method.value,
            "digests": [digest.hex() for digest in digests],
        }

        def work(connection: sqlite3.Connection) -> None:
            self._requests.put(connection, owner, nonce, expires, content)
            self._audit.append(connection, session.actor, "prepare", info.key_id, "done", _told(data))

        self._store.write(work)
        return ApprovalRequest(nonce, data.canonical(), expires, options)

    def key_of(self, nonce: bytes) -> str:
        """The id of the key that a prepared approval is for; ActivationInvalid."""
        return str(self._requests.find(self._store.read(), nonce, _ACT).content["key_id"])

    def approve(self, session: Session, info: KeyInfo, nonce: bytes, proof: Proof) -> Activation:
        """Check the owner's proof over what was prepared for this key, and permit each digest once.

        ActivationInvalid for a nonce that is unknown, used, over, of another key, or prepared for another method.
        """
        waiting = self._requests.find(self._store.read(), nonce, _ACT)
        content = waiting.content
        if content["method"] != proof.method.value or content["key_id"] != info.key_id or waiting.owner != info.owner:
            raise ActivationInvalid
        digests = [bytes.fromhex(digest) for digest in content["digests"]]
        data = _data(info, waiting.owner, digests, content["audience"], nonce, waiting.expires, proof.method)
        return self._permit(session, info, digests, data, proof, prepared=True)

    def activate(
        self, session: Session, info: KeyInfo, digests: Sequence[bytes], pin: str, totp: str, audience: str
    ) -> Activation:
        """Prepare and approve in one, with PIN and one-time code."""
        owner = self._check(info, digests, Method.PIN_TOTP)
        nonce, expires = self._requests.new()
        data = _data(info, owner, digests, audience, nonce, expires, Method.PIN_TOTP)
        return self._permit(session, info, digests, data, PinTotp(pin, totp), prepared=False)

    def _permit(
        self,
        session: Session,
        info: KeyInfo,
        digests: Sequence[bytes],
        data: ActivationData,
        proof: Proof,
        *,
        prepared: bool,
    ) -> Activation:
        self._check(info, digests, proof.method)
        key = self._persons.existing_key(data.owner)
        if key is None:
            raise FactorsNotEnrolled
        token, told = self._randomness.bytes(KEY_LENGTH), _told(data)
        token_hash, seconds = hashlib.sha256(token).digest(), int(data.expires.timestamp())
        named, used = json.dumps([digest.hex() for digest in digests]), bytes((len(digests) + 7) // 8)
        row = (token_hash, info.key_id, data.owner, data.audience, seconds, data.method.value)
        sealed = seal(key, b"", _bound_to(*row, named, used), self._randomness)
        self._store.write(
            lambda connection: self._audit.append(connection, session.actor, "activate", info.key_id, "intent", told)
        )

        def permit(connection: sqlite3.Connection) -> None:
            if prepared:
                self._requests.take(connection, data.nonce)
            long_ago = int(self._clock.now().timestamp()) - _KEPT_AFTER_EXPIRY
            connection.execute("DELETE FROM activations WHERE expires < ?", (long_ago,))
            connection.execute(
                "INSERT INTO activations (token_hash, key_id, owner, audience, expires, method, used, sealed)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, used, sealed),
            )
            connection.execute(
                "INSERT INTO activation_digests (token_hash, digests) VALUES (?, ?)", (token_hash, named)
            )
            self._audit.append(connection, session.actor, "activate", info.key_id, "done", told)

        self._proofs.prove(data.owner, proof, data.challenge(), permit)
        return Activation(token, data.expires)

    def consume(
        self,
        connection: sqlite3.Connection,
        token: bytes,
        info: KeyInfo,
        digests: Sequence[bytes],
        audience: str | None,
    ) -> None:
        """Use up the permission for each of ``digests`` (as often as it stands there), in the caller's transaction;
        the caller signs after it is committed. All or none.

        ActivationInvalid when the token is unknown, expired, of another key or audience, or does not (or no longer)
        name one of them, and when a stored field was edited.
        """
        token_hash = hashlib.sha256(token).digest()
        row = connection.execute(
            "SELECT * FROM activations JOIN activation_digests USING (token_hash) WHERE token_hash = ?", (token_hash,)
        ).fetchone()
        if row is None or info.owner is None or row["key_id"] != info.key_id or not digests:
            raise ActivationInvalid
        if row["expires"] <= self._clock.now().timestamp() or audience not in (None, row["audience"]):
            raise ActivationInvalid
        key = self._persons.existing_key(info.owner, connection)
        if key is None:
            raise ActivationInvalid
        fields = (token_hash, info.key_id, info.owner, row["audience"], row["expires"], row["method"], row["digests"])
        try:
            unseal(key, row["sealed"], _bound_to(*fields, row["used"]))
        except WrappedKeyInvalid:
            raise ActivationInvalid from None
        used = _with_used(row["used"], json.loads(row["digests"]), digests)
        sealed = seal(key, b"", _bound_to(*fields, used), self._randomness)
        changed = connection.execute(
            "UPDATE activations SET used = ?, sealed = ? WHERE token_hash = ? AND sealed = ?",
            (used, sealed, token_hash, row["sealed"]),
        )
        if changed.rowcount != 1:
            raise ActivationInvalid

    def _check(self, info: KeyInfo, digests: Sequence[bytes], method: Method) -> str:
        """The owner of a key that can be activated so for these; DataInvalid, KeyDisabled, MethodRefused."""
        if info.owner is None or not 1 <= len(digests) <= MOST_DIGESTS:
            raise DataInvalid
        if any(len(digest) not in (32, 48, 64) for digest in digests):
            raise DataInvalid
        if not info.enabled:
            raise KeyDisabled
        policy = policies.load(self._store.read(), info.policy)
        if policy.needs_activation and method not in policy.methods:
            raise MethodRefused
        return info.owner


def _with_used(used: bytes, named: Sequence[str], digests: Sequence[bytes]) -> bytes:
    """The bitmap after the first free place of each digest is taken; ActivationInvalid where there is none."""
    free: dict[str, list[int]] = defaultdict(list)
    for position in range(len(named) - 1, -1, -1):
        if not used[position >> 3] >> (position & 7) & 1:
            free[named[position]].append(position)
    after = bytearray(used)
    for digest in digests:
        places = free.get(digest.hex())
        if not places:
            raise ActivationInvalid
        position = places.pop()
        after[position >> 3] |= 1 << (position & 7)
    return bytes(after)


def _data(
    info: KeyInfo,
    owner: str,
    digests: Sequence[bytes],
    audience: str,
    nonce: bytes,
    expires: datetime,
    method: Method,
) -> ActivationData:
    root, count = digests_root(digests), len(digests)
    return ActivationData(info.key_id, owner, root, count, audience, nonce, expires.astimezone(UTC), method)


def _told(data: ActivationData) -> dict[str, Any]:
    """What the audit log says of it: enough to find the approved data again, and nothing of the documents."""
    return {
        "digests": data.count,
        "root": data.root.hex(),
        "audience": data.audience,
        "method": data.method.value,
        "challenge": data.challenge().hex(),
    }


def _bound_to(
    token_hash: bytes, key_id: str, owner: str, audience: str, expires: int, method: str, named: str, used: bytes
) -> dict[str, Any]:
    return {
        "what": "activation",
        "token": token_hash.hex(),
        "key_id": key_id,
        "owner": owner,
        "audience": audience,
        "expires": expires,
        "method": method,
        "digests": hashlib.sha256(named.encode()).hexdigest(),
        "used": used.hex(),
    }
