"""Chips as evidence: files judged against what officers trust, and the chip's answer to a challenge of ours.

Control: EKYC-CHIP. Files prove data, not that the document is there: they can be copied. Without the answer to a
challenge or key agreement that was drawn for this enrolment and is good once, the evidence is capped; with a wrong one
it has failed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ekyc import chip
from ekyc.casefile import CaseFiles
from ekyc.challenges import Challenge, Challenges, Purpose
from ekyc.chip import ChipVerdict
from ekyc.chip.active import NONCE_OCTETS
from ekyc.chip.agreement import SECRET_OCTETS
from ekyc.chip.curves import CurveForged, CurveUnsupported
from ekyc.chip.der import Malformed
from ekyc.chip.signatures import AlgorithmUnsupported
from ekyc.documents.chip_trust import ChipTrust
from ekyc.documents.cross_check import said
from ekyc.documents.images import Side, blob_key, image_purpose
from ekyc.documents.lost import LostDocuments
from ekyc.errors import EkycError
from ekyc.evidence.errors import (
    ChipFilesInvalid,
    ChipKeyUnusable,
)
from ekyc.evidence.record import EvidenceKind
from ekyc.evidence.sources import EvidenceSources
from ekyc.findings import Finding, ImageOutcome
from ekyc.imaging import ImageReader
from ekyc.model import TAKES_EVIDENCE, Enrolment
from ekyc.ports import Blobs
from foundation.http.actor import Actor

MAX_FILES = 20
MAX_OCTETS = 2 * 1024 * 1024  # of all files together
_USABLE = frozenset({chip.ChipOutcome.AUTHENTIC, chip.ChipOutcome.WEAK})
# How a portrait begins in DG2 (ISO/IEC 19794-5 §5.8): JPEG, JPEG 2000 as a file, JPEG 2000 as a stream.
_PORTRAITS = (b"\xff\xd8\xff", b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")


@dataclass(frozen=True)
class Relay:
    """Commands that a phone carries to the chip: ``inside`` the session that it has with the chip, then ``last`` as it
    is. The answer to ``last`` is what is judged.
    """

    id: str
    inside: tuple[bytes, ...]
    last: bytes
    expires_at: datetime


@dataclass(frozen=True)
class Judged:
    """The verdict on what was sent, and the enrolment after it. ``portrait``: the id of the chip's picture."""

    verdict: ChipVerdict
    cross_check: Finding | None
    portrait: str | None
    enrolment: Enrolment


