"""The doors of an installation: every room's endpoints, the hot paths and the pages, put on its services.

A door that is added is one line here; what it needs is wired where its service is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI

import ekyc.api
import ekyc.appeals.api
import ekyc.authenticators.api
import ekyc.authenticators.without_phone_api
import ekyc.corrections.api
import ekyc.evidence.api
import ekyc.guardians.api
import ekyc.packets.api
import ekyc.recall.api
import ekyc.receipts.api
import ekyc.renewal.api
import ekyc.vouching.api
import identity.api
import identity.oauth.api
import issuing_ca.acme.api
import issuing_ca.acme.credentials_api
import issuing_ca.api
import issuing_ca.cmp.api
import issuing_ca.enrolment.api
import issuing_ca.est.api
import issuing_ca.ra.api
import issuing_ca.ra.certificates_api
import issuing_ca.ra.proposals_api
import signing.agencies.api
import signing.api
import signing.archive.api
import signing.batches.api
import signing.credential_requests.api
import signing.csc.api
import signing.digests.api
import signing.held.api
import signing.preview.api
import signing.requests.api
import signing.templates.api
import signing.webhooks.api
from camtrust.adapters import RegisteredClients
from camtrust.assembly import Services
from camtrust.errors import ProxySecretInvalid
from camtrust.key_uses import OwnTokens
from camtrust.settings import Settings
from camtrust.web import authorize as authorize_page
from camtrust.web import trust as trust_door
from camtrust.web.app import WebSettings, create_app
from camtrust.web.portal import router as portal
from camtrust.web.portal.checking import ADDRESS as CHECKING
from camtrust.web.portal.checking import create_router as create_checking_router
from camtrust.web.portal.layout import Layout
from camtrust.web.portal.parts import Parts
from camtrust.web.portal.session import Doorkeeper
from camtrust.web.raw import Raw
from ekyc.contacts.outbox import Standing
from foundation.db.engine import Database
from foundation.db.job_requests import counts
from foundation.http.guard import Guard
from foundation.http.idempotency_store import IdempotencyStore
from foundation.http.problems import audit_refusals
from foundation.keys.port import KeyUse
from hsm_emulation.client import HsmClient
from issuing_ca.asgi import OcspEndpoint, TimestampEndpoint
from issuing_ca.log_api import create_log_router, create_own_log_router, create_timestamp_proof_router
from issuing_ca.own_log import OwnLog
from issuing_ca.registry_events_api import create_router as create_registry_router
from issuing_ca.service import CertificateAuthority
from signing.agencies.overview import AgencyOverview
from signing.config import MIB
from signing.csc.prompts_api import create_prompts_router
from signing.history_api import create_history_router

if TYPE_CHECKING:  # it needs python-pkcs11, which is not asked of those who have no module
    from camtrust.split_keys import SplitKeys

_SECRET_OCTETS = 32


def _service_name(settings: Settings) -> str:
    return "SPECIMEN CamTrust" if settings.specimen else "CamTrust"


def application(services: Services) -> FastAPI:
    """The one application: every room's endpoints, the hot paths, the pages."""
    settings, ca = services.settings, services.ca
    secret, refusals = _proxy_secret(settings), audit_refusals(services.database, services.trail)
    guard = Guard(services.identity, settings.public_url, secret)
    emulated = ["key_store"]
    if services.keys is not services.token:
        emulated = [*(["software_module"] if services.keys.capabilities().emulated else []), "person_keys"]
    if not services.delivery.channels:
        emulated.append("notifications")
    if settings.registry.url is None:
        emulated.append("registry")
    return create_app(
        WebSettings(
            public_url=settings.public_url,
            version=version("camtrust"),
            specimen=settings.specimen,
            emulated=tuple(emulated),
            larger_bodies={
                **signing.api.body_limits(services.signing.config),
                **signing.csc.api.body_limits(services.signing.config.maximum_document_bytes),
                **signing.requests.api.body_limits(services.signing.config),
                **signing.templates.api.body_limits(),
                **signing.batches.api.body_limits(services.signing.config),
                **portal.body_limits(services.signing.config),
                CHECKING: (settings.upload_mebibytes + 1) * MIB,
                **ekyc.evidence.api.BODY_LIMITS,
                **ekyc.packets.api.BODY_LIMITS,
            },
            crl_paths=("/crl/root.crl", "/crl/issuing.crl", "/crl/tsa.crl"),
        ),
        routers=[
            identity.api.create_router(services.identity, guard),
            identity.oauth.api.create_router(services.oauth, guard, secret, refusals),
            authorize_page.create_router(
                services.oauth, settings.specimen, settings.public_url.startswith("https://"), refusals
            ),
            issuing_ca.api.create_router(ca, guard),
            issuing_ca.cmp.api.create_router(services.cmp),
            issuing_ca.ra.api.create_router(services.registration, guard),
            issuing_ca.ra.certificates_api.create_router(ca, guard),
            issuing_ca.ra.proposals_api.create_router(services.revocation_proposals, guard),
            issuing_ca.api.create_public_router(ca),
            issuing_ca.acme.api.create_router(services.acme, refusals),
            issuing_ca.acme.credentials_api.create_credential_router(services.acme, guard),
            issuing_ca.enrolment.api.create_router(services.enrolment, guard),
            create_registry_router(services.registry_events, guard),
            issuing_ca.est.api.create_router(services.enrolment, secret),
            create_log_router(services.log),
            *([create_timestamp_proof_router(ca.timestamps.journal)] if ca.timestamps.journal else []),
            create_own_log_router(OwnLog(ca, services.log), services.log, guard),
            ekyc.api.create_router(services.ekyc, guard),
            ekyc.authenticators.api.create_authenticator_router(services.ekyc, guard),
            ekyc.evidence.api.create_evidence_router(services.ekyc, guard),
            ekyc.evidence.api.create_chip_trust_router(services.ekyc, guard),
            ekyc.guardians.api.create_guardian_router(services.ekyc.guardians, guard),
            ekyc.vouching.api.create_vouch_router(services.ekyc.vouching, services.ekyc.commune, guard),
            ekyc.packets.api.create_packet_router(services.ekyc.packets, guard),
            ekyc.renewal.api.create_renewal_router(services.ekyc.renewals, guard),
            ekyc.appeals.api.create_appeal_router(services.ekyc.appeals, guard),
            ekyc.corrections.api.create_correction_router(
                services.ekyc.corrections, services.ekyc.correction_reviews, guard
            ),
            ekyc.recall.api.create_reinstatement_router(services.ekyc.reinstatements, guard),
            ekyc.receipts.api.create_receipt_router(services.ekyc, guard),
            ekyc.authenticators.without_phone_api.create_without_phone_router(services.ekyc, guard),
            ekyc.recall.api.create_recall_router(services.ekyc.recalls, guard),
            ekyc.evidence.api.create_lost_documents_router(services.ekyc, guard),
            ekyc.api.create_outbox_router(services.outbox, guard),
            signing.api.create_router(services.signing, guard),
            signing.agencies.api.create_router(services.agencies, guard),
            signing.credential_requests.api.create_router(services.credential_requests, guard),
            signing.templates.api.create_router(services.templates, services.signing, guard),
            signing.held.api.create_router(services.held_seals, guard),
            signing.preview.api.create_router(services.previews, guard),
            signing.requests.api.create_router(services.requests, services.request_oversight, guard),
            create_history_router(services.signing, guard),
            signing.archive.api.create_router(services.archive, guard),
            signing.batches.api.create_router(services.batches, guard),
            signing.digests.api.create_router(services.digest_seals, guard),
            signing.webhooks.api.create_router(services.webhooks, guard),
            signing.csc.api.create_router(
                services.csc,
                services.csc_authorising,
                services.csc_prompts,
                services.csc_responses,
                OwnTokens(services.identity),
                guard,
                services.clock,
                _service_name(settings),
                settings.public_url.rstrip("/"),
                services.signing.config.maximum_document_bytes,
            ),
            create_prompts_router(services.csc_prompts, guard),
            portal.create_router(_portal(services, emulated)),
            create_checking_router(_portal(services, emulated)),
            trust_door.create_router(services.home, services.judges, settings.upload_mebibytes * MIB),
        ],
        raw=[
            Raw("/ocsp", OcspEndpoint(ca.kept_ocsp, services.clock), hot=True),
            Raw("/tsa", TimestampEndpoint(ca.timestamps), hot=True),
        ],
        checks={
            "database": lambda: _reads(services.database),
            "key_store": lambda: _answers(services.keys, services.token),
            "authorities": lambda: _installed(ca),
        },
        advisories={
            "log_witnesses": services.witnessing.require_well,
            "certificate_lint": services.lint.require_clean,
            "requesters": services.reports.require_none_stopped,
        },
        gauges={
            "camtrust_certificate_lint_findings": services.lint.open_findings,
            "camtrust_jobs": lambda: _jobs(services.database, "all"),
            "camtrust_jobs_failing": lambda: _jobs(services.database, "failing"),
            "camtrust_certificate_lint_behind_seconds": lambda: services.lint.behind().total_seconds(),
            "camtrust_notices_waiting": lambda: services.outbox.counted(Standing.WAITING),
            "camtrust_notices_given_up": lambda: services.outbox.counted(Standing.GIVEN_UP),
        },
        on_refusal=refusals,
        idempotency=IdempotencyStore(services.database, services.vault, services.clock),
    )


