"""From an approved person to a certificate: factors, key, certificate, credential.

Every stage is found again after a kill: factors by the token, the certificate by the enrolment's id at its issuer, the
credential by its key. The key is written down together with the step; one that a kill left in the token alone can sign
nothing, since what is sealed of it is lost, and is destroyed. Asking once more goes on where it stopped.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from ekyc.approval import ApprovalDesk, VerifiedName, carries_until
from ekyc.casefile import CaseFiles
from ekyc.contacts.telling import Telling
from ekyc.corrections import store as correction_store
from ekyc.decision import Decider
from ekyc.errors import CertificateMismatch
from ekyc.evidence.record import EvidenceKind
from ekyc.model import ISSUING, Enrolment, State
from ekyc.ports import (
    Cause,
    CertificateIssuer,
    CitizenCertificateRequest,
    Credentials,
    IssuedCertificate,
    KeyCustody,
)
from ekyc.receipts.desk import ReceiptDesk
from foundation.errors import CamTrustError
from foundation.http.actor import Actor
from foundation.keys.errors import FactorsEnrolled, KeyHandleInvalid
from foundation.keys.factors import PersonFactors
from foundation.keys.port import KeyInfo, KeyUse, WrappedKeys


class IssuanceDesk:
    """Binds factors and makes what they protect."""

    def __init__(
        self,
        files: CaseFiles,
        decider: Decider,
        factors: PersonFactors,
        keys: WrappedKeys,
        custody: KeyCustody,
        issuer: CertificateIssuer,
        credentials: Credentials,
        approvals: ApprovalDesk,
        telling: Telling,
        receipts: ReceiptDesk,
    ) -> None:
        self._files = files
        self._decider = decider
        self._factors = factors
        self._keys = keys
        self._custody = custody
        self._issuer = issuer
        self._credentials = credentials
        self._approvals = approvals
        self._telling = telling
        self._receipts = receipts

    def enrol_factors(self, actor: Actor, enrolment_id: str, pin: str, *, if_version: int | None = None) -> str:
        """Set the PIN; gives the ``otpauth://`` address for the authenticator, shown once and kept in the token alone.

        Until it is confirmed it can be done again, with a new secret. Raises PinInvalid, FactorsEnrolled.
        """
        enrolment = self._files.begin(actor, enrolment_id, State.APPROVED, if_version=if_version)
        uri = self._factors.enrol(enrolment.person_id, pin).provisioning_uri
        with self._files.database.unit_of_work() as connection:
            self._files.audit.append(connection, str(actor), "ekyc.factors_enrolled", enrolment.id, {})
        return uri

    def confirm_factors(
        self, actor: Actor, enrolment_id: str, totp: str, *, if_version: int | None = None
    ) -> Enrolment:
        """Prove that the app holds the secret, or that the person has the card or device.

        Raises PinIncorrect, PinLocked, FactorsNotEnrolled.
        """
        files = self._files
        enrolment = files.begin(actor, enrolment_id, State.APPROVED, if_version=if_version)
        with suppress(FactorsEnrolled):  # confirmed in the token, and killed before it was written down here
            self._factors.confirm(enrolment.person_id, totp)
        codes = self._factors.factors_of(enrolment.person_id).codes or "totp"
        sealed = files.seal(enrolment, EvidenceKind.FACTOR, {"factors": ["pin", codes]})
        with files.step(enrolment) as connection:
            files.record(
                connection, enrolment, EvidenceKind.FACTOR, "bound", sealed, str(actor), {"kind": f"pin+{codes}"}
            )
            return files.advance(connection, enrolment, State.FACTOR_BOUND, str(actor))

    def certificate(self, actor: Actor, enrolment_id: str, *, if_version: int | None = None) -> Enrolment:
        """Make the key, have it certified, and register it for signing: as far as it is not done yet.

        Asked again when all is done, it gives the enrolment as it is. Raises CertificateMismatch, StaleWrite, and
        what token and issuer raise; the enrolment then stands where it got to.
        """
        enrolment = self._files.begin(actor, enrolment_id, *ISSUING, State.ACTIVATED, if_version=if_version)
        return self.go_on(str(actor), enrolment)

    def go_on(self, by: str, enrolment: Enrolment) -> Enrolment:
        """What :meth:`certificate` does, for whoever may have it done (``by``)."""
        if enrolment.state is State.FACTOR_BOUND:
            enrolment = self._make_key(by, enrolment)
        if enrolment.state is State.KEY_GENERATED:
            enrolment = self._certify(by, enrolment)
        if enrolment.state is State.CERTIFICATE_ISSUED:
            enrolment = self._activate(by, enrolment)
            with suppress(CamTrustError):  # it is made when the person asks for it, then
                self._receipts.make(by, enrolment)
        return enrolment

    def issued(self, actor: Actor, enrolment_id: str) -> IssuedCertificate:
        """The caller's certificate. Raises WrongState before there is one."""
        enrolment = self._files.of_person(actor, enrolment_id)
        enrolment.expect(State.CERTIFICATE_ISSUED, State.ACTIVATED)
        return self._kept(enrolment)

    def renew_key(self, by: str, enrolment: Enrolment) -> Enrolment:
        """A new key of somebody whose certificate works, which it does on until the next one is registered. What a
        renewal before left to be revoked (it was cut off at its end) is revoked first: there is one place for it."""
        left, before = enrolment.superseded_serial, enrolment.certificate_serial
        if left is not None:
            with self._files.database.read() as connection:
                renamed = correction_store.renamed(connection, enrolment.id, left)
            self._issuer.revoke_citizen(left, Cause.RENAMED if renamed else Cause.SUPERSEDED)
        return self._make_key(by, enrolment, certificate_serial=None, credential_id=None, superseded_serial=before)

    def _make_key(self, by: str, enrolment: Enrolment, **values: Any) -> Enrolment:
        files, person_id = self._files, enrolment.person_id
        made = self._keys.generate_wrapped(person_id, files.settings.key_algorithm, KeyUse.CITIZEN_SIGN)
        key = made.info
        sealed = files.seal(enrolment, EvidenceKind.KEY, {"key_id": key.key_id})
        facts = {"algorithm": key.algorithm.value, "public_key": hashlib.sha256(key.public_key).hexdigest()}
        try:
            with files.step(enrolment) as connection:
                files.record(connection, enrolment, EvidenceKind.KEY, "generated", sealed, by, facts)
                self._custody.keep(connection, made)
                return files.advance(connection, enrolment, State.KEY_GENERATED, by, key_id=key.key_id, **values)
        except CamTrustError:  # another request came first, say
            self._destroy(person_id, key.key_id)
            raise

    def _destroy_strays(self, person_id: str) -> None:
        """Destroy the person's keys that are not kept: a process was killed after it had made one."""
        kept = self._custody.kept(person_id)
        for one in self._keys.wrapped_keys(person_id):
            if one.use is KeyUse.CITIZEN_SIGN and one.key_id not in kept:
                self._destroy(person_id, one.key_id)

    def _destroy(self, person_id: str, key_id: str) -> None:
        with suppress(KeyHandleInvalid):  # another process does the same
            self._keys.destroy_wrapped(person_id, key_id)

    def _key(self, enrolment: Enrolment) -> KeyInfo:
        for one in self._keys.wrapped_keys(enrolment.person_id):
            if one.key_id == enrolment.key_id:
                return one
        raise KeyHandleInvalid

    def _certify(self, by: str, enrolment: Enrolment) -> Enrolment:
        files = self._files
        key = self._key(enrolment)
        with files.database.read() as connection:
            document = files.open_identity(connection, enrolment)
        name = VerifiedName.of(document)
        decision = self._decider.last(enrolment.id) or b""
        issued = self._issuer.issue_citizen(
            CitizenCertificateRequest(
                enrolment_id=enrolment.id,
                person_id=enrolment.person_id,
                key_id=key.key_id,
                public_key=key.public_key,
                surname=name.surname,
                given_names=name.given_names,
                khmer_name=name.khmer,
                level=enrolment.level,
                policy_oid=self._decider.policy_oid(enrolment.id),
                evidence=hashlib.sha256(decision).hexdigest(),
                approval=self._approvals.for_signing(enrolment, key),
                not_after=carries_until(document, files.clock.now()),
            )
        )
        _check_key(issued.certificate, key)
        content = {
            "certificate": issued.certificate.hex(),
            "chain": [one.hex() for one in issued.chain],
            "serial": issued.serial,
        }
        sealed = files.seal(enrolment, EvidenceKind.CERTIFICATE, content)
        with files.step(enrolment) as connection:
            files.record(
                connection, enrolment, EvidenceKind.CERTIFICATE, "issued", sealed, by, {"serial": issued.serial}
            )
            return files.advance(
                connection,
                enrolment,
                State.CERTIFICATE_ISSUED,
                by,
                columns={"reminded_days": None},
                certificate_serial=issued.serial,
                certificate_ends_at=x509.load_der_x509_certificate(issued.certificate).not_valid_after_utc,
            )

    def _activate(self, by: str, enrolment: Enrolment) -> Enrolment:
        files, issued = self._files, self._kept(enrolment)
        self._destroy_strays(enrolment.person_id)
        credential = self._credentials.register(
            enrolment.person_id, enrolment.key_id or "", issued.certificate, issued.chain
        )
        sealed = files.seal(enrolment, EvidenceKind.CREDENTIAL, {"credential": credential})
        notices = self._telling.everyone(enrolment, "notice_certificate_issued")
        with files.step(enrolment) as connection:
            self._telling.post(connection, notices)
            files.record(connection, enrolment, EvidenceKind.CREDENTIAL, "registered", sealed, by)
            return files.advance(connection, enrolment, State.ACTIVATED, by, credential_id=credential)

    def _kept(self, enrolment: Enrolment) -> IssuedCertificate:
        with self._files.database.read() as connection:
            content = self._files.open(connection, enrolment, EvidenceKind.CERTIFICATE)
        chain = tuple(bytes.fromhex(one) for one in content["chain"])
        return IssuedCertificate(content["serial"], bytes.fromhex(content["certificate"]), chain)


def _check_key(certificate: bytes, key: KeyInfo) -> None:
    """The certificate is for the key that was asked for, whoever answered."""
    certified = x509.load_der_x509_certificate(certificate).public_key()
    encoded = certified.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    expected = load_der_public_key(key.public_key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if encoded != expected:
        raise CertificateMismatch
