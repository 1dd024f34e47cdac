"""What goes over HTTP: strict inputs with limits, and views that say where an enrolment stands and what is next."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from ekyc.contacts.outbox import Message, Standing
from ekyc.documents.printed import Printed
from ekyc.model import Enrolment
from ekyc.ports import IssuedCertificate
from ekyc.review.desk import Case, Method, Page, Verdict
from ekyc.terms import Terms
from foundation.catalogue import Language, text

_Version = Annotated[str, Field(min_length=1, max_length=40)]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Line = Annotated[str, Field(min_length=1, max_length=80)]
_KhmerPart = Annotated[SecretStr, Field(min_length=1, max_length=120)]
_Printed = Annotated[SecretStr, Field(min_length=1, max_length=80)]


class Input(BaseModel):
    """What comes in: nothing that is not named, and nothing of it in an error."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class StartInput(Input):
    """Which assurance level is sought, and the language of notices."""

    level: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,20}$")] = "IAL2"
    language: Literal["en", "km"] = "km"


class LevelInput(Input):
    """The assurance level to go on at."""

    level: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,20}$")]


class ConsentInput(Input):
    """What was read and is accepted (see ``GET /terms``)."""

    purpose: Annotated[str, Field(min_length=1, max_length=60)]
    consent_version: _Version
    agreement_version: _Version
    agreement_digest: _Digest


class ContactInput(Input):
    """A Cambodian mobile number (or one with country code), or an e-mail address."""

    channel: Literal["sms", "email"]
    address: Annotated[SecretStr, Field(min_length=3, max_length=254)]


class CodeInput(Input):
    """A code of six digits (a card has eight); Khmer digits are welcome."""

    code: Annotated[SecretStr, Field(min_length=6, max_length=12)]


class ContactCodeInput(CodeInput):
    """The code that proves a contact. ``shared``: others use this phone or address too."""

    shared: bool = False


class LinesInput(Input):
    """Machine-readable lines as printed."""

    lines: Annotated[list[_Line], Field(min_length=2, max_length=3)]


class PrintedInput(Input):
    """What is printed for people to read, as far as they say: Khmer digits are welcome, dates are day, month, year."""

    document_number: _Printed | None = None
    date_of_birth: _Printed | None = None
    date_of_issue: _Printed | None = None
    date_of_expiry: _Printed | None = None
    never_expires: bool = False

    def opened(self) -> Printed:
        """As values."""
        values: dict[str, Any] = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in self
        }
        return Printed(**values)


class DocumentInput(LinesInput):
    """The identity card: its lines, and the name in Khmer; or a foreign resident's passport, which has no such name.

    What is printed, where it is given, is compared with the lines.
    """

    surname_km: _KhmerPart | None = None
    given_names_km: _KhmerPart | None = None
    printed: PrintedInput | None = None


class PinInput(Input):
    """A signing PIN of 6 to 12 digits."""

    pin: Annotated[SecretStr, Field(min_length=6, max_length=12)]


class ReviewInput(Input):
    """An officer's verdict on the evidence with this digest."""

    decision: Verdict
    method: Method
    reason: Annotated[str, Field(pattern=r"^[a-z-]{1,60}$")]
    evidence_digest: _Digest
    signature: Annotated[str, Field(min_length=20, max_length=2000, description="JWS, see ekyc/review/statement.py")]


class Said(BaseModel):
    """Something said in both languages."""

    code: str
    en: str
    km: str


class EnrolmentView(BaseModel):
    """Where an enrolment stands, why, and what is next."""

    id: str
    person_id: str
    level: str
    state: str
    status: Said
    version: int
    next: list[Said]
    reasons: list[Said]
    retry_at: datetime | None
    review_due_at: datetime | None
    created_at: datetime
    expires_at: datetime
    certificate_serial: str | None
    credential_id: str | None


class ContactVerifiedView(EnrolmentView):
    """Where the enrolment stands, with ``session_token`` of the new session, shown once: the one before has ended."""

    session_token: str


class StartedView(BaseModel):
    """A new enrolment; ``session_token`` is for ``Authorization: Bearer`` and is shown once."""

    enrolment: EnrolmentView
    session_token: str


class CodeSentView(BaseModel):
    """A code is on its way."""

    enrolment: EnrolmentView
    code_expires_at: datetime
    resend_at: datetime


class ProposalView(BaseModel):
    """Fields that are wrong, and the only lines that would be right; null: look at the card again."""

    fields: list[str]
    lines: list[str] | None


class AuthenticatorView(BaseModel):
    """For the authenticator app; shown once."""

    provisioning_uri: str


class CertificateView(BaseModel):
    """A certificate and its chain, without the root, in PEM."""

    serial: str
    certificate: str
    chain: list[str]


class TermsView(BaseModel):
    """The texts in force, and what to send back to accept them."""

    purpose: str
    consent_version: str
    consent: dict[str, str]
    agreement_version: str
    agreement: dict[str, str]
    agreement_digest: str


