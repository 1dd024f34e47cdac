"""The OCSP responder (RFC 6960): answers, signed live, for every authority here and for the root.

- A certificate that we issued: good, or revoked with time and reason. A serial number that was reserved, abandoned or
  never given: unknown (RFC 6960 §2.2).
- An issuer that is not ours: *unauthorized* (RFC 6960 §2.3, RFC 5019 §2.2.3). We cannot say anything with authority
  about it, not even "unknown", since no responder certificate of ours is issued by that issuer.
- Both hashes that CertIDs are made with, SHA-1 and SHA-256, are found; the CertID comes back octet by octet.
- The database or the token does not answer: tryLater. Nothing is ever answered from a guess.

The root is offline, so its delegated responder answers from the root's newest CRL: revoked if listed, good for the
certificates that we know the root issued, unknown for others. That CRL is all there is to know until the next ceremony
hands over another, so the answer speaks for the moment in which it is made; with an expired CRL there is no answer.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
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
from issuing_ca.issuance import OCSP_RESPONDER
from issuing_ca.model import ROOT, Authority, AuthorityKind, CertificateState, Reason, serial_text
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
_GOOD = CertStatus()


@dataclass(frozen=True)
class OcspAnswer:
    """A response; the dates are there when it is successful, ``nonce`` when it must not be kept."""

    response: bytes
    status: ResponseStatus
    this_update: datetime | None = None
    next_update: datetime | None = None
    nonce: bool = False


@dataclass(frozen=True)
class _Issuer:
    """Whom a CertID can name: a CA of ours (by itself) or the root (by its delegated responder)."""

    authority: Authority

    @property
    def certificate(self) -> x509.Certificate:
        return self.authority.root if self.is_root else self.authority.certificate

    @property
    def is_root(self) -> bool:
        return self.authority.kind is AuthorityKind.ROOT_OCSP


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
        self._issuers: dict[tuple[str, bytes, bytes], _Issuer] = {}
        self._writers: dict[bytes, ResponseWriter] = {}
        self._root_crl: tuple[int, x509.CertificateRevocationList] | None = None

    def answer(self, data: bytes) -> OcspAnswer:
        """An OCSPRequest in, an OCSPResponse out; never raises for what a request contains."""
        try:
            request = read_request(data)
        except DerInvalid:
            return _error(ResponseStatus.MALFORMED_REQUEST)
        try:
            return self._answer(request)
        except CamTrustError as error:
            _log.error("no OCSP answer: %s", error.code)
            later = error.kind in (Kind.UNAVAILABLE, Kind.CONFLICT)
            return _error(ResponseStatus.TRY_LATER if later else ResponseStatus.INTERNAL_ERROR)

    def for_certificate(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bytes | None:
        """A fresh OCSPResponse about a certificate, for whoever embeds it; None where we have no answer."""
        request = OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256()).build()
        answer = self.answer(request.public_bytes(Encoding.DER))
        return answer.response if answer.status is ResponseStatus.SUCCESSFUL else None

    def _answer(self, request: OcspRequest) -> OcspAnswer:
        issuers = [self._issuer(asked) for asked in request.asked]
        first = issuers[0]
        if first is None or None in issuers:
            return _error(ResponseStatus.UNAUTHORIZED)
        for attempt in (1, 2):
            writer = self._writer(first)  # before the time is read: a responder made just now is valid from now on
            now = self._clock.now().replace(microsecond=0)
            next_update = min(now + self._settings.ocsp_validity, writer.not_after)
            if first.is_root:
                stored = self._lists.current(ROOT)
                next_update = min(next_update, stored.next_update)
                statuses = self._root_statuses(first, issuers, request.asked, stored.number, stored.crl)
            else:
                statuses = self._statuses(first, issuers, request.asked)
            answers = tuple(zip(request.asked, statuses, strict=True))
            try:
                response = writer.write(answers, now, now, next_update, request.nonce)
                break
            except (KeyDisabled, KeyHandleInvalid):
                # the responder's own certificate was revoked: the next unit takes over
                if first.is_root or attempt == 2:
                    raise
                self._units.forget(first.authority, OCSP_RESPONDER)
        return OcspAnswer(response, ResponseStatus.SUCCESSFUL, now, next_update, request.nonce is not None)

    def _statuses(self, first: _Issuer, issuers: Sequence[_Issuer | None], asked: Sequence[CertId]) -> list[CertStatus]:
        statuses = []
        with self._database.read() as connection:
            for issuer, cert_id in zip(issuers, asked, strict=True):
                entry = None
                if issuer == first and cert_id.serial > 0:
                    entry = store.status(connection, first.authority.name, serial_text(cert_id.serial))
                if entry is None:
                    statuses.append(_UNKNOWN)
                elif entry.state is CertificateState.ISSUED:
                    statuses.append(_GOOD)
                elif entry.state in (CertificateState.REVOKED, CertificateState.HELD):
                    number = entry.reason.number if entry.reason is not None else None
                    statuses.append(CertStatus(revoked_at=entry.revoked_at, reason=number))
                else:
                    statuses.append(_UNKNOWN)
        return statuses

    def _root_statuses(
        self,
        first: _Issuer,
        issuers: Sequence[_Issuer | None],
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
                statuses.append(_GOOD if cert_id.serial in issued else _UNKNOWN)
        return statuses

    def _issuer(self, asked: CertId) -> _Issuer | None:
        if asked.hash is None:
            return None
        key = (asked.hash, asked.issuer_name_hash, asked.issuer_key_hash)
        found = self._issuers.get(key)
        if found is not None:
            return found
        known = {issuer.authority.name for issuer in self._issuers.values()}
        installed = self._authorities.all()
        if {authority.name for authority in installed} != known:
            self._issuers = {
                hashed: issuer for authority in installed for hashed, issuer in _hashes(_Issuer(authority)).items()
            }
        return self._issuers.get(key)

    def _writer(self, issuer: _Issuer) -> ResponseWriter:
        if issuer.is_root:
            certificate, signer = issuer.authority.certificate, self._authorities.signer(issuer.authority)
        else:
            unit = self._units.ocsp_responder(issuer.authority)
            certificate, signer = unit.certificate, unit.signer
        fingerprint = certificate.fingerprint(hashes.SHA256())
        writer = self._writers.get(fingerprint)
        if writer is None:
            writer = self._writers[fingerprint] = ResponseWriter(certificate, signer)
        return writer


def _hashes(issuer: _Issuer) -> dict[tuple[str, bytes, bytes], _Issuer]:
    """The hashes by which CertIDs name this issuer (RFC 6960 §4.1.1: of its name, and of its key's bits)."""
    name = issuer.certificate.subject.public_bytes()
    certificate, found = issuer.certificate, {}
    algorithms: tuple[hashes.HashAlgorithm, ...] = (hashes.SHA1(), hashes.SHA256())  # noqa: S303 - names, no protection
    for algorithm in algorithms:
        request = OCSPRequestBuilder().add_certificate(certificate, certificate, algorithm).build()
        name_hash = hashlib.new(algorithm.name, name, usedforsecurity=False).digest()
        found[(algorithm.name, name_hash, request.issuer_key_hash)] = issuer
    return found


def _reason(entry: x509.RevokedCertificate) -> int | None:
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return None
    return Reason(reason.value).number


def _error(status: ResponseStatus) -> OcspAnswer:
    return OcspAnswer(error_response(status), status)
