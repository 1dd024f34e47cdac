"""Every failure that a user can see has words, in Khmer and in English."""

from __future__ import annotations

import pkgutil
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from string import Formatter
from typing import Any

import pytest

from foundation.errors import CamTrustError
from tests.project.tree import PACKAGES, ROOT, name

CATALOGUES = sorted(name(path.parent) for room in PACKAGES for path in (ROOT / room).rglob("messages.toml"))
KHMER = re.compile(r"[\u1780-\u17ff]")


@cache
def failures() -> tuple[type[CamTrustError], ...]:
    """Every class of ours under CamTrustError that names a code; all modules are imported for it."""
    for room in PACKAGES:
        for module in pkgutil.walk_packages([str(ROOT / room)], f"{room}."):
            if ".migrations" not in module.name and not module.name.endswith("__main__"):
                import_module(module.name)
    found, queue = [], [CamTrustError]
    while queue:
        one = queue.pop()
        queue += one.__subclasses__()
        if "code" in one.__dict__ and one.__module__.partition(".")[0] in PACKAGES:
            found.append(one)
    return tuple(sorted(set(found), key=lambda one: one.code))


@cache
def catalogue(room: str) -> Mapping[str, Any]:
    path = ROOT / room / "messages.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def test_every_failure_has_its_words() -> None:
    """Each class has a sentence and a hint in both languages, in the catalogue of the room that its code names."""
    missing = []
    for one in failures():
        room, _, entry = one.code.partition(".")
        words = catalogue(room).get(entry, {})
        missing += [f"{one.code}: {key}" for key in ("en", "km", "hint_en", "hint_km") if not words.get(key)]
    assert not missing


def test_every_code_is_one_failure() -> None:
    """A code means one thing, and is in the room that raises it."""
    codes = Counter(one.code for one in failures())
    assert not [code for code, count in codes.items() if count > 1]
    assert not [one for one in failures() if one.code.partition(".")[0] != one.__module__.partition(".")[0]]


@pytest.mark.parametrize("room", CATALOGUES)
def test_both_languages_say_the_same(room: str) -> None:
    """English and Khmer of an entry have the same placeholders, and sentences of Khmer are in Khmer script."""
    wrong = []
    for key, words in catalogue(room).items():
        for english, khmer in (("en", "km"), ("hint_en", "hint_km")):
            if english not in words and khmer not in words and english != "en":
                continue
            one, other = words.get(english, ""), words.get(khmer, "")
            said = _placeholders(one) == _placeholders(other) and (len(one) < 20 or KHMER.search(other))
            if not said or not one or not other:
                wrong.append(f"{room}.{key}: {english}/{khmer}")
    assert not wrong


@pytest.mark.parametrize("room", CATALOGUES)
def test_khmer_is_written_cleanly(room: str) -> None:
    """No bidi control, no byte-order mark, no joiner; the only invisible character is U+200B between words."""
    odd = re.compile("[\u200c-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
    assert not [key for key, words in catalogue(room).items() if odd.search(str(words))]


def _placeholders(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field is not None}
