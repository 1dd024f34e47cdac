"""Whether what became visible covers something that was there (D4 of `signing.verify.pdf_changes`).

A later signature may show itself where the page was empty. The page is drawn as it was before, with pdfium, and looked
at where the new field is; fields that came later count as there. Where pdfium is not installed, every visible field
could cover something.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from signing.verify.pdf_fields import Appeared
from signing.verify.pdf_layout import Layout
from signing.verify.pdf_objects import Ref, Revisions, entries_of

_MAX_SIDE = 4000  # pixels; pages that are larger are drawn smaller
_TOLERANCE = 6  # of 255, between the lightest and the darkest pixel of what counts as empty


class Covering:
    """The pages of one file as they were before they were added to; each is drawn once."""

    def __init__(self, data: bytes, layout: Layout, revisions: Revisions) -> None:
        self._data, self._layout, self._revisions = data, layout, revisions
        self._drawn: dict[Ref, Any] = {}
        self._taken: dict[Ref, dict[int, list[tuple[float, float, float, float]]]] = {}

    def covered(self, revision: int, appeared: Sequence[Appeared]) -> list[str]:
        """The names of those fields of ``revision`` that cover something or whose page cannot be drawn."""
        found: list[str] = []
        for one in appeared:
            if one.rect is None:
                continue
            try:
                free = isinstance(one.page, Ref) and self.is_free(one.page, one.rect, revision)
            except MemoryError:
                raise
            except Exception:  # a page that pdfium cannot draw, or no pdfium
                free = False
            if not free:
                found.append(one.field)
            elif isinstance(one.page, Ref):
                places = self._taken.setdefault(one.page, {}).setdefault(revision, [])
                if one.rect not in places:
                    places.append(one.rect)
        return found

    def is_free(self, page: Ref, rect: tuple[float, float, float, float], revision: int) -> bool:
        """Whether nothing was there before ``revision``. Raises whatever drawing the page raises."""
        if not all(math.isfinite(one) for one in rect):
            return False
        for at, places in self._taken.get(page, {}).items():
            if at < revision and any(_overlap(rect, place) for place in places):
                return False
        picture, first = self._page(page, revision)
        if first > revision:  # drawn with what came later: draw it as it was
            del self._drawn[page]
            picture, _ = self._page(page, revision)
        return bool(picture.is_empty(rect))

    def _page(self, page: Ref, revision: int) -> tuple[_Picture, int]:
        if page not in self._drawn:
            index = self._index_of(page, revision - 1)
            self._drawn[page] = (_draw(self._data[: self._layout.end(revision - 1)], index), revision)
        drawn: tuple[_Picture, int] = self._drawn[page]
        return drawn

    def share_of(
        self, page: Any, rect: tuple[float, float, float, float], revision: int
    ) -> tuple[int, tuple[float, float, float, float]]:
        """A page's index, and a rectangle on it in shares of the page from its top left. Raises for no such page."""
        picture, _ = self._page(page, revision)
        return self._index_of(page, revision - 1), picture.share(rect)

    def _index_of(self, page: Ref, revision: int) -> int:
        """The number of a page in the page tree. Raises ValueError for one that is not in it."""
        index = 0
        waiting: list[Any] = [self._revisions.catalog(revision).get("/Pages")]
        seen: set[Ref] = set()
        while waiting:
            ref = waiting.pop()
            node = entries_of(self._revisions.resolve(ref, revision))
            if ref in seen or len(seen) > 50_000:
                break
            seen.add(ref)
            if "/Kids" in node:
                kids = self._revisions.resolve(node["/Kids"], revision)
                waiting.extend(reversed(kids if isinstance(kids, tuple) else ()))
            elif ref == page:
                return index
            else:
                index += 1
        raise ValueError("no such page")


class _Picture:
    """A page in grey, and how its coordinates lead to pixels."""

    def __init__(self, image: Any, to_pixels: Any) -> None:
        self._image, self._to_pixels = image, to_pixels

    def share(self, rect: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """The rectangle in shares of the page from its top left."""
        left, top, right, bottom = self._box(rect)
        width, height = self._image.size
        return left / width, top / height, right / width, bottom / height

    def _box(self, rect: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        corners = [self._to_pixels(x, y) for x in (rect[0], rect[2]) for y in (rect[1], rect[3])]
        across, down = [x for x, _ in corners], [y for _, y in corners]
        return min(across), min(down), max(across), max(down)

    def is_empty(self, rect: tuple[float, float, float, float]) -> bool:
        """Whether the page shows one even colour there. What lies outside the page is empty."""
        left, top, right, bottom = self._box(rect)
        width, height = self._image.size
        box = (
            max(math.floor(left), 0),
            max(math.floor(top), 0),
            min(math.ceil(right), width),
            min(math.ceil(bottom), height),
        )
        if box[0] >= box[2] or box[1] >= box[3]:
            return True
        low, high = self._image.crop(box).getextrema()
        return bool(high - low <= _TOLERANCE)


def _draw(data: bytes, index: int) -> _Picture:
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    try:
        document.init_forms()
        page = document[index]
        scale = min(1.5, _MAX_SIDE / max(page.get_size()))
        image = page.render(scale=scale, grayscale=True, may_draw_forms=True).to_pil().convert("L")
        size = image.size
        left, bottom, right, top = page.get_cropbox()
        turn = page.get_rotation()

        def to_pixels(x: float, y: float) -> tuple[float, float]:
            across, up = (x - left) / ((right - left) or 1), (y - bottom) / ((top - bottom) or 1)
            turned = {0: (across, 1 - up), 90: (up, across), 180: (1 - across, up), 270: (1 - up, 1 - across)}
            u, v = turned[turn % 360]
            return u * size[0], v * size[1]

        return _Picture(image, to_pixels)
    finally:
        document.close()


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
