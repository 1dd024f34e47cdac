"""The token's own key, made with it, and the statements that it signs (`foundation.keys.attestation`).

No operation signs with it what somebody else made up: it is not among the keys that can be asked to sign.
"""

from __future__ import annotations

import hashlib
import sqlite3

from foundation.clock import Clock
from foundation.keys.attestation import Checkpoint, DestructionCertificate, KeyAttestation, Statement, document
from foundation.keys.errors import WrappedKeyInvalid
from foundation.keys.port import KeyAlgorithm, KeyInfo, Mechanism
from foundation.randomness import Randomness
from hsm_emulation.audit import GENESIS
from hsm_emulation.keys import LoadedKey, make
from hsm_emulation.master_keys import MasterKeys
from hsm_emulation.sealing import seal, unseal

_NAME = "attestation"
_ALGORITHM = KeyAlgorithm.EC_P256


def make_token_key(connection: sqlite3.Connection, master: bytes, version: int, randomness: Randomness) -> None:
    """Make the token's own key, once, sealed under this version of the master key."""
    private, public = make(_ALGORITHM)
    connection.execute(
        "INSERT INTO token_keys (name, master, public_key, sealed) VALUES (?, ?, ?, ?)",
        (_NAME, version, public, seal(master, private, _bound_to(public), randomness)),
    )


class Attestation:
    """Makes statements. Everything that is said is read in the same transaction in which it is said."""

    def __init__(self, masters: MasterKeys, clock: Clock, serial: str, randomness: Randomness) -> None:
        self._masters, self._clock, self._serial, self._randomness = masters, clock, serial, randomness

    def public_key(self, connection: sqlite3.Connection) -> bytes:
        """The token's public key, a DER SubjectPublicKeyInfo. An edited row is noticed at the next signature."""
        return bytes(_row(connection)["public_key"])

    def key(self, connection: sqlite3.Connection, info: KeyInfo, kept: str, version: int) -> bytes:
        """About a key: ``kept`` in the token or wrapped, in which version."""
        return self.sign(
            connection,
            KeyAttestation(
                token=self._serial,
                key_id=info.key_id,
                owner=info.owner,
                algorithm=info.algorithm.value,
                use=info.use.value,
                public_key=hashlib.sha256(info.public_key).hexdigest(),
                policy=info.policy,
                kept=kept,
                version=version,
                at=self._clock.now(),
            ),
        )

    def destruction(self, connection: sqlite3.Connection, owner: str, keys: list[str]) -> bytes:
        """That a person's keys were destroyed; made in the transaction that does it."""
        return self.sign(connection, DestructionCertificate(self._serial, owner, tuple(keys), self._clock.now()))

    def checkpoint(self, connection: sqlite3.Connection, epoch: int) -> bytes:
        """Of the audit log as it is."""
        last = connection.execute("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
        sequence, hash_ = (last["sequence"], bytes(last["hash"])) if last else (0, GENESIS)
        return self.sign(connection, Checkpoint(self._serial, epoch, sequence, hash_.hex(), self._clock.now()))

    def sign(self, connection: sqlite3.Connection, statement: Statement) -> bytes:
        """The statement with the signature of the token's key."""
        row = _row(connection)
        master = self._masters.key(connection, row["master"])
        key = LoadedKey(unseal(master, row["sealed"], _bound_to(row["public_key"])), row["public_key"])
        return document(statement, lambda octets: key.sign(Mechanism.ECDSA_SHA256, octets))

    def rewrap(self, connection: sqlite3.Connection) -> None:
        """Seal the token's key under the newest master key."""
        row, newest = _row(connection), self._masters.current(connection)
        if row["master"] == newest:
            return
        bound = _bound_to(row["public_key"])
        private = unseal(self._masters.key(connection, row["master"]), row["sealed"], bound)
        sealed = seal(self._masters.key(connection, newest), private, bound, self._randomness)
        connection.execute("UPDATE token_keys SET master = ?, sealed = ? WHERE name = ?", (newest, sealed, _NAME))


def _row(connection: sqlite3.Connection) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute("SELECT * FROM token_keys WHERE name = ?", (_NAME,)).fetchone()
    if row is None:
        raise WrappedKeyInvalid
    return row


def _bound_to(public_key: bytes) -> dict[str, str]:
    return {"what": "token-key", "name": _NAME, "public_key": hashlib.sha256(public_key).hexdigest()}
