"""Key policies in the token's store: kept once each, by their hash, which the seal of every key names."""

from __future__ import annotations

import json
import sqlite3
from functools import lru_cache

from foundation.keys.errors import PolicyInvalid, WrappedKeyInvalid
from foundation.keys.policy import DEFAULTS, KeyPolicy

_DEFAULTS = {policy.hash: policy for policy in DEFAULTS.values()}


def keep(connection: sqlite3.Connection, policy: KeyPolicy) -> None:
    """Write a policy down, in the caller's transaction; once more does nothing."""
    connection.execute(
        "INSERT OR IGNORE INTO policies (hash, canonical) VALUES (?, ?)", (policy.hash, policy.canonical)
    )


def load(connection: sqlite3.Connection, policy_hash: str) -> KeyPolicy:
    """The policy of this hash. WrappedKeyInvalid when it is missing or is not what the hash says."""
    known = _DEFAULTS.get(policy_hash)
    if known is not None:
        return known
    row = connection.execute("SELECT canonical FROM policies WHERE hash = ?", (policy_hash,)).fetchone()
    try:
        policy = _read(row["canonical"]) if row else None
    except (ValueError, PolicyInvalid):
        policy = None
    if policy is None or policy.hash != policy_hash:
        raise WrappedKeyInvalid
    return policy


@lru_cache(maxsize=256)
def _read(canonical: bytes) -> KeyPolicy:
    return KeyPolicy.parse(json.loads(canonical))
