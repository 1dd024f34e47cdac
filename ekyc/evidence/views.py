"""What goes over HTTP of evidence: chips, challenges, the officers' trust store."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr

from ekyc.challenges import Challenge, Purpose
from ekyc.chip import ChipVerdict, Step
from ekyc.chip.certificates import ChipCertificate
from ekyc.documents.chip_trust import Anchor, TrustImport
from ekyc.documents.chips import Judged, Relay
from ekyc.documents.image_reading import Reading
from ekyc.documents.lost import LostDocument
from ekyc.evidence.errors import (
    ChipFilesInvalid,
)
from ekyc.faces.desk import FaceAnswer, LookChallenge
from ekyc.findings import Finding
from ekyc.views import EnrolmentView, Input, enrolment_view
from foundation.catalogue import Language, text

_File = Annotated[SecretStr, Field(max_length=700_000)]
_FileName = Annotated[str, Field(pattern=r"^(EF\.COM|EF\.SOD|DG([1-9]|1[0-6]))$")]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ChipInput(Input):
    """The files of a chip as they were read, in Base64; and the chip's answer to a challenge, where there is one."""

    files: Annotated[dict[_FileName, _File], Field(min_length=2, max_length=20)]
    challenge: Annotated[str, Field(pattern=r"^CHL-[A-Z2-7]{16}$")] | None = None
    response: Annotated[SecretStr, Field(min_length=1, max_length=2048)] | None = Field(
        None, description="the chip's signature (INTERNAL AUTHENTICATE) or its answer to `last`, in Base64"
    )
    authentication: Literal["active", "chip"] = Field(
        "active", description="what `challenge` is: of …/chip/challenge, or of …/chip/authentication"
    )

    def opened(self) -> tuple[dict[str, bytes], bytes | None]:
        """Files and response as octets. Raises ChipFilesInvalid."""
        files = {name: _octets(value) for name, value in self.files.items()}
        return files, None if self.response is None else _octets(self.response)

    @property
    def to(self) -> Purpose:
        return Purpose.CHIP if self.authentication == "active" else Purpose.CHIP_AGREEMENT


class ChipKeyInput(Input):
    """DG14 of a chip as it was read, in Base64."""

    dg14: Annotated[SecretStr, Field(min_length=1, max_length=20_000)]

    def opened(self) -> bytes:
        """DG14 as octets. Raises ChipFilesInvalid."""
        return _octets(self.dg14)


class TrustDecisionInput(Input):
    """An officer's word on a file, by the SHA-256 of the officer's own copy of it."""

    decision: Literal["approve", "reject"]
    digest: Fingerprint


class FaceInput(Input):
    """The portraits that answer a challenge, by their ids and in its order."""

    challenge: Annotated[str, Field(pattern=r"^CHL-[A-Z2-7]{16}$")]
    images: Annotated[list[Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]], Field(min_length=1, max_length=8)]


class LookView(BaseModel):
    """A look that is asked for."""

    look: str
    en: str
    km: str


class LookChallengeView(BaseModel):
    """Take a portrait of each look, in this order, send them, then name them, before it is too late."""

    challenge: str
    looks: list[LookView]
    expires_at: datetime


class FaceView(BaseModel):
    """What was found. Inconclusive: an officer will look at the pictures. No outcome approves anybody."""

    liveness: str
    face: str
    reasons: list[str]
    enrolment: EnrolmentView


class LostDocumentInput(Input):
    """Issuing state (three letters) and number, as in the machine-readable lines."""

    issuer: Annotated[str, Field(pattern=r"^[A-Z]{1,3}$")]
    number: Annotated[SecretStr, Field(min_length=1, max_length=30)]


class LostInput(Input):
    """Documents that were reported lost or stolen, or found again."""

    documents: Annotated[list[LostDocumentInput], Field(min_length=1, max_length=1000)]

    def opened(self) -> list[LostDocument]:
        """As values."""
        return [LostDocument(one.issuer, one.number.get_secret_value()) for one in self.documents]


class LostView(BaseModel):
    """How many entries of the list were added or taken away."""

    changed: int


class CrossCheckView(BaseModel):
    """Whether the sources agree; ``differing`` names sources and fields."""

    outcome: str
    differing: list[str]


class ReadingView(BaseModel):
    """Lines for the person to confirm by sending them to ``…/document``; null: none, type them.

    ``exact``: they hold as they were read; otherwise they are the only repair there is, to be compared with the card.
    """

    lines: list[str] | None
    exact: bool
    cross_check: CrossCheckView | None
    enrolment: EnrolmentView


class ChallengeView(BaseModel):
    """Have the chip sign the nonce (hexadecimal), once, before it is too late."""

    challenge: str
    nonce: str
    expires_at: datetime


class RelayView(BaseModel):
    """Commands for the chip (hexadecimal), in this order: `inside` the session that you have with it, each to be
    answered 9000; then `last` as it is. Send the answer to `last` with the files, once, before it is too late.
    """

    challenge: str
    inside: list[str]
    last: str
    expires_at: datetime


