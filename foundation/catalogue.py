"""Message catalogues: every text that a person reads, in Khmer and English, beside the room that says it.

A room keeps ``messages.toml`` in its package. A key is ``room.name``; its table holds ``en`` and ``km`` (the sentence)
and, for failures, ``hint_en`` and ``hint_km`` (what to do next). ``review_km = true`` marks Khmer that a native
reader should look at. Placeholders are ``{name}``; the same ones stand in both languages (a test holds this).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any


class Language(StrEnum):
    """The languages that CamTrust speaks."""

    EN = "en"
    KM = "km"


SPOKEN = frozenset(language.value for language in Language)


@cache
def catalogue(room: str) -> Mapping[str, Mapping[str, Any]]:
    """The catalogue of a room (a package name), parsed once."""
    return tomllib.loads(files(room).joinpath("messages.toml").read_text(encoding="utf-8"))


def _entry(key: str) -> Mapping[str, Any]:
    room, _, name = key.partition(".")
    entry = catalogue(room).get(name)
    if not isinstance(entry, dict):
        raise KeyError(f"no catalogue entry for {key}")
    return entry


def text(key: str, language: Language, /, **params: object) -> str:
    """The sentence of ``key`` in ``language``. Raises KeyError for a key that no catalogue has (a defect of ours)."""
    return str(_entry(key)[language.value]).format(**params)


def hint(key: str, language: Language, /, **params: object) -> str:
    """What to do next, or an empty string where the catalogue has no hint."""
    return str(_entry(key).get(f"hint_{language.value}", "")).format(**params)


def negotiate(accept_language: str | None) -> Language:
    """The language of an ``Accept-Language`` header or a locale (RFC 9110 §12.5.4, reduced to what we speak)."""
    best, weight = Language.EN, -1.0
    for part in (accept_language or "").split(",")[:20]:
        tag, _, parameter = part.strip().partition(";")
        try:
            quality = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        primary = tag.strip().replace("_", "-").split("-")[0].split(".")[0].lower()
        if primary in SPOKEN and quality > weight and quality > 0:
            best, weight = Language(primary), quality
    return best