class RuleView(BaseModel):
    """A rule of the policy, and whether the evidence meets it."""

    rule: str
    met: bool
    en: str
    km: str


class DecisionView(BaseModel):
    """A decision: by which policy, over how much evidence, rule by rule."""

    outcome: str
    level: str
    policy_version: str
    policy_digest: str
    evidence_head: str
    reasons: list[RuleView]


class QueueItem(BaseModel):
    """A case that waits."""

    id: str
    level: str
    state: str
    reason: str | None
    since: datetime
    due_at: datetime | None
    version: int


class QueueView(BaseModel):
    """A page; ask again with ``cursor=next_cursor`` while it is not null."""

    items: list[QueueItem]
    next_cursor: str | None


class EvidenceView(BaseModel):
    """A record; ``content`` is null where an officer has no need to see it."""

    kind: str
    control: str
    outcome: str
    facts: dict[str, str]
    at: datetime
    content: dict[str, Any] | None


class CaseView(BaseModel):
    """A case with its evidence; the verdict must name ``evidence_digest``."""

    enrolment: EnrolmentView
    evidence: list[EvidenceView]
    evidence_digest: str


class AccessView(BaseModel):
    """Somebody looked at a person's data."""

    at: datetime
    who: str
    what: str


class MessageView(BaseModel):
    """A notice as the person would have received it; what is delivered says how far it is, and not what it says."""

    person_id: str
    channel: str
    address: str
    text: str
    at: datetime
    standing: Standing
    tries: int


def message_view(message: Message) -> MessageView:
    """The view of a message that the outbox kept."""
    return MessageView(
        person_id=message.person_id,
        channel=message.channel,
        address=message.address,
        text=message.text,
        at=message.at,
        standing=message.standing,
        tries=message.tries,
    )


def said(code: str) -> Said:
    """A catalogue text of this room in both languages."""
    return Said(code=code, en=text(f"ekyc.{code}", Language.EN), km=text(f"ekyc.{code}", Language.KM))


def enrolment_view(enrolment: Enrolment) -> EnrolmentView:
    """The view of an enrolment."""
    return EnrolmentView(
        id=enrolment.id,
        person_id=enrolment.person_id,
        level=enrolment.level,
        state=enrolment.state.value,
        status=said(f"state_{enrolment.state.value.lower()}"),
        version=enrolment.version,
        next=[_action(action.value) for action in enrolment.next],
        reasons=[said(enrolment.reason)] if enrolment.reason else [],
        retry_at=enrolment.retry_at,
        review_due_at=enrolment.review_due_at,
        created_at=enrolment.created_at,
        expires_at=enrolment.expires_at,
        certificate_serial=enrolment.certificate_serial,
        credential_id=enrolment.credential_id,
    )


def terms_view(terms: Terms) -> TermsView:
    """The view of the terms."""
    return TermsView(
        purpose=terms.purpose,
        consent_version=terms.consent_version,
        consent=dict(terms.consent),
        agreement_version=terms.agreement_version,
        agreement=dict(terms.agreement),
        agreement_digest=terms.agreement_digest,
    )


def certificate_view(issued: IssuedCertificate) -> CertificateView:
    """The view of a certificate."""
    return CertificateView(
        serial=issued.serial, certificate=_pem(issued.certificate), chain=[_pem(one) for one in issued.chain]
    )


def decision_view(document: bytes) -> DecisionView:
    """The view of a decision's document (see `ekyc.policy.evaluate`)."""
    data = json.loads(document)
    reasons = [
        RuleView(rule=one["rule"], met=one["met"], **said(one["text"]).model_dump(exclude={"code"}))
        for one in data["reasons"]
    ]
    kept = ("outcome", "level", "policy_version", "policy_digest", "evidence_head")
    return DecisionView(**{name: data[name] for name in kept}, reasons=reasons)


def queue_view(page: Page) -> QueueView:
    """The view of a page of the queue."""
    items = [
        QueueItem(
            id=one.id,
            level=one.level,
            state=one.state.value,
            reason=one.reason,
            since=one.created_at,
            due_at=one.review_due_at,
            version=one.version,
        )
        for one in page.items
    ]
    return QueueView(items=items, next_cursor=page.next_cursor)


def case_view(case: Case) -> CaseView:
    """The view of a case."""
    evidence = [
        EvidenceView(
            kind=shown.record.kind.value,
            control=shown.record.control,
            outcome=shown.record.outcome,
            facts=dict(shown.record.facts),
            at=shown.record.at,
            content=None if shown.content is None else dict(shown.content),
        )
        for shown in case.evidence
    ]
    return CaseView(enrolment=enrolment_view(case.enrolment), evidence=evidence, evidence_digest=case.evidence_digest)


def _action(name: str) -> Said:
    return said(f"action_{name}").model_copy(update={"code": name})


def _pem(der: bytes) -> str:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()
