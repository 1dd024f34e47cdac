"""The documentation keeps its promises: what it points to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.project.tree import ROOT, name

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
STATES = {"works", "shallow", "missing", "state", "---", ""}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page names a file or folder of the repository."""
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_status_speaks_plainly() -> None:
    """Each capability works, is shallow or is missing; what works names what shows it."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs/status.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    assert len(rows) > 40
    assert all(len(row) == 4 and row[1] in STATES for row in rows)
    assert not [row[0] for row in rows if row[1] == "works" and "](" not in row[2]]


def test_make_help_knows_every_target() -> None:
    """`make help` names each target that is for people."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert targets
    unnamed = [one for one in targets[1].split() if one not in {"help", "packages"} and f"make {one} " not in text]
    assert not unnamed
