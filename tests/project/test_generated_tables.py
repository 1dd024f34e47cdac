"""The tables in the documents that come from the code are those that the code makes now."""

from __future__ import annotations

import pytest

from camtrust.cp_cps import DOCUMENTS, TABLES, TREE, renewed


@pytest.mark.parametrize("name", DOCUMENTS)
def test_committed_tables_equal_the_generated_ones(name: str) -> None:
    """``python -m camtrust.cp_cps`` would change nothing."""
    text = (TREE / name).read_text(encoding="utf-8")
    assert renewed(text) == text


def test_every_table_stands_in_a_document() -> None:
    """No table is made for nobody; a changed rule changes its document."""
    texts = "".join((TREE / name).read_text(encoding="utf-8") for name in DOCUMENTS)
    assert [name for name in TABLES if f"<!-- generated: {name} -->" not in texts] == []
    stale = "<!-- generated: ceremony-checks -->\nold\n<!-- end -->"
    assert renewed(stale) != stale
