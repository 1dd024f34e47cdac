"""What histories of keys and stopping a key need: the log, the CA's books, and the persons' contacts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from ekyc.authenticators.notices import KeyNoticeDesk
from foundation.http.actor import Actor, Unauthenticated
from foundation.log_proof import EntryKind
from foundation.use_record import Act
from identity.service import IdentityService
from issuing_ca.errors import CertificateUnknown
from issuing_ca.log import IssuanceLog
from issuing_ca.model import CertificateRecord, CertificateState, Reason, serial_text
from issuing_ca.service import CertificateAuthority
from signing.ports import Standing


class LoggedUses:
    """`signing.ports.UseLog` over the issuance log of this process."""

    def __init__(self, log: IssuanceLog) -> None:
        self._log = log

    def record(self, connection: Connection, digest: bytes, subject: str) -> None:
        self._log.record(connection, EntryKind.KEY_USE, digest, subject)

    def proof(self, digest: bytes) -> bytes:
        return bytes(self._log.inclusion(digest, EntryKind.KEY_USE))

    def verifier_key(self) -> str:
        return str(self._log.verifier_key())


class OwnTokens:
    """`signing.ports.PersonTokens` over the sessions and the authorisation server of this process."""

    def __init__(self, identity: IdentityService) -> None:
        self._identity = identity

    def revoke(self, actor: Actor, token: str) -> bool:
        if actor.delegation is not None:
            return self._identity.tokens.revoke(token, actor.delegation.client_id)
        try:
            if self._identity.sessions.authenticate(token).id != actor.id:
                return False
            self._identity.sessions.close(token)
        except Unauthenticated:
            return False
        return True


class CaStanding:
    """`signing.ports.CertificateStanding` over the issuing CA of this process."""

    def __init__(self, ca: CertificateAuthority) -> None:
        self._ca = ca

    def of(self, certificate: x509.Certificate) -> Standing:
        record = self._record(certificate)
        if record is None or record.state is CertificateState.REVOKED:
            return Standing.REVOKED
        return {CertificateState.ISSUED: Standing.GOOD, CertificateState.HELD: Standing.SUSPENDED}.get(
            record.state, Standing.REVOKED
        )

    def suspend(self, certificate: x509.Certificate, by: str) -> None:
        record = self._record(certificate)
        if record is None:
            raise CertificateUnknown
        self._ca.revoke(record.serial, Reason.CERTIFICATE_HOLD, by)

    def _record(self, certificate: x509.Certificate) -> CertificateRecord | None:
        try:
            record = self._ca.certificate(serial_text(certificate.serial_number))
        except CertificateUnknown:
            return None
        return record if record.certificate == certificate.public_bytes(Encoding.DER) else None


class PersonsNotices:
    """`signing.ports.KeyNotices` and `signing.ports.RequestNotices` over the contacts that persons proved.

    The enrolment service is made after signing.
    """

    def __init__(self, desk: Callable[[], KeyNoticeDesk], public_url: str) -> None:
        self._desk, self._address = desk, public_url

    def tell(self, connection: Connection, owner: str, act: Act, count: int, last: datetime) -> None:
        at = last.strftime("%Y-%m-%d %H:%M UTC")
        self._desk().tell(
            connection, owner, f"notice_key_{act.value}", {"count": str(count), "at": at, "address": self._address}
        )

    def asked(self, connection: Connection, person: str, requester: str) -> None:
        address = f"{self._address.rstrip('/')}/portal"
        self._desk().tell(connection, person, "notice_asked_to_sign", {"requester": requester, "address": address})
