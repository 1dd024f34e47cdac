"""What enrolment refuses.

EkycError
├── state      EnrolmentUnknown, WrongState, EnrolmentExpired, RetryLater, TooMuchEvidence, WithdrawTooLate
├── consent    LevelUnknown, LevelNotHigher, LevelWithout, TermsOutdated
├── contact    ContactInvalid, OtpMissing, OtpWrong, OtpExpired, OtpUsed, OtpThrottled, ResendThrottled,
│              NotifierUnavailable
├── document   MrzFormatUnknown, MrzFieldInvalid, MrzCheckDigitWrong, DocumentNotAccepted, DocumentExpired,
│              BirthDateIncomplete, NameUnusable, UnderAge, GuardianNeeded, PrintedDateUnreadable, PrintedDiffers,
│              DocumentNotYetValid, DocumentReportedLost
├── registry   RegistryUnavailable, RegistryNoMatch, PersonDeceased, DuplicatePerson
├── factors    ChangeUnknown
├── review     SelfReview, NotAssigned, ReviewSignatureInvalid, ReviewReasonUnknown, EvidenceChanged, InPersonNeeded,
│              DecisionMissing, DecisionNotReproduced
├── images, chips, authorities: ekyc.evidence.errors
├── recall     RecallEmpty, RecallUnknown, RecallChanged, RecallSameOfficer
└── issuance   GateClosed, EvidenceFirst, ApprovalImpossible, CertificateMismatch, EvidenceChainBroken, PolicyInvalid,
               RetentionInvalid
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from foundation.catalogue import Language, hint, text
from foundation.errors import CamTrustError, Kind


class EkycError(CamTrustError):
    """Anything that enrolment refuses."""

    code = "ekyc.failed"


class EnrolmentUnknown(EkycError):
    """There is none with this id, or it is not the caller's (which of the two is not told)."""

    code = "ekyc.enrolment_unknown"
    kind = Kind.NOT_FOUND


class _Told(EkycError):
    """A failure whose sentence names things that have a Khmer and an English name of their own."""

    prefix: ClassVar[str] = ""

    def __init__(self, names: Sequence[str], **params: object) -> None:
        self.names = tuple(names)
        super().__init__()
        self.params.update(params)

    def message(self, language: Language = Language.EN) -> str:
        return text(self.code, language, **self.params | self._named(language))

    def hint(self, language: Language = Language.EN) -> str:
        return hint(self.code, language, **self.params | self._named(language))

    def _named(self, language: Language) -> dict[str, str]:
        return {"names": ", ".join(text(f"ekyc.{self.prefix}{name}", language) for name in self.names)}


class WrongState(_Told):
    """A step that is not next; ``names`` are the actions that are."""

    code = "ekyc.wrong_state"
    kind = Kind.CONFLICT
    prefix = "action_"

    def __init__(self, state: str, expected: Sequence[str]) -> None:
        self.state = state
        super().__init__(tuple(expected) or ("none",), state=state)


class EnrolmentExpired(EkycError):
    code = "ekyc.enrolment_expired"
    kind = Kind.CONFLICT


class RetryLater(EkycError):
    code = "ekyc.retry_later"
    kind = Kind.THROTTLED


class TooMuchEvidence(EkycError):
    """Evidence of this kind was added as often as is allowed."""

    code = "ekyc.too_much_evidence"
    kind = Kind.CONFLICT


class WithdrawTooLate(EkycError):
    code = "ekyc.withdraw_too_late"
    kind = Kind.CONFLICT


class LevelUnknown(EkycError):
    code = "ekyc.level_unknown"
    kind = Kind.INVALID


class LevelNotHigher(EkycError):
    """A level can be changed only for one that asks for more."""

    code = "ekyc.level_not_higher"
    kind = Kind.CONFLICT


class LevelWithout(EkycError):
    """The level of this enrolment has no use for such evidence: it is not taken."""

    code = "ekyc.level_without"
    kind = Kind.CONFLICT


class TermsOutdated(EkycError):
    """Consent or agreement names another version or digest than what is in force."""

    code = "ekyc.terms_outdated"
    kind = Kind.CONFLICT


class ContactInvalid(EkycError):
    code = "ekyc.contact_invalid"
    kind = Kind.INVALID


class ChangeUnknown(EkycError):
    """The caller has asked for no such change, or too long ago, or it is made."""

    code = "ekyc.change_unknown"
    kind = Kind.NOT_FOUND


class OtpMissing(EkycError):
    code = "ekyc.otp_missing"
    kind = Kind.CONFLICT


class OtpWrong(EkycError):
    """Parameter ``left``: tries that remain."""

    code = "ekyc.otp_wrong"
    kind = Kind.FORBIDDEN


class OtpExpired(EkycError):
    code = "ekyc.otp_expired"
    kind = Kind.CONFLICT


class OtpUsed(EkycError):
    code = "ekyc.otp_used"
    kind = Kind.CONFLICT


class OtpThrottled(EkycError):
    code = "ekyc.otp_throttled"
    kind = Kind.THROTTLED


class ResendThrottled(EkycError):
    code = "ekyc.resend_throttled"
    kind = Kind.THROTTLED


class NotifierUnavailable(EkycError):
    code = "ekyc.notifier_unavailable"
    kind = Kind.UNAVAILABLE


class MrzFormatUnknown(EkycError):
    """The lines have the shape of no machine-readable zone (ICAO 9303-4 to -7)."""

    code = "ekyc.mrz_format_unknown"
    kind = Kind.INVALID


