"""What is seen of a seal by a template of its organisation (`signing.templates`), drawn with the means of `stamp`.

Image, texts and code share the sheet: the image at its side, the code at the other one, the lines between them. Letters
are as large as the lines leave room for. What does not fit is refused, for what an officer approved is shown whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID
from fpdf.enums import Align
from fpdf.errors import FPDFException

from signing.errors import NoPlaceForSignature
from signing.sign.stamp import CAMBODIA, LEADING, PADDING, Sheet, code_of
from signing.templates import appearance as looks
from signing.templates.appearance import Appearance, Line, Picture

_LARGEST, _SMALLEST, _STEP = 14.0, 4.0, 0.5
_WIDEST = 0.45  # share of the width that image or code may take, each
_CODE = 0.84  # share of its room that the code's squares take
_HIGHEST = 0.55  # share of the height that an image above the text may take

Filled = tuple[tuple[Line, str], ...]


def values(certificate: x509.Certificate, at: datetime, reason: str | None) -> dict[str, str]:
    """What the fields of a template stand for: the certificate's names, Cambodian time, and the reason if any."""

    def of(kind: x509.ObjectIdentifier) -> str:
        found = certificate.subject.get_attributes_for_oid(kind)
        return str(found[0].value) if found else ""

    return {
        "name": of(NameOID.COMMON_NAME),
        "organisation": of(NameOID.ORGANIZATION_NAME),
        "number": of(NameOID.ORGANIZATION_IDENTIFIER),
        "time": f"{at.astimezone(CAMBODIA):%Y-%m-%d %H:%M:%S} +07:00",
        "reason": reason or "",
    }


def draw(
    appearance: Appearance, said: Mapping[str, str], address: str | None, size: tuple[float, float], fonts: Path
) -> bytes:
    """A PDF of one page of this size, in points. ``said``: what its fields stand for; ``address``: where its QR code
    leads, None: it has none. Raises NoPlaceForSignature where its texts or its code do not fit.
    """
    width, height = size
    left, right, top = PADDING, width - PADDING, PADDING
    side = min(height - 2 * PADDING, width * _WIDEST)
    squares = side * _CODE  # around it, the code's quiet zone
    rows = None if address is None else code_of(address, squares)
    picture = None
    if appearance.picture is not None and appearance.picture_at is Picture.ABOVE:
        up = (height - 2 * PADDING) * _HIGHEST
        middle = 0.0 if rows is None else side + PADDING  # the code keeps its side
        picture = (left + middle, top, right - left - middle, up)
        top += up
    elif appearance.picture is not None:
        at_left = appearance.picture_at is Picture.LEFT
        picture = (left if at_left else right - side, (height - side) / 2, side, side)
        left, right = (left + side + PADDING, right) if at_left else (left, right - side - PADDING)
    code_left = appearance.picture is None or appearance.picture_at is not Picture.LEFT
    if rows is not None:
        code_at = left if code_left else right - side
        left, right = (left + side + PADDING, right) if code_left else (left, right - side - PADDING)
    lines, room = appearance.filled(said), (right - left, height - PADDING - top)
    if room[0] <= 0 or room[1] <= 0:
        raise NoPlaceForSignature
    sheet = _TemplateSheet(size, fonts)  # it has files open until its end
    sheet.background(appearance)
    if picture is not None and appearance.picture is not None:
        x, y, across, up = picture
        sheet.image(BytesIO(appearance.picture), x, y, across, up, keep_aspect_ratio=True)
    if rows is not None:
        sheet.code(rows, code_at + (side - squares) / 2, (height - squares) / 2, squares)
    fits = sheet.lines(appearance, lines, (left, top), room)
    drawn = bytes(sheet.output())
    if not fits:
        raise NoPlaceForSignature
    return drawn


class _TemplateSheet(Sheet):
    def background(self, appearance: Appearance) -> None:
        self.set_fill_color(appearance.paper)
        self.rect(0, 0, self.w, self.h, style="F")
        if appearance.border is not None:
            self.set_draw_color(appearance.border)
            self.set_line_width(1.0)
            self.rect(0.5, 0.5, self.w - 1, self.h - 1, style="D")

    def lines(
        self, appearance: Appearance, lines: Filled, corner: tuple[float, float], room: tuple[float, float]
    ) -> bool:
        """Write the lines in their room; False where even the smallest letters are too large for it."""
        letters = _LARGEST
        while letters > _SMALLEST and not self._fits(lines, letters, room):
            letters -= _STEP
        if not self._fits(lines, letters, room):
            return False
        self.set_text_color(appearance.ink)
        align = Align.C if appearance.align is looks.Align.CENTRE else Align.L
        top = corner[1] + max(0.0, (room[1] - self._height(lines, letters, room[0])) / 2)
        for line, text in lines:
            size = letters * line.share / 100
            for part in self.broken(text, size, room[0], bold=line.bold):
                self.set_xy(corner[0], top)
                self.readable(part, room[0], size * LEADING, align)
                top += size * LEADING
        return True

    def _height(self, lines: Filled, letters: float, width: float) -> float:
        height = 0.0
        for line, text in lines:
            size = letters * line.share / 100
            try:
                parts = self.broken(text, size, width, bold=line.bold)
            except FPDFException:  # not one letter has room
                return math.inf
            height += len(parts) * size * LEADING
        return height

    def _fits(self, lines: Filled, letters: float, room: tuple[float, float]) -> bool:
        return self._height(lines, letters, room[0]) <= room[1]
