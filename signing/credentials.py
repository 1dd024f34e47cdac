"""Signing credentials: a key with the certificate over it, whose they are, and whether they may be used now.

A person's credential is usable while its certificate is good in the issuing CA's books, whoever stopped it and by which
door; the key's switch in the token says the same a second time, next to the key (docs/decisions/0023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor
from foundation.keys.port import KeyUse
from foundation.randomness import Randomness
from foundation.use_record import Act
from signing import store
from signing.credential_requests.store import successor
from signing.errors import CredentialMismatch, CredentialNotFound, CredentialNotUsable
from signing.history import OWN, History
from signing.model import Credential, CredentialStatus, Signatory
from signing.ports import CertificateStanding, SigningKeys, Standing

_KEPT_USES = 1024


class Credentials:
    """Registers, finds, stops and withdraws."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        randomness: Randomness,
        keys: SigningKeys,
        standing: CertificateStanding,
        history: History,
    ) -> None:
        self._database, self._audit, self._clock, self._randomness = database, audit, clock, randomness
        self._keys, self._standing, self._history = keys, standing, history
        self._uses: dict[str, KeyUse] = {}

    def register(
        self, by: str, owner: str, key_id: str, certificate: x509.Certificate, chain: Sequence[x509.Certificate]
    ) -> Credential:
        """Make a certificate usable by ``owner``; ``chain`` is what is above it, issuer first, root last.

        A certificate that is registered already gives its credential. ``by``: who does this, for the audit trail.
        Raises CredentialMismatch when key, owner, certificate and chain do not belong together; KeyHandleInvalid.
        """
        info = self._keys.get(key_id)
        public_key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if public_key != info.public_key or not chain or certificate.issuer != chain[0].subject:
            raise CredentialMismatch
        if info.use not in (KeyUse.CITIZEN_SIGN, KeyUse.ORGANISATION_SEAL) or info.owner not in (None, owner):
            raise CredentialMismatch
        credential = Credential(
            credential_id=self._randomness.bytes(16).hex(),
            owner=owner,
            signatory=Signatory(key_id, certificate, tuple(chain)),
            status=CredentialStatus.ACTIVE,
        )
        with self._database.unit_of_work() as connection:
            if info.use is KeyUse.CITIZEN_SIGN and key_id not in store.wrapped_keys_of_owner(connection, owner):
                raise CredentialMismatch  # without what is sealed nobody can sign with it
            known = store.credential_of_certificate(connection, certificate)
            if known is not None:
                if known.owner != owner or known.signatory.key_id != key_id:
                    raise CredentialMismatch
                return known
            store.insert_credential(connection, credential, self._clock.now())
            self._audit.append(connection, by, "signing.credential_registered", credential.credential_id)
        return credential

    def withdraw(self, by: str, column: str, value: str) -> tuple[str, ...]:
        """Withdraw for good what has ``value`` in ``column``; gives the ids."""
        with self._database.unit_of_work() as connection:
            withdrawn = store.withdraw_credentials(connection, column, value)
            for credential_id in withdrawn:
                self._audit.append(connection, by, "signing.credential_withdrawn", credential_id)
        return withdrawn

    def owner_of(self, credential_id: str) -> str | None:
        """Whose credential this is (an opaque id); None where there is none. For the machine's own commands."""
        with self._database.read() as connection:
            return store.owner_of_credential(connection, credential_id)

    def of(self, actor: Actor) -> tuple[Credential, ...]:
        """The actor's own, with the status that they have now."""
        with self._database.read() as connection:
            found = store.credentials_of_owner(connection, actor.id)
        return tuple(self._now(one) for one in found)

    def own(self, actor: Actor, credential_id: str) -> Credential:
        """One of the actor's own, with the status that it has now. CredentialNotFound."""
        with self._database.read() as connection:
            credential = store.credential_of_owner(connection, actor.id, credential_id)
        if credential is None:
            raise CredentialNotFound
        return self._now(credential)

    def usable(self, actor: Actor, credential_id: str, use: KeyUse) -> Credential:
        """The actor's own credential, which can be signed with now. CredentialNotFound, CredentialNotUsable."""
        with self._database.read() as connection:
            credential = store.credential_of_owner(connection, actor.id, credential_id)
        if credential is None:
            raise CredentialNotFound
        if use is KeyUse.CITIZEN_SIGN:  # a seal is stopped by its key's switch in the token alone: its path is hot
            credential = self._now(credential)
        now, certificate = self._clock.now(), credential.signatory.certificate
        if use is KeyUse.ORGANISATION_SEAL and now > certificate.not_valid_after_utc:
            return self._following(actor, credential)
        current = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
        if credential.status is not CredentialStatus.ACTIVE or not current:
            raise CredentialNotUsable
        if self._use(credential.signatory.key_id) is not use:
            raise CredentialNotUsable
        return credential

    def _use(self, key_id: str) -> KeyUse:
        """What a key is for. That never changes, so the token is asked once; whether it may sign, it says each time."""
        known = self._uses.get(key_id)
        if known is None:
            known = self._keys.get(key_id).use
            if len(self._uses) >= _KEPT_USES:
                self._uses.clear()
            self._uses[key_id] = known
        return known

    def suspend(self, actor: Actor, credential_id: str) -> Credential:
        """Stop certificate and key at once; the session is enough, since stopping must be easy.

        An officer alone releases it again. What is suspended already stays so. Raises CredentialNotFound, and
        CredentialNotUsable for one that was withdrawn or revoked.
        """
        credential = self.own(actor, credential_id)
        if credential.status is CredentialStatus.SUSPENDED:
            return credential
        if credential.status is not CredentialStatus.ACTIVE:
            raise CredentialNotUsable
        self._standing.suspend(credential.signatory.certificate, str(actor))
        with self._database.unit_of_work() as connection:
            self._audit.append(connection, str(actor), "signing.credential_suspended", credential_id)
        self._history.record(credential, Act.SUSPENSION, (), OWN)
        return self.own(actor, credential_id)

    def _following(self, actor: Actor, ended: Credential) -> Credential:
        """The successor of a seal that ended, however many ends ago; of one that was revoked, none.

        Raises CredentialNotUsable.
        """
        with self._database.read() as connection:
            following = successor(connection, ended.credential_id)
        if following is None or self._now(ended).status is not CredentialStatus.ACTIVE:
            raise CredentialNotUsable
        return self.usable(actor, following, KeyUse.ORGANISATION_SEAL)

    def _now(self, credential: Credential) -> Credential:
        if credential.status is not CredentialStatus.ACTIVE:
            return credential
        standing = self._standing.of(credential.signatory.certificate)
        if standing is Standing.GOOD:
            return credential
        status = CredentialStatus.SUSPENDED if standing is Standing.SUSPENDED else CredentialStatus.WITHDRAWN
        return replace(credential, status=status)
