"""The CMP server (RFC 9810, in the profile of RFC 9483): ir, cr, kur, p10cr, rr, certConf, genm.

Every request is protected: by the secret of an enrolment credential, or by the key of a certificate that followed from
one. What is asked for must be what the officer verified; proof of possession is demanded of every key.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asn1crypto import core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite
from foundation.errors import CamTrustError, Kind
from foundation.randomness import Randomness
from foundation.x509 import der
from foundation.x509.csr import read_csr
from issuing_ca.cmp import asn1, store
from issuing_ca.cmp.cert_request import requested
from issuing_ca.cmp.message import (
    CmpRefused,
    Failure,
    Message,
    answer_header,
    assembled,
    read,
    status,
    verify,
)
from issuing_ca.cmp.password_mac import MacProtection, check_mac
from issuing_ca.enrolment.model import Applicant, Wanted
from issuing_ca.enrolment.request import wanted_of
from issuing_ca.enrolment.service import Enrolment
from issuing_ca.errors import TransitionRefused
from issuing_ca.model import ISSUING, Authority, IssuedCertificate, Reason, serial_text

_log = logging.getLogger(__name__)

_TRANSACTION = timedelta(days=1)
_ACCEPTED, _REJECTED = 0, 2
_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
# What a holder may say (RFC 5280 §5.3.1); the rest is for others to say.
_CRL_REASON = "2.5.29.21"
_REASONS: Mapping[bytes, Reason] = {
    der.enumerated(reason.number): reason
    for reason in (
        Reason.UNSPECIFIED,
        Reason.KEY_COMPROMISE,
        Reason.AFFILIATION_CHANGED,
        Reason.SUPERSEDED,
        Reason.CESSATION_OF_OPERATION,
    )
}
_FAILURES = {
    "issuing_ca.enrolment_refused": Failure.BAD_CERT_TEMPLATE,
    "issuing_ca.enrolment_credential_used": Failure.NOT_AUTHORIZED,
    "issuing_ca.transition_refused": Failure.BAD_CERT_ID,
    "foundation.csr_invalid": Failure.BAD_POP,
}


@dataclass(frozen=True)
class _Asked:
    """A request whose protection is right; ``mac`` where it was a secret's."""

    applicant: Applicant
    transaction: bytes
    expires: datetime  # until when a certificate can be confirmed
    mac: MacProtection | None