class MrzFieldInvalid(_Told):
    """Fields (``names``) hold characters or dates that cannot stand there."""

    code = "ekyc.mrz_field_invalid"
    kind = Kind.INVALID
    prefix = "field_"


class MrzCheckDigitWrong(_Told):
    """The check digits of these fields (``names``) do not fit (ICAO 9303-3 §4.9)."""

    code = "ekyc.mrz_check_digit_wrong"
    kind = Kind.INVALID
    prefix = "field_"


class DocumentNotAccepted(EkycError):
    code = "ekyc.document_not_accepted"
    kind = Kind.INVALID


class DocumentExpired(EkycError):
    code = "ekyc.document_expired"
    kind = Kind.INVALID


class PrintedDateUnreadable(EkycError):
    code = "ekyc.printed_date_unreadable"
    kind = Kind.INVALID


class PrintedDiffers(_Told):
    """What is printed is not what the machine-readable lines say; ``names`` are the fields."""

    code = "ekyc.printed_differs"
    kind = Kind.INVALID
    prefix = "field_"


class DocumentNotYetValid(EkycError):
    code = "ekyc.document_not_yet_valid"
    kind = Kind.INVALID


class DocumentReportedLost(EkycError):
    """The document is on the list of lost and stolen ones."""

    code = "ekyc.document_reported_lost"
    kind = Kind.CONFLICT


class BirthDateIncomplete(EkycError):
    code = "ekyc.birth_date_incomplete"
    kind = Kind.INVALID


class NameUnusable(EkycError):
    code = "ekyc.name_unusable"
    kind = Kind.INVALID


class UnderAge(EkycError):
    code = "ekyc.under_age"
    kind = Kind.FORBIDDEN


class GuardianNeeded(EkycError):
    code = "ekyc.guardian_needed"
    kind = Kind.FORBIDDEN


class RegistryUnavailable(EkycError):
    """The registry does not answer, or not in a form that can be trusted: wait, never pass."""

    code = "ekyc.registry_unavailable"
    kind = Kind.UNAVAILABLE


class RegistryNoMatch(EkycError):
    """Parameter ``left``: tries that remain."""

    code = "ekyc.registry_no_match"
    kind = Kind.INVALID


class PersonDeceased(EkycError):
    code = "ekyc.person_deceased"
    kind = Kind.FORBIDDEN


class DuplicatePerson(EkycError):
    code = "ekyc.duplicate_person"
    kind = Kind.CONFLICT


class SelfReview(EkycError):
    code = "ekyc.self_review"
    kind = Kind.FORBIDDEN


class NotAssigned(EkycError):
    """It is not this officer's turn at this case; whose it is, is not told."""

    code = "ekyc.not_assigned"
    kind = Kind.FORBIDDEN


class ReviewSignatureInvalid(EkycError):
    """The verdict does not carry the officer's own signature over exactly it and the evidence seen."""

    code = "ekyc.review_signature_invalid"
    kind = Kind.FORBIDDEN


class ReviewReasonUnknown(EkycError):
    code = "ekyc.review_reason_unknown"
    kind = Kind.INVALID


class EvidenceChanged(EkycError):
    """The officer decided on other evidence than what is there now."""

    code = "ekyc.evidence_changed"
    kind = Kind.CONFLICT


class InPersonNeeded(EkycError):
    code = "ekyc.in_person_needed"
    kind = Kind.CONFLICT


class DecisionMissing(EkycError):
    """Nothing was decided on this enrolment yet."""

    code = "ekyc.decision_missing"
    kind = Kind.NOT_FOUND


class RecallEmpty(EkycError):
    """The origin names nothing, so everything would be meant."""

    code = "ekyc.recall_empty"
    kind = Kind.INVALID


class RecallUnknown(EkycError):
    code = "ekyc.recall_unknown"
    kind = Kind.NOT_FOUND


class RecallChanged(EkycError):
    """Not what the dry run with this digest gave."""

    code = "ekyc.recall_changed"
    kind = Kind.CONFLICT


class RecallSameOfficer(EkycError):
    """Who proposed it cannot confirm it."""

    code = "ekyc.recall_same_officer"
    kind = Kind.FORBIDDEN


class DecisionNotReproduced(EkycError):
    """The stored evidence and the frozen policy give another decision than the one that is kept.

    Parameters ``enrolment``, and ``count``: the records that it was made over.
    """

    code = "ekyc.decision_not_reproduced"


class EvidenceFirst(_Told):
    """The gate before this step is closed at this level; ``names`` are the reasons of the rules that are not met."""

    code = "ekyc.evidence_first"
    kind = Kind.CONFLICT


class GateClosed(EkycError):
    """A milestone was asked for without the evidence that its level needs (a defect of ours, stopped here)."""

    code = "ekyc.gate_closed"


class ApprovalImpossible(EkycError):
    """Nothing is approved: ``problem`` is ``decision`` (it does not follow from the evidence), ``evidence`` (it
    carries no more) or ``key`` (not theirs by the token's attestation)."""

    code = "ekyc.approval_impossible"
    kind = Kind.FORBIDDEN


class CertificateMismatch(EkycError):
    """The issuer answered with a certificate for another key."""

    code = "ekyc.certificate_mismatch"


class EvidenceChainBroken(EkycError):
    """The ledger of an enrolment was changed."""

    code = "ekyc.evidence_chain_broken"


class PolicyInvalid(EkycError):
    """The policy file is not one. Parameter ``problem``."""

    code = "ekyc.policy_invalid"


class RetentionInvalid(EkycError):
    """The retention rules are none. Parameter ``problem``."""

    code = "ekyc.retention_invalid"
