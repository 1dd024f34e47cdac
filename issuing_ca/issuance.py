"""Issuance in two steps, joined by a one-use token.

*prepare* reserves the serial number, lints the certificate under a dummy signature and writes the intent down;
*issue* redeems the token by compare-and-set and signs exactly the octets that were linted. The token is bound to those
octets, so whoever changes them in the database has no token for them. What a crash leaves is an orphan, by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite
from foundation.keys.handles import public_key
from foundation.keys.port import KeyInfo, KeyUse
from foundation.randomness import Randomness, serial_number
from foundation.x509.lint import require_clean
from foundation.x509.names import subject_name
from foundation.x509.profile import Profile, last_second
from foundation.x509.template import signed_certificate
from issuing_ca import status_journal, store
from issuing_ca.attestations import Attestations, check_outside
from issuing_ca.authorities import Authorities
from issuing_ca.citizens import citizen_subject
from issuing_ca.config import IssuingCaSettings
from issuing_ca.dns_names import dns_names
from issuing_ca.errors import (
    IssuanceMismatch,
    IssuanceTokenInvalid,
    KeyNotTheirs,
    ProfileRefused,
    ProfileUnknown,
    RequestRefused,
    TransitionRefused,
)
from issuing_ca.key_checks import check_public_key
from issuing_ca.log import IssuanceLog
from issuing_ca.model import (
    CMP_SIGNER,
    OCSP_RESPONDER,
    TSA_UNIT,
    Authority,
    AuthorityKind,
    CertificateRequest,
    CertificateState,
    CitizenRequest,
    IssuedCertificate,
    Orphan,
    PreparedCertificate,
    Reason,
    serial_text,
)
from issuing_ca.ports import AttestedKeys
from issuing_ca.templates import Templates

CITIZEN_SIGN, ORGANISATION_SEAL, OFFICER = "citizen-sign", "organisation-seal", "officer"
CITIZEN_AUTH, ORGANISATION_AUTH, TLS_SERVER = "citizen-auth", "organisation-auth", "tls-server"
CAMDX = frozenset({"camdx-sign", "camdx-sign-ec", "camdx-auth", "camdx-auth-ec"})

# Which authority signs which profile, and which use a key of our token must have been made for.
_PROFILES = {
    AuthorityKind.ISSUING: {
        CITIZEN_SIGN,
        CITIZEN_AUTH,
        ORGANISATION_SEAL,
        ORGANISATION_AUTH,
        OFFICER,
        TLS_SERVER,
        *CAMDX,
        OCSP_RESPONDER,
        CMP_SIGNER,
    },
    AuthorityKind.TSA: {TSA_UNIT, OCSP_RESPONDER},
    AuthorityKind.ROOT_OCSP: set[str](),
}
_KEY_USES = {
    CITIZEN_SIGN: KeyUse.CITIZEN_SIGN,
    ORGANISATION_SEAL: KeyUse.ORGANISATION_SEAL,
    TSA_UNIT: KeyUse.TSA,
    OCSP_RESPONDER: KeyUse.OCSP_RESPONDER,
    CMP_SIGNER: KeyUse.REGISTRATION_AUTHORITY,
}
_IN_TOKEN = {CITIZEN_SIGN, TSA_UNIT, OCSP_RESPONDER, CMP_SIGNER}  # profiles whose keys live in our token alone
_SIGNING_TIME = timedelta(minutes=1)  # a signature that has not come out by then never will


@dataclass(frozen=True)
class _Draft:
    """A linted certificate that has not been signed."""

    serial: str
    authority: Authority
    tbs: bytes
    row: Mapping[str, Any]


class Issuance:
    """Certificates: prepare, issue, and what is left when that is cut short."""

    def __init__(
        self,
        database: Database,
        keys: AttestedKeys,
        authorities: Authorities,
        profiles: Mapping[str, Profile],
        clock: Clock,
        randomness: Randomness,
        audit: AuditTrail,
        settings: IssuingCaSettings,
        log: IssuanceLog | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._attestations = Attestations(keys)
        self._authorities = authorities
        self._profiles = profiles
        self._clock = clock
        self._randomness = randomness
        self._audit = audit
        self._settings = settings
        self._log = log
        self.templates = Templates(settings.public_url, settings.crl_partitions)

    def prepare(self, request: CertificateRequest) -> PreparedCertificate:
        """Check, lint and reserve; gives the one-use token that has the certificate signed.

        Raises ProfileUnknown, ProfileRefused, KeyRefused, KeyInUse, KeyNotTheirs, RequestRefused, AuthorityUnknown,
        AuthorityNotInstalled, and the refusals of `foundation.x509` (NameInvalid, ProfileMismatch, LintFailed).
        """
        draft = self._draft(request)
        secret = self._randomness.bytes(32).hex()
        expires = self._clock.now() + self._settings.issuance_token_validity
        token_digest = _token_digest(secret, draft.row["tbs_digest"])
        self._reserve(draft, CertificateState.PREPARED, expires, token_digest)
        return PreparedCertificate(draft.serial, f"{draft.serial}.{secret}", expires)

    def issue(self, token: str) -> IssuedCertificate:
        """Redeem the token: sign what was linted, verify it, store it.

        Raises IssuanceTokenInvalid, IssuanceMismatch, and the key store's errors; the token is used up in any case.
        """
        serial, _, secret = token.partition(".")
        now = self._clock.now()
        with self._database.unit_of_work() as connection:
            row = store.prepared_row(connection, serial)
            if row is None or row.token_expires is None or row.token_expires <= now:
                raise IssuanceTokenInvalid
            if row.state != CertificateState.PREPARED.value:
                raise IssuanceTokenInvalid
            if row.token_digest != _token_digest(secret, row.tbs_digest):
                raise IssuanceTokenInvalid
            try:
                store.move(
                    connection,
                    serial,
                    CertificateState.PREPARED,
                    CertificateState.SIGNING,
                    token_digest=None,
                    token_expires=now + _SIGNING_TIME,
                )
            except StaleWrite:
                raise IssuanceTokenInvalid from None
        authority = self._authorities.get(row.authority)
        return self._sign(serial, authority, row.tbs, row.tbs_digest, row.requested_by)

    def issue_now(self, request: CertificateRequest) -> IssuedCertificate:
        """Both steps at once, for whoever holds the approval already. Raises what both raise."""
        return self._issue_now(request, None)

    def _issue_now(self, request: CertificateRequest, info: KeyInfo | None) -> IssuedCertificate:
        draft = self._draft(request, info)
        self._reserve(draft, CertificateState.SIGNING, self._clock.now() + _SIGNING_TIME, None)
        return self._sign(draft.serial, draft.authority, draft.tbs, draft.row["tbs_digest"], draft.row["requested_by"])

    def issue_citizen(self, request: CitizenRequest, authority: str = "issuing") -> IssuedCertificate:
        """A citizen's certificate for the key in the token that is theirs (proof of possession: the token owns it).

        Raises KeyNotTheirs, RequestRefused (level, evidence), and what :meth:`issue_now` raises.
        """
        policy = self._settings.policies.get(request.level)
        if policy is None:
            raise RequestRefused(field="level")
        if not request.person_id:
            raise RequestRefused(field="person_id")
        info = self._keys.get(request.key_id)
        if info.owner != request.person_id:
            raise KeyNotTheirs
        return self._issue_now(
            CertificateRequest(
                authority=authority,
                profile=CITIZEN_SIGN,
                subject=citizen_subject(request, self._settings),
                public_key=public_key(info),
                owner=request.person_id,
                requested_by=request.requested_by,
                key_id=request.key_id,
                not_after_limit=request.not_after_limit,
                evidence=request.evidence,
                policies=(policy,),
            ),
            info,
        )

    def orphans(self) -> tuple[Orphan, ...]:
        """Serial numbers whose certificate did not come out and no longer can. Start-up and doctor name them."""
        with self._database.read() as connection:
            return store.orphans(connection, self._clock.now())

    def abandon(self, serial: str, actor: str) -> None:
        """Close an orphan. One that may have been signed is revoked, whether or not its certificate is anywhere.

        Raises CertificateUnknown, TransitionRefused.
        """
        if serial not in {orphan.serial for orphan in self.orphans()}:
            with self._database.read() as connection:
                state = store.certificate(connection, serial).state
            raise TransitionRefused(state=state.value, wanted=CertificateState.ABANDONED.value)
        with self._database.unit_of_work() as connection:
            record = store.certificate(connection, serial, lock=True)
            if record.state is CertificateState.SIGNING:
                wanted, values = (
                    CertificateState.REVOKED,
                    {"revoked_at": self._now(), "reason": Reason.UNSPECIFIED.value},
                )
            else:
                wanted, values = CertificateState.ABANDONED, {}
            store.move(connection, serial, record.state, wanted, tbs=None, token_digest=None, **values)
            if wanted is CertificateState.REVOKED:
                status_journal.record(connection, record.authority, serial, wanted, Reason.UNSPECIFIED, self._now())
            self._audit.append(connection, actor, "issuing_ca.orphan_closed", serial, {"state": wanted.value})

    # --- steps ----------------------------------------------------------------------------------------------------

    def _draft(self, request: CertificateRequest, info: KeyInfo | None = None) -> _Draft:
        """``info``: what the token has just said of ``request.key_id``, where it was asked already."""
        authority = self._authorities.get(request.authority)
        profile = self._profile(authority, request)
        check_public_key(request.public_key)
        if request.evidence is not None and not _is_sha256(request.evidence):
            raise RequestRefused(field="evidence")
        if request.key_id is not None:
            self._check_key(request, profile, info or self._keys.get(request.key_id))
        elif request.profile in _IN_TOKEN:
            raise KeyNotTheirs
        else:
            check_outside(profile)
        not_before = self._now()
        not_after = self._not_after(request, profile, authority, not_before)
        serial, subject = serial_number(self._randomness), subject_name(request.subject)
        alternative_names = tuple(x509.DNSName(name) for name in dns_names(request.dns_names))
        given, linted = self.templates.draft(
            authority, profile, subject, request.public_key, serial, not_before, not_after, alternative_names
        )
        require_clean(linted, profile, authority.certificate)
        tbs = linted.tbs_certificate_bytes
        row = {
            "serial": serial_text(serial),
            "authority": authority.name,
            "profile": profile.name,
            "owner": request.owner,
            "key_id": request.key_id,
            "public_key_digest": hashlib.sha256(given.public_key_info).hexdigest(),
            "subject_digest": hashlib.sha256(given.subject_der).hexdigest(),
            "tbs": tbs,
            "tbs_digest": hashlib.sha256(tbs).hexdigest(),
            "evidence": request.evidence,
            "requested_by": request.requested_by,
            "not_before": not_before,
            "not_after": not_after,
        }
        return _Draft(serial_text(serial), authority, tbs, row)

    def _reserve(self, draft: _Draft, state: CertificateState, expires: datetime, token_digest: str | None) -> None:
        row = draft.row
        values = {**row, "state": state.value, "token_expires": expires, "token_digest": token_digest}
        with self._database.unit_of_work() as connection:
            store.claim_public_key(connection, row["public_key_digest"], row["owner"])
            store.add_certificate(connection, {**values, "prepared_at": self._clock.now()})
            details = {"profile": row["profile"], "authority": row["authority"], "evidence": row["evidence"]}
            self._audit.append(
                connection, row["requested_by"], "issuing_ca.certificate_prepared", draft.serial, details
            )

    def _sign(
        self, serial: str, authority: Authority, tbs: bytes, tbs_digest: str, requested_by: str
    ) -> IssuedCertificate:
        try:
            certificate = self._signed(authority, tbs, tbs_digest)
        except Exception as error:
            # no certificate came out: say so at once, rather than leave an orphan
            with self._database.unit_of_work() as connection:
                store.move(connection, serial, CertificateState.SIGNING, CertificateState.ABANDONED, tbs=None)
                code = getattr(error, "code", "foundation.internal")
                self._audit.append(connection, requested_by, "issuing_ca.issuance_failed", serial, {"code": code})
            raise
        with self._database.unit_of_work() as connection:
            store.move(
                connection,
                serial,
                CertificateState.SIGNING,
                CertificateState.ISSUED,
                certificate=certificate.public_bytes(Encoding.DER),
                issued_at=self._clock.now(),
                tbs=None,
                token_expires=None,
            )
            if self._log is not None:
                self._log.record_certificate(connection, certificate)
            self._audit.append(connection, requested_by, "issuing_ca.certificate_issued", serial, {"tbs": tbs_digest})
        return IssuedCertificate(serial, certificate, (authority.certificate, *authority.chain), authority.root)

    def _signed(self, authority: Authority, tbs: bytes, tbs_digest: str) -> x509.Certificate:
        if hashlib.sha256(tbs).hexdigest() != tbs_digest:
            raise IssuanceMismatch
        signer = self._authorities.signer(authority)
        certificate = signed_certificate(tbs, signer.algorithm, signer.sign(tbs))
        if certificate.tbs_certificate_bytes != tbs or certificate.issuer != authority.certificate.subject:
            raise IssuanceMismatch
        if signer.public_key != authority.certificate.public_key():
            raise IssuanceMismatch
        return certificate

    def _profile(self, authority: Authority, request: CertificateRequest) -> Profile:
        profile = self._profiles.get(request.profile)
        if profile is None:
            raise ProfileUnknown(profile=request.profile)
        if profile.name not in _PROFILES[authority.kind]:
            raise ProfileRefused(profile=profile.name)
        return self.templates.profile(profile, request.policies)

    def _check_key(self, request: CertificateRequest, profile: Profile, info: KeyInfo) -> None:
        """The key in the token is the one asked for, of this owner, for this use, enabled, and vouched for."""
        spki = request.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        wanted = _KEY_USES.get(request.profile)
        owned = info.owner == request.owner or (info.owner is None and not info.use.needs_activation)
        if not owned or info.use is not wanted or info.public_key != spki or not info.enabled:
            raise KeyNotTheirs
        self._attestations.check(profile, info, request.owner)

    def _not_after(
        self, request: CertificateRequest, profile: Profile, authority: Authority, not_before: datetime
    ) -> datetime:
        limits = [last_second(not_before, profile.validity.max_days), authority.certificate.not_valid_after_utc]
        if request.not_after_limit is not None:
            limits.append(request.not_after_limit.replace(microsecond=0))
        not_after = min(limits)
        if not_after <= not_before:
            raise RequestRefused(field="not_after_limit")
        return not_after

    def _now(self) -> datetime:
        return self._clock.now().replace(microsecond=0)


def _token_digest(secret: str, tbs_digest: str) -> str:
    return hashlib.sha256(f"{secret}.{tbs_digest}".encode()).hexdigest()


def _is_sha256(value: str) -> bool:
    return len(value) == 64 and set(value) <= set("0123456789abcdef")