class ChipDesk:
    """Draws challenges, judges files and answers."""

    def __init__(
        self,
        files: CaseFiles,
        sources: EvidenceSources,
        trust: ChipTrust,
        challenges: Challenges,
        blobs: Blobs,
        reader: ImageReader,
        lost: LostDocuments,
    ) -> None:
        self._lost = lost
        self._files = files
        self._sources = sources
        self._trust = trust
        self._challenges = challenges
        self._blobs = blobs
        self._reader = reader

    def challenge(self, actor: Actor, enrolment_id: str) -> Challenge:
        """Eight octets for the chip to sign (ICAO 9303-11 §6.1). An earlier challenge is good no more."""
        enrolment = self._files.begin(actor, enrolment_id, *TAKES_EVIDENCE)
        return self._challenges.draw(enrolment, Purpose.CHIP, NONCE_OCTETS)

    def agreement(self, actor: Actor, enrolment_id: str, dg14: bytes) -> Relay:
        """Begin a key agreement with a chip that has this DG14 (ICAO 9303-11 §6.2). The key of this side is drawn here,
        kept sealed, and leaves never. An earlier agreement is good no more. Raises ChipKeyUnusable.
        """
        enrolment = self._files.begin(actor, enrolment_id, *TAKES_EVIDENCE)
        drawn = self._challenges.draw(enrolment, Purpose.CHIP_AGREEMENT, SECRET_OCTETS)
        try:
            inside, last = chip.Agreement(drawn.nonce, drawn.expires_at).commands(dg14)
        except (Malformed, AlgorithmUnsupported, CurveUnsupported, CurveForged):
            raise ChipKeyUnusable from None
        return Relay(drawn.id, inside, last, drawn.expires_at)

    def submit(
        self,
        actor: Actor,
        enrolment_id: str,
        sent: Mapping[str, bytes],
        challenge_id: str | None = None,
        response: bytes | None = None,
        *,
        to: Purpose = Purpose.CHIP,
        if_version: int | None = None,
    ) -> Judged:
        """Judge the files of a chip, with its answer where there is one; what was found goes into the ledger.

        ``to``: which kind of challenge it answers (CHIP, CHIP_AGREEMENT).

        Raises ChipFilesInvalid, ChallengeUnknown (nothing judged, nothing recorded), TooMuchEvidence, StaleWrite.
        """
        files = self._files
        enrolment = files.begin(actor, enrolment_id, *TAKES_EVIDENCE, if_version=if_version)
        files.takes(enrolment, EvidenceKind.DOCUMENT)
        if (
            len(sent) > MAX_FILES
            or sum(map(len, sent.values())) > MAX_OCTETS
            or (challenge_id is None) != (not response)
        ):
            raise ChipFilesInvalid
        challenge = None
        if challenge_id is not None:
            challenge = self._challenges.redeem(enrolment, to, challenge_id)
        verdict = self._judge(sent, challenge, response or b"", to)
        lost = verdict.mrz is not None and self._lost.holds(verdict.mrz.issuer, verdict.mrz.document_number)
        finding = _finding(verdict, reported_lost=lost)
        compared = self._sources.compared(enrolment, chip=finding.content.get("says"))
        portrait, kept = self._portrait(verdict, enrolment)
        found = [finding, *([kept] if kept else []), *([compared] if compared else [])]
        try:
            moved = files.add(actor, enrolment, *found)
        except BaseException:
            if portrait is not None:
                self._blobs.delete(blob_key(portrait))
            raise
        return Judged(verdict, compared, portrait, moved)

    def _judge(
        self, sent: Mapping[str, bytes], challenge: Challenge | None, response: bytes, to: Purpose
    ) -> ChipVerdict:
        now = self._files.clock.now()
        issuer = chip.issuer_of(sent.get("EF.SOD", b""))
        anchors, crls = (self._trust.anchors(issuer), self._trust.crls(issuer)) if issuer else ((), ())
        verdict = chip.authenticate(sent, anchors, crls, now)
        if challenge is None:
            return verdict
        if to is Purpose.CHIP_AGREEMENT:
            agreed = chip.Agreement(challenge.nonce, challenge.expires_at)
            return chip.prove_by_agreement(verdict, agreed, response, now)
        asked = chip.Challenge(challenge.nonce, challenge.expires_at)
        return chip.prove_possession(verdict, asked, response, now)

    def _portrait(self, verdict: ChipVerdict, enrolment: Enrolment) -> tuple[str | None, Finding | None]:
        """Keep the picture of DG2 as every other image. One that cannot be decoded is left out: it decides nothing."""
        picture = _picture(verdict.groups.get(2, b"")) if verdict.outcome in _USABLE else None
        if picture is None:
            return None, None
        try:
            clean = self._reader.read(picture)
        except EkycError:
            return None, None
        image_id = self._files.randomness.bytes(16).hex()
        sealed = self._files.vault.seal(enrolment.person_id, image_purpose(image_id), clean.data)
        self._blobs.put(blob_key(image_id), sealed)
        content = {"sha256": hashlib.sha256(clean.data).hexdigest(), "width": clean.width, "height": clean.height}
        facts = {"image": image_id, "side": Side.CHIP.value, "came_as": clean.came_as}
        return image_id, Finding(EvidenceKind.IMAGE, ImageOutcome.STORED, facts=facts, content=content)


def _finding(verdict: ChipVerdict, *, reported_lost: bool) -> Finding:
    facts = {**verdict.evidence(), "reported_lost": "true" if reported_lost else "false"}
    outcome, reasons = facts.pop("outcome"), facts.pop("reasons")
    content: dict[str, Any] = {"groups": [f"DG{number}" for number in sorted(verdict.groups)]}
    if verdict.mrz is not None and verdict.outcome in _USABLE:
        content["says"] = said(verdict.mrz)
    return Finding(EvidenceKind.CHIP, outcome, tuple(reasons.split()), facts, content)


def _picture(dg2: bytes) -> bytes | None:
    found = [at for at in (dg2.find(start) for start in _PORTRAITS) if at > 0]
    return dg2[min(found) :] if found else None
