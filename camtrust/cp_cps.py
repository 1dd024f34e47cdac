"""Tables of the documents that come from the code: ``make tables`` writes them anew, in the source tree.

A table stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; a test holds every committed table against
what this module makes.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from foundation.x509.finding import RULES as LINTS
from foundation.x509.profile import Profile, load_profiles
from root_ca import rules as ceremony_rules

TREE = Path(__file__).parents[1]
DOCUMENTS = ("docs/ceremony.md", "docs/cp-cps.md")

# Which lints hold a rule of a profile.
LINTS_OF_RULE = {
    "subject": ("X509-NAME-ATTRIBUTES", "X509-NAME-TEXT", "X509-NAME-ENCODING", "X509-NAME-SPECIMEN"),
    "key": ("X509-KEY-ALGORITHM", "X509-KEY-RSA"),
    "signature": ("X509-SIGNATURE-ALGORITHM", "X509-SIGNATURE-CONSISTENT"),
    "validity": ("X509-VALIDITY-PERIOD", "X509-VALIDITY-ORDER", "X509-VALIDITY-ENCODING"),
    "basic_constraints": ("X509-BASIC-CONSTRAINTS",),
    "key_usage": ("X509-KEY-USAGE",),
    "subject_key_identifier": ("X509-SKI",),
    "authority_key_identifier": ("X509-AKI", "X509-ISSUER-CHAIN"),
    "extended_key_usage": ("X509-EXTENDED-KEY-USAGE",),
    "policies": ("X509-POLICIES", "X509-POLICY-ARC"),
    "subject_alternative_name": ("X509-SAN",),
    "authority_information_access": ("X509-AIA",),
    "crl_distribution_points": ("X509-CRLDP",),
    "ocsp_nocheck": ("X509-EXTENSION-SET",),
    "qc_statements": ("X509-QC-STATEMENTS",),
    "name_constraints": ("X509-NAME-CONSTRAINTS",),
    "statement": ("X509-EXTENSION-SET", "X509-EXTENSION-CRITICAL"),
}

_BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_MOST_TESTS = 3  # named in one cell


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@cache
def naming_tests() -> Mapping[str, tuple[str, ...]]:
    """The tests of ceremonies and lint that name a rule: in their own text, or in a table that they are run over."""
    found: dict[str, list[str]] = {}
    others = (TREE / "tests/x509/test_x509_lint.py", TREE / "tests/roof/test_officers_terminal.py")
    for path in (*sorted((TREE / "tests/root").glob("test_*.py")), *others):
        for rule, test in _named(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(rule, []).append(test)
    return {rule: tuple(dict.fromkeys(tests)) for rule, tests in found.items()}


def _named(module: ast.Module) -> Iterator[tuple[str, str]]:
    tables: dict[str, set[str]] = {}
    for node in module.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    tables[target.id] = _rules_in(node)
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            parts = [one for decorator in node.decorator_list for one in ast.walk(decorator)]
            names = {one.id for one in parts if isinstance(one, ast.Name)}
            for rule in sorted(_rules_in(node).union(*(tables.get(name, set()) for name in names))):
                yield rule, node.name


def _rules_in(node: ast.AST) -> set[str]:
    texts = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    known = {*LINTS, *ceremony_rules.RULES}
    return {rule for text in texts for rule in re.findall(r"\b(?:X509|ROOT)(?:-[A-Z]+)+\b", text)} & known


def _tests(rules: Iterable[str]) -> str:
    found = list(dict.fromkeys(test for rule in rules for test in naming_tests().get(rule, ())))
    more = f" and {len(found) - _MOST_TESTS} more" if len(found) > _MOST_TESTS else ""
    return ", ".join(f"`{test}`" for test in found[:_MOST_TESTS]) + more


def _ceremony(which: Mapping[str, str]) -> Callable[[], str]:
    return lambda: table(("rule", "what holds"), which.items())


def _profiles(room: str) -> Callable[[], str]:
    def make() -> str:
        text = files(room).joinpath("profiles.toml").read_text(encoding="utf-8")
        parts = []
        for name, profile in load_profiles(text).items():
            head = ("clause", "rule", "lint", "tests")
            parts.append(f"**{name}** ({profile.cps}): {profile.title}\n\n{table(head, _profile_rows(profile))}")
        return "\n\n".join(parts)

    return make


def _profile_rows(profile: Profile) -> Iterator[tuple[str, ...]]:
    for name, value in profile.data().items():
        if isinstance(value, dict):
            rest = ", ".join(f"{key} = {_said(one)}" for key, one in value.items() if key != "clause")
            lints = LINTS_OF_RULE[name]
            yield value["clause"], f"{name}: {rest}" if rest else f"{name}: present", ", ".join(lints), _tests(lints)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return " ".join(f"{key}={one}" for key, one in value.items())
    return str(value)


def _rule_tests(which: Mapping[str, str], second: str) -> Callable[[], str]:
    return lambda: table(("rule", second, "tests"), ((rule, text, _tests([rule])) for rule, text in which.items()))


TABLES: dict[str, Callable[[], str]] = {
    "ceremony-checks": _ceremony(ceremony_rules.CHECKS),
    "ceremony-steps": _ceremony(ceremony_rules.STEPS),
    "ceremony-verification": _ceremony(ceremony_rules.VERIFICATION),
    "root-profiles": _profiles("root_ca"),
    "issuing-profiles": _profiles("issuing_ca"),
    "ceremony-tests": _rule_tests(ceremony_rules.RULES, "what holds"),
    "lint-tests": _rule_tests(LINTS, "clause"),
}


def renewed(text: str) -> str:
    """A document with its tables as the code gives them; KeyError for a table that nobody makes."""
    return _BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def main(arguments: Sequence[str] = ()) -> int:
    """Write the tables of every document, and tell which changed; with ``--check`` only tell, and fail if one would."""
    stale = 0
    for name in DOCUMENTS:
        path = TREE / name
        before = path.read_text(encoding="utf-8")
        after = renewed(before)
        if after == before:
            continue
        if "--check" in arguments:
            print(f"{name}: its tables are not those of the code; run 'make tables', and commit what it wrote")
            stale = 1
        else:
            path.write_text(after, encoding="utf-8")
            print(f"{name}: written")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
