"""Faces in pictures, by OpenCV's YuNet and SFace. Runs in the worker, behind its walls; pure but for what it loads.

The models come as octets and are read behind the walls: no file is opened for them. Every picture is put on a square of
the size for which the detector was made, so that nothing depends on what a model can be stretched to.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SIDE = 640  # pixels: the square that YuNet's published models take
_OVERLAP, _MOST = 0.3, 50


class NoFaceLibrary(Exception):
    """OpenCV is not installed."""


@dataclass(frozen=True)
class Compared:
    """How many faces each picture has, the first among them; and, where each has one, how alike each other one is to
    the first: cosines.
    """

    faces: tuple[int, ...]
    scores: tuple[float, ...]


def load() -> Any:
    """The library, without threads: behind the walls none can be started. Raises NoFaceLibrary."""
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    try:
        import cv2
    except ImportError:
        raise NoFaceLibrary from None
    cv2.setNumThreads(1)
    return cv2


def compare(cv2: Any, detector: bytes, recogniser: bytes, least: float, pictures: Sequence[bytes]) -> Compared:
    """Find faces (with at least the score ``least``) in each picture, and compare the others with the first one's.

    Whatever the library raises is raised: a picture or model that it cannot read.
    """
    finder = cv2.FaceDetectorYN.create("onnx", _octets(detector), _octets(b""), (SIDE, SIDE), least, _OVERLAP, _MOST)
    squares = [_square(cv2, picture) for picture in pictures]
    found = [finder.detect(square)[1] for square in squares]
    faces = tuple(0 if one is None else len(one) for one in found)
    if set(faces) != {1}:
        return Compared(faces, ())
    knower = cv2.FaceRecognizerSF.create("onnx", _octets(recogniser), _octets(b""))
    features = [
        knower.feature(knower.alignCrop(square, one[0])).copy() for square, one in zip(squares, found, strict=True)
    ]
    cosine = cv2.FaceRecognizerSF_FR_COSINE
    return Compared(faces, tuple(float(knower.match(features[0], one, cosine)) for one in features[1:]))


def _octets(data: bytes) -> Any:
    import numpy

    return numpy.frombuffer(data, numpy.uint8)


def _square(cv2: Any, picture: bytes) -> Any:
    image = cv2.imdecode(_octets(picture), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("not a picture")
    height, width = image.shape[:2]
    scale = min(SIDE / width, SIDE / height, 1.0)
    if scale < 1:
        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    height, width = image.shape[:2]
    return cv2.copyMakeBorder(image, 0, SIDE - height, 0, SIDE - width, cv2.BORDER_CONSTANT, value=(0, 0, 0))
