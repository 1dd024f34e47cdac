"""Seal images for the signing room, decoded by the process that also decodes persons' images (`ekyc.imaging`)."""

from __future__ import annotations

from ekyc.errors import EkycError
from ekyc.evidence.errors import (
    ImageAnimated,
    ImageBroken,
    ImageFormatUnknown,
    ImageTooCostly,
    ImageTooLarge,
    ImageTooSmall,
)
from ekyc.imaging import ImageLimits, ImageReader
from ekyc.imaging.limits import MIB
from signing.templates.errors import SealImageRefused
from signing.templates.service import MAX_IMAGE

_SIDE = 800  # pixels of the longer side as it is kept: 72 mm in print at 300 to the inch
_CAUSES: dict[type[EkycError], str] = {
    ImageFormatUnknown: "format",
    ImageTooLarge: "too-large",
    ImageTooSmall: "too-small",
    ImageAnimated: "animated",
    ImageBroken: "broken",
    ImageTooCostly: "costly",
}


class ConfinedSealImages:
    """`signing.ports.SealImages`."""

    def __init__(self) -> None:
        limits = ImageLimits(
            octets=MAX_IMAGE, pixels=16_000_000, side=5_000, smallest_side=64, kept_side=_SIDE, answer=2 * MIB
        )
        self._reader = ImageReader(limits)

    def clean(self, data: bytes) -> bytes:
        """Raises ImageReaderBusy and ImageReaderUnavailable as they are: they pass."""
        try:
            return self._reader.read(data).data
        except tuple(_CAUSES) as error:
            raise SealImageRefused(cause=_CAUSES[type(error)]) from error
