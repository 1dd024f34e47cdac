"""The next key of the root: its certificate and both links, as a ceremony's rollover makes them (RFC 9810 §4.4).

Whoever trusts the old key alone comes to the new one by newWithOld, and whoever trusts the new one alone to what the
old one signed by oldWithNew. Checks, under the rule AUTH-ROOT-UPDATE: the new root is signed by itself, newWithOld by
the root that our authorities stand under, oldWithNew by the new one; names and keys are theirs; all are CAs and valid
now.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, select

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.db.once import insert_once
from issuing_ca.authorities import Authorities, issued_by, may_certify, public_key_of
from issuing_ca.errors import AuthorityRefused
from issuing_ca.model import ROOT
from issuing_ca.tables import root_updates

_RULE = "AUTH-ROOT-UPDATE"


@dataclass(frozen=True)
class RootKeyUpdate:
    """DER of the new root, of its key under the old one, and of the old key under the new one."""

    new_with_new: bytes
    new_with_old: bytes
    old_with_new: bytes


class RootUpdates:
    """Takes the certificates of a rollover, and gives them to whoever holds the old root."""

    def __init__(self, database: Database, authorities: Authorities, clock: Clock, audit: AuditTrail) -> None:
        self._database = database
        self._authorities = authorities
        self._clock = clock
        self._audit = audit

    def install(
        self, new: x509.Certificate, new_with_old: x509.Certificate, old_with_new: x509.Certificate, actor: str
    ) -> RootKeyUpdate:
        """Take a rollover of our root; the same again is no change. Raises AuthorityRefused."""
        installed = self._authorities.all()
        if not installed:
            raise AuthorityRefused(name=ROOT, rule="AUTH-ROOT")
        old = installed[0].root
        self._check(old, new, new_with_old, old_with_new)
        update = RootKeyUpdate(*(one.public_bytes(Encoding.DER) for one in (new, new_with_old, old_with_new)))
        values = {
            "old_root": _digest(old.public_bytes(Encoding.DER)),
            "new_with_new": update.new_with_new,
            "new_with_old": update.new_with_old,
            "old_with_new": update.old_with_new,
            "installed_at": self._clock.now(),
        }
        with self._database.unit_of_work() as connection:
            if insert_once(connection, root_updates, values):
                details = {"serial": f"{new.serial_number:x}"}
                self._audit.append(connection, actor, "issuing_ca.root_update_installed", ROOT, details)
            elif _found(connection, str(values["old_root"])) != update:
                raise AuthorityRefused(name=ROOT, rule=_RULE)
        return update

    def of(self, root: bytes | None = None) -> RootKeyUpdate | None:
        """The update of a root (DER), or of ours; None where there is none."""
        if root is None:
            installed = self._authorities.all()
            if not installed:
                return None
            root = installed[0].root.public_bytes(Encoding.DER)
        with self._database.read() as connection:
            return _found(connection, _digest(root))

    def _check(
        self,
        old: x509.Certificate,
        new: x509.Certificate,
        new_with_old: x509.Certificate,
        old_with_new: x509.Certificate,
    ) -> None:
        now = self._clock.now()
        keys = [public_key_of(one) for one in (new, old)]
        right = (
            keys[0] is not None
            and keys[0] != keys[1]
            and [public_key_of(one) for one in (new_with_old, old_with_new)] == keys
            and {one.subject for one in (new, new_with_old, old_with_new)} == {old.subject}
            and issued_by(new, new)
            and issued_by(new_with_old, old)
            and issued_by(old_with_new, new)
            and all(may_certify(one) for one in (new, new_with_old, old_with_new))
            and all(
                one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in (new, new_with_old, old_with_new)
            )
        )
        if not right:
            raise AuthorityRefused(name=ROOT, rule=_RULE)


def _found(connection: Connection, old_root: str) -> RootKeyUpdate | None:
    row = connection.execute(select(root_updates).where(root_updates.c.old_root == old_root)).one_or_none()
    if row is None:
        return None
    return RootKeyUpdate(bytes(row.new_with_new), bytes(row.new_with_old), bytes(row.old_with_new))


def _digest(root: bytes) -> str:
    return sha256(root).hexdigest()
