"""The specimen documents: written for people, readable by machines, the same each time."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from camtrust.documents import make_specimen_documents
from tests import programs

AT = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
WORDS = tomllib.loads((Path(__file__).resolve().parents[2] / "camtrust/documents.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The three documents, made once."""
    return make_specimen_documents(tmp_path_factory.mktemp("documents"), AT)


def test_the_same_time_gives_the_same_bytes(documents: list[Path], tmp_path: Path) -> None:
    """What is made again at the same time is equal byte for byte; a day later it is not."""
    again = make_specimen_documents(tmp_path, AT)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in documents]
    later = make_specimen_documents(tmp_path, AT.replace(day=6))
    assert later[0].read_bytes() != documents[0].read_bytes()


def test_the_files_are_sound(documents: list[Path]) -> None:
    """qpdf finds nothing wrong in any of them."""
    assert len(documents) == 3
    for path in documents:
        programs.run("qpdf", "--check", path)


def test_every_page_says_specimen(documents: list[Path]) -> None:
    """No page of any document looks real."""
    for path in documents:
        pages = _text(path).removesuffix("\f").split("\f")
        assert all("SPECIMEN" in page and "គំរូ" in page for page in pages)


@pytest.mark.parametrize("name", ["letter", "agreement", "form"])
def test_text_comes_back(documents: list[Path], name: str) -> None:
    """Every word, Khmer ones in their written order, can be read back, searched and copied."""
    path = next(path for path in documents if path.name == WORDS[name]["file"])
    found = _bare(_text(path))
    missing = [text for text in _texts(WORDS[name]) if _bare(text) not in found]
    assert not missing


def test_khmer_is_shaped(documents: list[Path]) -> None:
    """The pages hold glyphs that only shaping gives: subscript forms have no character of their own."""
    import pikepdf

    with pikepdf.open(documents[0]) as letter:
        fonts = letter.pages[0].Resources.Font
        names = [str(fonts[key].BaseFont) for key in fonts]
        maps = b"".join(bytes(fonts[key].ToUnicode.read_bytes()) for key in fonts)
    assert any("NotoSansKhmer" in name for name in names)
    assert b"17D2" in maps  # a glyph that stands for the coeng sign with the consonant it puts below


def _text(path: Path) -> str:
    return str(programs.run("pdftotext", path, "-").stdout)


def _bare(text: str) -> str:
    return re.sub(r"[\s\u200b]+", "", text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "{" not in value and not value.endswith(".pdf"):
            yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
