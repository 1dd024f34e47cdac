"""Where everything is put together: rooms get their stores, keys, clocks and each other's real services here.

Nothing is opened at import. :func:`assemble` takes what is open already (the token, the registry's address) and gives
the services of one process; :func:`camtrust.doors.application` puts the doors on them.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from camtrust import database as schema
from camtrust import production
from camtrust.adapters import (
    CaForCitizens,
    CaLogProofs,
    CaTimestamps,
    EkycLoginApprovals,
    RecoveredPersons,
    RegisteredActors,
    RegisteredClients,
    ReviewOfficers,
    SigningCredentials,
    SigningKeyCustody,
)
from camtrust.agency_seals import SealsOfAgencies, organisations
from camtrust.authorisation_server import authorisation_server
from camtrust.ca_settings import ca_settings_of, policy_arc_of, time_source_of
from camtrust.code_card import PdfCards
from camtrust.errors import SettingsUnsupported
from camtrust.home import Home
from camtrust.judging.judges import Judges
from camtrust.key_uses import LoggedUses, PersonsNotices
from camtrust.notices import notice_delivery
from camtrust.receipts import ReceiptKey
from camtrust.registration_authority import RegistrationAuthorityKey, registration_authority
from camtrust.seal_images import ConfinedSealImages
from camtrust.settings import Settings
from camtrust.signing_room import signing_room, stamps_of
from camtrust.webhook_sender import WebhookSender
from camtrust.witnesses import witnessed_log
from ekyc.authenticators.cool_off import CoolOffs
from ekyc.config import RegistryHttpSettings
from ekyc.contacts.delivery import Delivery
from ekyc.contacts.outbox import Outbox
from ekyc.faces.opencv import OpenCvFaceModel
from ekyc.policy import default_policy
from ekyc.registry.http import HttpRegistry
from ekyc.registry.subjects import RegistrySubjectIndex
from ekyc.service import EkycService
from foundation.blobs import LocalBlobs
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, open_database
from foundation.randomness import SystemRandomness
from foundation.vault import Vault
from hsm_emulation.client import HsmClient
from identity.oauth.service import AuthorizationServer
from identity.service import IdentityService
from issuing_ca.acme.network import DnsResolver, HttpFetcher
from issuing_ca.acme.service import AcmeService
from issuing_ca.audit_heads import AuditHeads
from issuing_ca.background_lint import BackgroundLint
from issuing_ca.cmp.service import CmpServer
from issuing_ca.enrolment.service import Enrolment
from issuing_ca.log import IssuanceLog
from issuing_ca.ra.proposals import RevocationProposals
from issuing_ca.ra.service import Registration
from issuing_ca.registry_events import RegistryEvents
from issuing_ca.service import CertificateAuthority
from issuing_ca.status_witness import FileWitness
from issuing_ca.witnessing import Witnessing
from signing.agencies.representing import Representing
from signing.agencies.service import Agencies
from signing.archive.service import Archive
from signing.batches.custody import BatchCustody
from signing.batches.service import BatchService
from signing.batches.work import BatchWork
from signing.credential_requests.service import CredentialRequests
from signing.csc.authorising import CscAuthorising
from signing.csc.prompts import Prompts
from signing.csc.responses import CscResponses
from signing.csc.service import CscService
from signing.custody import Custody
from signing.digests.service import DigestSeals
from signing.held.service import HeldSeals
from signing.history import History
from signing.preview.previews import Previews
from signing.requests.desk import RequestDesk
from signing.requests.oversight import RequestOversight
from signing.requests.reports import Reports
from signing.service import SigningService
from signing.templates.service import Templates
from signing.webhooks.service import Webhooks

if TYPE_CHECKING:  # it needs python-pkcs11, which is not asked of those who have no module
    from camtrust.split_keys import SplitKeys

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """The services of one process, over one database and one token (``keys``: where the services' own keys are)."""

    home: Home
    settings: Settings
    clock: Clock
    database: Database
    trail: AuditTrail
    token: HsmClient
    keys: HsmClient | SplitKeys
    vault: Vault
    identity: IdentityService
    ca: CertificateAuthority
    signing: SigningService
    csc: CscService
    csc_authorising: CscAuthorising
    csc_prompts: Prompts
    csc_responses: CscResponses
    held_seals: HeldSeals
    requests: RequestDesk
    request_oversight: RequestOversight
    reports: Reports
    previews: Previews
    batches: BatchService
    batch_work: BatchWork
    digest_seals: DigestSeals
    webhooks: Webhooks
    archive: Archive
    ekyc: EkycService
    outbox: Outbox
    delivery: Delivery
    log: IssuanceLog
    audit_heads: AuditHeads
    acme: AcmeService
    enrolment: Enrolment
    registration: Registration
    revocation_proposals: RevocationProposals
    cmp: CmpServer
    registration_authority: RegistrationAuthorityKey
    witnessing: Witnessing
    lint: BackgroundLint
    registry_events: RegistryEvents
    registry_url: str
    oauth: AuthorizationServer
    agencies: Agencies
    credential_requests: CredentialRequests
    templates: Templates
    judges: Judges

    def close(self) -> None:
        self.judges.close()
        self.witnessing.close()
        self.delivery.close()
        self.database.close()


def database_url(home: Home, settings: Settings) -> str:
    """The database that the settings name; by default a file in the home."""
    return settings.database.url or f"sqlite:///{home.path / 'camtrust.sqlite'}"


def assemble(
    home: Home,
    settings: Settings,
    clock: Clock,
    token: HsmClient,
    registry_url: str,
    *,
    keys: HsmClient | SplitKeys | None = None,
    rolled_back: bool = False,
) -> Services:
    """Open the database, bring its schema up to date, and put the rooms together.

    ``token`` has persons' keys and factors; ``keys`` the services' own too (default: the same token).
    A database that is behind what was published is refused (DatabaseRolledBack), unless it is opened to be reconciled:
    ``rolled_back``.
    Raises SettingsUnsupported for a setting that names a part that is not built, DatabaseUnavailable, and what
    `camtrust.production` refuses.
    """
    _check_supported(settings)
    keys = token if keys is None else keys
    randomness = SystemRandomness()
    database = open_database(database_url(home, settings))
    try:
        schema.upgrade(database)
        trail, vault = AuditTrail(clock), Vault(token)
        identity_service = IdentityService(database, clock, trail, token, settings.public_url, passkeys=token)
        policy = default_policy().below(policy_arc_of(settings))
        log, witnessing = witnessed_log(settings, database, keys, clock, randomness)
        ca_settings = ca_settings_of(settings, policy.oids())
        authority = registration_authority(home, settings, keys, ca_settings.naming)
        ca = CertificateAuthority(
            database,
            keys,
            clock,
            randomness,
            trail,
            ca_settings.model_copy(update={"registration_authority": authority.pins}),
            log=log,
            witness=FileWitness(home.path / "witness" / "status.jsonl"),
            marks=token,
            time_source=time_source_of(settings),
            timestamp_folder=home.path / "timestamps",
        )
        if not rolled_back and ca.rollback is not None:
            ca.rollback.advance()
        production.require_authorities(settings, ca)
        resolver = DnsResolver(ca.settings.acme_resolvers, ca.settings.acme_resolver_port)
        fetcher = HttpFetcher(resolver, ca.settings.acme_networks, ca.settings.acme_http_port)
        enrolment = Enrolment(ca, database, vault, clock, randomness, trail)
        acme = AcmeService(ca, database, vault, clock, randomness, trail, fetcher, resolver)
        blobs = LocalBlobs(_blob_folder(home, settings))
        custody = Custody(vault, blobs)
        notices = PersonsNotices(lambda: ekyc_service.key_notices, settings.public_url)
        signing_service = signing_room(
            database,
            trail,
            clock,
            randomness,
            settings,
            keys,
            token,
            ca,
            CaLogProofs(log, witnessing),
            custody,
            History(
                database,
                vault,
                clock,
                randomness,
                LoggedUses(log),
                notices,
            ),
            RecoveredPersons(CoolOffs(database, clock)),
        )
        authorising = CscAuthorising(database, trail, clock, randomness, signing_service, token)
        csc = CscService(
            database,
            trail,
            clock,
            signing_service,
            keys,
            token,
            CaTimestamps(ca),
            identity_service.tokens,
            authorising,
        )
        responses = CscResponses(database, vault, clock, randomness, signing_service, csc, authorising)
        reports = Reports(database, trail, clock)
        oauth = authorisation_server(
            database,
            clock,
            trail,
            randomness,
            settings.public_url,
            identity_service,
            keys,
            token,
            signing_service,
            reports,
        )
        base = database, trail, clock, randomness
        mandates = Representing(database, clock, signing_service)
        held_seals = HeldSeals(signing_service, custody, *base, RegisteredActors(identity_service), mandates)
        clients = RegisteredClients(identity_service)
        sender = WebhookSender(resolver, settings.webhooks.networks, loopback=settings.specimen)
        webhooks = Webhooks(database, trail, clock, randomness, vault, keys, clients, sender)
        requests = RequestDesk(
            *base, vault, custody, signing_service, clients, notices, webhooks=webhooks, reports=reports
        )
        delivery = notice_delivery(settings, database, vault, trail, clock)
        outbox = Outbox(
            database,
            vault,
            trail,
            clock,
            channels=delivery.channels,
            randomness=randomness,
            specimen=settings.specimen,
        )
        batch_custody = BatchCustody(vault, blobs)
        registry = HttpRegistry(RegistryHttpSettings(**settings.registry.model_dump(exclude={"url"}), url=registry_url))
        batches = BatchService(database, trail, clock, randomness, signing_service, batch_custody, webhooks)
        batch_work = BatchWork(database, trail, clock, signing_service, batch_custody, clients, webhooks)
        seals = SealsOfAgencies(identity_service, ca, signing_service, keys, clock)
        seal_desks = organisations(*base, vault, seals, held_seals, batches, webhooks, settings.agencies)
        agencies = seal_desks[0]
        ekyc_service = EkycService(
            database=database,
            vault=vault,
            audit=trail,
            clock=clock,
            notifier=outbox,
            registry=registry,
            relations=registry,
            sessions=identity_service,
            officers=ReviewOfficers(identity_service),
            factors=token,
            keys=token,
            custody=SigningKeyCustody(signing_service),
            issuer=CaForCitizens(ca, signing_service),
            credentials=SigningCredentials(signing_service, ca),
            blobs=blobs,
            authority=authority,
            card_printer=PdfCards(specimen=settings.specimen),
            receipt_authority=ReceiptKey(settings.public_url, keys, ca, log),
            face_model=None if settings.ekyc.faces is None else OpenCvFaceModel(settings.ekyc.faces),
            settings=settings.ekyc,
            policy=policy,
            randomness=randomness,
        )
    except BaseException:
        database.close()
        raise
    for serial in ca.reconcile():
        _log.warning("the key of certificate %s could not be switched as its status says; try: camtrust doctor", serial)
    for orphan in ca.orphans():
        _log.warning("certificate %s was reserved and never came out (signing: %s)", orphan.serial, orphan.signing)
    registration = Registration(
        ca, database, vault, clock, randomness, trail, identity_service, token, EkycLoginApprovals(ekyc_service)
    )
    return Services(
        home,
        settings,
        clock,
        database,
        trail,
        token,
        keys,
        vault,
        identity_service,
        ca,
        signing_service,
        csc,
        authorising,
        Prompts(database, trail, vault, clock, randomness, signing_service, authorising, clients, reports),
        responses,
        held_seals,
        requests,
        RequestOversight(database, trail, clock, reports),
        reports,
        Previews(database, custody),
        batches,
        batch_work,
        DigestSeals(signing_service, keys, database, trail, clock, CaLogProofs(log, witnessing)),
        webhooks,
        Archive(database, trail, clock, custody, signing_service.extender),
        ekyc_service,
        outbox,
        delivery,
        log,
        AuditHeads(database, trail, clock, log),
        acme,
        enrolment,
        registration,
        RevocationProposals(registration, database, clock, randomness, trail),
        CmpServer(enrolment, database, clock, randomness, trail),
        authority,
        witnessing,
        BackgroundLint(database, clock, trail, ca.settings),
        RegistryEvents(
            ca, database, clock, trail, RegistrySubjectIndex(ekyc_service.files, ekyc_service.lost_documents)
        ),
        registry_url,
        oauth,
        agencies,
        seal_desks[1],
        Templates(database, trail, clock, randomness, agencies, ConfinedSealImages(), stamps_of(settings)),
        Judges(home, clock, settings.verify),
    )


def new_idempotency_key() -> str:
    """A key for a client of ours: random, as the API asks."""
    return secrets.token_hex(16)


def _check_supported(settings: Settings) -> None:
    production.require(settings)
    if settings.blobs.url is not None and "://" in settings.blobs.url:
        raise SettingsUnsupported(key="blobs.url")


def _blob_folder(home: Home, settings: Settings) -> Path:
    return Path(settings.blobs.url) if settings.blobs.url else home.path / "blobs"
