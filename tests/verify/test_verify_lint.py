"""Before signing: what a document hides or prepares is told; a document that is what it shows is not spoken of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pikepdf
import pytest

from signing.verify.lint import lint_document
from tests.attacks import attacks_on_objects
from tests.attacks.increments import changed, retabled
from tests.attacks.sources import SOURCES
from tests.attacks.specimens import form_document
from tests.verify.verify_world import World, document

QUIET = [name for name in SOURCES if name not in ("attachment", "form")]


def rules(data: bytes) -> set[str]:
    return {one.rule for one in lint_document(data)}


@pytest.mark.parametrize("name", QUIET)
def test_nothing_is_said_of_ordinary_documents(name: str) -> None:
    """Documents by several producers."""
    assert rules(SOURCES[name]()) == set()


def test_signed_documents_are_ordinary(world: World, plain: bytes) -> None:
    """Signatures and evidence that are there already are not hidden content."""
    assert rules(world.signed(plain)) == set()


CHANGES: dict[str, tuple[Callable[[pikepdf.Pdf], Any], str]] = {
    "script": (attacks_on_objects.page_action, "PRE-SCRIPT"),
    "layer": (attacks_on_objects.layers, "PRE-LAYER"),
    "attachment": (attacks_on_objects.attachment_by_name, "PRE-ATTACHMENT"),
    "page": (attacks_on_objects.orphan_page, "PRE-UNUSED"),
    "content": (attacks_on_objects.other_content, "PRE-UNUSED"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_hidden_is_told(name: str) -> None:
    """Each kind under its rule."""
    change, rule = CHANGES[name]
    assert rule in rules(changed(document(), change))


def test_what_is_prepared_is_told() -> None:
    """A field over the text, a reference to nothing, two parsers that differ."""
    assert "PRE-COVERING" in rules(form_document())
    dangling = document().replace(b"/Contents 4 0 R", b"/Contents [ 4 0 R 77 0 R ]", 1)
    assert "PRE-DANGLING" in rules(retabled(dangling))
    assert "PRE-READERS" in rules(retabled(document().replace(b"/MediaBox", b"/Foo#00 1 /MediaBox", 1)))


def test_what_cannot_be_read() -> None:
    """Said, and not raised."""
    assert rules(b"%PDF-1.7\nnothing") == {"PRE-LIMIT"}
