"""What draws, in a process of its own (`signing.preview.worker`): bounded in pages, pixels, memory and time. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO

from signing.verify.lint import lint_document
from signing.verify.model import Reason
from signing.verify.sandbox import MIB, Bounds

SCALE = 1.75  # pixels a point
MOST_PIXELS = 4_000_000  # of one page
MOST_PAGES = 200
BOUNDS = Bounds(seconds=20, memory=2048 * MIB)


@dataclass(frozen=True)
class Task:
    """A document, and which pages of it are wanted (from 0 on); none: what it hides is."""

    data: bytes = field(repr=False)
    password: str | None = field(default=None, repr=False)
    pages: tuple[int, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """The pages as PNG, in the order asked, or the notes. ``failed``: the document cannot be drawn."""

    pages: tuple[bytes, ...] = ()
    notes: tuple[Reason, ...] = ()
    failed: bool = False


def perform(task: Task) -> Drawn:
    """Draw the pages of a task, or look through its document. Raises nothing."""
    if not task.pages:
        return Drawn(notes=lint_document(task.data, task.password.encode() if task.password else None))
    try:
        return Drawn(pages=_draw(task))
    except MemoryError:
        raise
    except Exception:  # of a library that meets what it does not know
        return Drawn(failed=True)


def _draw(task: Task) -> tuple[bytes, ...]:
    import pypdfium2

    document = pypdfium2.PdfDocument(task.data, password=task.password)
    try:
        document.init_forms()  # what forms show is drawn; no script runs
        found = []
        for index in task.pages:
            page = document[index]
            width, height = page.get_size()
            scale = min(SCALE, (MOST_PIXELS / max(1.0, width * height)) ** 0.5)
            image = page.render(scale=scale, may_draw_forms=True).to_pil().convert("RGB")
            written = BytesIO()
            image.quantize(64).save(written, "PNG", optimize=False)
            found.append(written.getvalue())
            page.close()
        return tuple(found)
    finally:
        document.close()
