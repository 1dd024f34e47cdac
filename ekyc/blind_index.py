"""Keyed indexes over personal data: equal inputs give equal indexes, and without the key they say nothing.

The keys are made once, sealed in the vault under the service's own name, and shared by every process of the service.
"""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy import select

from ekyc.store import service_keys
from foundation.db.engine import Database
from foundation.db.once import insert_once
from foundation.randomness import Randomness
from foundation.vault import Vault

OWNER = "service:ekyc"


class BlindIndex:
    """HMAC-SHA256 under a key for each name."""

    def __init__(self, database: Database, vault: Vault, randomness: Randomness) -> None:
        self._database = database
        self._vault = vault
        self._randomness = randomness
        self._keys: dict[str, bytes] = {}

    def of(self, name: str, *parts: bytes) -> bytes:
        """The index (32 octets) of ``parts`` under the key called ``name``. Not for use inside a unit of work."""
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key(name), message, hashlib.sha256)

    def _key(self, name: str) -> bytes:
        key = self._keys.get(name)
        if key is None:  # two at once find the same one: whoever comes second takes what is there
            key = self._keys[name] = self._load_or_make(name)
        return key

    def _load_or_make(self, name: str) -> bytes:
        purpose, query = f"index-key:{name}", select(service_keys.c.sealed).where(service_keys.c.name == name)
        with self._database.read() as connection:
            sealed = connection.execute(query).scalar()
        if sealed is None:
            made = self._vault.seal(OWNER, purpose, self._randomness.bytes(32))
            with self._database.unit_of_work() as connection:
                insert_once(connection, service_keys, {"name": name, "sealed": made})
                sealed = connection.execute(query).scalar_one()
        return self._vault.open(OWNER, purpose, bytes(sealed))
