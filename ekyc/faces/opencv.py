"""The face model that operators can bring: YuNet finds faces, SFace compares them, as ONNX files with pinned hashes.

Model and pictures meet in a process without files, network or further processes. What goes wrong there, takes too long
or is not clear is inconclusive: an officer looks. Liveness is not judged: whether somebody was before the camera
(ISO/IEC 30107-3) is nothing that these models can tell, so it stays inconclusive whatever they say.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import math
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ekyc.config import FaceSettings
from ekyc.evidence.errors import FaceLibraryMissing, FaceModelUnusable, ImageReaderBusy
from ekyc.faces.desk import FaceJudgement, Look
from ekyc.findings import FaceOutcome, LivenessOutcome
from ekyc.imaging.limits import MIB, ImageLimits
from ekyc.imaging.sandbox import ImageReader

MAX_MODEL = 128 * MIB
_LIMITS = ImageLimits(memory=2048 * MIB, cpu_seconds=30, seconds=60.0, at_once=1, answer=64 * 1024)
_Cosine = Annotated[float, Field(ge=-1, le=1)]


class FaceThresholds(BaseModel):
    """Versioned numbers by which scores become outcomes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z.]{1,20}$")]
    face_score: Annotated[float, Field(gt=0, lt=1)]
    same: _Cosine
    other: _Cosine

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.other >= self.same:
            raise ValueError("other is below same")
        return self

    def outcome(self, scores: Sequence[float]) -> FaceOutcome:
        """SAME where every picture is alike enough, OTHER where none is, else inconclusive. What is no finite number
        from -1 to 1, and no scores at all, are inconclusive.
        """
        if not scores or not all(math.isfinite(one) and -1.001 <= one <= 1.001 for one in scores):
            return FaceOutcome.INCONCLUSIVE
        if min(scores) >= self.same:
            return FaceOutcome.SAME
        return FaceOutcome.OTHER if max(scores) <= self.other else FaceOutcome.INCONCLUSIVE


@cache
def default_thresholds() -> FaceThresholds:
    """Those of faces.toml."""
    return FaceThresholds.model_validate(tomllib.loads((Path(__file__).parent / "faces.toml").read_text("utf-8")))


class OpenCvFaceModel:
    """Judges portraits in a confined process, one at a time."""

    def __init__(
        self, settings: FaceSettings, thresholds: FaceThresholds | None = None, limits: ImageLimits | None = None
    ) -> None:
        """Raises FaceLibraryMissing, FaceModelUnusable: a file that is missing, too large or not the pinned one."""
        if importlib.util.find_spec("cv2") is None:
            raise FaceLibraryMissing
        self._detector = _pinned(settings.detector, settings.detector_sha256)
        self._recogniser = _pinned(settings.recogniser, settings.recogniser_sha256)
        self._thresholds = thresholds or default_thresholds()
        self._reader = ImageReader(limits or _LIMITS)
        pins = f"{settings.detector_sha256[:16]}-{settings.recogniser_sha256[:16]}"
        self.name = f"opencv-{pins}-{self._thresholds.version}"

    def judge(
        self,
        looks: Sequence[Look],  # noqa: ARG002 - these models do not tell where somebody looks
        pictures: Sequence[bytes],
        reference: bytes | None,
    ) -> FaceJudgement:
        """Compare each picture with the reference. ``score``: the least of the cosines."""
        if reference is None:
            return _told(FaceOutcome.INCONCLUSIVE, "no-portrait")
        said = self._asked([reference, *pictures])
        if isinstance(said, str):
            return _told(FaceOutcome.INCONCLUSIVE, said)
        faces, scores = said
        if len(faces) != len(pictures) + 1:
            return _told(FaceOutcome.INCONCLUSIVE, "model-failed")
        if set(faces) != {1}:
            return _told(FaceOutcome.INCONCLUSIVE, "no-face" if 0 in faces else "several-faces")
        if len(scores) != len(pictures) or not all(map(math.isfinite, scores)):
            return _told(FaceOutcome.INCONCLUSIVE, "model-failed")
        outcome = self._thresholds.outcome(scores)
        reason = {FaceOutcome.SAME: (), FaceOutcome.OTHER: ("face-differs",)}.get(outcome, ("face-unclear",))
        return _told(outcome, *reason, score=f"{min(scores):.3f}")

    def _asked(self, pictures: Sequence[bytes]) -> tuple[list[int], list[float]] | str:
        """Faces and scores as the process tells them, or why there are none."""
        limits = self._reader.limits
        parts = [self._detector, self._recogniser, *pictures]
        head = {
            "limits": limits.model_dump(mode="json"),
            "octets": [len(one) for one in parts],
            "least": self._thresholds.face_score,
        }
        try:
            with self._reader.turn():
                status, answer = self._reader.run(
                    "worker.compare_faces()", b"".join([json.dumps(head).encode(), b"\n", *parts])
                )
        except ImageReaderBusy:
            return "busy"
        if status is None or status < 0:
            return "timeout"
        try:
            said: dict[str, Any] = json.loads(answer)
            if status != 0 or said["cause"] is not None:
                return "model-failed"
            return [int(one) for one in said["faces"]], [float(one) for one in said["scores"]]
        except (ValueError, KeyError, TypeError):
            return "model-failed"


def _told(face: FaceOutcome, *reasons: str, score: str = "") -> FaceJudgement:
    return FaceJudgement(LivenessOutcome.INCONCLUSIVE, face, score, (*reasons, "liveness-not-judged"))


def _pinned(file: Path, sha256: str) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_MODEL + 1)
    except OSError:
        raise FaceModelUnusable(file=file.name) from None
    if len(data) > MAX_MODEL or not hmac.compare_digest(hashlib.sha256(data).hexdigest(), sha256):
        raise FaceModelUnusable(file=file.name)
    return data
