"""The tables in the documents that come from the code are those that the code makes now."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from camtrust.cp_cps import DOCUMENTS, LINTS_OF_RULE, TABLES, TREE, naming_tests, renewed
from foundation.x509.finding import RULES as LINTS
from foundation.x509.profile import Profile, load_profiles
from root_ca.building import CRL_CPS, DESTRUCTION_CPS
from root_ca.rules import RULES


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


def test_every_rule_of_a_profile_has_a_lint_and_every_lint_a_test() -> None:
    """Clause → profile rule → lint → test: no link is missing, for profiles, lints and the rules of ceremonies."""
    rules = {name for name, field in Profile.model_fields.items() if "Rule" in str(field.annotation)}
    assert set(LINTS_OF_RULE) == rules
    assert {lint for lints in LINTS_OF_RULE.values() for lint in lints} <= set(LINTS)
    assert [rule for rule in (*LINTS, *RULES) if not naming_tests().get(rule)] == []


def test_every_section_that_the_code_cites_is_there() -> None:
    """Profiles, CRLs, lints and destruction cite sections of the CP/CPS; each is a heading of docs/cp-cps.md."""
    text = (TREE / "docs/cp-cps.md").read_text(encoding="utf-8")
    profiles = files("root_ca").joinpath("profiles.toml").read_text(encoding="utf-8")
    cited = set(re.findall(r"CP/CPS ([0-9.]*[0-9])", "\n".join([profiles, CRL_CPS, DESTRUCTION_CPS, *LINTS.values()])))
    headings = set(re.findall(r"^#+ ([0-9.]*[0-9])\.? ", text, re.MULTILINE))
    assert len(cited) > 8
    for profile in load_profiles(profiles).values():
        assert f"**{profile.name}** ({profile.cps})" in text
    assert {one for one in cited if not one.startswith("7.1.10.")} <= headings


def test_the_outline_is_that_of_rfc_3647() -> None:
    """All nine chapters, and the sections of §6 in each that has any, in order."""
    text = (TREE / "docs/cp-cps.md").read_text(encoding="utf-8")
    found = re.findall(r"^### ([0-9]+\.[0-9]+) ", text, re.MULTILINE)
    sections = {1: 6, 2: 4, 3: 4, 4: 12, 5: 8, 6: 8, 7: 3}
    assert found == [f"{chapter}.{number}" for chapter, last in sections.items() for number in range(1, last + 1)]
    assert re.findall(r"^## ([0-9])\. ", text, re.MULTILINE) == list("123456789")
