"""Is it the person, and are they there? Random challenges, answered by pictures. Controls: EKYC-LIVENESS, EKYC-FACE.

A challenge asks for a sequence of looks that nobody knows before; the person sends one picture for each, taken after it
was drawn. A model judges them where the operator has one. Without a model, or without a clear answer, the outcome is
inconclusive: an officer looks at the same pictures. No outcome approves anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from ekyc.casefile import CaseFiles
from ekyc.challenges import Challenge, Challenges, Purpose
from ekyc.documents.images import ImageDesk, Side
from ekyc.evidence.errors import FaceImagesInvalid
from ekyc.evidence.record import EvidenceKind
from ekyc.findings import FaceOutcome, Finding, LivenessOutcome
from ekyc.model import TAKES_EVIDENCE, Enrolment
from foundation.http.actor import Actor

STEPS = 4


class Look(StrEnum):
    """Where the person is asked to look."""

    LEFT = "left"
    RIGHT = "right"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True)
class FaceJudgement:
    """What a model says. ``score``: its similarity, as text for the ledger; ``reasons``: words, nothing personal."""

    liveness: LivenessOutcome
    face: FaceOutcome
    score: str = ""
    reasons: tuple[str, ...] = ()


class FaceModel(Protocol):
    """Judges pictures. ``name`` names model and version: the evidence can be recalled by it."""

    @property
    def name(self) -> str: ...

    def judge(self, looks: Sequence[Look], pictures: Sequence[bytes], reference: bytes | None) -> FaceJudgement:
        """``pictures`` (JPEG) answer ``looks`` one by one; ``reference`` is the document's portrait, if any.

        What cannot be told is inconclusive.
        """
        ...


class NoFaceModel:
    """No model is configured: nothing can be told."""

    name = "none"

    def judge(
        self,
        looks: Sequence[Look],  # noqa: ARG002 - as every model
        pictures: Sequence[bytes],  # noqa: ARG002
        reference: bytes | None,  # noqa: ARG002
    ) -> FaceJudgement:
        return FaceJudgement(LivenessOutcome.INCONCLUSIVE, FaceOutcome.INCONCLUSIVE, reasons=("no-model",))


@dataclass(frozen=True)
class LookChallenge:
    """A challenge, and the looks that it asks for, in order."""

    challenge: Challenge
    looks: tuple[Look, ...]


@dataclass(frozen=True)
class FaceAnswer:
    """What was recorded."""

    liveness: LivenessOutcome
    face: FaceOutcome
    reasons: tuple[str, ...]
    enrolment: Enrolment


class FaceDesk:
    """Asks for looks, and has them judged."""

    def __init__(self, files: CaseFiles, challenges: Challenges, images: ImageDesk, model: FaceModel) -> None:
        self._files = files
        self._challenges = challenges
        self._images = images
        self._model = model

    def challenge(self, actor: Actor, enrolment_id: str) -> LookChallenge:
        """Draw a sequence of looks. An earlier challenge is good no more."""
        enrolment = self._files.begin(actor, enrolment_id, *TAKES_EVIDENCE)
        self._files.takes(enrolment, EvidenceKind.REVIEW)
        drawn = self._challenges.draw(enrolment, Purpose.LIVENESS, STEPS)
        return LookChallenge(drawn, looks_of(drawn.nonce))

    def submit(
        self,
        actor: Actor,
        enrolment_id: str,
        challenge_id: str,
        image_ids: Sequence[str],
        *,
        if_version: int | None = None,
    ) -> FaceAnswer:
        """Judge the pictures that answer a challenge, in its order: portraits that were sent since it was drawn.

        Raises ChallengeUnknown and FaceImagesInvalid (nothing recorded, the challenge is used), TooMuchEvidence,
        StaleWrite.
        """
        files = self._files
        enrolment = files.begin(actor, enrolment_id, *TAKES_EVIDENCE, if_version=if_version)
        challenge = self._challenges.redeem(enrolment, Purpose.LIVENESS, challenge_id)
        drawn_at = challenge.expires_at - timedelta(seconds=files.settings.challenge_seconds)
        fresh = self._images.taken_since(enrolment, Side.PORTRAIT, drawn_at)
        if len(set(image_ids)) != STEPS or len(image_ids) != STEPS or not fresh.issuperset(image_ids):
            raise FaceImagesInvalid(count=STEPS)
        pictures = [self._images.open(enrolment, one) for one in image_ids]
        source, reference = self._reference(enrolment)
        said = self._model.judge(looks_of(challenge.nonce), pictures, reference)
        face = said.face if reference is not None else FaceOutcome.INCONCLUSIVE
        facts = {"model": self._model.name, "images": " ".join(image_ids)}
        reasons = (*said.reasons, *(() if reference is not None else ("no-portrait",)))
        moved = files.add(
            actor,
            enrolment,
            Finding(EvidenceKind.LIVENESS, said.liveness, said.reasons, facts),
            Finding(EvidenceKind.FACE, face, reasons, {**facts, "source": source, "score": said.score}),
        )
        return FaceAnswer(said.liveness, face, tuple(dict.fromkeys(reasons)), moved)

    def _reference(self, enrolment: Enrolment) -> tuple[str, bytes | None]:
        """The portrait to compare with: that of an authentic chip before one on a photographed document."""
        for side in (Side.CHIP, Side.DATA_PAGE, Side.FRONT):
            image_id = self._images.latest(enrolment, side)
            if image_id is not None:
                return side.value, self._images.open(enrolment, image_id)
        return "none", None


def looks_of(nonce: bytes) -> tuple[Look, ...]:
    """The looks that a nonce stands for, one an octet: each of the four as likely as the others."""
    every = tuple(Look)
    return tuple(every[octet % len(every)] for octet in nonce)
