"""Where a visible signature goes: as told, beside words of the page, or where the page is free.

Places are in points of the page as it is shown, from its left lower corner; what comes out is a rectangle in the page's
own space, which may be rotated or start elsewhere. Pages are looked at through PDFium: small pictures, in grey.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pypdfium2

from signing.errors import NoPlaceForSignature
from signing.pdf_options import DEFAULT_SIZE, Visible, Where
from signing.sign.field import Spot

_MARGIN = 24.0  # points that stay free at the edge of the page, and _GAP beside words
_GAP = 6.0
_STEP = 4.0
_WHITE = 250
_SHARES = (1.0, 0.8, 0.65)
_MOST_PIXELS = 250_000
_MOST_PAGES = 50  # that are looked at

Box = tuple[float, float, float, float]


def find_spot(data: bytes, password: str | None, visible: Visible) -> Spot:
    """NoPlaceForSignature where the page, the words or the space are not there."""
    try:
        with closing(pypdfium2.PdfDocument(data, password=password)) as pdf:
            pdf.init_forms()  # signatures that are there are drawn with the form
            return _found(pdf, visible)
    except pypdfium2.PdfiumError as error:
        raise NoPlaceForSignature from error


def _found(pdf: Any, visible: Visible) -> Spot:
    nobody_asked = visible.size == DEFAULT_SIZE or visible.template is not None
    if visible.where is Where.AUTO and nobody_asked:  # for a size: rather small than not
        for share in _SHARES:
            with suppress(NoPlaceForSignature):
                return _at_size(pdf, visible, (visible.size[0] * share, visible.size[1] * share))
        raise NoPlaceForSignature
    return _at_size(pdf, visible, visible.size)


def _at_size(pdf: Any, visible: Visible, size: tuple[float, float]) -> Spot:
    width, height = size
    for index in _pages(len(pdf), visible):
        page = _Shown(pdf, index)
        if visible.where is Where.AT:
            assert visible.at is not None  # noqa: S101 - the parser of options sees to it
            left, bottom = visible.at
            if not (left >= 0 and left + width <= page.width and bottom >= 0 and bottom + height <= page.height):
                raise NoPlaceForSignature
            return page.spot((left, bottom, left + width, bottom + height))
        box = page.beside(visible.anchor, width, height) if visible.anchor else page.free(width, height)
        if box is not None:
            return page.spot(box)
    raise NoPlaceForSignature


def _pages(count: int, visible: Visible) -> Iterator[int]:
    """The page that was named; else the pages from the first for words, from the last for free space."""
    if visible.page is not None:
        index = visible.page - 1 if visible.page > 0 else count + visible.page
        if 0 <= index < count:
            yield index
        return
    if visible.where is Where.AT:
        yield count - 1
        return
    order = range(count) if visible.where is Where.ANCHOR else range(count - 1, -1, -1)
    yield from order[:_MOST_PAGES]


class _Shown:
    """A page as it is shown, and what is drawn on it."""

    def __init__(self, pdf: Any, index: int) -> None:
        self._page = pdf[index]
        self._index = index
        self.width, self.height = self._page.get_size()
        self.rotation = int(self._page.get_rotation()) % 360
        self._crop = self._page.get_cropbox()
        self._sums: list[list[int]] | None = None
        self._scale = 1.0

    def spot(self, box: Box) -> Spot:
        """From the shown page to its own space."""
        left, bottom, right, top = self._crop
        across, up = right - left, top - bottom

        def own(x: float, y: float) -> tuple[float, float]:
            turned = {0: (x, y), 90: (across - y, x), 180: (across - x, up - y), 270: (y, up - x)}[self.rotation]
            return left + turned[0], bottom + turned[1]

        (x1, y1), (x2, y2) = own(box[0], box[1]), own(box[2], box[3])
        return Spot(self._index, (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), self.rotation)

    def beside(self, words: str, width: float, height: float) -> Box | None:
        """Under, right of or above the first of these words, where there is room; None: they are not here."""
        text = self._page.get_textpage()
        found = text.search(words).get_next()
        if found is None:
            return None
        boxes = [text.get_charbox(one) for one in range(found[0], found[0] + found[1])]
        corners = [self._shown(one[0], one[1]) for one in boxes] + [self._shown(one[2], one[3]) for one in boxes]
        left, right = min(x for x, _ in corners), max(x for x, _ in corners)
        bottom, top = min(y for _, y in corners), max(y for _, y in corners)
        places = [
            (left, bottom - _GAP - height),
            (right + _GAP, (bottom + top) / 2 - height / 2),
            (left, top + _GAP),
        ]
        for x, y in places:
            box = (x, y, x + width, y + height)
            if x >= 0 and y >= 0 and box[2] <= self.width and box[3] <= self.height and self._is_free(box):
                return box
        raise NoPlaceForSignature

    def free(self, width: float, height: float) -> Box | None:
        """The lowest free place, as far right as it goes."""
        bottom = _MARGIN
        while bottom + height <= self.height - _MARGIN:
            left = self.width - _MARGIN - width
            while left >= _MARGIN:
                box = (left, bottom, left + width, bottom + height)
                if self._is_free((left - _GAP, bottom - _GAP, left + width + _GAP, bottom + height + _GAP)):
                    return box
                left -= _STEP
            bottom += _STEP
        return None

    def _shown(self, x: float, y: float) -> tuple[float, float]:
        """From the page's own space to the shown page."""
        left, bottom, right, top = self._crop
        x, y, across, up = x - left, y - bottom, right - left, top - bottom
        return {0: (x, y), 90: (y, across - x), 180: (across - x, up - y), 270: (up - y, x)}[self.rotation]

    def _is_free(self, box: Box) -> bool:
        sums = self._inked()
        rows, columns = len(sums) - 1, len(sums[0]) - 1
        left = max(0, min(columns, int(box[0] * self._scale)))
        right = max(0, min(columns, int(box[2] * self._scale) + 1))
        top = max(0, min(rows, int((self.height - box[3]) * self._scale)))
        bottom = max(0, min(rows, int((self.height - box[1]) * self._scale) + 1))
        return sums[bottom][right] - sums[top][right] - sums[bottom][left] + sums[top][left] == 0

    def _inked(self) -> list[list[int]]:
        """How many pixels are not white above and left of each point: so any rectangle is counted at once."""
        if self._sums is None:
            self._scale = min(1.0, (_MOST_PIXELS / (self.width * self.height)) ** 0.5)
            picture = self._page.render(scale=self._scale, grayscale=True)
            octets, stride = bytes(picture.buffer), picture.stride
            self._sums = [[0] * (picture.width + 1)]
            for row in range(picture.height):
                above, total, line = self._sums[-1], 0, [0]
                for column, value in enumerate(octets[row * stride : row * stride + picture.width], start=1):
                    total += value < _WHITE
                    line.append(above[column] + total)
                self._sums.append(line)
        return self._sums
