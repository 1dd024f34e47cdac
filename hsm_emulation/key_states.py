"""What a token remembers of a key's past: how often it signed, for which issuer, and its latest timestamp.

One sealed value a key, written when the key is made and then in the transaction of the intent, so that it is on the
disk before the signature is made. It is sealed under a key derived from the private key: who cannot use the key cannot
write its past, and rotating master keys does not touch it. A row that is missing or edited is WrappedKeyInvalid.
What this does not show is the whole store put back to an older state: that is what the store's epoch is for.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from foundation.keys.errors import PolicyRefused, WrappedKeyInvalid
from foundation.keys.policy import KeyPolicy, Signable
from foundation.randomness import Randomness
from hsm_emulation.gate import Facts
from hsm_emulation.sealing import KEY_LENGTH, seal, unseal

_FIXED = struct.Struct(">QQ")


class State(NamedTuple):
    """``uses``: signatures intended; ``latest``: microseconds since 1970, 0 for none; ``issuer``: a Name, DER."""

    uses: int = 0
    latest: int = 0
    issuer: bytes | None = None


def has_past(policy: KeyPolicy) -> bool:
    """Whether anything of a key's past matters to what it may sign."""
    return policy.use_limit is not None or bool(policy.kinds & {*_ISSUED, Signable.TIMESTAMP})


def counts(policy: KeyPolicy) -> bool:
    """Whether each signature changes it."""
    return policy.use_limit is not None or Signable.TIMESTAMP in policy.kinds


_ISSUED = frozenset({Signable.CERTIFICATE, Signable.CRL, Signable.OCSP})


def state_key(private: bytes) -> bytes:
    """The key under which a private key's (PKCS#8) past is sealed."""
    return HKDF(hashes.SHA256(), KEY_LENGTH, None, b"CamTrust: the past of a key").derive(private)


def begin(connection: sqlite3.Connection, key_id: str, key: bytes, randomness: Randomness) -> None:
    """A new key's past: none."""
    _write(connection, key_id, key, State(), randomness)


def read(connection: sqlite3.Connection, key_id: str, key: bytes) -> State:
    """A key's past; WrappedKeyInvalid."""
    row = connection.execute("SELECT sealed FROM key_states WHERE key_id = ?", (key_id,)).fetchone()
    if row is None:
        raise WrappedKeyInvalid
    value = unseal(key, row[0], _bound_to(key_id))
    uses, latest = _FIXED.unpack_from(value)
    return State(uses, latest, value[_FIXED.size :] or None)


def account(
    connection: sqlite3.Connection,
    key_id: str,
    key: bytes,
    policy: KeyPolicy,
    facts: Sequence[Facts],
    randomness: Randomness,
) -> bytes | None:
    """Hold what is to be signed against the past, and write it down, in the transaction of the intent.

    PolicyRefused: POL-USES, POL-ISSUER, POL-TIME. A timestamp may be earlier than one before it by as much as it may
    differ from the clock, unless it claims to be ordered (RFC 3161 §2.4.2: without that claim, times that are closer
    than their accuracies have no order). Gives the issuer that the key signs for from now on.
    """
    before = read(connection, key_id, key)
    uses, latest, issuer = before
    uses += len(facts)
    if policy.use_limit is not None and uses > policy.use_limit:
        raise PolicyRefused(rule="POL-USES")
    leeway = policy.clock_seconds * 1_000_000
    for fact in facts:
        if fact.issuer is not None:
            if issuer is not None and issuer != fact.issuer:
                raise PolicyRefused(rule="POL-ISSUER")
            issuer = fact.issuer
        if fact.at is not None:
            if fact.at < latest - (0 if fact.ordered else leeway):
                raise PolicyRefused(rule="POL-TIME")
            latest = max(latest, fact.at)
    if issuer != before.issuer or counts(policy):
        _write(connection, key_id, key, State(uses, latest, issuer), randomness)
    return issuer


def forget(connection: sqlite3.Connection, key_id: str) -> None:
    """The key is destroyed."""
    connection.execute("DELETE FROM key_states WHERE key_id = ?", (key_id,))


def _write(connection: sqlite3.Connection, key_id: str, key: bytes, state: State, randomness: Randomness) -> None:
    value = _FIXED.pack(state.uses, state.latest) + (state.issuer or b"")
    connection.execute(
        "INSERT OR REPLACE INTO key_states (key_id, sealed) VALUES (?, ?)",
        (key_id, seal(key, value, _bound_to(key_id), randomness)),
    )


def _bound_to(key_id: str) -> dict[str, str]:
    return {"what": "key-state", "key_id": key_id}
