"""Pictures of specimen cards, as a phone takes them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

import camtrust
from tests import programs

_FONT = Path(camtrust.__file__).parent / "fonts" / "NotoSans-Regular.ttf"
SIZE = (1600, 1010)


def card(lines: Sequence[str], *, turned: float = 0.0, blurred: float = 0.0) -> bytes:
    """The back of a card with these lines, a little turned and blurred where asked, as a JPEG."""
    picture = Image.new("RGB", SIZE, "#dfe8d8")
    draw = ImageDraw.Draw(picture)
    draw.text((60, 60), "SPECIMEN", font=ImageFont.truetype(str(_FONT), 90), fill="#446644")
    characters = ImageFont.truetype(str(programs.path("OCRB.otf")), 58 if len(lines) == 3 else 40)
    for number, line in enumerate(lines):
        draw.text((90, 640 + 100 * number), line, font=characters, fill="#202020")
    picture = picture.rotate(turned, fillcolor="#dfe8d8", resample=Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.filter(ImageFilter.GaussianBlur(blurred)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
