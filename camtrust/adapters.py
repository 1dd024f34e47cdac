"""What one room needs of another, in that room's words: the seams of `ports.py`, filled with the real thing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from ekyc.authenticators.cool_off import CoolOffs
from ekyc.ports import Cause, CitizenCertificateRequest, IssuedCertificate
from ekyc.review.desk import ROLE as REVIEW_ROLE
from ekyc.service import EkycService
from foundation.http.actor import ActorKind
from foundation.keys.port import WrappedKey
from identity.errors import ActorUnknown
from identity.model import ActorStatus, RegisteredActor
from identity.service import IdentityService
from issuing_ca.log import IssuanceLog
from issuing_ca.model import CertificateState, CitizenRequest, Reason
from issuing_ca.ports import ApprovedLogin
from issuing_ca.service import CertificateAuthority
from issuing_ca.witnessing import Witnessing
from signing.ports import Hold
from signing.service import SigningService

_PROOFS = 4096  # kept in memory


_REASONS = {
    Cause.COMPROMISED: Reason.KEY_COMPROMISE,
    Cause.SUPERSEDED: Reason.SUPERSEDED,
    Cause.RENAMED: Reason.AFFILIATION_CHANGED,
}


class CaTimestamps:
    """`signing.ports.TimestampAuthority` over the timestamping service of this process."""

    def __init__(self, ca: CertificateAuthority) -> None:
        self._ca = ca

    def token(self, imprint: bytes, hash_name: str) -> bytes:
        return self._ca.timestamps.token(imprint, hash_name)

    def certificates(self) -> Sequence[x509.Certificate]:
        authority = self._ca.authorities.get("tsa")
        return (authority.certificate, *authority.chain, authority.root)


class CaStatus:
    """`signing.ports.StatusSource` over the status services of this process."""

    def __init__(self, ca: CertificateAuthority) -> None:
        self._ca = ca

    def ocsp(self, certificate: x509.Certificate) -> bytes | None:
        return self._ca.fresh_ocsp(certificate)

    def crl(self, issuer: x509.Certificate) -> bytes | None:
        return self._ca.fresh_crl(issuer)


class CaLogProofs:
    """`signing.ports.LogProofs` over the issuance log of this process."""

    def __init__(self, log: IssuanceLog, witnessing: Witnessing) -> None:
        self._log = log
        self._witnessing = witnessing
        self._kept: dict[bytes, bytes] = {}

    def proof(self, certificate: x509.Certificate) -> bytes:
        """With the cosignatures that verifiers ask for, where witnesses answer; signing goes on where they do not."""
        digest = certificate.fingerprint(hashes.SHA256())
        kept = self._kept.get(digest)
        if kept is not None:
            return kept
        enough = self._witnessing.ask() >= self._log.quorum
        made = bytes(self._log.inclusion(digest))
        if enough:  # such a proof stays good, whatever the log becomes
            if len(self._kept) >= _PROOFS:
                self._kept.clear()
            self._kept[digest] = made
        return made


# Who puts certificates on hold because of an enrolment: a recall, the end of a guardianship, the registry. Not a person
# who stopped a recovery ("ekyc:stopped").
_OURS = ("ekyc:RCL-", "ekyc:ENR-", "registry:")


class CaForCitizens:
    """`ekyc.ports.CertificateIssuer` over the issuing CA and the signing service of this process."""

    def __init__(self, ca: CertificateAuthority, signing: SigningService) -> None:
        self._ca = ca
        self._signing = signing

    def issue_citizen(self, request: CitizenCertificateRequest) -> IssuedCertificate:
        """Asked again for the same decision and key, gives the certificate that came out the first time."""
        for record in self._ca.certificates(owner=request.person_id, state=CertificateState.ISSUED, limit=200):
            if (record.key_id, record.evidence) == (request.key_id, request.evidence) and record.certificate:
                chain = self._ca.authorities.get(record.authority)
                return _told(record.serial, record.certificate, (chain.certificate, *chain.chain))
        issued = self._ca.issue_citizen(
            CitizenRequest(
                person_id=request.person_id,
                key_id=request.key_id,
                given_name=request.given_names,
                surname=request.surname,
                khmer_name=request.khmer_name,
                level=request.level,
                evidence=request.evidence,
                approval=request.approval,
                not_after_limit=request.not_after,
                requested_by=f"ekyc:{request.enrolment_id}",
            )
        )
        return _told(issued.serial, issued.encoded, issued.chain)

    def revoke_citizen(self, serial: str, cause: Cause) -> None:
        record = self._ca.revoke(serial, _REASONS[cause], "ekyc:recovery")
        if record.key_id is not None:
            self._signing.withdraw_key("ekyc:recovery", record.key_id)

    def in_force(self, serial: str, at: datetime) -> bool:
        record = self._ca.certificate(serial)
        return record.state is CertificateState.ISSUED and at <= record.not_after

    def suspend_citizens(self, person_ids: Sequence[str], by: str) -> None:
        held = [
            self._ca.revocation.revoke(record.serial, Reason.CERTIFICATE_HOLD, by)
            for person_id in person_ids
            for record in self._ca.certificates(owner=person_id, state=CertificateState.ISSUED, limit=200)
        ]
        for name in {record.authority for record in held}:
            self._ca.lists.current(name)

    def release_citizens(self, person_ids: Sequence[str], by: str) -> None:
        released = [
            self._ca.revocation.revoke(record.serial, Reason.REMOVE_FROM_CRL, by)
            for person_id in person_ids
            for record in self._ca.certificates(owner=person_id, state=CertificateState.HELD, limit=200)
            if self._ca.revocation.changed_by(record.serial).startswith(_OURS)
        ]
        for name in {record.authority for record in released}:
            self._ca.lists.current(name)


class RecoveredPersons:
    """`signing.ports.Restraints` over the cool-offs of enrolment: the same database."""

    def __init__(self, cool_offs: CoolOffs) -> None:
        self._cool_offs = cool_offs

    def held(self, owner: str) -> Hold | None:
        found = self._cool_offs.held(owner)
        return None if found is None else Hold(found.until)


class EkycLoginApprovals:
    """`issuing_ca.ports.LoginApprovals` over the enrolment service of this process."""

    def __init__(self, ekyc: EkycService) -> None:
        self._ekyc = ekyc

    def approve_login(self, person_id: str, public_key: bytes) -> ApprovedLogin | None:
        made = self._ekyc.approvals.for_login(person_id, public_key)
        return None if made is None else ApprovedLogin(made.subject, made.level, made.evidence, made.document)


class ReviewOfficers:
    """`ekyc.ports.Officers` over the registered actors of this process."""

    def __init__(self, identity: IdentityService) -> None:
        self._identity = identity

    def reviewers(self) -> Sequence[str]:
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = self._identity.list_actors(cursor, 200)
            found += [one.id for one in page.items if _active_officer(one) and REVIEW_ROLE in one.roles]
            if page.next_cursor is None:
                return found
            cursor = page.next_cursor

    def key_of(self, officer_id: str) -> bytes | None:
        try:
            actor = self._identity.actor(officer_id)
        except ActorUnknown:
            return None
        return actor.public_key if _active_officer(actor) else None

    def person_of(self, officer_id: str) -> str | None:
        return self._identity.person_of(officer_id)


def _active_officer(actor: RegisteredActor) -> bool:
    return actor.kind is ActorKind.OFFICER and actor.status is ActorStatus.ACTIVE


class SigningKeyCustody:
    """`ekyc.ports.KeyCustody` over the signing service of this process: the same database, so the same transaction."""

    def __init__(self, signing: SigningService) -> None:
        self._signing = signing

    def keep(self, connection: Connection, key: WrappedKey) -> None:
        self._signing.keep_key(connection, key)

    def kept(self, person_id: str) -> frozenset[str]:
        return self._signing.kept_keys(person_id)


class SigningCredentials:
    """`ekyc.ports.Credentials` over the signing service of this process; the chain it keeps ends with the root."""

    def __init__(self, signing: SigningService, ca: CertificateAuthority) -> None:
        self._signing = signing
        self._ca = ca

    def register(self, person_id: str, key_id: str, certificate: bytes, chain: tuple[bytes, ...]) -> str:
        above = [x509.load_der_x509_certificate(one) for one in chain]
        root = self._ca.authorities.get("issuing").root
        return self._signing.register_credential(
            "ekyc", person_id, key_id, x509.load_der_x509_certificate(certificate), [*above, root]
        ).credential_id


class RegisteredClients:
    """`signing.ports.Clients` over the registered actors of this process."""

    def __init__(self, identity: IdentityService) -> None:
        self._identity = identity

    def known(self, client_id: str) -> tuple[str, bool]:
        try:
            actor = self._identity.actor(client_id)
        except ActorUnknown:
            return "", False
        return actor.label, actor.kind is ActorKind.CLIENT and actor.status is ActorStatus.ACTIVE


def _told(serial: str, certificate: bytes, chain: tuple[x509.Certificate, ...]) -> IssuedCertificate:
    return IssuedCertificate(serial, certificate, tuple(one.public_bytes(Encoding.DER) for one in chain))


class RegisteredActors:
    """`signing.ports.Acting` over the registered actors of this process."""

    def __init__(self, identity: IdentityService) -> None:
        self._identity = identity

    def key_of(self, actor_id: str) -> bytes | None:
        try:
            actor = self._identity.actor(actor_id)
        except ActorUnknown:
            return None
        return actor.public_key if actor.status is ActorStatus.ACTIVE else None
