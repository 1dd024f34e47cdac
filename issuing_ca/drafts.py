"""Drafts: what is asked for, checked, made and linted, before anything is written down or signed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.clock import Clock
from foundation.keys.port import KeyInfo, KeyUse
from foundation.log_proof import subject_of_pairs
from foundation.randomness import Randomness, serial_number
from foundation.x509 import der
from foundation.x509.lint import require_clean
from foundation.x509.names import SubjectName
from foundation.x509.profile import Profile, last_second
from issuing_ca.approvals import Approvals, Approved
from issuing_ca.attestations import Attestations, check_outside
from issuing_ca.authorities import Authorities
from issuing_ca.config import IssuingCaSettings
from issuing_ca.dns_names import dns_names
from issuing_ca.errors import KeyNotTheirs, ProfileRefused, ProfileUnknown, RequestRefused
from issuing_ca.key_checks import check_public_key
from issuing_ca.model import (
    CMP_SIGNER,
    OCSP_RESPONDER,
    TSA_UNIT,
    Authority,
    AuthorityKind,
    CertificateRequest,
    serial_text,
)
from issuing_ca.ports import AttestedKeys
from issuing_ca.templates import Templates
from issuing_ca.weak_keys import WeakKeys

CITIZEN_SIGN, ORGANISATION_SEAL, OFFICER = "citizen-sign", "organisation-seal", "officer"
ORGANISATION_SEAL_SANDBOX = "organisation-seal-sandbox"
CITIZEN_AUTH, ORGANISATION_AUTH, TLS_SERVER = "citizen-auth", "organisation-auth", "tls-server"
CAMDX = frozenset({"camdx-sign", "camdx-sign-ec", "camdx-auth", "camdx-auth-ec"})

# Which authority signs which profile, and which use a key of our token must have been made for.
_PROFILES = {
    AuthorityKind.ISSUING: {
        CITIZEN_SIGN,
        CITIZEN_AUTH,
        ORGANISATION_SEAL,
        ORGANISATION_SEAL_SANDBOX,
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
    ORGANISATION_SEAL_SANDBOX: KeyUse.ORGANISATION_SEAL,
    TSA_UNIT: KeyUse.TSA,
    OCSP_RESPONDER: KeyUse.OCSP_RESPONDER,
    CMP_SIGNER: KeyUse.REGISTRATION_AUTHORITY,
}
_IN_TOKEN = {CITIZEN_SIGN, TSA_UNIT, OCSP_RESPONDER, CMP_SIGNER}  # profiles whose keys live in our token alone


@dataclass(frozen=True)
class Draft:
    """A linted certificate that has not been signed. ``row``: what the store will know of it; ``reserved``: it does.
    ``approved``: the statement that reserving it redeems; ``named``: whom its subject names, where that was asked."""

    serial: str
    authority: Authority
    tbs: bytes
    row: Mapping[str, Any]
    reserved: bool = False
    approved: Approved | None = None
    named: str | None = None


class Drafts:
    """Checks requests and makes drafts of them; nothing is written down."""

    def __init__(
        self,
        keys: AttestedKeys,
        authorities: Authorities,
        profiles: Mapping[str, Profile],
        clock: Clock,
        randomness: Randomness,
        settings: IssuingCaSettings,
    ) -> None:
        self._keys = keys
        self._attestations = Attestations(keys)
        self._authorities = authorities
        self._profiles = profiles
        self._clock = clock
        self._randomness = randomness
        self._approvals = Approvals(clock, settings)
        self._weak = WeakKeys.read(settings.weak_keys_file)
        self.templates = Templates(settings.public_url, settings.crl_partitions)

    def draft(self, request: CertificateRequest, info: KeyInfo | None = None) -> Draft:
        """A draft of what is asked for. ``info``: what the token has just said of ``request.key_id``, if it was asked.

        Raises ProfileUnknown, ProfileRefused, KeyRefused, KeyNotTheirs, RequestRefused, AuthorityUnknown,
        AuthorityNotInstalled, ApprovalRefused, and the refusals of `foundation.x509` (NameInvalid, ProfileMismatch,
        LintFailed).
        """
        authority = self._authorities.get(request.authority)
        profile = self._profile(authority, request)
        check_public_key(request.public_key, request.encoded_key)
        self._weak.check(request.public_key)
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
        serial, subject = serial_number(self._randomness), SubjectName.of(request.subject)
        alternative_names = tuple(x509.DNSName(name) for name in dns_names(request.dns_names))
        given, encoded = self.templates.draft(
            authority,
            profile,
            subject,
            request.public_key,
            serial,
            not_before,
            not_after,
            alternative_names,
            request.encoded_key,
        )
        linted = x509.load_der_x509_certificate(encoded)
        require_clean(linted, profile, authority.certificate, encoded)
        tbs = der.children(encoded)[0]
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
        named = subject_of_pairs(subject)
        return Draft(
            serial_text(serial), authority, tbs, row, approved=self._approvals.check(request, row), named=named
        )

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


def _is_sha256(value: str) -> bool:
    return len(value) == 64 and set(value) <= set("0123456789abcdef")
