"""Decoding within limits, and encoding anew. Pure: runs in the worker, behind its walls.

The format is what the octets say, never a name or a header of the request. Size is judged before pixels are made.
What is given back is made of pixels alone: no metadata, no colour profile, no thumbnail, nothing before or after the
image that another program would read as a page, an archive or a script.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import (
    Image,
    ImageOps,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from ekyc.imaging.limits import ImageLimits

# Loaded now: behind the walls no file can be opened. TIFF is how EXIF is written.
_LOADED = (Jpeg2KImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)
_QUALITY = 90


class Refused(Exception):
    """The image is not taken; the argument is one of :data:`CAUSES`."""


CAUSES = ("format", "too-large", "too-small", "animated", "broken")


@dataclass(frozen=True)
class Decoded:
    """A JPEG made here, its size, and the format that came."""

    data: bytes
    width: int
    height: int
    came_as: str


def format_of(data: bytes, *, jpeg_2000: bool = False) -> str | None:
    """JPEG, PNG or WEBP by the first octets (JPEG2000 where that is taken); None for anything else."""
    if jpeg_2000 and data.startswith((b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")):
        return "JPEG2000"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return None


def prepare() -> None:
    """Load whatever the library loads when it first reads or writes: behind the walls it could not."""
    Image.preinit()
    for kind in ("JPEG", "PNG", "WEBP", "JPEG2000"):
        buffer = io.BytesIO()
        Image.new("RGB", (256, 256)).save(buffer, kind)
        decode(buffer.getvalue(), ImageLimits(jpeg_2000=True))


def decode(data: bytes, limits: ImageLimits) -> Decoded:
    """Raises Refused."""
    kind = format_of(data, jpeg_2000=limits.jpeg_2000)
    if kind is None:
        raise Refused("format")
    if len(data) > limits.octets:
        raise Refused("too-large")
    Image.MAX_IMAGE_PIXELS = limits.pixels
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)
        try:
            image = Image.open(io.BytesIO(data), formats=(kind,))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise Refused("too-large") from None
        except Exception as error:  # the library raises many kinds
            raise Refused("broken") from error
        width, height = image.size
        if width * height > limits.pixels or max(width, height) > limits.side:
            raise Refused("too-large")
        if min(width, height) < limits.smallest_side:
            raise Refused("too-small")
        try:
            # Phones append a second picture to a JPEG; the first is the photograph.
            if kind != "JPEG" and getattr(image, "n_frames", 1) > 1:
                raise Refused("animated")
            image.load()
            return _encoded(image, kind, limits)
        except (Refused, MemoryError):
            raise
        except Exception as error:  # truncated, impossible structure: the library raises many kinds
            raise Refused("broken") from error


def _encoded(image: Image.Image, kind: str, limits: ImageLimits) -> Decoded:
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "LA", "PA", "P"):
        transparent = upright.convert("RGBA")
        flat = Image.new("RGB", transparent.size, "white")
        flat.paste(transparent, mask=transparent.getchannel("A"))
    else:
        flat = Image.frombytes("RGB", upright.size, upright.convert("RGB").tobytes())
    flat.thumbnail((limits.kept_side, limits.kept_side))
    if limits.grey:
        flat = ImageOps.autocontrast(ImageOps.grayscale(flat))
    buffer = io.BytesIO()
    flat.save(buffer, "JPEG", quality=_QUALITY)
    return Decoded(buffer.getvalue(), flat.width, flat.height, kind)
