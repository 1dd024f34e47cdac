"""Seals of organisations: what lets an agency's API client seal through the service.

An organisation's key lives in the services' token, where its owner is the client that seals with it; the certificate
names the organisation. Whoever calls this has verified that the client is that organisation's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from camtrust.errors import (
    ClientCannotSeal,
    OrganisationIdentifierInvalid,
    SealNamedOtherwise,
    SealOnHold,
    SealWithdrawn,
)
from foundation.clock import Clock
from foundation.http.actor import ActorKind
from foundation.keys.handles import public_key
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse
from foundation.x509.names import name_pairs, subject_name
from identity.model import ActorStatus
from identity.service import IdentityService
from issuing_ca.drafts import ORGANISATION_SEAL, ORGANISATION_SEAL_SANDBOX
from issuing_ca.model import CertificateRecord, CertificateRequest, CertificateState, Reason
from issuing_ca.service import CertificateAuthority
from signing.model import CredentialStatus
from signing.ports import SealOrder, SealTerms
from signing.seal_policy import ROLE
from signing.service import SigningService

_AUTHORITY = "issuing"
_PAGE = 200
_LABEL, _SANDBOX_LABEL = "organisation-seal", "organisation-seal-sandbox"  # of keys: no key is for both
_IDENTIFIER = r"(?:NTR|VAT|LEI|[A-Z]{2}:)%s-[A-Za-z0-9][A-Za-z0-9./-]{0,63}"


class SealMaking(Protocol):
    """The services that a seal credential is made with."""

    @property
    def identity(self) -> IdentityService: ...

    @property
    def ca(self) -> CertificateAuthority: ...

    @property
    def signing(self) -> SigningService: ...

    @property
    def keys(self) -> KeyStore: ...

    @property
    def clock(self) -> Clock: ...


@dataclass(frozen=True)
class SealCredential:
    """What a client seals with; ``subject`` is what its certificate says, ``serial`` hexadecimal."""

    credential_id: str
    client: str
    serial: str
    subject: tuple[tuple[str, str], ...]


def make_seal_credential(
    services: SealMaking,
    by: str,
    client: str,
    organisation: str,
    identifier: str,
    common_name: str,
    algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256,
    *,
    sandbox: bool = False,
    order: SealOrder | None = None,
) -> SealCredential:
    """Key, certificate and signing credential for a client that seals. Asked again, gives the same credential.

    ``identifier``: organizationIdentifier (EN 319 412-1 §5.1.4), as ``GO:KH-000041``; ``by``: who does this, for the
    audit trail; ``algorithm``: of the key, a client can have one of each. The mark of a specimen installation is put
    before names that do not say it. After a revocation the client gets a new key; a certificate that has run out is
    followed by one over the same key. ``sandbox``: under a key and a profile of its own, SANDBOX SPECIMEN before the
    names in every installation: a seal that no verifier passes. ``order``: what it is made by; where it follows
    another credential, the key is the order's alone, by the algorithm of that one's.
    Raises ActorUnknown, ClientCannotSeal, OrganisationIdentifierInvalid, NameInvalid, SealOnHold, SealNamedOtherwise,
    SealWithdrawn, and what making keys and issuing raise.
    """
    _check_client(services, client)
    ca, signing = services.ca, services.signing
    profile = ORGANISATION_SEAL_SANDBOX if sandbox else ORGANISATION_SEAL
    if order is None or not order.two_officers:
        ca.require_no_approval(ORGANISATION_SEAL)
    wanted = _subject(ca, organisation, identifier, common_name, sandbox)
    records = tuple(_records(ca, client, profile))
    label = _SANDBOX_LABEL if sandbox else _LABEL
    if order is not None and order.follows is not None:
        key = _key_of_order(services, client, order, f"{label}/{client}/{order.evidence[:32]}")
    else:
        key = _key(services, client, records, algorithm, label)
    current = _current(services, key, records)
    if current is None:
        request = CertificateRequest(
            authority=_AUTHORITY,
            profile=profile,
            subject=name_pairs(wanted),
            public_key=public_key(key),
            owner=client,
            requested_by=by,
            key_id=key.key_id,
            evidence=None if order is None else order.evidence,
        )
        certificate = ca.issue(ca.prepare(request).token).certificate
    else:
        certificate = current
        if name_pairs(certificate.subject) != name_pairs(wanted):
            raise SealNamedOtherwise(serial=_serial(certificate))
    above = ca.authorities.get(_AUTHORITY)
    chain = (above.certificate, *above.chain, above.root)
    credential = signing.register_credential(by, client, key.key_id, certificate, chain)
    if credential.status is not CredentialStatus.ACTIVE:
        raise SealWithdrawn(serial=_serial(certificate))
    return SealCredential(credential.credential_id, client, _serial(certificate), name_pairs(certificate.subject))


def seal_terms(
    ca: CertificateAuthority, organisation: str, identifier: str, common_name: str, now: datetime, *, sandbox: bool
) -> SealTerms:
    """What :func:`make_seal_credential` would have certified. Raises OrganisationIdentifierInvalid, NameInvalid,
    AuthorityUnknown."""
    profile = ca.profiles[ORGANISATION_SEAL_SANDBOX if sandbox else ORGANISATION_SEAL]
    subject, days = _subject(ca, organisation, identifier, common_name, sandbox), profile.validity.max_days
    above = ca.authorities.get(_AUTHORITY).certificate.not_valid_after_utc
    return SealTerms(profile.name, name_pairs(subject), days, min(now + timedelta(days=days), above))


def _subject(
    ca: CertificateAuthority, organisation: str, identifier: str, common_name: str, sandbox: bool
) -> x509.Name:
    if not re.fullmatch(_IDENTIFIER % ca.settings.country, identifier):
        raise OrganisationIdentifierInvalid(country=ca.settings.country)
    return subject_name(
        (
            ("C", ca.settings.country),
            ("O", _marked(organisation, ca.settings.mark, sandbox)),
            ("organizationIdentifier", identifier),
            ("CN", _marked(common_name, ca.settings.mark, sandbox)),
        )
    )


def revoke_seals(ca: CertificateAuthority, by: str, client: str) -> int:
    """Revoke every seal certificate of a client that is in force or on hold; its keys are stopped. Gives how many."""
    living = (CertificateState.ISSUED, CertificateState.HELD)
    found = [
        one
        for profile in (ORGANISATION_SEAL, ORGANISATION_SEAL_SANDBOX)
        for one in _records(ca, client, profile)
        if one.state in living
    ]
    for record in found:
        ca.revoke(record.serial, Reason.CESSATION_OF_OPERATION, by)
    return len(found)


def _check_client(services: SealMaking, client: str) -> None:
    actor = services.identity.actor(client)
    if actor.kind is not ActorKind.CLIENT or actor.status is not ActorStatus.ACTIVE or ROLE not in actor.roles:
        raise ClientCannotSeal(actor=client, role=ROLE)


def _marked(name: str, mark: str | None, sandbox: bool) -> str:
    if sandbox:
        return f"SANDBOX {_marked(name, 'SPECIMEN', sandbox=False)}"
    return f"{mark} {name}" if mark and mark not in name else name


def _records(ca: CertificateAuthority, client: str, profile: str) -> Iterator[CertificateRecord]:
    """The records of the client's seals by this profile. It may have other certificates; those are not looked at."""
    after: str | None = None
    while page := ca.certificates(after=after, limit=_PAGE, owner=client):
        yield from (record for record in page if record.profile == profile)
        after = page[-1].serial


