"""The picture: what was signed as a file and as images, what looks different since, and engines that must agree."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from signing.verify import picture
from signing.verify.picture import draw_pictures
from signing.verify.policy import STRICT
from tests.verify.verify_world import World, document


def test_the_signed_revision_and_its_pages(world: World, plain: bytes, tmp_path: Path) -> None:
    """Two signatures: each revision as its own file, octet for octet, and its page; what came later is framed."""
    first = world.sign(plain)
    both = world.sign(first, field="Two", box=(20, 20, 200, 80))
    drawn = draw_pictures(both, "a", tmp_path, STRICT)
    assert drawn.reasons == ()
    assert [one.name for one in drawn.files] == [
        "a.signature-1.pdf", "a.signature-1.page-1.png", "a.signature-1.page-1.now.png",
        "a.signature-2.pdf", "a.signature-2.page-1.png",
    ]  # fmt: skip
    signed = (tmp_path / "a.signature-1.pdf").read_bytes()
    assert first.startswith(signed)
    assert first[len(signed) :].strip() == b""
    now = Image.open(tmp_path / "a.signature-1.page-1.now.png").convert("RGB")
    assert picture._RED in {color for _, color in now.getcolors(1 << 20) or []}


def test_a_change_that_nothing_explains(world: World, plain: bytes, tmp_path: Path) -> None:
    """A page that was replaced later: the picture says so, whatever else does."""
    from tests.attacks.attacks_on_objects import replace_content
    from tests.attacks.increments import changed

    drawn = draw_pictures(changed(world.sign(plain), replace_content), "a", tmp_path, STRICT)
    assert [(one.rule, one.key) for one in drawn.reasons] == [("PDF-PICTURE", "signing.verify_looks_different")]


def test_one_engine_says_so(world: World, plain: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where poppler is not installed, the pictures are pdfium's alone, and the verdict says so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    drawn = draw_pictures(world.sign(plain), "a", tmp_path, STRICT)
    assert [one.key for one in drawn.reasons] == ["signing.verify_one_engine"]


def test_engines_that_draw_differently(world: World, tmp_path: Path) -> None:
    """Another drawing of the page is not taken for the same one."""
    from signing.verify.picture import _pdfium, _second_engine

    signed = world.sign(document())
    with pikepdf.open(BytesIO(document())) as pdf:
        pdf.pages[0].obj.Contents.write(b"0 0 300 400 re f")
        output = BytesIO()
        pdf.save(output)
    other = _pdfium(output.getvalue(), None)
    assert [one.key for one in _second_engine(signed, other, None)] == ["signing.verify_drawn_differently"]
    assert _second_engine(signed, _pdfium(signed, None), None) == []
