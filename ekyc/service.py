"""The enrolment service: its desks, each with the steps of one subject, over one set of case files."""

from __future__ import annotations

from ekyc.appeals.desk import AppealDesk
from ekyc.approval import ApprovalDesk
from ekyc.authenticators.cool_off import CoolOffDesk
from ekyc.authenticators.desk import AuthenticatorDesk
from ekyc.authenticators.notices import KeyNoticeDesk
from ekyc.authenticators.recovery import RecoveryDesk
from ekyc.authenticators.without_phone import WithoutPhoneDesk
from ekyc.casefile import CaseFiles
from ekyc.challenges import Challenges
from ekyc.config import EkycSettings
from ekyc.contacts.desk import ContactDesk
from ekyc.contacts.telling import Telling
from ekyc.corrections.desk import CorrectionDesk
from ekyc.corrections.review import CorrectionReviewDesk
from ekyc.decision import Decider
from ekyc.documents.chip_trust import ChipTrust
from ekyc.documents.chips import ChipDesk
from ekyc.documents.desk import DocumentDesk
from ekyc.documents.image_reading import ImageReadingDesk
from ekyc.documents.images import ImageDesk
from ekyc.documents.lost import LostDocuments
from ekyc.enrolment import EnrolmentDesk
from ekyc.evidence.sources import EvidenceSources
from ekyc.faces.desk import FaceDesk, FaceModel, NoFaceModel
from ekyc.guardians.desk import GuardianDesk
from ekyc.imaging import ImageReader
from ekyc.imaging.letters import LetterReader
from ekyc.issuance import IssuanceDesk
from ekyc.packets.desk import PacketDesk
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
from ekyc.recall.desk import RecallDesk
from ekyc.recall.reinstatement import ReinstatementDesk
from ekyc.receipts.desk import ReceiptDesk
from ekyc.registry.match import RegistryDesk
from ekyc.renewal.desk import RenewalDesk
from ekyc.retention import RetentionDesk, default_rules
from ekyc.review.desk import ReviewDesk
from ekyc.vouching.commune import CommuneDesk
from ekyc.vouching.desk import VouchDesk
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
