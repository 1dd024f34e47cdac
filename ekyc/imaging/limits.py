"""How much an image may be, and how much the process that decodes it may use."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MIB = 1024 * 1024


class ImageLimits(BaseModel):
    """Limits on what comes in, and of the worker. ``pixels`` is width times height, before anything is decoded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    octets: Annotated[int, Field(ge=1024, le=64 * MIB)] = 8 * MIB
    pixels: Annotated[int, Field(ge=1, le=200_000_000)] = 30_000_000
    side: Annotated[int, Field(ge=1, le=65_535)] = 10_000
    smallest_side: Annotated[int, Field(ge=1, le=10_000)] = 200
    kept_side: Annotated[int, Field(ge=200, le=10_000)] = 3_000  # what is larger is kept at this size
    answer: Annotated[int, Field(ge=1024, le=64 * MIB)] = 16 * MIB  # octets that the worker may write
    jpeg_2000: bool = False  # chips have portraits of this format; phones send none
    grey: bool = False  # for a reader of letters: grey, contrast stretched
    memory: Annotated[int, Field(ge=64 * MIB)] = 768 * MIB  # address space of the worker
    cpu_seconds: Annotated[int, Field(ge=1, le=60)] = 10
    seconds: Annotated[float, Field(gt=0, le=120)] = 20.0  # until the worker is killed
    at_once: Annotated[int, Field(ge=1, le=64)] = 2  # workers that run beside each other
    queue_seconds: Annotated[float, Field(ge=0, le=60)] = 10.0  # how long one more waits for its turn
