"""How much an image may be, and how much the process that decodes it may use."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MIB = 1024 * 1024


class ImageLimits(BaseModel):
    """Limits on what comes in, and of the worker. ``pixels`` is width times height, before anything is decoded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    octets: Annotated[int, Field(ge=1024, le=64 * MIB, description="largest image that is taken, in octets")] = 8 * MIB
    pixels: Annotated[int, Field(ge=1, le=200_000_000, description="most pixels, width times height")] = 30_000_000
    side: Annotated[int, Field(ge=1, le=65_535, description="longest side, in pixels")] = 10_000
    smallest_side: Annotated[int, Field(ge=1, le=10_000, description="shortest side, in pixels")] = 200
    kept_side: Annotated[int, Field(ge=200, le=10_000, description="what is larger is kept at this size")] = 3_000
    answer: Annotated[int, Field(ge=1024, le=64 * MIB, description="octets that the decoding process may write")] = (
        16 * MIB
    )
    jpeg_2000: Annotated[bool, Field(description="take JPEG 2000 too; portraits of chips are always taken")] = False
    grey: Annotated[
        bool, Field(description="keep images grey, contrast stretched, as a reader of letters sees them")
    ] = False
    memory: Annotated[int, Field(ge=64 * MIB, description="address space of the decoding process, in octets")] = (
        768 * MIB
    )
    cpu_seconds: Annotated[int, Field(ge=1, le=60, description="its processor time")] = 10
    seconds: Annotated[float, Field(gt=0, le=120, description="until it is killed")] = 20.0
    at_once: Annotated[int, Field(ge=1, le=64, description="images that are decoded at once")] = 2
    queue_seconds: Annotated[float, Field(ge=0, le=60, description="how long one more waits for its turn")] = 10.0