def _portal(services: Services, emulated: Sequence[str]) -> Parts:
    """What the pages for persons stand on."""
    return Parts(
        Layout.make(services.settings.specimen, emulated),
        Doorkeeper(services.identity),
        services.identity,
        services.signing,
        services.requests,
        services.csc_prompts,
        services.held_seals,
        services.agencies,
        AgencyOverview(services.agencies, services.signing, services.batches, services.webhooks),
        RegisteredClients(services.identity),
        OwnLog(services.ca, services.log),
        services.registration,
        services.ekyc,
        services.previews,
        services.token,
        services.ekyc.authenticators,
        services.judges,
        services.clock,
        services.csc_authorising,
        services.csc_responses,
        services.credential_requests,
        services.templates,
    )


def _proxy_secret(settings: Settings) -> bytes | None:
    """What the proxy that ends TLS shows beside a client's certificate. Raises ProxySecretInvalid."""
    file = settings.ca.proxy_secret_file
    if file is None:
        return None
    try:
        secret = file.read_bytes().strip()
    except OSError:
        raise ProxySecretInvalid(file=str(file)) from None
    if len(secret) < _SECRET_OCTETS:
        raise ProxySecretInvalid(file=str(file))
    return secret


def _jobs(database: Database, which: str) -> int:
    with database.read() as connection:
        return counts(connection)[which]


def _reads(database: Database) -> None:
    with database.read() as connection:
        connection.exec_driver_sql("SELECT 1")


def _answers(keys: HsmClient | SplitKeys, token: HsmClient) -> None:
    if keys is not token:
        keys.find(label="readiness", use=KeyUse.ISSUING_CA)
    token.find(label="readiness")  # any call that needs the login: after a restart of the daemon it logs in again
    token.witness()  # and the store is one that may sign


def _installed(ca: CertificateAuthority) -> None:
    ca.authorities.get("issuing")
    ca.authorities.issuing(ca.settings.citizens)
    ca.authorities.get("tsa")
