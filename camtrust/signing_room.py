"""The signing room of an installation: its service over the token, the CA's timestamps and status, and the log."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from camtrust.adapters import CaLogProofs, CaStatus, CaTimestamps
from camtrust.key_uses import CaStanding
from camtrust.settings import Settings
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.randomness import SystemRandomness
from hsm_emulation.client import HsmClient
from issuing_ca.service import CertificateAuthority
from signing.config import MIB, SigningConfig
from signing.custody import Custody
from signing.history import History
from signing.ports import Restraints, SigningKeys
from signing.service import SigningService
from signing.sign.ades import AdesSigner
from signing.sign.documents import DocumentSigner
from signing.sign.extend import Extender
from signing.sign.pades import PadesSigner, Stamps


def stamps_of(settings: Settings) -> Stamps:
    """What visible signatures are drawn with."""
    return Stamps(Path(str(files("camtrust") / "fonts")), f"{settings.public_url.rstrip('/')}/verify")


def signing_room(
    database: Database,
    trail: AuditTrail,
    clock: Clock,
    randomness: SystemRandomness,
    settings: Settings,
    keys: SigningKeys,
    token: HsmClient,
    ca: CertificateAuthority,
    proofs: CaLogProofs,
    custody: Custody,
    history: History,
    restraints: Restraints,
) -> SigningService:
    """The service. ``keys``: where organisations' and persons' keys are; ``token``: where persons' factors are."""
    config = SigningConfig(
        maximum_document_bytes=settings.upload_mebibytes * MIB, mark="SPECIMEN" if settings.specimen else None
    )
    timestamps, status = CaTimestamps(ca), CaStatus(ca)
    pades = PadesSigner(
        keys,
        timestamps,
        status,
        clock,
        randomness,
        config.text,
        config.maximum_document_bytes,
        proofs,
        stamps_of(settings),
    )
    ades = AdesSigner(keys, timestamps, status, clock, config.maximum_document_bytes, proofs)
    signer, extender = DocumentSigner(keys, pades, ades), Extender(pades, timestamps, status, clock)
    return SigningService(
        database,
        trail,
        clock,
        randomness,
        config,
        keys,
        token,
        signer,
        custody,
        extender,
        CaStanding(ca),
        history,
        restraints,
    )
