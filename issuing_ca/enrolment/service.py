"""Certificates for machines that were verified: the first one on a credential's secret, the next ones on the last.

EST and CMP are two ways to ask the same. Subject and names come from the credential alone; a request that says
otherwise is refused rather than corrected, so that nobody gets another certificate than they asked for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.base64url import typable
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite
from foundation.errors import CamTrustError
from foundation.randomness import Randomness
from foundation.vault import Vault
from foundation.x509.names import name_pairs, subject_name
from issuing_ca.dns_names import dns_names
from issuing_ca.enrolment import store
from issuing_ca.enrolment.applications import Applications
from issuing_ca.enrolment.model import (
    Applicant,
    CredentialState,
    EnrolmentCredential,
    NewEnrolmentCredential,
    Wanted,
)
from issuing_ca.errors import (
    EnrolmentCredentialUnknown,
    EnrolmentCredentialUsed,
    EnrolmentNotApproved,
    EnrolmentRefused,
    ProfileRefused,
    RequestRefused,
    TransitionRefused,
)
from issuing_ca.model import (
    ISSUING,
    CertificateRecord,
    CertificateRequest,
    CertificateState,
    IssuedCertificate,
    serial_text,
)
from issuing_ca.ra.model import CertificateApplication, RequestState
from issuing_ca.service import BY_REQUEST, CertificateAuthority

_VAULT_OWNER = "service:enrolment"
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,40}")
_SIGNING = timedelta(minutes=5)  # a certificate that has not come out by then never will


class Enrolment:
    """Makes credentials, tells who asks, and has certificates issued, at once or when officers have approved."""

    def __init__(
        self,
        ca: CertificateAuthority,
        database: Database,
        vault: Vault,
        clock: Clock,
        randomness: Randomness,
        audit: AuditTrail,
    ) -> None:
        self.ca = ca
        self._database = database
        self._vault = vault
        self._clock = clock
        self._randomness = randomness
        self._audit = audit
        self._applications = Applications(database, clock, randomness, audit)

    # --- credentials ----------------------------------------------------------------------------------------------

    def new_credential(
        self,
        profile: str,
        subject: Sequence[tuple[str, str]],
        names: Sequence[str],
        owner: str,
        actor: str,
        days: int = 30,
        authority: str = ISSUING,
    ) -> NewEnrolmentCredential:
        """A credential for one machine; its secret is shown this once. ``days``: until when it must be used.

        ``authority``: the issuing CA that it is good at. Whoever asks has verified subject and names. Raises
        AuthorityUnknown, AuthorityNotInstalled, ProfileRefused, RequestRefused, NameInvalid, DnsNameRefused.
        """
        self.ca.authorities.issuing(authority)
        if profile not in BY_REQUEST:
            raise ProfileRefused(profile=profile)
        pairs = name_pairs(subject_name(subject))
        rule = self.ca.profiles[profile].subject
        given = [name for name, _ in pairs]
        if given != [name for name in rule.order if name in given] or set(rule.order) - set(rule.optional) - set(given):
            raise RequestRefused(field="subject")
        mark = self.ca.settings.mark
        if mark and not any(mark in value for name, value in pairs if name in ("O", "CN")):
            raise RequestRefused(field="subject")
        now = self._clock.now()
        secret = typable(self._randomness, 24)
        credential = EnrolmentCredential(
            reference=typable(self._randomness, 12),
            authority=authority,
            profile=profile,
            subject=pairs,
            dns_names=dns_names(names),
            owner=owner,
            created_by=actor,
            created_at=now,
            expires_at=now + timedelta(days=days),
            changed_at=now,
            state=CredentialState.NEW,
        )
        sealed = self._vault.seal(_VAULT_OWNER, _purpose(credential.reference), secret.encode())
        with self._database.unit_of_work() as connection:
            store.add(connection, credential, sealed)
            details = {"authority": authority, "profile": profile, "owner": owner}
            self._audit.append(connection, actor, "issuing_ca.enrolment_credential_made", credential.reference, details)
        return NewEnrolmentCredential(credential, secret)

    def credentials(self, after: str | None, limit: int) -> tuple[EnrolmentCredential, ...]:
        """Credentials in the order of their references, from behind ``after``."""
        with self._database.read() as connection:
            return store.page(connection, after, limit)

    def withdraw(self, reference: str, actor: str) -> EnrolmentCredential:
        """No enrolment and no renewal any more; certificates stay as they are. Raises EnrolmentCredentialUnknown."""
        with self._database.unit_of_work() as connection:
            found = store.credential(connection, reference, lock=True)
            if found is None:
                raise EnrolmentCredentialUnknown
            if found[0].state is not CredentialState.WITHDRAWN:
                store.move(connection, found[0], CredentialState.WITHDRAWN, self._clock.now())
                self._audit.append(connection, actor, "issuing_ca.enrolment_credential_withdrawn", reference)
        return self._credential(reference)

    # --- who asks -------------------------------------------------------------------------------------------------

    def secret_of(self, reference: str, authority: str) -> tuple[EnrolmentCredential, bytes] | None:
        """The secret of a credential of this CA that may enrol now; None where there is no such."""
        if not _REFERENCE.fullmatch(reference):
            return None
        with self._database.read() as connection:
            found = store.credential(connection, reference)
        if found is None or found[0].state is CredentialState.WITHDRAWN or found[0].authority != authority:
            return None
        if found[0].expires_at <= self._clock.now():
            return None
        return found[0], self._vault.open(_VAULT_OWNER, _purpose(reference), found[1])

    def by_secret(self, reference: str, secret: bytes, authority: str) -> Applicant | None:
        """Who shows reference and secret of a credential of this CA; None for anything but both, right and current."""
        found = self.secret_of(reference, authority)
        if found is None or not hmac.compare_digest(hashlib.sha256(found[1]).digest(), hashlib.sha256(secret).digest()):
            return None
        return Applicant(found[0])

    def by_certificate(self, certificate: x509.Certificate, authority: str) -> Applicant | None:
        """Who holds a certificate of ours that followed from a credential of this CA, and that is good now.

        That its key is theirs, the caller has had proved (TLS, or a signature).
        """
        serial = serial_text(certificate.serial_number)
        try:
            record = self.ca.certificate(serial)
        except CamTrustError:
            return None
        good = record.state is CertificateState.ISSUED and record.not_before <= self._clock.now() < record.not_after
        if not good or record.certificate != certificate.public_bytes(Encoding.DER):
            return None
        with self._database.read() as connection:
            reference = store.reference_of(connection, serial)
            found = store.credential(connection, reference) if reference is not None else None
        if found is None or found[0].state is CredentialState.WITHDRAWN or found[0].authority != authority:
            return None
        return Applicant(found[0], certificate)

    # --- certificates ---------------------------------------------------------------------------------------------

    def enrol(self, applicant: Applicant, wanted: Wanted, door: str) -> IssuedCertificate | CertificateApplication:
        """The first certificate, or a renewal where the applicant shows one. ``door``: est or cmp, for the trail.

        Where two officers have to approve the profile, the request that waits for them, and the certificate to whoever
        asks again once they have. Asked again with the same key, whoever has the secret gets the certificate that came
        out the first time. Raises EnrolmentRefused, EnrolmentCredentialUsed, EnrolmentWaiting, EnrolmentNotApproved,
        and what issuing raises.
        """
        credential = applicant.credential
        self._check(credential, wanted)
        evidence = _evidence(applicant)
        earlier = self._applications.earlier(applicant, wanted, evidence)
        if earlier is not None and (earlier.waits or earlier.state is RequestState.ISSUED):
            return self._became(applicant, earlier)
        if credential.profile in self.ca.settings.two_officers and not self._is_out(applicant, evidence):
            return self._became(applicant, self._applications.ask(applicant, wanted, door, evidence))
        if applicant.certificate is None:
            return self._first(credential, wanted, door)
        issued = self._issue(credential, wanted, door, evidence)
        with self._database.unit_of_work() as connection:
            store.follow(connection, issued.serial, credential.reference)
        return issued

    def outcome(self, applicant: Applicant, request_id: str) -> IssuedCertificate | CertificateApplication:
        """What became of a request that :meth:`enrol` gave: the same while it waits, then the certificate.

        Raises EnrolmentNotApproved, TransitionRefused where the certificate is not good any more.
        """
        return self._became(applicant, self._applications.show(request_id))

    def unfetched(self, request_id: str) -> str | None:
        """The serial number of a certificate that was approved, and that the machine never came for."""
        one = self._applications.show(request_id)
        if one.serial is None:
            return None
        with self._database.read() as connection:
            return None if store.reference_of(connection, one.serial) is not None else one.serial

    def _became(self, applicant: Applicant, one: CertificateApplication) -> IssuedCertificate | CertificateApplication:
        if one.waits:
            return one
        if one.state is not RequestState.ISSUED or one.serial is None:
            raise EnrolmentNotApproved(request=one.id, reason=self._applications.why(one))
        record = self.ca.certificate(one.serial)
        if record.state is not CertificateState.ISSUED or record.certificate is None:
            raise TransitionRefused(state=record.state.value, wanted="issued")
        with self._database.unit_of_work() as connection:
            found = store.credential(connection, applicant.credential.reference, lock=True)
            if applicant.certificate is None and found is not None and found[0].state is CredentialState.NEW:
                store.move(connection, found[0], CredentialState.USED, self._clock.now())
            store.follow(connection, record.serial, applicant.credential.reference)
        return self._issued(record)

    def _is_out(self, applicant: Applicant, evidence: str) -> bool:
        """Whether a credential's first certificate was made on the officer's word alone, before two had to approve."""
        credential = applicant.credential
        if applicant.certificate is not None or credential.state is CredentialState.NEW:
            return False
        return self._of_evidence(credential.owner, evidence) is not None

    def _first(self, credential: EnrolmentCredential, wanted: Wanted, door: str) -> IssuedCertificate:
        evidence = _evidence(Applicant(credential))
        if credential.state is not CredentialState.NEW:
            record = self._of_evidence(credential.owner, evidence)
            if record is not None:
                self._settle(credential.reference, record.serial)
                return self._again(record, wanted)
            if credential.state is CredentialState.USED or credential.changed_at + _SIGNING > self._clock.now():
                raise EnrolmentCredentialUsed
        now = self._clock.now()
        try:
            with self._database.unit_of_work() as connection:
                store.move(connection, credential, CredentialState.SIGNING, now)
        except StaleWrite:
            raise EnrolmentCredentialUsed from None
        try:
            issued = self._issue(credential, wanted, door, evidence)
        except CamTrustError:
            with self._database.unit_of_work() as connection:
                store.move(connection, self._credential(credential.reference), CredentialState.NEW, self._clock.now())
            raise
        self._settle(credential.reference, issued.serial)
        return issued

    def _issue(self, credential: EnrolmentCredential, wanted: Wanted, door: str, evidence: str) -> IssuedCertificate:
        return self.ca.issue_now(
            CertificateRequest(
                authority=credential.authority,
                profile=credential.profile,
                subject=credential.subject,
                public_key=wanted.public_key,
                owner=credential.owner,
                requested_by=f"{door}:{credential.reference}",
                evidence=evidence,
                dns_names=credential.dns_names,
            )
        )

    def _settle(self, reference: str, serial: str) -> None:
        with self._database.unit_of_work() as connection:
            found = store.credential(connection, reference, lock=True)
            if found is not None and found[0].state is CredentialState.SIGNING:
                store.move(connection, found[0], CredentialState.USED, self._clock.now())
            store.follow(connection, serial, reference)

    def _again(self, record: CertificateRecord, wanted: Wanted) -> IssuedCertificate:
        certificate = x509.load_der_x509_certificate(record.certificate or b"")
        spki = [
            key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            for key in (certificate.public_key(), wanted.public_key)
        ]
        if spki[0] != spki[1]:
            raise EnrolmentCredentialUsed
        return self._issued(record)

    def _issued(self, record: CertificateRecord) -> IssuedCertificate:
        authority = self.ca.authorities.get(record.authority)
        return IssuedCertificate(
            record.serial, record.certificate or b"", (authority.certificate, *authority.chain), authority.root
        )

    def _check(self, credential: EnrolmentCredential, wanted: Wanted) -> None:
        """What a request says about itself must be what was verified, where it says anything (RFC 7030 §4.2.2)."""
        if wanted.subject is not None and len(list(wanted.subject)) > 0:
            asked = dict(name_pairs(wanted.subject))
            if not set(asked.items()) <= set(credential.subject):
                raise EnrolmentRefused(what="subject")
        if wanted.dns_names is not None and {name.lower() for name in wanted.dns_names} - set(credential.dns_names):
            raise EnrolmentRefused(what="subjectAltName")

    def _of_evidence(self, owner: str, evidence: str) -> CertificateRecord | None:
        after: str | None = None
        while page := self.ca.certificates(after, 200, CertificateState.ISSUED, owner):
            for record in page:
                if record.evidence == evidence:
                    return record
            after = page[-1].serial
        return None

    def _credential(self, reference: str) -> EnrolmentCredential:
        with self._database.read() as connection:
            found = store.credential(connection, reference)
        if found is None:
            raise EnrolmentCredentialUnknown
        return found[0]


def _evidence(applicant: Applicant) -> str:
    """What the trail tells of a certificate's ground: the credential, or the certificate that it renews."""
    if applicant.certificate is None:
        return hashlib.sha256(f"enrolment {applicant.credential.reference}".encode()).hexdigest()
    serial = serial_text(applicant.certificate.serial_number)
    return hashlib.sha256(f"renewal of {serial}".encode()).hexdigest()


def _purpose(reference: str) -> str:
    return f"enrolment:{reference}"