def _key(
    services: SealMaking, client: str, records: tuple[CertificateRecord, ...], algorithm: KeyAlgorithm, label: str
) -> KeyInfo:
    """The client's key by this algorithm, made where it has none that may be used. On hold, it has no successor."""
    found = services.keys.find(use=KeyUse.ORGANISATION_SEAL, owner=client)
    keys = [key for key in found if key.label.startswith(f"{label}/")]
    of_keys = [record for record in records if record.key_id in {key.key_id for key in keys}]
    for record in of_keys:
        if record.state is CertificateState.HELD:
            raise SealOnHold(serial=record.serial)
    # The token may not have been told yet of a revocation, so the records count too.
    revoked = {record.key_id for record in of_keys if record.state is CertificateState.REVOKED}
    usable = [key for key in keys if key.enabled and key.key_id not in revoked and key.algorithm is algorithm]
    if usable:  # the one whose certificate lasts longest: a key that was made for a successor may have none yet
        ends = {record.key_id: record.not_after for record in sorted(of_keys, key=lambda record: record.not_after)}
        return max(enumerate(usable), key=lambda one: (_timestamp(ends.get(one[1].key_id)), one[0]))[1]
    new = f"{label}/{client}" + (f"/{len(keys) + 1}" if keys else "")
    return services.keys.generate(new, algorithm, KeyUse.ORGANISATION_SEAL, client)


def _key_of_order(services: SealMaking, client: str, order: SealOrder, label: str) -> KeyInfo:
    """The key that is this order's alone; a run that was killed has left it, or it is made."""
    found = services.keys.find(label=label, use=KeyUse.ORGANISATION_SEAL, owner=client)
    if found:
        return found[0]
    assert order.follows is not None  # noqa: S101 - whoever calls this has looked
    algorithm = services.keys.get(order.follows.signatory.key_id).algorithm
    return services.keys.generate(label, algorithm, KeyUse.ORGANISATION_SEAL, client)


def _current(services: SealMaking, key: KeyInfo, records: tuple[CertificateRecord, ...]) -> x509.Certificate | None:
    """The certificate over this key that is good now, the one that lasts longest; None where there is none."""
    now = services.clock.now()
    good = [
        record
        for record in records
        if record.key_id == key.key_id and record.state is CertificateState.ISSUED and record.not_after > now
    ]
    newest = max(good, key=lambda record: record.not_after, default=None)
    if newest is None or newest.certificate is None:
        return None
    return x509.load_der_x509_certificate(newest.certificate)


def _timestamp(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()


def _serial(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:x}"