class CmpServer:
    """Answers PKIMessages."""

    def __init__(
        self, enrolment: Enrolment, database: Database, clock: Clock, randomness: Randomness, audit: AuditTrail
    ) -> None:
        self._enrolment = enrolment
        self._ca = enrolment.ca
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._audit = audit

    def at(self, name: str, data: bytes) -> bytes:
        """The answer at ``p/<name>``: a profile's name means credentials of that profile at ``issuing``; any other is
        that of an issuing CA. Raises AuthorityUnknown, AuthorityNotInstalled, and as :meth:`answer`.
        """
        return self.answer(data, profile=name) if name in self._ca.profiles else self.answer(data, authority=name)

    def answer(self, data: bytes, profile: str | None = None, authority: str = ISSUING) -> bytes:
        """The PKIMessage that answers one. ``profile``: of the address that was asked; None: any.

        ``authority``: the CA of the address; credentials of another are unknown to it. Never raises for what was sent;
        raises AuthorityUnknown, AuthorityNotInstalled, and what the token and the database raise.
        """
        ca = self._ca.authorities.issuing(authority)
        header, asked = None, None
        try:
            message = read(data)
            header = message.header
            asked = self._asked(message, ca)
            if profile is not None and asked.applicant.credential.profile != profile:
                raise CmpRefused(Failure.NOT_AUTHORIZED)
            kind, content, extra = self._act(message, asked, ca)
            told = _confirming(message, asked) if kind in asn1.ANSWERS.values() else ()
            return self._answer(ca, header, asked, kind, content, extra, told)
        except CmpRefused as refused:
            failure, code = refused.failure, refused.code
        except CamTrustError as error:
            if error.kind in (Kind.INTERNAL, Kind.UNAVAILABLE):
                _log.error("CMP: %s", error.code)
            failure, code = _failure(error), error.code
        if asked is not None:
            actor = f"cmp:{asked.applicant.credential.reference}"
            with self._database.unit_of_work() as connection:
                details = {"failure": failure.name, "code": code}
                self._audit.append(connection, actor, "issuing_ca.cmp_refused", asked.transaction.hex(), details)
        error_content = asn1.ErrorContent({"status": status(_REJECTED, failure, code)}).dump()
        return self._answer(ca, header, asked, asn1.ERROR, error_content, (), ())

    # --- who asks -------------------------------------------------------------------------------------------------

    def _asked(self, message: Message, ca: Authority) -> _Asked:
        header = message.header
        if header["pvno"].native not in (2, 3):
            raise CmpRefused(Failure.UNSUPPORTED_VERSION)
        transaction, nonce = header["transaction_id"].native, header["sender_nonce"].native
        if transaction is None or not 16 <= len(transaction) <= 64:
            raise CmpRefused(Failure.BAD_DATA_FORMAT)
        if nonce is None or not 16 <= len(nonce) <= 64:
            raise CmpRefused(Failure.BAD_SENDER_NONCE)
        algorithm = header["protection_alg"]
        if algorithm.native is None or message.protection is None:
            raise CmpRefused(Failure.BAD_MESSAGE_CHECK)
        if algorithm["algorithm"].dotted in (asn1.PBM, asn1.PBMAC1):
            return self._by_mac(message, transaction, ca)
        return self._by_signature(message, transaction, ca, algorithm["algorithm"].dotted)

    def _by_mac(self, message: Message, transaction: bytes, ca: Authority) -> _Asked:
        try:
            reference = (message.header["sender_kid"].native or b"").decode("ascii")
        except UnicodeDecodeError:
            raise CmpRefused(Failure.BAD_MESSAGE_CHECK) from None
        found = self._enrolment.secret_of(reference, ca.name)
        if found is None:
            raise CmpRefused(Failure.BAD_MESSAGE_CHECK)
        check_mac(message, found[1])
        by = message.header["protection_alg"]["algorithm"].dotted
        protection = MacProtection(reference, found[1], self._randomness.bytes(16), by)
        return _Asked(Applicant(found[0]), transaction, self._clock.now() + _TRANSACTION, protection)

    def _by_signature(self, message: Message, transaction: bytes, ca: Authority, algorithm: str) -> _Asked:
        """The first certificate that comes along is the signer's (RFC 9483 §3.3)."""
        try:
            certificate = x509.load_der_x509_certificate(message.certificates[0])
            public_key = certificate.public_key()
        except Exception:  # cryptography raises ValueError, UnsupportedAlgorithm and, for odd keys, others
            raise CmpRefused(Failure.SIGNER_NOT_TRUSTED) from None
        applicant = self._enrolment.by_certificate(certificate, ca.name)
        if applicant is None:
            raise CmpRefused(Failure.SIGNER_NOT_TRUSTED)
        if not verify(public_key, algorithm, message.protection or b"", message.protected):
            raise CmpRefused(Failure.BAD_MESSAGE_CHECK)
        return _Asked(applicant, transaction, self._clock.now() + _TRANSACTION, None)

    # --- what is asked --------------------------------------------------------------------------------------------

    def _act(self, message: Message, asked: _Asked, ca: Authority) -> tuple[int, bytes, tuple[bytes, ...]]:
        if message.kind == asn1.CERT_CONF:
            return self._confirm(message, asked)
        content = message.content()
        now, reference = self._clock.now(), asked.applicant.credential.reference
        with self._database.unit_of_work() as connection:
            if not store.begin(connection, asked.transaction, reference, now, asked.expires):
                raise CmpRefused(Failure.TRANSACTION_ID_IN_USE)
        if message.kind == asn1.P10CR:
            return self._issue(message, asked, -1, wanted_of(read_csr(message.body)))
        if message.kind in asn1.ANSWERS:
            if message.kind == asn1.KUR and asked.applicant.certificate is None:
                raise CmpRefused(Failure.WRONG_INTEGRITY)
            number, wanted = requested(content)
            return self._issue(message, asked, number, wanted)
        if message.kind == asn1.RR:
            return self._revoke(content, asked)
        if message.kind == asn1.GENM:
            return asn1.GENP, self._information(content, ca), ()
        raise CmpRefused(Failure.BAD_REQUEST)

    def _issue(
        self, message: Message, asked: _Asked, number: int, wanted: Wanted
    ) -> tuple[int, bytes, tuple[bytes, ...]]:
        issued = self._enrolment.enrol(asked.applicant, wanted, "cmp")
        waits = not _wants_no_confirmation(message)
        with self._database.unit_of_work() as connection:
            after = store.WAITING if waits else store.DONE
            store.move(connection, asked.transaction, store.OPEN, after, serial=issued.serial)
        content = asn1.CertRepMessage({"responses": [_response(number, issued)]}).dump()
        chain = tuple(one.public_bytes(Encoding.DER) for one in issued.chain)
        return asn1.ANSWERS[message.kind], content, chain

    def _confirm(self, message: Message, asked: _Asked) -> tuple[int, bytes, tuple[bytes, ...]]:
        """RFC 9810 §5.3.18: the hash of the certificate accepts it; a rejection has it revoked."""
        said = message.content()
        with self._database.read() as connection:
            row = store.waiting(connection, asked.transaction, self._clock.now())
        if row is None or row.reference != asked.applicant.credential.reference:
            raise CmpRefused(Failure.BAD_REQUEST)
        nonce = message.header["recip_nonce"].native
        if nonce is None or nonce != bytes(row.nonce):
            raise CmpRefused(Failure.BAD_RECIPIENT_NONCE)
        record = self._ca.certificate(row.serial)
        told = said[0]["status"].native if len(said) == 1 else {"status": _REJECTED}  # none at all: not accepted
        accepted = told is None or told["status"] in (0, 1)
        if len(said) == 1 and said[0]["hash"].native != _certificate_hash(record.certificate or b""):
            raise CmpRefused(Failure.BAD_CERT_ID)
        try:
            with self._database.unit_of_work() as connection:
                store.move(connection, asked.transaction, store.WAITING, store.DONE)
        except StaleWrite:
            raise CmpRefused(Failure.BAD_REQUEST) from None
        if not accepted:
            actor = f"cmp:{asked.applicant.credential.reference}"
            self._ca.revoke(record.serial, Reason.CESSATION_OF_OPERATION, actor)
        return asn1.PKICONF, bytes((der.NULL, 0)), ()

    def revoke_unconfirmed(self) -> int:
        """Revoke certificates that nobody confirmed in time (RFC 9810 §5.3.18); gives how many. Can be repeated."""
        with self._database.read() as connection:
            late = store.unconfirmed(connection, self._clock.now())
        for row in late:
            with suppress(TransitionRefused):  # revoked already, for a reason of its own
                self._ca.revoke(row.serial, Reason.CESSATION_OF_OPERATION, f"cmp:{row.reference}")
            with suppress(StaleWrite), self._database.unit_of_work() as connection:
                store.move(connection, row.id, store.WAITING, store.DONE)
                details = {"serial": row.serial}
                self._audit.append(
                    connection, "service:issuing_ca", "issuing_ca.cmp_unconfirmed", row.id.hex(), details
                )
        return len(late)

    def _revoke(self, content: Any, asked: _Asked) -> tuple[int, bytes, tuple[bytes, ...]]:
        """RFC 9483 §4.2: whoever signs revokes the certificate that they sign with."""
        own = asked.applicant.certificate
        if own is None:
            raise CmpRefused(Failure.WRONG_INTEGRITY)
        if len(content) != 1:
            raise CmpRefused(Failure.BAD_REQUEST)
        template = content[0]["template"]
        issuer = template["issuer"]
        if template["serial"].native != own.serial_number or issuer.dump() != _explicit_name(own.issuer):
            raise CmpRefused(Failure.BAD_CERT_ID)
        reason = Reason.UNSPECIFIED
        entry = content[0]["entry"]
        for extension in entry if entry.native is not None else ():
            if extension["extn_id"].dotted == _CRL_REASON:
                found = _REASONS.get(bytes(extension["extn_value"].contents))
                if found is None:
                    raise CmpRefused(Failure.BAD_REQUEST)
                reason = found
        actor = f"cmp:{asked.applicant.credential.reference}"
        self._ca.revoke(serial_text(own.serial_number), reason, actor)
        return asn1.RP, asn1.RevRepContent({"status": [status(_ACCEPTED)]}).dump(), ()

    def _information(self, content: Any, ca: Authority) -> bytes:
        """RFC 9483 §4.3: our CA certificates; what we have nothing about comes back without a value."""
        known = []
        for one in content:
            kind = one["type"].dotted
            if kind == asn1.CA_CERTS:
                known.append({"type": kind, "value": asn1.Certificates(_certificates(ca))})
            else:
                known.append({"type": kind})
        return bytes(asn1.InfoTypesAndValues(known).dump())

    # --- answers --------------------------------------------------------------------------------------------------

    def _answer(
        self,
        authority: Authority,
        header: Any | None,
        asked: _Asked | None,
        kind: int,
        content: bytes,
        extra: tuple[bytes, ...],
        information: Sequence[Mapping[str, Any]],
    ) -> bytes:
        """Protected as the request was; by our signature where that is not known."""
        nonce = self._randomness.bytes(16)
        if asked is not None and kind in asn1.ANSWERS.values():
            with self._database.unit_of_work() as connection:
                for state in (store.WAITING, store.DONE):
                    try:
                        store.move(connection, asked.transaction, state, state, nonce=nonce)
                    except StaleWrite:
                        continue
        body = der.explicit(kind, content)
        if asked is not None and asked.mac is not None:
            sender, mac = _name(authority.certificate), asked.mac
            top = answer_header(header, sender, mac.algorithm(), mac.reference.encode(), nonce, information)
            return assembled(top, kind, content, mac.protect(der.sequence([top, body])), extra)
        unit = self._ca.units.cmp_signer(authority)
        identifier = unit.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        top = answer_header(header, _name(unit.certificate), unit.signer.algorithm, identifier, nonce, information)
        chain = tuple(
            one.public_bytes(Encoding.DER) for one in (unit.certificate, authority.certificate, *authority.chain)
        )
        certificates = tuple(dict.fromkeys((*chain, *extra)))
        return assembled(top, kind, content, unit.signer.sign(der.sequence([top, body])), certificates)


