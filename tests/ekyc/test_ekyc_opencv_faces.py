"""Models that operators bring: pinned, confined, and inconclusive whenever something is not clear."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from ekyc.config import FaceSettings
from ekyc.evidence.errors import FaceLibraryMissing, FaceModelUnusable
from ekyc.faces import opencv as opencv_faces
from ekyc.faces.desk import FaceJudgement, Look
from ekyc.faces.opencv import FaceThresholds, OpenCvFaceModel, default_thresholds
from ekyc.findings import FaceOutcome, LivenessOutcome
from ekyc.imaging.limits import ImageLimits
from tests.ekyc import face_models, images

LOOKS = (Look.LEFT, Look.RIGHT)


def settings(folder: Path, detector: bytes | None = None, recogniser: bytes | None = None) -> FaceSettings:
    """Both models as files, pinned."""
    parts = {
        "detector": detector or face_models.detector(),
        "recogniser": recogniser or face_models.recogniser(),
    }
    for name, data in parts.items():
        (folder / f"{name}.onnx").write_bytes(data)
    pins = {f"{name}_sha256": hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    files = {name: folder / f"{name}.onnx" for name in parts}
    return FaceSettings(**files, **pins, license="specimen")


def judged(model: OpenCvFaceModel, pictures: Sequence[bytes], reference: bytes | None) -> FaceJudgement:
    said = model.judge(LOOKS, pictures, reference)
    assert said.liveness is LivenessOutcome.INCONCLUSIVE
    assert "liveness-not-judged" in said.reasons
    return said


def test_drawn_portraits_are_compared(tmp_path: Path) -> None:
    """The same pattern is the same, another one another; the score and the pins are told, and liveness is not."""
    given = settings(tmp_path)
    model = OpenCvFaceModel(given)
    assert given.detector_sha256[:16] in model.name
    assert default_thresholds().version in model.name
    one, other = face_models.portrait(1), face_models.portrait(2)
    same = judged(model, [one, one], one)
    assert (same.face, float(same.score) > 0.9) == (FaceOutcome.SAME, True)
    assert judged(model, [one, other], one).face is not FaceOutcome.SAME
    strict = FaceThresholds(version="test", face_score=0.9, same=0.99, other=0.95)
    assert judged(OpenCvFaceModel(given, strict), [other, other], one).face is FaceOutcome.OTHER


def test_what_is_not_one_face_is_inconclusive(tmp_path: Path) -> None:
    """No face, two faces, no reference, what is no picture: an officer looks."""
    model = OpenCvFaceModel(settings(tmp_path))
    one = face_models.portrait(1)
    for pictures, reference, reason in (
        ([one, images.photograph()], one, "no-face"),
        ([one, face_models.portrait(1, 2)], one, "several-faces"),
        ([one, one], None, "no-portrait"),
        ([one, b"no picture"], one, "model-failed"),
    ):
        said = judged(model, pictures, reference)
        assert (said.face, said.reasons[0], said.score) == (FaceOutcome.INCONCLUSIVE, reason, "")


def test_a_model_that_fails_is_inconclusive(tmp_path: Path) -> None:
    """Features that are no numbers, and a file that is pinned and no model."""
    one = face_models.portrait(1)
    for number, recogniser in enumerate((face_models.recogniser(not_a_number=True), b"no model")):
        folder = tmp_path / str(number)
        folder.mkdir()
        said = judged(OpenCvFaceModel(settings(folder, recogniser=recogniser)), [one, one], one)
        assert said.face is FaceOutcome.INCONCLUSIVE
        assert said.score == ""


def test_a_process_that_takes_too_long_is_ended_and_inconclusive(tmp_path: Path) -> None:
    """Its time is over before it can have begun."""
    limits = ImageLimits(seconds=0.001, at_once=1)
    said = judged(OpenCvFaceModel(settings(tmp_path), limits=limits), [face_models.portrait(1)] * 2, b"x")
    assert (said.face, said.reasons[0]) == (FaceOutcome.INCONCLUSIVE, "timeout")


def test_a_swapped_model_is_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One octet more, no file, a file that is too large; without the pin the swapped one would be taken."""
    given = settings(tmp_path)
    with given.recogniser.open("ab") as file:
        file.write(b"x")
    with pytest.raises(FaceModelUnusable):
        OpenCvFaceModel(given)
    monkeypatch.setattr("hmac.compare_digest", lambda *_: True)  # the control is off
    assert OpenCvFaceModel(given).name
    monkeypatch.setattr(opencv_faces, "MAX_MODEL", 10)
    with pytest.raises(FaceModelUnusable):
        OpenCvFaceModel(given)
    given.detector.unlink()
    with pytest.raises(FaceModelUnusable):
        OpenCvFaceModel(given)


def test_models_without_the_library_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are set and OpenCV is missing: the service does not start as if there were none."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(FaceLibraryMissing):
        OpenCvFaceModel(settings(tmp_path))


def test_scores_between_the_thresholds_are_unclear() -> None:
    """Every picture must be alike enough; what is no score is none."""
    rules = FaceThresholds(version="test", face_score=0.9, same=0.4, other=0.2)
    for scores, outcome in (
        ([0.4, 0.9], FaceOutcome.SAME),
        ([0.39, 0.9], FaceOutcome.INCONCLUSIVE),
        ([0.2, -1.0], FaceOutcome.OTHER),
        ([0.2, 0.3], FaceOutcome.INCONCLUSIVE),
        ([], FaceOutcome.INCONCLUSIVE),
        ([math.nan, 0.9], FaceOutcome.INCONCLUSIVE),
        ([0.9, math.inf], FaceOutcome.INCONCLUSIVE),
        ([2.0, 2.0], FaceOutcome.INCONCLUSIVE),
    ):
        assert rules.outcome(scores) is outcome
    with pytest.raises(ValueError, match="other is below same"):
        FaceThresholds(version="test", face_score=0.9, same=0.2, other=0.4)
