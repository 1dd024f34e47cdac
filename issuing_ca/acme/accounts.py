"""ACME accounts, the credentials that say for whom they ask, and who signed a request (RFC 8555 §6.2, §7.3)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from foundation.base64url import typable
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.randomness import Randomness
from foundation.vault import Vault
from foundation.x509.names import subject_name
from issuing_ca.acme import jose, store
from issuing_ca.acme.errors import (
    AccountDoesNotExist,
    AccountKeyInUse,
    BadSignatureAlgorithm,
    CredentialUnknown,
    ExternalAccountRequired,
    Malformed,
    Unauthorized,
)
from issuing_ca.acme.jose import AccountKey, SignedRequest
from issuing_ca.acme.model import Account, Credential, CredentialState, NewCredential, Status
from issuing_ca.acme.nonces import Nonces
from issuing_ca.dns_names import dns_names
from issuing_ca.errors import ProfileRefused, RequestRefused
from issuing_ca.model import ISSUING
from issuing_ca.service import CertificateAuthority

PROFILES = frozenset({"tls-server", "camdx-auth", "camdx-auth-ec"})
"""Profiles that name a server, so that control of its name says something."""

_VAULT_OWNER = "service:acme"
_KID = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True)
class Asked:
    """A request whose signature, address and nonce are right."""

    account: Account
    credential: Credential
    request: SignedRequest


class Accounts:
    """Makes credentials and accounts, and tells who asks."""

    def __init__(
        self,
        ca: CertificateAuthority,
        database: Database,
        vault: Vault,
        clock: Clock,
        randomness: Randomness,
        audit: AuditTrail,
        nonces: Nonces,
        authority: str,
    ) -> None:
        self._ca = ca
        self._authority = authority
        self._database = database
        self._vault = vault
        self._clock = clock
        self._randomness = randomness
        self._audit = audit
        self._nonces = nonces
        self._base = ca.settings.public_url.rstrip("/") + ("/acme" if authority == ISSUING else f"/acme/ca/{authority}")

    def url(self, path: str) -> str:
        """The address of a resource: what requests must name and answers give."""
        return f"{self._base}/{path}"

    # --- credentials ----------------------------------------------------------------------------------------------

    def new_credential(
        self,
        profile: str,
        subject: Sequence[tuple[str, str]],
        domains: Sequence[str],
        owner: str,
        actor: str,
        days: int = 30,
    ) -> NewCredential:
        """A credential for one account here; its HMAC key is shown this once. ``days``: until when it must be used.

        Whoever asks has verified the organisation and the domains. Raises AuthorityUnknown, AuthorityNotInstalled,
        ProfileRefused, RequestRefused, NameInvalid, DnsNameRefused.
        """
        self._ca.authorities.issuing(self._authority)
        if profile not in PROFILES:
            raise ProfileRefused(profile=profile)
        self._ca.require_no_approval(profile)
        pairs = tuple((name, value) for name, value in subject)
        rule = self._ca.profiles[profile].subject
        wanted = [name for name in rule.order if name != "CN"]
        if [name for name, _ in pairs] != wanted:
            raise RequestRefused(field="subject")
        subject_name(pairs)
        mark = self._ca.settings.mark
        if mark and not any(mark in value for name, value in pairs if name == "O"):
            raise RequestRefused(field="subject")
        now = self._clock.now()
        shown = typable(self._randomness, 32)
        secret = jose.decoded(shown, "hmac_key")
        credential = Credential(
            kid=typable(self._randomness, 15),
            authority=self._authority,
            profile=profile,
            subject=pairs,
            domains=dns_names(domains),
            owner=owner,
            created_by=actor,
            created_at=now,
            expires_at=now + timedelta(days=days),
            state=CredentialState.NEW,
            account=None,
        )
        sealed = self._vault.seal(_VAULT_OWNER, f"acme:{credential.kid}", secret)
        with self._database.unit_of_work() as connection:
            store.add_credential(connection, credential, sealed)
            details = {"authority": self._authority, "profile": profile, "owner": owner}
            self._audit.append(connection, actor, "issuing_ca.acme_credential_made", credential.kid, details)
        return NewCredential(credential, shown)

    def credentials(self, after: str | None, limit: int) -> tuple[Credential, ...]:
        """Credentials in the order of their identifiers, from behind ``after``."""
        with self._database.read() as connection:
            return store.credential_page(connection, after, limit)

    def withdraw(self, kid: str, actor: str) -> Credential:
        """Withdraw a credential: its account may do nothing more. Raises CredentialUnknown."""
        with self._database.unit_of_work() as connection:
            found = store.credential(connection, kid, lock=True)
            if found is None:
                raise CredentialUnknown
            credential = found[0]
            if credential.state is not CredentialState.WITHDRAWN:
                store.move_credential(connection, kid, credential.state, CredentialState.WITHDRAWN, credential.account)
                self._audit.append(connection, actor, "issuing_ca.acme_credential_withdrawn", kid)
        with self._database.read() as connection:
            found = store.credential(connection, kid)
        if found is None:
            raise CredentialUnknown
        return found[0]

    # --- who asks -------------------------------------------------------------------------------------------------

    def asked(self, body: bytes, path: str) -> Asked:
        """A request of an account (``kid``). Raises an AcmeRefused."""
        request = jose.read_signed(body)
        if request.kid is None or request.jwk is not None:
            raise Malformed(what="kid")
        account, credential = self._account(request.kid)
        self._check(request, AccountKey(account.jwk, account.thumbprint, _algorithm(account)), path)
        return Asked(account, credential, request)

    def asked_with_key(self, body: bytes, path: str) -> tuple[AccountKey, SignedRequest]:
        """A request that brings its own key (``jwk``). Raises an AcmeRefused."""
        request = jose.read_signed(body)
        if request.jwk is None or request.kid is not None:
            raise Malformed(what="jwk")
        if request.algorithm not in jose.ALGORITHMS:
            raise BadSignatureAlgorithm
        key = jose.read_key(request.jwk)
        self._check(request, key, path)
        return key, request

    def _check(self, request: SignedRequest, key: AccountKey, path: str) -> None:
        jose.check_signature(request, key)
        if request.url != self.url(path):
            raise Unauthorized
        self._nonces.use(request.nonce)

    def _account(self, kid: str) -> tuple[Account, Credential]:
        prefix = self.url("accounts/")
        account_id = kid.removeprefix(prefix)
        if not kid.startswith(prefix) or not _KID.fullmatch(account_id):
            raise AccountDoesNotExist
        with self._database.read() as connection:
            account = store.account(connection, account_id)
            if account is None or account.authority != self._authority:
                raise AccountDoesNotExist
            found = store.credential(connection, account.credential)
        if account.status is not Status.VALID or found is None or found[0].state is not CredentialState.BOUND:
            raise Unauthorized
        return account, found[0]

    # --- accounts -------------------------------------------------------------------------------------------------

    def new_account(self, body: bytes) -> tuple[Account, bool]:
        """An account for the key that signed; whether it is new. Raises an AcmeRefused.

        Contacts are not kept: whoever answers for an account is known through its credential.
        """
        key, request = self.asked_with_key(body, "new-account")
        payload = request.json()
        with self._database.read() as connection:
            known = store.account_of_key(connection, self._authority, key.thumbprint)
        if known is not None:
            if known.status is not Status.VALID:
                raise Unauthorized
            return known, False
        if payload.get("onlyReturnExisting") is True:
            raise AccountDoesNotExist
        kid = self._bound(payload.get("externalAccountBinding"), key)
        account_id = typable(self._randomness, 15)
        account = Account(account_id, self._authority, key.thumbprint, key.jwk, kid, Status.VALID)
        with self._database.unit_of_work() as connection:
            found = store.credential(connection, kid, lock=True)
            if found is None or found[0].state is not CredentialState.NEW:
                raise Unauthorized
            store.move_credential(connection, kid, CredentialState.NEW, CredentialState.BOUND, account.id)
            store.add_account(connection, account, self._clock.now())
            self._audit.append(
                connection, f"acme:{account.id}", "issuing_ca.acme_account_made", account.id, {"credential": kid}
            )
        return account, True

    def _bound(self, binding: object, key: AccountKey) -> str:
        """The credential that an external account binding shows (RFC 8555 §7.3.4)."""
        if binding is None:
            raise ExternalAccountRequired
        if not isinstance(binding, dict):
            raise Malformed(what="externalAccountBinding")
        inner = jose.read_signed(binding)
        if inner.nonce is not None or inner.kid is None or inner.jwk is not None:
            raise Malformed(what="externalAccountBinding")
        with self._database.read() as connection:
            found = store.credential(connection, inner.kid) if _KID.fullmatch(inner.kid) else None
        if found is None or found[0].state is not CredentialState.NEW or found[0].expires_at <= self._clock.now():
            raise Unauthorized
        if found[0].authority != self._authority:
            raise Unauthorized
        secret = self._vault.open(_VAULT_OWNER, f"acme:{inner.kid}", found[1])
        jose.check_mac(inner, secret)
        if inner.url != self.url("new-account") or jose.read_key(inner.json()).thumbprint != key.thumbprint:
            raise Unauthorized
        return inner.kid

    def update(self, asked: Asked, account_id: str) -> Account:
        """What an account asks about itself: nothing, or that it be deactivated. Raises an AcmeRefused."""
        account = asked.account
        if account.id != account_id:
            raise Unauthorized
        payload = asked.request.json() if asked.request.payload else {}
        status = payload.get("status")
        if status is None:
            return account
        if status != "deactivated":
            raise Malformed(what="status")
        with self._database.unit_of_work() as connection:
            store.change_account(connection, account, status=Status.DEACTIVATED.value)
            store.close_authorizations(connection, account.id)
            self._audit.append(connection, f"acme:{account.id}", "issuing_ca.acme_account_deactivated", account.id)
        return replace(account, status=Status.DEACTIVATED)

    def change_key(self, asked: Asked) -> Account:
        """Give an account another key, which signs too (RFC 8555 §7.3.5). Raises an AcmeRefused."""
        account, inner = asked.account, jose.read_signed(asked.request.payload)
        if inner.jwk is None or inner.kid is not None or inner.nonce is not None:
            raise Malformed(what="payload")
        key = jose.read_key(inner.jwk)
        jose.check_signature(inner, key)
        payload = inner.json()
        old = payload.get("oldKey")
        if inner.url != asked.request.url or payload.get("account") != asked.request.kid or not isinstance(old, dict):
            raise Malformed(what="payload")
        if jose.read_key(old).thumbprint != account.thumbprint:
            raise Malformed(what="oldKey")
        with self._database.unit_of_work() as connection:
            holder = store.account_of_key(connection, self._authority, key.thumbprint)
            if holder is not None:
                raise AccountKeyInUse(holder.id)
            store.change_account(connection, account, thumbprint=key.thumbprint, jwk=json.dumps(key.jwk))
            self._audit.append(connection, f"acme:{account.id}", "issuing_ca.acme_key_changed", account.id)
        return replace(account, thumbprint=key.thumbprint, jwk=key.jwk)


def _algorithm(account: Account) -> str:
    return jose.read_key(account.jwk).algorithm