class ChipStepView(BaseModel):
    """A step that does not hold: its rule, clause and meaning."""

    rule: str
    clause: str
    standing: str
    detail: str
    en: str
    km: str


class ChipView(BaseModel):
    """The verdict on a chip. Only ``authentic`` is a pass; ``capped``: it proves data, not that the chip is there."""

    outcome: str
    en: str
    km: str
    capped: bool
    reasons: list[ChipStepView]
    cross_check: CrossCheckView | None
    portrait: str | None
    enrolment: EnrolmentView


class AuthorityView(BaseModel):
    """A country signing authority."""

    sha256: str
    country: str | None
    serial: str
    not_before: datetime
    not_after: datetime
    known: bool = Field(description="approved before, by another file")


class TrustImportView(BaseModel):
    """A file that was brought; it counts once another officer has approved it by ``digest``."""

    id: str
    kind: str
    digest: str
    state: str
    imported_by: str
    imported_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    signer: str | None = Field(description="SHA-256 of the certificate that signed a master list")
    signer_country: str | None
    unreadable: int
    authorities: list[AuthorityView]


class AnchorView(BaseModel):
    """An authority that chips are believed by, unless it was withdrawn."""

    sha256: str
    country: str | None
    not_after: datetime
    import_id: str
    withdrawn_at: datetime | None


class CrlView(BaseModel):
    """A CRL that is kept."""

    sha256: str


def challenge_view(challenge: Challenge) -> ChallengeView:
    """The view of a challenge."""
    return ChallengeView(challenge=challenge.id, nonce=challenge.nonce.hex(), expires_at=challenge.expires_at)


def relay_view(relay: Relay) -> RelayView:
    """The view of a key agreement that has begun."""
    return RelayView(
        challenge=relay.id,
        inside=[one.hex() for one in relay.inside],
        last=relay.last.hex(),
        expires_at=relay.expires_at,
    )


def chip_view(judged: Judged) -> ChipView:
    """The view of a verdict."""
    verdict: ChipVerdict = judged.verdict
    return ChipView(
        outcome=verdict.outcome.value,
        **_words(verdict.outcome.text),
        capped=verdict.capped,
        reasons=[_step(one) for one in verdict.reasons],
        cross_check=cross_check_view(judged.cross_check),
        portrait=judged.portrait,
        enrolment=enrolment_view(judged.enrolment),
    )


def cross_check_view(finding: Finding | None) -> CrossCheckView | None:
    """The view of a cross-check, where there was one."""
    return None if finding is None else CrossCheckView(outcome=finding.outcome, differing=list(finding.reasons))


def reading_view(found: Reading) -> ReadingView:
    """The view of what was read in an image."""
    return ReadingView(
        lines=list(found.lines) if found.lines else None,
        exact=found.exact,
        cross_check=cross_check_view(found.cross_check),
        enrolment=enrolment_view(found.enrolment),
    )


def look_challenge_view(asked: LookChallenge) -> LookChallengeView:
    """The view of a challenge to a person."""
    looks = [LookView(look=one.value, **_words(f"ekyc.look_{one.value}")) for one in asked.looks]
    return LookChallengeView(challenge=asked.challenge.id, looks=looks, expires_at=asked.challenge.expires_at)


def face_view(found: FaceAnswer) -> FaceView:
    """The view of what was found about a face."""
    return FaceView(
        liveness=found.liveness.value,
        face=found.face.value,
        reasons=list(found.reasons),
        enrolment=enrolment_view(found.enrolment),
    )


def import_view(found: TrustImport) -> TrustImportView:
    """The view of an import."""
    kept = ("id", "kind", "digest", "state", "imported_by", "imported_at", "decided_by", "decided_at", "unreadable")
    return TrustImportView(
        **{name: getattr(found, name) for name in kept},
        signer=found.signer.sha256 if found.signer else None,
        signer_country=found.signer.subject.country if found.signer else None,
        authorities=[_authority(one, one.sha256 in found.known) for one in found.authorities],
    )


def anchor_view(anchor: Anchor) -> AnchorView:
    """The view of an authority in force."""
    certificate = anchor.certificate
    return AnchorView(
        sha256=certificate.sha256,
        country=certificate.subject.country,
        not_after=certificate.not_after,
        import_id=anchor.import_id,
        withdrawn_at=anchor.withdrawn_at,
    )


def _authority(certificate: ChipCertificate, known: bool) -> AuthorityView:
    return AuthorityView(
        sha256=certificate.sha256,
        country=certificate.subject.country,
        serial=certificate.serial.hex(),
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        known=known,
    )


def _step(step: Step) -> ChipStepView:
    return ChipStepView(
        rule=step.rule.value,
        clause=step.clause,
        standing=step.standing.value,
        detail=step.detail,
        **_words(step.rule.text),
    )


def _words(key: str) -> dict[str, str]:
    return {"en": text(key, Language.EN), "km": text(key, Language.KM)}


def _octets(value: SecretStr) -> bytes:
    try:
        return base64.b64decode(value.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        raise ChipFilesInvalid from None
