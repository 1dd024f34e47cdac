"""The enrolment service: its desks, each with the steps of one subject, over one set of case files."""

from __future__ import annotations

from ekyc.appeal import AppealDesk
from ekyc.approval import ApprovalDesk
from ekyc.authenticators import AuthenticatorDesk
from ekyc.casefile import CaseFiles
from ekyc.challenges import Challenges
from ekyc.chip_trust import ChipTrust
from ekyc.chips import ChipDesk
from ekyc.commune import CommuneDesk
from ekyc.config import EkycSettings
from ekyc.contact import ContactDesk
from ekyc.cool_off import CoolOffDesk
from ekyc.correction import CorrectionDesk
from ekyc.correction_review import CorrectionReviewDesk
from ekyc.decision import Decider
from ekyc.document import DocumentDesk
from ekyc.enrolment import EnrolmentDesk
from ekyc.evidence_sources import EvidenceSources
from ekyc.faces import FaceDesk, FaceModel, NoFaceModel
from ekyc.guardians import GuardianDesk
from ekyc.image_reading import ImageReadingDesk
from ekyc.images import ImageDesk
from ekyc.imaging import ImageReader
from ekyc.imaging.letters import LetterReader
from ekyc.issuance import IssuanceDesk
from ekyc.key_notices import KeyNoticeDesk
from ekyc.lost_documents import LostDocuments
from ekyc.packets import PacketDesk
from ekyc.personal_data import PersonalDataDesk
from ekyc.policy import Policy, default_policy
from ekyc.ports import (
    AttestedPersonKeys,
    Blobs,
    CardPrinter,
    CertificateIssuer,
    Credentials,
    KeyCustody,
    Notifier,
    Officers,
    ReceiptAuthority,
    RegistrationAuthority,
    Registry,
    RelationRegistry,
    Sessions,
)
from ekyc.recall import RecallDesk
from ekyc.receipts import ReceiptDesk
from ekyc.recovery import RecoveryDesk
from ekyc.registry_match import RegistryDesk
from ekyc.reinstatement import ReinstatementDesk
from ekyc.renewal import RenewalDesk
from ekyc.retention import RetentionDesk, default_rules
from ekyc.review import ReviewDesk
from ekyc.telling import Telling
from ekyc.vouching import VouchDesk
from ekyc.without_phone import WithoutPhoneDesk
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.keys.factors import PersonFactors
from foundation.randomness import Randomness, SystemRandomness
from foundation.vault import Vault


class EkycService:
    """From evidence about a person to a verified person with factors, key and certificate."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        audit: AuditTrail,
        clock: Clock,
        notifier: Notifier,
        registry: Registry,
        sessions: Sessions,
        officers: Officers,
        factors: PersonFactors,
        keys: AttestedPersonKeys,
        custody: KeyCustody,
        issuer: CertificateIssuer,
        credentials: Credentials,
        blobs: Blobs,
        authority: RegistrationAuthority,
        receipt_authority: ReceiptAuthority,
        card_printer: CardPrinter,
        relations: RelationRegistry | None = None,
        face_model: FaceModel | None = None,
        settings: EkycSettings | None = None,
        policy: Policy | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        self.files = CaseFiles(
            database,
            vault,
            audit,
            clock,
            randomness or SystemRandomness(),
            settings or EkycSettings(),
            policy or default_policy(),
        )
        sources = EvidenceSources(self.files)
        self.lost_documents = LostDocuments(self.files)
        self.decider = Decider(self.files)
        self.enrolment = EnrolmentDesk(self.files, sessions, blobs)
        telling = Telling(self.files, notifier)
        self.contact = ContactDesk(self.files, notifier, sessions, telling)
        self.key_notices = KeyNoticeDesk(self.files, notifier)
        self.document = DocumentDesk(self.files, sources, self.lost_documents)
        self.registry = RegistryDesk(self.files, registry)
        self.review = ReviewDesk(self.files, officers, self.decider)
        self.chip_trust = ChipTrust(self.files, officers)
        challenges, limits = Challenges(self.files), self.files.settings.images
        portraits = ImageReader(limits.model_copy(update={"jpeg_2000": True, "smallest_side": 50}))
        self.chips = ChipDesk(self.files, sources, self.chip_trust, challenges, blobs, portraits, self.lost_documents)
        reader = ImageReader(limits)
        self.images = ImageDesk(self.files, blobs, reader, self.review)
        self.faces = FaceDesk(self.files, challenges, self.images, face_model or NoFaceModel())
        letters = LetterReader(reader, self.files.settings.letter_program)
        self.image_reading = ImageReadingDesk(self.files, sources, self.images, letters)
        self.guardians = GuardianDesk(self.files, factors, issuer, relations)
        self.vouching = VouchDesk(self.files, factors, issuer)
        self.commune = CommuneDesk(self.files, officers, self.review, self.vouching)
        self.packets = PacketDesk(
            self.files, officers, self.enrolment, self.contact, self.document, self.images, self.chips
        )
        self.authenticators = AuthenticatorDesk(self.files, factors, telling)
        self.reinstatements = ReinstatementDesk(self.files, self.review, officers, issuer, self.lost_documents)
        self.recalls = RecallDesk(self.files, issuer)
        self.retention = RetentionDesk(self.files, self.enrolment, issuer, default_rules())
        self.own_data = PersonalDataDesk(self.files)
        self.appeals = AppealDesk(self.files, self.review, officers, telling)
        self.cool_off = CoolOffDesk(self.files, telling, issuer, sessions)
        self.recovery = RecoveryDesk(self.files, self.review, factors, issuer, sessions, self.cool_off)
        self.approvals = ApprovalDesk(self.files, self.decider, keys, authority)
        self.without_phone = WithoutPhoneDesk(self.files, factors, self.review, card_printer)
        self.receipts = ReceiptDesk(self.files, receipt_authority)
        self.issuance = IssuanceDesk(
            self.files,
            self.decider,
            factors,
            keys,
            custody,
            issuer,
            credentials,
            self.approvals,
            telling,
            self.receipts,
        )
        self.renewals = RenewalDesk(self.files, self.issuance, registry, issuer, factors, self.lost_documents, telling)
        self.corrections = CorrectionDesk(self.files, self.document, registry, factors, telling)
        self.correction_reviews = CorrectionReviewDesk(
            self.files,
            registry,
            self.lost_documents,
            self.review,
            officers,
            self.decider,
            self.issuance,
            self.renewals,
            telling,
        )
