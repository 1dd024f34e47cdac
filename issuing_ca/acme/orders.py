"""ACME orders: names, proofs of their control, and the certificate (RFC 8555 §7.4, §7.5)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from cryptography import x509

from foundation.base64url import encoded, typable
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite
from foundation.errors import CamTrustError, Kind
from foundation.randomness import Randomness
from foundation.x509.pem import certificate_pem, chain_pem
from issuing_ca.acme import jose, store
from issuing_ca.acme.accounts import Asked
from issuing_ca.acme.errors import (
    AlreadyReplaced,
    BadCsr,
    Malformed,
    OrderNotReady,
    RateLimited,
    ResourceUnknown,
    Unauthorized,
)
from issuing_ca.acme.model import (
    Account,
    Authorization,
    Challenge,
    ChallengeKind,
    Credential,
    Order,
    OrderView,
    Status,
)
from issuing_ca.acme.order_request import check_allowed, checked_csr, identifiers
from issuing_ca.acme.renewal import replaced_certificate
from issuing_ca.model import CertificateRecord, CertificateRequest, CertificateState
from issuing_ca.service import CertificateAuthority

_LIFETIME = timedelta(days=7)
_SIGNING = timedelta(minutes=5)  # a certificate that has not come out by then never will
_OPEN_ORDERS = 200
_CN_OCTETS = 64


class Orders:
    """Takes orders, looks whether names are under control, and has certificates issued."""

    def __init__(
        self,
        ca: CertificateAuthority,
        database: Database,
        clock: Clock,
        randomness: Randomness,
        audit: AuditTrail,
        authority: str,
    ) -> None:
        self._ca = ca
        self._authority = authority
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._audit = audit

    # --- orders ---------------------------------------------------------------------------------------------------

    def new(self, asked: Asked) -> OrderView:
        """A new order. Raises an AcmeRefused."""
        payload, account, now = asked.request.json(), asked.account, self._clock.now()
        if set(payload) - {"identifiers", "notBefore", "notAfter", "replaces"} or payload.get("notBefore") is not None:
            raise Malformed(what="order")  # notBefore: certificates begin when they are made
        names = identifiers(payload.get("identifiers"))
        check_allowed(names, asked.credential)
        not_after = self._not_after(payload.get("notAfter"), asked.credential, now)
        replaces = payload.get("replaces")
        if replaces is not None:
            self._check_replaces(replaces, names, account)
        order = Order(
            id=self._new_id(),
            account=account.id,
            status=Status.PENDING,
            names=names,
            not_after=not_after,
            expires=now + _LIFETIME,
            replaces=replaces,
            serial=None,
            error=None,
        )
        with self._database.unit_of_work() as connection:
            store.account(connection, account.id, lock=True)  # two orders at once are counted one after the other
            if store.open_orders(connection, account.id, now) >= _OPEN_ORDERS:
                raise RateLimited(retry_after=3600)
            if replaces is not None and store.replaced(connection, replaces):
                raise AlreadyReplaced
            store.add_order(connection, order, now)
            for name in names:
                store.add_authorization(connection, self._authorization(order, name))
            self._audit.append(
                connection, f"acme:{account.id}", "issuing_ca.acme_order_made", order.id, {"names": len(names)}
            )
        return self.view(account, order.id)

    def view(self, account: Account, order_id: str) -> OrderView:
        """An order of this account as it stands now. Raises Unauthorized, ResourceUnknown."""
        order, changed_at = self._own(account, order_id)
        now = self._clock.now()
        if order.status is Status.PROCESSING:
            order = self._recovered(order, changed_at, now)
        elif order.status in (Status.PENDING, Status.READY) and order.expires <= now:
            order = self._closed(order, now, None)
        with self._database.read() as connection:
            authorizations = store.authorizations_of(connection, order_id)
        return OrderView(order, tuple(identifier for identifier, _ in authorizations))

    def list(self, account: Account, after: str, limit: int) -> tuple[str, ...]:
        """Ids of an account's orders that are not invalid, from behind ``after``."""
        with self._database.read() as connection:
            return store.orders_of(connection, account.id, after, limit)

    # --- the certificate ------------------------------------------------------------------------------------------

    def finalize(self, asked: Asked, order_id: str) -> OrderView:
        """Have the certificate issued for the key of the CSR, whose names must be those of the order.

        Raises OrderNotReady, BadCsr, Malformed, Unauthorized, ResourceUnknown.
        """
        account, order = asked.account, self.view(asked.account, order_id).order
        if order.status is Status.VALID or order.status is Status.PROCESSING:
            return self.view(account, order_id)
        if order.status is not Status.READY:
            raise OrderNotReady
        payload = asked.request.json()
        if not isinstance(payload.get("csr"), str):
            raise Malformed(what="csr")
        csr = checked_csr(jose.decoded(payload["csr"], "csr"), order, account)
        request = self._request(order, asked.credential, csr)
        try:
            with self._database.unit_of_work() as connection:
                store.move_order(connection, order.id, Status.READY, Status.PROCESSING, self._clock.now())
        except StaleWrite:
            return self.view(account, order_id)
        try:
            self._ca.require_no_approval(request.profile)  # an account may be older than the setting
            issued = self._ca.issue_now(request)
        except CamTrustError as error:
            self._reopen(order)
            if error.kind in (Kind.INVALID, Kind.CONFLICT, Kind.FORBIDDEN):
                raise BadCsr(reason=error.code) from None
            raise
        self._complete(order, issued.serial)
        return self.view(account, order_id)

    def certificate(self, account: Account, serial: str) -> bytes:
        """The chain of an order's certificate, PEM (RFC 8555 §7.4.2). Raises Unauthorized, ResourceUnknown."""
        with self._database.read() as connection:
            order = store.order_of_certificate(connection, serial)
        if order is None:
            raise ResourceUnknown
        if order.account != account.id:
            raise Unauthorized
        record = self._ca.certificate(serial)
        authority = self._ca.authorities.get(record.authority)
        certificate = x509.load_der_x509_certificate(record.certificate or b"")
        return certificate_pem(certificate) + chain_pem((authority.certificate, *authority.chain))

    def _request(self, order: Order, credential: Credential, csr: x509.CertificateSigningRequest) -> CertificateRequest:
        """Subject from what the officer verified; CN, where the profile has one, is the first name."""
        subject = list(credential.subject)
        rule = self._ca.profiles[credential.profile].subject
        if "CN" in rule.order:
            if len(order.names[0].encode()) <= _CN_OCTETS:
                subject.insert(rule.order.index("CN"), ("CN", order.names[0]))
            elif "CN" not in rule.optional:
                raise BadCsr(reason="CN")
        return CertificateRequest(
            authority=self._authority,
            profile=credential.profile,
            subject=tuple(subject),
            public_key=csr.public_key(),
            owner=credential.owner,
            requested_by=f"acme:{order.account}",
            not_after_limit=order.not_after,
            evidence=evidence(order.id),
            dns_names=order.names,
        )

    def _complete(self, order: Order, serial: str) -> None:
        with self._database.unit_of_work() as connection:
            store.move_order(connection, order.id, Status.PROCESSING, Status.VALID, self._clock.now(), serial=serial)

    def _reopen(self, order: Order) -> None:
        with self._database.unit_of_work() as connection:
            store.move_order(connection, order.id, Status.PROCESSING, Status.READY, self._clock.now())

    def _recovered(self, order: Order, changed_at: datetime, now: datetime) -> Order:
        """An order that a crash left processing: its certificate, if it came out, or else it is closed."""
        with self._database.read() as connection:
            account = store.account(connection, order.account)
            found = store.credential(connection, account.credential) if account is not None else None
        owner = found[0].owner if found is not None else ""
        issued = _of_evidence(self._ca, owner, evidence(order.id))
        try:
            if issued is not None:
                self._complete(order, issued.serial)
            elif changed_at + _SIGNING <= now:
                return self._closed(order, now, None)
        except StaleWrite:
            pass  # whoever signed it was faster
        with self._database.read() as connection:
            again = store.order(connection, order.id)
        return again[0] if again is not None else order

    def _closed(self, order: Order, now: datetime, error: str | None) -> Order:
        with self._database.unit_of_work() as connection:
            with suppress(StaleWrite):  # whoever was faster decided
                store.move_order(connection, order.id, order.status, Status.INVALID, now, error=error)
            found = store.order(connection, order.id)
        return found[0] if found is not None else order

    # --- parts ----------------------------------------------------------------------------------------------------

    def _own(self, account: Account, order_id: str) -> tuple[Order, datetime]:
        with self._database.read() as connection:
            found = store.order(connection, order_id)
        if found is None or found[0].account != account.id:
            raise ResourceUnknown
        return found

    def _authorization(self, order: Order, name: str) -> Authorization:
        authorization_id = self._new_id()
        return Authorization(
            id=authorization_id,
            order=order.id,
            account=order.account,
            name=name,
            status=Status.PENDING,
            expires=order.expires,
            challenges=tuple(
                Challenge(
                    id=self._new_id(),
                    authorization=authorization_id,
                    kind=kind,
                    token=encoded(self._randomness.bytes(32)),
                    status=Status.PENDING,
                    validated_at=None,
                    error=None,
                )
                for kind in ChallengeKind
            ),
        )

    def _not_after(self, value: object, credential: Credential, now: datetime) -> datetime | None:
        if value is None:
            return None
        try:
            asked = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            asked = None
        if asked is None or asked.tzinfo is None:
            raise Malformed(what="notAfter")
        days = self._ca.profiles[credential.profile].validity.max_days
        last = min(
            now + timedelta(days=days), self._ca.authorities.issuing(self._authority).certificate.not_valid_after_utc
        )
        if not now < asked < last:
            raise Malformed(what="notAfter")
        return asked.astimezone(now.tzinfo).replace(microsecond=0)

    def _check_replaces(self, value: object, names: Sequence[str], account: Account) -> None:
        """RFC 9773 §5: a certificate of this account, for at least one of these names."""
        record = replaced_certificate(self._ca, self._authority, value)
        with self._database.read() as connection:
            before = store.order_of_certificate(connection, record.serial)
        if before is None or before.account != account.id or not set(before.names) & set(names):
            raise Unauthorized

    def _new_id(self) -> str:
        return typable(self._randomness, 15)


def evidence(order_id: str) -> str:
    """What ties a certificate to its order, so that a crash between the two loses neither."""
    return hashlib.sha256(f"acme order {order_id}".encode()).hexdigest()


def _of_evidence(ca: CertificateAuthority, owner: str, digest: str) -> CertificateRecord | None:
    after: str | None = None
    while page := ca.certificates(after, 200, CertificateState.ISSUED, owner):
        for record in page:
            if record.evidence == digest:
                return record
        after = page[-1].serial
    return None
