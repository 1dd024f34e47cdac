"""The OCSP responder (RFC 6960): answers, signed live, for every authority here and for the root.

- A certificate that we issued: good, or revoked with time and reason; with certHash, the proof that it is exactly this
  one. A serial number that was reserved, abandoned or never given: unknown (RFC 6960 §2.2).
- An issuer that is not ours: *unauthorized* (RFC 6960 §2.3, RFC 5019 §2.2.3). We cannot say anything with authority
  about it, not even "unknown", since no responder certificate of ours is issued by that issuer.
- Both hashes that CertIDs are made with, SHA-1 and SHA-256, are found; the CertID comes back octet by octet.
- The database or the token does not answer: tryLater. Nothing is ever answered from a guess.
- Revocations are told for as long as the CA exists: the archive cutoff is the beginning of its own validity.

The root is offline, so its delegated responder answers from the root's newest CRL: revoked if listed, good for the
certificates that we know the root issued, unknown for others. That CRL is all there is to know until the next ceremony
hands over another, so the answer speaks for the moment in which it is made; with an expired CRL there is no answer.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder

from foundation.clock import Clock
from foundation.db.engine import Database
from foundation.errors import CamTrustError, Kind
from foundation.keys.errors import KeyDisabled, KeyHandleInvalid
from issuing_ca import store
from issuing_ca.authorities import Authorities
from issuing_ca.config import IssuingCaSettings
from issuing_ca.errors import DerInvalid
from issuing_ca.model import OCSP_RESPONDER, ROOT, CertificateState, Reason, StatusEntry, serial_text
from issuing_ca.ocsp_issuers import Issuer, Issuers
from issuing_ca.ocsp_message import (
    CertId,
    CertStatus,
    OcspRequest,
    ResponseStatus,
    ResponseWriter,
    error_response,
    read_request,
)
from issuing_ca.revocation_lists import RevocationLists
from issuing_ca.units import Units

_log = logging.getLogger(__name__)

_UNKNOWN = CertStatus(unknown=True)

_Known = Mapping[str, tuple[str, StatusEntry]]


@dataclass(frozen=True)
class Told:
    """What a response says about one certificate of an authority of ours."""

    authority: str
    cert_id: CertId
    status: CertStatus


@dataclass(frozen=True)
class OcspAnswer:
    """A response; the dates are there when it is successful, ``nonce`` when it must not be kept.

    ``told``: what it says, where that comes from the database (for the root it comes from a CRL).
    """

    response: bytes
    status: ResponseStatus
    this_update: datetime | None = None
    next_update: datetime | None = None
    nonce: bool = False
    told: tuple[Told, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class _Draft:
    """A response that waits for its signature."""

    issuer: Issuer
    writer: ResponseWriter
    data: bytes
    this_update: datetime
    next_update: datetime
    request: OcspRequest
    told: tuple[Told, ...]

    def answer(self, response: bytes) -> OcspAnswer:
        nonce = self.request.nonce is not None
        return OcspAnswer(response, ResponseStatus.SUCCESSFUL, self.this_update, self.next_update, nonce, self.told)


class OcspResponder:
    """Answers requests. One for the process; safe to call from many threads."""

    def __init__(
        self,
        database: Database,
        authorities: Authorities,
        units: Units,
        lists: RevocationLists,
        clock: Clock,
        settings: IssuingCaSettings,
    ) -> None:
        self._database = database
        self._authorities = authorities
        self._units = units
        self._lists = lists
        self._clock = clock
        self._settings = settings
        self.issuers = Issuers(authorities)
        self._writers: dict[str, tuple[x509.Certificate, ResponseWriter]] = {}
        self._root_crl: tuple[int, x509.CertificateRevocationList] | None = None

    def answer(self, data: bytes) -> OcspAnswer:
        """An OCSPRequest in, an OCSPResponse out; never raises for what a request contains."""
        return self.answer_many([data])[0]

    def answer_many(self, requests: Sequence[bytes]) -> list[OcspAnswer]:
        """The same for several requests, which share one look into the database and one round trip to the token."""
        read = [_read(data) for data in requests]
        try:
            known: _Known | OcspAnswer = self._known([one for one in read if isinstance(one, OcspRequest)])
        except CamTrustError as error:
            known = _failed(error)
        drafts = [self._draft(one, known) if isinstance(one, OcspRequest) else one for one in read]
        answers = self._signed([one for one in drafts if isinstance(one, _Draft)])
        return [next(answers) if isinstance(one, _Draft) else one for one in drafts]

    def for_certificate(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bytes | None:
        """A fresh OCSPResponse about a certificate, for whoever embeds it; None where we have no answer."""
        request = OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256()).build()
        answer = self.answer(request.public_bytes(Encoding.DER))
        return answer.response if answer.status is ResponseStatus.SUCCESSFUL else None

    def _draft(self, request: OcspRequest, known: _Known | OcspAnswer) -> _Draft | OcspAnswer:
        """What is to be signed, or the answer where nothing is."""
        try:
            issuers = [self.issuers.find(asked) for asked in request.asked]
            first = issuers[0]
            if first is None or None in issuers:
                return _error(ResponseStatus.UNAUTHORIZED)
            if isinstance(known, OcspAnswer) and not first.is_root:
                return known
            return self._written(first, issuers, request, known)
        except CamTrustError as error:
            return _failed(error)

    def _written(
        self, first: Issuer, issuers: Sequence[Issuer | None], request: OcspRequest, known: _Known | OcspAnswer
    ) -> _Draft:
        writer = self._writer(first)  # before the time is read: a responder made just now is valid from now on
        now = self._clock.now().replace(microsecond=0)
        next_update = min(now + self._settings.ocsp_validity, writer.not_after)
        told: tuple[Told, ...] = ()
        if first.is_root:
            stored = self._lists.current(ROOT)
            next_update = min(next_update, stored.next_update)
            statuses = self._root_statuses(first, issuers, request.asked, stored.number, stored.crl)
        else:
            assert not isinstance(known, OcspAnswer)  # noqa: S101 - only the root's answers do without
            statuses = [self._status(first, *one, known) for one in zip(issuers, request.asked, strict=True)]
            told = tuple(Told(first.name, *one) for one in zip(request.asked, statuses, strict=True))
        answers = tuple(zip(request.asked, statuses, strict=True))
        data = writer.data(answers, now, now, next_update, request.nonce)
        return _Draft(first, writer, data, now, next_update, request, told)

    def _signed(self, drafts: Sequence[_Draft]) -> Iterator[OcspAnswer]:
        """Answers in the order of the drafts; those of one responder are signed together."""
        answers: dict[int, OcspAnswer] = {}
        for writer in {id(one.writer): one.writer for one in drafts}.values():
            places = [at for at, one in enumerate(drafts) if one.writer is writer]
            try:
                responses = writer.sign_all([drafts[at].data for at in places])
            except (KeyDisabled, KeyHandleInvalid) as error:
                answers |= {at: self._once_more(drafts[at], error) for at in places}
            except CamTrustError as error:
                answers |= dict.fromkeys(places, _failed(error))
            else:
                for at, response in zip(places, responses, strict=True):
                    answers[at] = drafts[at].answer(response)
        return iter([answers[at] for at in range(len(drafts))])

    def _once_more(self, draft: _Draft, error: CamTrustError) -> OcspAnswer:
        """The responder's own certificate was revoked: the next unit takes over. The root has no other."""
        if draft.issuer.is_root:
            return _failed(error)
        try:
            self._units.forget(draft.issuer.authority, OCSP_RESPONDER)
            again = self._draft(draft.request, self._known([draft.request]))
            return again.answer(again.writer.sign_all([again.data])[0]) if isinstance(again, _Draft) else again
        except CamTrustError as failure:
            return _failed(failure)

    def _known(self, requests: Sequence[OcspRequest]) -> _Known:
        """What the database says about all that is asked."""
        serials = {serial_text(asked.serial) for one in requests for asked in one.asked if asked.serial > 0}
        if not serials:
            return {}
        with self._database.read() as connection:
            return store.statuses(connection, serials)

    def _status(self, first: Issuer, issuer: Issuer | None, asked: CertId, known: _Known) -> CertStatus:
        found = known.get(serial_text(asked.serial)) if asked.serial > 0 and issuer == first else None
        if found is None or found[0] != first.name:
            return _UNKNOWN
        return self.status_of(found[1])

    def status_of(self, entry: StatusEntry) -> CertStatus:
        """How a stored status is told."""
        digest = None
        if self._settings.ocsp_cert_hash and entry.certificate is not None:
            digest = hashlib.sha256(entry.certificate).digest()
        if entry.state is CertificateState.ISSUED:
            return CertStatus(certificate=digest)
        if entry.state in (CertificateState.REVOKED, CertificateState.HELD):
            number = entry.reason.number if entry.reason is not None else None
            return CertStatus(revoked_at=entry.revoked_at, reason=number, certificate=digest)
        return _UNKNOWN

    def _root_statuses(
        self,
        first: Issuer,
        issuers: Sequence[Issuer | None],
        asked: Sequence[CertId],
        number: int,
        crl_data: bytes,
    ) -> list[CertStatus]:
        if self._root_crl is None or self._root_crl[0] != number:
            self._root_crl = number, x509.load_der_x509_crl(crl_data)
        crl = self._root_crl[1]
        issued = {
            certificate.serial_number
            for authority in self._authorities.all()
            for certificate in (authority.certificate, *authority.chain)
            if certificate.issuer == first.certificate.subject
        }
        statuses = []
        for issuer, cert_id in zip(issuers, asked, strict=True):
            entry = crl.get_revoked_certificate_by_serial_number(cert_id.serial) if cert_id.serial > 0 else None
            if issuer != first:
                statuses.append(_UNKNOWN)
            elif entry is not None:
                statuses.append(CertStatus(revoked_at=entry.revocation_date_utc, reason=_reason(entry)))
            else:
                statuses.append(CertStatus() if cert_id.serial in issued else _UNKNOWN)
        return statuses

    def _writer(self, issuer: Issuer) -> ResponseWriter:
        if issuer.is_root:
            certificate, signer = issuer.authority.certificate, self._authorities.signer(issuer.authority)
        else:
            unit = self._units.ocsp_responder(issuer.authority)
            certificate, signer = unit.certificate, unit.signer
        known = self._writers.get(signer.key_id)
        if known is None or known[0] is not certificate:
            known = certificate, ResponseWriter(certificate, signer, issuer.certificate.not_valid_before_utc)
            self._writers[signer.key_id] = known
        return known[1]


def _read(data: bytes) -> OcspRequest | OcspAnswer:
    try:
        return read_request(data)
    except DerInvalid:
        return _error(ResponseStatus.MALFORMED_REQUEST)


def _failed(error: CamTrustError) -> OcspAnswer:
    _log.error("no OCSP answer: %s", error.code)
    later = error.kind in (Kind.UNAVAILABLE, Kind.CONFLICT, Kind.THROTTLED)
    return _error(ResponseStatus.TRY_LATER if later else ResponseStatus.INTERNAL_ERROR)


def _reason(entry: x509.RevokedCertificate) -> int | None:
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return None
    return Reason(reason.value).number


def _error(status: ResponseStatus) -> OcspAnswer:
    return OcspAnswer(error_response(status), status)
