"""The picture: this is exactly what was signed, and what looks different since (at the reader's request).

For each signature the revision that it covers is written as a file of its own, with its pages as images; pages that
look different today are written again with the differences framed. Two engines draw: pdfium, and poppler's pdftoppm as
a program of its own; with one alone the verdict says so.

    I1  what looks different from the signed revision is where a change that is allowed explains it   PDF-PICTURE
    I2  both engines draw the signed revision alike                                                   PDF-PICTURE
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signing.verify.model import Reason, SubIndication, distinct, indeterminate, noted
from signing.verify.pdf import PdfSignature, read_pdf
from signing.verify.policy import Policy

_CLAUSE = "camtrust contract"
_MAX_PAGES = 100
_SCALE = 1.0  # pixels a point
_MAX_SIDE = 3000
_TOLERANCE = 48  # of 255: a pixel that differs by more looks different
_BLOCK = 12  # pixels: engines are compared by blocks, since they draw letters a little differently
_BLOCK_TOLERANCE = 120
_SECONDS = 120
_RED = (220, 30, 30)


@dataclass(frozen=True)
class Pictures:
    """The files that were written, and what the pictures have against the document."""

    files: tuple[Path, ...]
    reasons: tuple[Reason, ...]


def draw_pictures(data: bytes, stem: str, folder: Path, policy: Policy, password: bytes | None = None) -> Pictures:
    """I1, I2, with files named ``stem`` in ``folder``. Nothing is drawn of a document without readable signatures."""
    content = read_pdf(data, policy, password, places=True)
    files: list[Path] = []
    reasons: list[Reason] = []
    for number, signature in enumerate(content.signatures, 1):
        name = f"{stem}.signature-{number}"
        signed = data[: signature.end]
        files.append(_written(folder / f"{name}.pdf", signed))
        try:
            before = _pdfium(signed, password)
            after = _pdfium(data, password) if signature.end < len(data.rstrip()) else before
        except Exception:  # pdfium cannot read it, or is not installed
            reasons.append(indeterminate("PDF-PICTURE", _CLAUSE, "verify_not_drawn", SubIndication.GENERIC))
            continue
        for index, page in enumerate(before, 1):
            files.append(_saved(folder / f"{name}.page-{index}.png", page))
        found, framed = _differences(signature, before, after)
        reasons += found
        files += [_saved(folder / f"{name}.page-{index}.now.png", page) for index, page in framed]
        reasons += _second_engine(signed, before, password)
    return Pictures(tuple(files), distinct(reasons))


def _written(path: Path, octets: bytes) -> Path:
    with path.open("xb") as file:
        file.write(octets)
    return path


def _saved(path: Path, image: Any) -> Path:
    with path.open("xb") as file:
        image.save(file, "PNG")
    return path


def _pdfium(data: bytes, password: bytes | None) -> list[Any]:
    import pypdfium2

    document = pypdfium2.PdfDocument(data, password=password.decode("utf-8", "replace") if password else None)
    try:
        document.init_forms()
        pages = []
        for index in range(min(len(document), _MAX_PAGES)):
            page = document[index]
            scale = min(_SCALE, _MAX_SIDE / max(page.get_size()))
            pages.append(page.render(scale=scale, may_draw_forms=True).to_pil().convert("RGB"))
        return pages
    finally:
        document.close()


def _differences(
    signature: PdfSignature, before: list[Any], after: list[Any]
) -> tuple[list[Reason], list[tuple[int, Any]]]:
    """I1: the reasons, and the pages of today that look different, with frames."""
    from PIL import ImageChops, ImageDraw

    reasons: list[Reason] = []
    framed: list[tuple[int, Any]] = []
    if len(before) != len(after):
        reasons.append(_unexplained("-"))
    for index, (old, new) in enumerate(zip(before, after, strict=False)):
        if old.size != new.size:
            reasons.append(_unexplained(str(index + 1)))
            continue
        changed = ImageChops.difference(old, new).convert("L").point(lambda value: 255 if value > _TOLERANCE else 0)
        box = changed.getbbox()
        if box is None:
            continue
        shown = new.copy()
        ImageDraw.Draw(shown).rectangle(_grown(box), outline=_RED, width=3)
        framed.append((index + 1, shown))
        cover = ImageDraw.Draw(changed)
        for page, rect in signature.later:
            if page == index:
                cover.rectangle(_grown(_pixels(rect, new.size)), fill=0)
        if changed.getbbox() is not None:
            reasons.append(_unexplained(str(index + 1)))
    return reasons, framed


def _unexplained(page: str) -> Reason:
    return indeterminate("PDF-PICTURE", _CLAUSE, "verify_looks_different", SubIndication.GENERIC, page=page)


def _pixels(rect: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """A rectangle of a page, given as shares of its box from the top left, in pixels."""
    return rect[0] * size[0], rect[1] * size[1], rect[2] * size[0], rect[3] * size[1]


def _grown(box: Sequence[float], by: int = 2) -> tuple[float, float, float, float]:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _second_engine(data: bytes, pages: list[Any], password: bytes | None) -> list[Reason]:
    """I2. A password would stand in the other program's arguments for all to see, so those documents are drawn once."""
    program = shutil.which("pdftoppm")
    if program is None or password is not None:
        return [noted("PDF-PICTURE", _CLAUSE, "verify_one_engine")]
    from PIL import Image

    with tempfile.TemporaryDirectory(prefix="camtrust-picture-") as name:
        source = _written(Path(name) / "signed.pdf", data)
        last = str(len(pages))
        command = [program, "-r", str(72 * _SCALE), "-l", last, "-png", str(source), str(Path(name) / "page")]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
            drawn = [Image.open(path).convert("RGB") for path in sorted(Path(name).glob("page*.png"))]
        except (OSError, subprocess.SubprocessError):
            return [indeterminate("PDF-PICTURE", _CLAUSE, "verify_not_drawn", SubIndication.GENERIC)]
        alike = len(drawn) == len(pages) and all(_alike(*both) for both in zip(pages, drawn, strict=True))
    if alike:
        return []
    return [indeterminate("PDF-PICTURE", _CLAUSE, "verify_drawn_differently", SubIndication.GENERIC)]


def _alike(one: Any, other: Any) -> bool:
    """Whether two drawings of a page show the same, letters' edges apart."""
    from PIL import Image, ImageChops

    size = (max(1, one.width // _BLOCK), max(1, one.height // _BLOCK))
    coarse = [image.convert("L").resize(size, Image.Resampling.BOX) for image in (one, other)]
    highest: Any = ImageChops.difference(*coarse).getextrema()
    return bool(highest[1] <= _BLOCK_TOLERANCE)
