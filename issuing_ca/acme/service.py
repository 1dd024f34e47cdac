"""ACME's use cases put together: what the door calls."""

from __future__ import annotations

from functools import partial

from cryptography import x509

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError, Kind
from foundation.randomness import Randomness
from foundation.vault import Vault
from issuing_ca.acme import jose, store
from issuing_ca.acme.accounts import Accounts
from issuing_ca.acme.control import Control
from issuing_ca.acme.errors import (
    AlreadyRevoked,
    BadRevocationReason,
    Malformed,
    ResourceUnknown,
    Unauthorized,
)
from issuing_ca.acme.model import RenewalInfo
from issuing_ca.acme.nonces import Nonces
from issuing_ca.acme.orders import Orders
from issuing_ca.acme.ports import ChallengeFetcher, TextRecords
from issuing_ca.acme.renewal import renewal_info
from issuing_ca.model import ISSUING, CertificateRecord, CertificateState, Reason, serial_text
from issuing_ca.service import CertificateAuthority

# What a subscriber may say (BR §4.9.1.1): that it is on hold, or that a CA is compromised, is for others to say.
_REASONS = {
    0: Reason.UNSPECIFIED,
    1: Reason.KEY_COMPROMISE,
    3: Reason.AFFILIATION_CHANGED,
    4: Reason.SUPERSEDED,
    5: Reason.CESSATION_OF_OPERATION,
}


class AcmeService:
    """The ACME server (RFC 8555) of one issuing CA; accounts, orders and certificates of another are unknown to it."""

    def __init__(
        self,
        ca: CertificateAuthority,
        database: Database,
        vault: Vault,
        clock: Clock,
        randomness: Randomness,
        audit: AuditTrail,
        fetcher: ChallengeFetcher,
        records: TextRecords,
        authority: str = ISSUING,
    ) -> None:
        self._ca = ca
        self._database = database
        self._clock = clock
        self.authority = authority
        self.nonces = Nonces(database, clock, randomness)
        self.accounts = Accounts(ca, database, vault, clock, randomness, audit, self.nonces, authority)
        self.orders = Orders(ca, database, clock, randomness, audit, authority)
        self.control = Control(database, clock, audit, fetcher, records)
        self.at = self.accounts.url
        self._of = partial(AcmeService, ca, database, vault, clock, randomness, audit, fetcher, records)
        self._others: dict[str, AcmeService] = {}

    def of(self, authority: str) -> AcmeService:
        """The server of another issuing CA, or this one. Raises AuthorityUnknown, AuthorityNotInstalled."""
        if authority == self.authority:
            return self
        self._ca.authorities.issuing(authority)
        return self._others.get(authority) or self._others.setdefault(authority, self._of(authority))

    def renewal_info(self, identifier: str) -> RenewalInfo:
        """See :func:`renewal_info`."""
        return renewal_info(self._ca, self.authority, identifier, self._clock)

    def revoke(self, body: bytes) -> None:
        """Revoke a certificate, asked by the account that ordered it or by its own key (RFC 8555 §7.6).

        Raises an AcmeRefused.
        """
        unchecked = jose.read_signed(body)
        if unchecked.jwk is None:
            asked = self.accounts.asked(body, "revoke-cert")
            payload, record = self._named(asked.request.json())
            with self._database.read() as connection:
                order = store.order_of_certificate(connection, record.serial)
            if order is None or order.account != asked.account.id:
                raise Unauthorized
            actor = f"acme:{asked.account.id}"
        else:
            key, request = self.accounts.asked_with_key(body, "revoke-cert")
            payload, record = self._named(request.json())
            certificate = x509.load_der_x509_certificate(record.certificate or b"")
            if certificate.public_key() != jose.public_key_of(key.jwk):
                raise Unauthorized
            actor = f"acme:certificate-key:{record.serial}"
        if record.state is CertificateState.REVOKED:
            raise AlreadyRevoked
        code = payload.get("reason", 0)
        if type(code) is not int or code not in _REASONS:
            raise BadRevocationReason
        try:
            self._ca.revoke(record.serial, _REASONS[code], actor)
        except CamTrustError as error:
            if error.kind is Kind.CONFLICT:
                raise AlreadyRevoked from None
            raise

    def _named(self, payload: dict[str, object]) -> tuple[dict[str, object], CertificateRecord]:
        given = payload.get("certificate")
        if not isinstance(given, str):
            raise Malformed(what="certificate")
        der = jose.decoded(given, "certificate")
        try:
            record = self._ca.certificate(serial_text(x509.load_der_x509_certificate(der).serial_number))
        except (ValueError, CamTrustError):
            raise ResourceUnknown from None
        if record.certificate != der or record.authority != self.authority:
            raise ResourceUnknown
        return payload, record
