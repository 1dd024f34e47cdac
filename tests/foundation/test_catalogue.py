"""Everything that a person reads exists in Khmer and English, and says what to do next."""

from __future__ import annotations

import importlib
import pkgutil
import string
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

import pytest

from foundation.catalogue import Language, catalogue, hint, negotiate, text
from foundation.errors import CamTrustError

PACKAGES = ("foundation", "root_ca", "issuing_ca", "ekyc", "identity", "signing", "hsm_emulation", "camtrust")
NOT_IMPORTABLE = ("camtrust.migrations",)  # run by the migration tool alone


@cache
def error_classes() -> tuple[type[CamTrustError], ...]:
    """Every failure of ours, after importing every module of every package."""
    for package in PACKAGES:
        root = importlib.import_module(package)
        for module in pkgutil.walk_packages(root.__path__, f"{package}."):
            if not module.name.startswith(NOT_IMPORTABLE) and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found: list[type[CamTrustError]] = []
    waiting = [CamTrustError]
    while waiting:
        current = waiting.pop()
        found.append(current)
        waiting += current.__subclasses__()
    return tuple(one for one in dict.fromkeys(found) if one.__module__.split(".")[0] in PACKAGES)


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def rooms() -> Iterator[str]:
    """Packages with a catalogue."""
    for room in (*PACKAGES, "camtrust.web"):
        try:
            catalogue(room)
        except FileNotFoundError:
            continue
        yield room


def test_every_failure_speaks_both_languages() -> None:
    """Each error class has a sentence and a hint in Khmer and English, with the same placeholders in both; all that
    are missing are named at once."""
    problems: list[str] = []
    classes = error_classes()
    for one in classes:
        room, _, name = one.code.partition(".")
        try:
            entry = catalogue(room)[name]
        except (KeyError, FileNotFoundError, ModuleNotFoundError):
            problems.append(f"{one.__module__}.{one.__name__}: no entry [{name}] in {room}/messages.toml")
            continue
        missing = [key for key in ("en", "km", "hint_en", "hint_km") if not str(entry.get(key, "")).strip()]
        problems.extend(f"{one.code}: no {key}" for key in missing)
        for english, khmer in (("en", "km"), ("hint_en", "hint_km")):
            if placeholders(str(entry.get(english, ""))) != placeholders(str(entry.get(khmer, ""))):
                problems.append(f"{one.code}: {english} and {khmer} have different placeholders")
    assert len(classes) > 60
    assert problems == []


def test_a_code_names_its_room_and_one_failure() -> None:
    """A code begins with the package that raises it, and no two classes share one."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for one in error_classes():
        if "code" in vars(one):
            owners[one.code].append(f"{one.__module__}.{one.__name__}")
            assert one.code.split(".")[0] == one.__module__.split(".")[0], one
    assert {code: classes for code, classes in owners.items() if len(classes) > 1} == {}


@pytest.mark.parametrize("room", list(rooms()))
def test_every_entry_is_whole(room: str) -> None:
    """Whatever a catalogue holds, it holds in both languages, with the same placeholders; and Khmer is Khmer."""
    for name, entry in catalogue(room).items():
        assert entry.get("en"), f"{room}.{name}"
        assert entry.get("km"), f"{room}.{name}"
        assert placeholders(entry["en"]) == placeholders(entry["km"]), f"{room}.{name}"
        assert ("hint_en" in entry) == ("hint_km" in entry), f"{room}.{name}"
        allowed = {"en", "km", "hint_en", "hint_km", "review_km"}
        assert set(entry) <= allowed, f"{room}.{name}"


def test_a_failure_fills_its_sentence() -> None:
    """Parameters stand in the sentence of either language."""
    for language in Language:
        assert "1000" in text("foundation.body_too_large", language, limit=1000)
        assert hint("foundation.body_too_large", language, limit=1000)
    with pytest.raises(KeyError):
        text("foundation.there_is_no_such_entry", Language.EN)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, Language.EN),
        ("", Language.EN),
        ("km", Language.KM),
        ("KM-kh", Language.KM),
        ("km_KH.UTF-8", Language.KM),
        ("C.UTF-8", Language.EN),
        ("en-US,en;q=0.9,km;q=0.8", Language.EN),
        ("fr;q=1, km;q=0.2", Language.KM),
        ("km;q=0, en;q=0.1", Language.EN),
        ("km;q=abc", Language.EN),
        ("*", Language.EN),
        (",;,;q=,,", Language.EN),
        ("x," * 10_000 + "km", Language.EN),
    ],
)
def test_the_language_is_negotiated(header: str | None, language: Language) -> None:
    """The highest weight among the languages we speak wins; English where none is asked for; garbage harms nothing."""
    assert negotiate(header) is language
