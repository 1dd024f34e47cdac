"""The head of the tree over an authority's status changes, published: its statement is an entry of the issuance log.

Each statement says how many changes there had been, and the root over them. The log's checkpoint signs it with all that
is in the log; so whoever kept one can tell later whether changes were removed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from foundation.canonical import canonical_json
from foundation.db.engine import Database
from foundation.log_proof import EntryKind, InclusionProof, name_digest
from issuing_ca import log_store, status_journal
from issuing_ca.authorities import Authorities
from issuing_ca.errors import AuthorityUnknown
from issuing_ca.log import IssuanceLog
from issuing_ca.status_journal import TreeHead

FORM = "camtrust.ca.revocation-head/v1"


def statement(head: TreeHead) -> bytes:
    """What the log has the SHA-256 of."""
    return canonical_json({"form": FORM, "authority": head.authority, "size": head.size, "root": head.root.hex()})


@dataclass(frozen=True)
class PublishedHead:
    """A statement, and the proof that it is in the log."""

    statement: bytes
    proof: InclusionProof


class RevocationHeads:
    """Publishes the newest heads."""

    def __init__(self, database: Database, authorities: Authorities, log: IssuanceLog) -> None:
        self._database = database
        self._authorities = authorities
        self._log = log

    def publish(self) -> int:
        """Record every head that the log does not have; gives how many. The log signs them when it is integrated."""
        with self._database.read() as connection:
            heads = [head for head in status_journal.heads(connection) if not self._recorded(head)]
        for head in heads:
            subject = name_digest(self._authorities.get(head.authority).certificate.subject)
            digest = hashlib.sha256(statement(head)).digest()
            with self._database.unit_of_work() as connection:
                log_store.head(connection, lock=True)  # two processes never record the same one
                if log_store.entry_of(connection, digest, EntryKind.REVOCATIONS) is None:
                    self._log.record(connection, EntryKind.REVOCATIONS, digest, subject)
        return len(heads)

    def newest(self, authority: str) -> PublishedHead:
        """The newest head of an authority with its proof. Raises AuthorityUnknown, and what the log raises."""
        self._authorities.get(authority)
        self.publish()
        with self._database.read() as connection:
            found = [head for head in status_journal.heads(connection) if head.authority == authority]
        if not found:
            raise AuthorityUnknown(name=authority)
        said = statement(found[0])
        return PublishedHead(said, self._log.inclusion(hashlib.sha256(said).digest()))

    def _recorded(self, head: TreeHead) -> bool:
        digest = hashlib.sha256(statement(head)).digest()
        with self._database.read() as connection:
            return log_store.entry_of(connection, digest, EntryKind.REVOCATIONS) is not None
