"""Key policies in the token's store: kept once each, by their hash, which the seal of every key names."""

from __future__ import annotations

import json
import sqlite3

from foundation.keys.errors import PolicyInvalid, WrappedKeyInvalid
from foundation.keys.policy import KeyPolicy


def keep(connection: sqlite3.Connection, policy: KeyPolicy) -> None:
    """Write a policy down, in the caller's transaction; once more does nothing."""
    connection.execute(
        "INSERT OR IGNORE INTO policies (hash, canonical) VALUES (?, ?)", (policy.hash, policy.canonical)
    )


def load(connection: sqlite3.Connection, policy_hash: str) -> KeyPolicy:
    """The policy of this hash. WrappedKeyInvalid when it is missing or is not what the hash says."""
    row = connection.execute("SELECT canonical FROM policies WHERE hash = ?", (policy_hash,)).fetchone()
    try:
        policy = KeyPolicy.parse(json.loads(row["canonical"])) if row else None
    except (ValueError, PolicyInvalid):
        policy = None
    if policy is None or policy.hash != policy_hash:
        raise WrappedKeyInvalid
    return policy
