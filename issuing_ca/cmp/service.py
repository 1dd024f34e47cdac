"""The CMP server (RFC 9810, in the profile of RFC 9483): ir, cr, kur, p10cr, pollReq, rr, certConf, genm.

Every request is protected: by the secret of an enrolment credential, or by the key of a certificate that followed from
one. What is asked for must be what the officer verified; proof of possession is demanded of every key. Where officers
have to approve, the client is told to wait, and polls until they have decided (RFC 9483 §4.4).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, Row

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite
from foundation.errors import CamTrustError, Kind
from foundation.randomness import Randomness
from foundation.x509 import der
from foundation.x509.csr import read_csr
from issuing_ca.cmp import asn1, store
from issuing_ca.cmp.cert_request import requested
from issuing_ca.cmp.message import CmpRefused, Failure, Message, answer_header, assembled, read, status
from issuing_ca.cmp.requester import Asked, Requesters
from issuing_ca.cmp.responses import (
    ACCEPTED,
    REJECTED,
    Reply,
    confirming,
    issued_response,
    poll_report,
    polled_number,
    rejected_response,
    waiting_response,
    wants_no_confirmation,
)
from issuing_ca.cmp.support import information, read_information
from issuing_ca.enrolment.model import Wanted
from issuing_ca.enrolment.request import wanted_of
from issuing_ca.enrolment.service import Enrolment
from issuing_ca.errors import EnrolmentNotApproved, TransitionRefused
from issuing_ca.model import ISSUING, Authority, IssuedCertificate, Reason, serial_text
from issuing_ca.ra.model import RejectionReason

_log = logging.getLogger(__name__)

_WAITING = timedelta(days=1)  # how long a client can come after the officers' time is over
_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
_MOST_NUMBER = 2**31 - 1  # a certReqId
_REJECTIONS = {RejectionReason.INCORRECT.value: Failure.BAD_CERT_TEMPLATE}
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
    "issuing_ca.enrolment_waiting": Failure.NOT_AUTHORIZED,
    "issuing_ca.transition_refused": Failure.BAD_CERT_ID,
    "foundation.csr_invalid": Failure.BAD_POP,
}


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
        self._requesters = Requesters(enrolment, clock, randomness)

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
            asked = self._requesters.of(message, ca)
            if profile is not None and asked.applicant.credential.profile != profile:
                raise CmpRefused(Failure.NOT_AUTHORIZED)
            return self._answer(ca, header, asked, self._act(message, asked, ca))
        except CmpRefused as refused:
            failure, code = refused.failure, refused.code
        except CamTrustError as error:
            if error.kind in (Kind.INTERNAL, Kind.UNAVAILABLE):
                _log.error("CMP: %s", error.code)
            failure, code = _failure(error), error.code
        if asked is not None:
            with self._database.unit_of_work() as connection:
                self._refused(connection, asked, failure, code)
        error_content = asn1.ErrorContent({"status": status(REJECTED, failure, code)}).dump()
        return self._answer(ca, header, asked, Reply(asn1.ERROR, error_content))

    def _refused(self, connection: Connection, asked: Asked, failure: Failure, code: str) -> None:
        actor, details = f"cmp:{asked.reference}", {"failure": failure.name, "code": code}
        self._audit.append(connection, actor, "issuing_ca.cmp_refused", asked.transaction.hex(), details)

    # --- what is asked --------------------------------------------------------------------------------------------

    def _act(self, message: Message, asked: Asked, ca: Authority) -> Reply:
        if message.kind == asn1.CERT_CONF:
            return self._confirm(message, asked)
        if message.kind == asn1.POLL_REQ:
            return self._poll(message, asked)
        content = read_information(message.body) if message.kind == asn1.GENM else message.content()
        now = self._clock.now()
        with self._database.unit_of_work() as connection:
            if not store.begin(connection, asked.transaction, asked.reference, asked.signer, now, asked.expires):
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
            return Reply(asn1.GENP, information(self._ca, ca, asked.applicant.credential, content))
        raise CmpRefused(Failure.BAD_REQUEST)

    def _issue(self, message: Message, asked: Asked, number: int, wanted: Wanted) -> Reply:
        if not -1 <= number <= _MOST_NUMBER:
            raise CmpRefused(Failure.BAD_REQUEST)
        made = self._enrolment.enrol(asked.applicant, wanted, "cmp")
        answer, implicit = asn1.ANSWERS[message.kind], wants_no_confirmation(message)
        if isinstance(made, IssuedCertificate):
            return self._deliver(asked, made, store.OPEN, answer, number, implicit)
        told = {"answer": answer, "number": number, "implicit": implicit}
        with self._database.unit_of_work() as connection:
            store.poll(connection, asked.transaction, made.id, expires=made.expires_at + _WAITING, **told)
        return Reply(answer, waiting_response(number))

    def _deliver(
        self, asked: Asked, issued: IssuedCertificate, before: str, answer: int, number: int, implicit: bool
    ) -> Reply:
        after = store.DONE if implicit else store.WAITING
        try:
            with self._database.unit_of_work() as connection:
                values = {"serial": issued.serial, "expires": asked.expires}
                store.move(connection, asked.transaction, before, after, **values)
        except StaleWrite:  # the same question twice at once: one alone is answered
            raise CmpRefused(Failure.BAD_REQUEST) from None
        chain = tuple(one.public_bytes(Encoding.DER) for one in issued.chain)
        return Reply(answer, issued_response(number, issued), chain, confirming(implicit, asked.expires))

    def _standing(self, message: Message, asked: Asked, state: str) -> Row[Any]:
        """The transaction that a message goes on with: begun by the same, under the same protection, and an answer to
        what we said last. Raises CmpRefused."""
        with self._database.read() as connection:
            row = store.standing(connection, asked.transaction, state, self._clock.now())
        if row is None or row.reference != asked.reference or row.signer not in (None, asked.signer):
            raise CmpRefused(Failure.BAD_REQUEST)
        nonce = message.header["recip_nonce"].native
        if nonce is None or nonce != bytes(row.nonce):
            raise CmpRefused(Failure.BAD_RECIPIENT_NONCE)
        return row

    def _poll(self, message: Message, asked: Asked) -> Reply:
        """RFC 9810 §5.3.22: when to ask again, until there is a certificate, or officers have refused it."""
        number = polled_number(message)
        row = self._standing(message, asked, store.POLLING)
        if number != row.number:
            raise CmpRefused(Failure.BAD_REQUEST)
        try:
            made = self._enrolment.outcome(asked.applicant, row.request)
        except EnrolmentNotApproved as refused:
            failure = _REJECTIONS.get(str(refused.params["reason"]), Failure.NOT_AUTHORIZED)
            with suppress(StaleWrite), self._database.unit_of_work() as connection:
                store.move(connection, asked.transaction, store.POLLING, store.DONE)
                self._refused(connection, asked, failure, refused.code)
            return Reply(row.answer, rejected_response(number, failure, f"{refused.code} {refused.params['reason']}"))
        if isinstance(made, IssuedCertificate):
            return self._deliver(asked, made, store.POLLING, row.answer, number, row.implicit)
        return Reply(asn1.POLL_REP, poll_report(number, made.requested_at, self._clock.now()))

    def _confirm(self, message: Message, asked: Asked) -> Reply:
        """RFC 9810 §5.3.18: the hash of the certificate accepts it; a rejection has it revoked."""
        said = message.content()
        row = self._standing(message, asked, store.WAITING)
        record = self._ca.certificate(row.serial)
        told = said[0]["status"].native if len(said) == 1 else {"status": REJECTED}  # none at all: not accepted
        accepted = told is None or told["status"] in (0, 1)
        if len(said) == 1 and said[0]["hash"].native != _certificate_hash(record.certificate or b""):
            raise CmpRefused(Failure.BAD_CERT_ID)
        try:
            with self._database.unit_of_work() as connection:
                store.move(connection, asked.transaction, store.WAITING, store.DONE)
        except StaleWrite:
            raise CmpRefused(Failure.BAD_REQUEST) from None
        if not accepted:
            self._ca.revoke(record.serial, Reason.CESSATION_OF_OPERATION, f"cmp:{asked.reference}")
        return Reply(asn1.PKICONF, bytes((der.NULL, 0)))

    def revoke_unconfirmed(self) -> int:
        """Revoke certificates that nobody confirmed in time (RFC 9810 §5.3.18), or came for after officers approved
        them; gives how many. Can be repeated."""
        now, count = self._clock.now(), 0
        with self._database.read() as connection:
            late = [(row, row.serial) for row in store.late(connection, store.WAITING, now)]
            unfetched = store.late(connection, store.POLLING, now)
        late += [(row, self._enrolment.unfetched(row.request)) for row in unfetched]
        for row, serial in late:
            if serial is not None:
                count += 1
                with suppress(TransitionRefused):  # revoked already, for a reason of its own
                    self._ca.revoke(serial, Reason.CESSATION_OF_OPERATION, f"cmp:{row.reference}")
            with suppress(StaleWrite), self._database.unit_of_work() as connection:
                store.move(connection, row.id, row.state, store.DONE)
                if serial is not None:
                    self._audit.append(
                        connection,
                        "service:issuing_ca",
                        "issuing_ca.cmp_unconfirmed",
                        row.id.hex(),
                        {"serial": serial},
                    )
        return count

    def _revoke(self, content: Any, asked: Asked) -> Reply:
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
        self._ca.revoke(serial_text(own.serial_number), reason, f"cmp:{asked.reference}")
        return Reply(asn1.RP, asn1.RevRepContent({"status": [status(ACCEPTED)]}).dump())

    # --- answers --------------------------------------------------------------------------------------------------

    def _answer(self, authority: Authority, header: Any | None, asked: Asked | None, reply: Reply) -> bytes:
        """Protected as the request was; by our signature where that is not known."""
        nonce, kind, content, information = self._randomness.bytes(16), reply.kind, reply.content, reply.information
        if asked is not None and kind in (*asn1.ANSWERS.values(), asn1.POLL_REP):
            with self._database.unit_of_work() as connection:
                store.say(connection, asked.transaction, nonce)
        body = der.explicit(kind, content)
        if asked is not None and asked.mac is not None:
            sender, mac = _name(authority.certificate), asked.mac
            top = answer_header(header, sender, mac.algorithm(), mac.reference.encode(), nonce, information)
            return assembled(top, kind, content, mac.protect(der.sequence([top, body])), reply.extra)
        unit = self._ca.units.cmp_signer(authority)
        identifier = unit.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        top = answer_header(header, _name(unit.certificate), unit.signer.algorithm, identifier, nonce, information)
        chain = tuple(
            one.public_bytes(Encoding.DER) for one in (unit.certificate, authority.certificate, *authority.chain)
        )
        certificates = tuple(dict.fromkeys((*chain, *reply.extra)))
        return assembled(top, kind, content, unit.signer.sign(der.sequence([top, body])), certificates)


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
