"""What machines ask for where two officers have to approve it: a request of the registration authority.

The officer who made the credential has introduced the machine, and does not decide. A machine has one request in hand
at a time, for one key: asked again, whatever door it comes by, it is told what became of that one. What officers
rejected stays rejected for that key.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection

from foundation.base64url import typable
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.randomness import Randomness
from issuing_ca.enrolment import store
from issuing_ca.enrolment.model import Applicant, CredentialState, EnrolmentCredential, Wanted
from issuing_ca.errors import EnrolmentCredentialUsed, EnrolmentWaiting, RaRequestUnknown
from issuing_ca.key_checks import check_public_key
from issuing_ca.ra import store as ra_store
from issuing_ca.ra.model import LIFETIME, CertificateApplication, RequestState


class Applications:
    """Files requests of machines, and finds them again."""

    def __init__(self, database: Database, clock: Clock, randomness: Randomness, audit: AuditTrail) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._audit = audit

    def show(self, request_id: str) -> CertificateApplication:
        """A request as it stands now, without its history. Raises RaRequestUnknown."""
        with self._database.read() as connection:
            return self._show(connection, request_id)

    def why(self, one: CertificateApplication) -> str:
        """Why a request became no certificate: the rejecting officer's reason, what failed, or its state."""
        with self._database.read() as connection:
            said = [row.reason for row in ra_store.decisions_of(connection, one.id) if not row.approves]
        return said[-1] if said else one.failure or one.state.value

    def earlier(self, applicant: Applicant, wanted: Wanted, evidence: str) -> CertificateApplication | None:
        """What this machine asked for before, with this key and on this evidence."""
        spki = encoded_key(wanted)
        with self._database.read() as connection:
            return self._same_key(connection, applicant.credential.reference, evidence, spki)

    def ask(self, applicant: Applicant, wanted: Wanted, door: str, evidence: str) -> CertificateApplication:
        """The request for this key, filed now if it is new, or if the last one ran out or failed.

        Raises KeyRefused, EnrolmentWaiting where another key is asked for already, EnrolmentCredentialUsed where one
        has its certificate.
        """
        check_public_key(wanted.public_key)
        credential, spki, now = applicant.credential, encoded_key(wanted), self._clock.now()
        with self._database.unit_of_work() as connection:
            locked = store.credential(connection, credential.reference, lock=True)
            if locked is None or locked[0].state is CredentialState.WITHDRAWN:
                raise EnrolmentCredentialUsed
            found = self._same_key(connection, credential.reference, evidence, spki)
            if found is not None and found.state not in (RequestState.EXPIRED, RequestState.FAILED):
                return found
            for request_id, _ in store.asked(connection, credential.reference, evidence):
                other = self._show(connection, request_id)
                if other.waits:
                    raise EnrolmentWaiting
                if other.state is RequestState.ISSUED and applicant.certificate is None:
                    raise EnrolmentCredentialUsed
            one = _application(typable(self._randomness, 15), credential, wanted, spki, door, now)
            ra_store.add(connection, one)
            store.ask(connection, one.id, credential.reference, evidence, sha256(spki).hexdigest(), now)
            details = {"profile": one.profile, "introduced_by": credential.created_by}
            self._audit.append(connection, one.requested_by, "issuing_ca.ra_requested", one.id, details)
        return one

    def _same_key(
        self, connection: Connection, reference: str, evidence: str, spki: bytes
    ) -> CertificateApplication | None:
        digest = sha256(spki).hexdigest()
        for request_id, key in store.asked(connection, reference, evidence):
            if key == digest:
                return self._show(connection, request_id)
        return None

    def _show(self, connection: Connection, request_id: str) -> CertificateApplication:
        one = ra_store.request(connection, request_id)
        if one is None:
            raise RaRequestUnknown
        return one.at(self._clock.now())


def encoded_key(wanted: Wanted) -> bytes:
    """The SubjectPublicKeyInfo of the key that is asked about, DER."""
    return wanted.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _application(
    request_id: str, credential: EnrolmentCredential, wanted: Wanted, spki: bytes, door: str, now: datetime
) -> CertificateApplication:
    return CertificateApplication(
        id=request_id,
        authority=credential.authority,
        profile=credential.profile,
        csr=wanted.proof,
        public_key=spki,
        subject=credential.subject,
        dns_names=credential.dns_names,
        owner=credential.owner,
        not_after=None,
        requested_by=f"{door}:{credential.reference}",
        introduced_by=credential.created_by,
        requested_at=now,
        expires_at=now + LIFETIME,
        state=RequestState.PENDING,
        serial=None,
        failure=None,
    )
