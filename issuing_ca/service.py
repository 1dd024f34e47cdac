"""The issuing CA's use cases, put together: what the roof wires and the doors call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.arc import ARC
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.keys.marks import Marks
from foundation.randomness import Randomness
from foundation.time_source import TimeSource
from foundation.x509.csr import ProvenKey, proven_keys
from foundation.x509.errors import CsrInvalid
from foundation.x509.profile import Profile, load_profiles, profiles_below
from issuing_ca import store
from issuing_ca.authorities import Authorities
from issuing_ca.config import IssuingCaSettings
from issuing_ca.drafts import CAMDX, OFFICER, ORGANISATION_AUTH, ORGANISATION_SEAL, TLS_SERVER
from issuing_ca.errors import ApprovalRequired, AuthorityUnknown, ProfileRefused, RequestRefused
from issuing_ca.issuance import Issuance
from issuing_ca.log import IssuanceLog
from issuing_ca.model import (
    ROOT,
    Authority,
    AuthorityKind,
    CertificateAsked,
    CertificateRecord,
    CertificateRequest,
    CertificateState,
    CitizenRequest,
    IssuedCertificate,
    Orphan,
    PreparedCertificate,
    Reason,
)
from issuing_ca.ocsp import OcspResponder
from issuing_ca.ocsp_kept import KeptResponses
from issuing_ca.ports import AttestedKeys, KeyControl, StatusWitness
from issuing_ca.revocation import Revocation
from issuing_ca.revocation_heads import RevocationHeads
from issuing_ca.revocation_lists import RevocationLists
from issuing_ca.rollback import RollbackGuard
from issuing_ca.root_updates import RootUpdates
from issuing_ca.scopes import EVERYTHING, Scope
from issuing_ca.timestamp_journal import TimestampJournal
from issuing_ca.timestamps import TimestampService
from issuing_ca.units import Units

_log = logging.getLogger(__name__)

# Profiles that an officer may ask for with a CSR.
BY_REQUEST = frozenset({ORGANISATION_SEAL, ORGANISATION_AUTH, OFFICER, TLS_SERVER, *CAMDX})
EST_OPERATIONS = frozenset({"cacerts", "csrattrs", "simpleenroll", "simplereenroll", "serverkeygen", "fullcmc"})


def packaged_profiles(arc: str = ARC) -> Mapping[str, Profile]:
    """The profiles that come with the package, their policies below ``arc``. Below the example arc: SPECIMEN in every
    subject."""
    packaged = load_profiles(files("issuing_ca").joinpath("profiles.toml").read_text(encoding="utf-8"))
    return profiles_below(packaged, arc)


def _tried(
    work: Callable[[CertificateAsked, ProvenKey | CsrInvalid], CertificateRequest],
    one: CertificateAsked,
    key: ProvenKey | CsrInvalid,
) -> CertificateRequest | Exception:
    try:
        return work(one, key)
    except Exception as error:
        return error


class CertificateAuthority:
    """Issues, revokes, tells status, stamps time. Every part is reachable for whoever needs it alone."""

    def __init__(
        self,
        database: Database,
        keys: AttestedKeys,
        clock: Clock,
        randomness: Randomness,
        audit: AuditTrail,
        settings: IssuingCaSettings,
        profiles: Mapping[str, Profile] | None = None,
        key_control: KeyControl | None = None,
        log: IssuanceLog | None = None,
        witness: StatusWitness | None = None,
        marks: Marks | None = None,
        time_source: TimeSource | None = None,
        timestamp_folder: Path | None = None,
    ) -> None:
        self.settings = settings
        self.rollback = RollbackGuard(database, witness, clock, audit, marks) if witness is not None else None
        self.log = log
        self.profiles = dict(profiles if profiles is not None else packaged_profiles(settings.policy_arc))
        self._database = database
        self.authorities = Authorities(database, keys, clock, audit, settings)
        self.root_updates = RootUpdates(database, self.authorities, clock, audit)
        self.issuance = Issuance(
            database, keys, self.authorities, self.profiles, clock, randomness, audit, settings, log
        )
        self.revocation = Revocation(database, key_control or keys, clock, audit)
        self.lists = RevocationLists(database, keys, self.authorities, clock, audit, settings, log)
        self.units = Units(database, keys, self.authorities, self.issuance, clock, settings)
        self.ocsp = OcspResponder(database, self.authorities, self.units, self.lists, clock, settings)
        self.kept_ocsp = KeptResponses(self.ocsp, database, clock, settings)
        self.heads = RevocationHeads(database, self.authorities, log) if log is not None else None
        journal = None
        if timestamp_folder is not None and log is not None:
            journal = TimestampJournal(timestamp_folder, database, self.authorities, log)
        self.timestamps = TimestampService(
            self.authorities, self.units, clock, randomness, settings, time_source, journal
        )

    # --- authorities ----------------------------------------------------------------------------------------------

    def init(
        self, name: str, subject: Sequence[tuple[str, str]], actor: str, kind: AuthorityKind | None = None
    ) -> bytes:
        """Make an authority's key; gives its CSR (PEM). See :meth:`Authorities.init`.

        An issuing CA's name stands in addresses of the doors: a profile's (CMP), or an operation's of EST (RFC 7030
        §3.2.2), is refused (RequestRefused).
        """
        words = {one.value for one in AuthorityKind}
        if (
            kind in (None, AuthorityKind.ISSUING)
            and name not in words
            and name in EST_OPERATIONS | self.profiles.keys()
        ):
            raise RequestRefused(field="name")
        return self.authorities.init(name, subject, actor, kind)

    def install(
        self, name: str, certificate: x509.Certificate, chain: Sequence[x509.Certificate], actor: str
    ) -> Authority:
        """Give an authority its certificate. See :meth:`Authorities.install`."""
        return self.authorities.install(name, certificate, chain, actor)

    def install_root_crl(self, crl: x509.CertificateRevocationList, actor: str) -> None:
        """Take the root's newest CRL. See :meth:`Authorities.install_root_crl`."""
        self.authorities.install_root_crl(crl, actor)

    # --- certificates ---------------------------------------------------------------------------------------------

    def prepare(self, request: CertificateRequest) -> PreparedCertificate:
        """See :meth:`Issuance.prepare`."""
        return self.issuance.prepare(request)

    def issue(self, token: str) -> IssuedCertificate:
        """See :meth:`Issuance.issue`."""
        return self.issuance.issue(token)

    def issue_now(self, request: CertificateRequest) -> IssuedCertificate:
        """See :meth:`Issuance.issue_now`."""
        return self.issuance.issue_now(request)

    def issue_many(self, requests: Sequence[CertificateRequest]) -> list[IssuedCertificate | Exception]:
        """See :meth:`Issuance.issue_many`."""
        return self.issuance.issue_many(requests)

    def issue_citizen(self, request: CitizenRequest) -> IssuedCertificate:
        """See :meth:`Issuance.issue_citizen`."""
        return self.issuance.issue_citizen(request, self.settings.citizens)

    def issue_for_request(
        self,
        profile: str,
        csr: bytes,
        subject: Sequence[tuple[str, str]],
        owner: str,
        requested_by: str,
        not_after_limit: datetime | None = None,
        authority: str = "issuing",
        dns_names: Sequence[str] = (),
    ) -> IssuedCertificate:
        """A certificate for an organisation, an officer or an API client that holds its own key.

        The CSR gives the public key and the proof of its possession, nothing else; the subject is what the officer
        who asks has verified. Raises ProfileRefused for any other profile, CsrInvalid, and what issuing raises.
        """
        asked = CertificateAsked(
            profile, csr, tuple(subject), owner, requested_by, not_after_limit, tuple(dns_names), authority
        )
        return self.issuance.issue_now(self._requested(asked, *proven_keys((csr,))))

    def issue_for_requests(self, asked: Sequence[CertificateAsked]) -> list[IssuedCertificate | Exception]:
        """The same for many at once, which share their commits: for each its certificate, or what would be raised."""
        keys = proven_keys([one.csr for one in asked])
        read = [_tried(self._requested, *pair) for pair in zip(asked, keys, strict=True)]
        issued = iter(self.issuance.issue_many([one for one in read if isinstance(one, CertificateRequest)]))
        return [next(issued) if isinstance(one, CertificateRequest) else one for one in read]

    def _requested(self, asked: CertificateAsked, key: ProvenKey | CsrInvalid) -> CertificateRequest:
        if asked.profile not in BY_REQUEST:
            raise ProfileRefused(profile=asked.profile)
        self.require_no_approval(asked.profile)
        if isinstance(key, CsrInvalid):
            raise key
        return CertificateRequest(
            authority=asked.authority,
            profile=asked.profile,
            subject=asked.subject,
            public_key=key.public_key,
            encoded_key=key.encoded,
            owner=asked.owner,
            requested_by=asked.requested_by,
            not_after_limit=asked.not_after_limit,
            dns_names=asked.dns_names,
        )

    def require_no_approval(self, profile: str) -> None:
        """For doors that issue on one officer's word. Raises ApprovalRequired where the profile asks for two."""
        if profile in self.settings.two_officers:
            raise ApprovalRequired(profile=profile)

    def certificate(self, serial: str) -> CertificateRecord:
        """One record. Raises CertificateUnknown."""
        with self._database.read() as connection:
            return store.certificate(connection, serial)

    def certificates(
        self,
        after: str | None = None,
        limit: int = 50,
        state: CertificateState | None = None,
        owner: str | None = None,
        scope: Scope = EVERYTHING,
    ) -> tuple[CertificateRecord, ...]:
        """Records in the order of their serial numbers, from behind ``after``."""
        with self._database.read() as connection:
            return store.page(connection, after, limit, state, owner, scope)

    def orphans(self) -> tuple[Orphan, ...]:
        """See :meth:`Issuance.orphans`."""
        return self.issuance.orphans()

    def abandon(self, serial: str, actor: str) -> None:
        """See :meth:`Issuance.abandon`."""
        self.issuance.abandon(serial, actor)

    # --- status ---------------------------------------------------------------------------------------------------

    def revoke(self, serial: str, reason: Reason, actor: str, invalidity: datetime | None = None) -> CertificateRecord:
        """Revoke, hold or release, and publish a new CRL at once. See :meth:`Revocation.revoke`.

        The status change stands even where the CRL cannot be made now: whoever asks for the CRL next makes it.
        """
        record = self.revocation.revoke(serial, reason, actor, invalidity)
        try:
            if self.rollback is not None:
                self.rollback.advance()
            self.kept_ocsp.look()
            self.lists.current(record.authority)
        except (CamTrustError, OSError) as error:
            code = error.code if isinstance(error, CamTrustError) else type(error).__name__
            _log.error("status of %s not published after a change: %s", record.authority, code)
        return record

    def reconcile(self) -> tuple[str, ...]:
        """See :meth:`Revocation.reconcile`."""
        return self.revocation.reconcile()

    def current_crl(self, authority: str) -> bytes:
        """See :meth:`RevocationLists.current_crl`."""
        return self.lists.current_crl(authority)

    def issuer_certificate(self, name: str) -> bytes:
        """The certificate (DER) behind ``/aia/{name}.cer``: an authority's, or the root's. Raises AuthorityUnknown."""
        if name == ROOT:
            installed = self.authorities.all()
            if not installed:
                raise AuthorityUnknown(name=name)
            return installed[0].root.public_bytes(Encoding.DER)
        return self.authorities.get(name).certificate.public_bytes(Encoding.DER)

    def fresh_ocsp(self, certificate: x509.Certificate) -> bytes | None:
        """An OCSPResponse (DER) about a certificate of ours or of the root; None where we cannot answer."""
        issuer = self._issuer_of(certificate)
        return self.ocsp.for_certificate(certificate, issuer) if issuer is not None else None

    def fresh_crl(self, issuer: x509.Certificate) -> bytes | None:
        """The current CRL (DER) of an issuer; None where it is not one of ours, or there is no current one."""
        installed = self.authorities.all()
        names = {one.certificate: one.name for one in installed if one.kind is not AuthorityKind.ROOT_OCSP}
        names.update({one.root: ROOT for one in installed})
        try:
            return self.lists.current_crl(names[issuer]) if issuer in names else None
        except CamTrustError as error:
            _log.error("no CRL: %s", error.code)
            return None

    def _issuer_of(self, certificate: x509.Certificate) -> x509.Certificate | None:
        for authority in self.authorities.all():
            for issuer in (authority.certificate, *authority.chain, authority.root):
                if issuer.subject == certificate.issuer and issuer != certificate:
                    return issuer
        return None
