"""Check digits of machine-readable zones (ICAO 9303-3 §4.9): weights 7, 3, 1, modulo 10."""

from __future__ import annotations

_VALUES = {"<": 0} | {str(digit): digit for digit in range(10)} | {chr(65 + n): 10 + n for n in range(26)}
_WEIGHTS = (7, 3, 1)

ALPHABET = frozenset(_VALUES)


def check_digit(characters: str) -> str:
    """The check digit of MRZ ``characters``; KeyError for a character outside of the MRZ alphabet."""
    total = sum(_VALUES[character] * _WEIGHTS[place % 3] for place, character in enumerate(characters))
    return str(total % 10)