def _certificates(ca: Authority) -> list[asn1_x509.Certificate]:
    return [asn1_x509.Certificate.load(one.public_bytes(Encoding.DER)) for one in (ca.certificate, *ca.chain)]


def _response(number: int, issued: IssuedCertificate) -> dict[str, Any]:
    certificate = asn1_x509.Certificate.load(issued.encoded)
    return {
        "id": number,
        "status": status(_ACCEPTED),
        "pair": {"certificate": asn1.CertOrEncCert("certificate", certificate)},
    }


def _confirming(message: Message, asked: _Asked) -> Sequence[Mapping[str, Any]]:
    """What an answer's header says of the confirmation: that none is wanted, or until when it must come (RFC 9810
    §5.1.1.1 and §5.1.1.2)."""
    if _wants_no_confirmation(message):
        return ({"type": asn1.IMPLICIT_CONFIRM, "value": core.Null()},)
    until = core.GeneralizedTime(asked.expires.replace(microsecond=0))
    return ({"type": asn1.CONFIRM_WAIT_TIME, "value": until},)


def _wants_no_confirmation(message: Message) -> bool:
    information = message.header["general_info"]
    if information.native is None:
        return False
    return any(one["type"].dotted == asn1.IMPLICIT_CONFIRM for one in information)


def _certificate_hash(certificate: bytes) -> bytes:
    """By the hash of the certificate's own signature (RFC 9810 §5.3.18)."""
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    return _HASHES[algorithm.name if algorithm is not None else "sha512"](certificate).digest()


def _name(certificate: x509.Certificate) -> asn1_x509.Name:
    return asn1_x509.Name.load(certificate.subject.public_bytes())


def _explicit_name(name: x509.Name) -> bytes:
    return der.explicit(3, name.public_bytes())


def _failure(error: CamTrustError) -> Failure:
    if error.code in _FAILURES:
        return _FAILURES[error.code]
    if error.kind in (Kind.INVALID, Kind.CONFLICT):
        return Failure.BAD_CERT_TEMPLATE
    if error.kind is Kind.FORBIDDEN:
        return Failure.NOT_AUTHORIZED
    return Failure.SYSTEM_UNAVAILABLE if error.kind is Kind.UNAVAILABLE else Failure.SYSTEM_FAILURE
