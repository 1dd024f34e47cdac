"""Error rates of the name engine over generated names: how often one name is taken for two, and two for one.

    python -m bench.names [pairs of each kind, 20000 unless said otherwise]

The names are made of syllables and are nobody's. Variants are made by rules that are written here a second time and not
taken from the engine; one Latin variant in ten has a change that the engine does not know. These are rates over what is
generated here, not over Cambodia's people: for those, a registry's own pairs are needed.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass

from ekyc.latin_lattice import alike
from ekyc.names import khmer_name

_SEED = 84
_LATIN = [
    "SO",
    "PHEA",
    "RA",
    "THY",
    "CHAN",
    "DARA",
    "KHIM",
    "SOK",
    "VAN",
    "NARY",
    "SREY",
    "MOM",
    "PICH",
    "LINA",
    "BOREY",
    "KOSAL",
    "RITH",
    "VICHEA",
    "SAMNANG",
    "THEARY",
    "CHHAY",
    "HENG",
    "KUNTHEA",
    "MEAS",
    "NIMOL",
    "OUDOM",
    "PHALLA",
    "RATANAK",
    "SETHA",
    "TEVY",
    "VEASNA",
    "BOPHA",
    "CHENDA",
    "LEAP",
    "MONY",
    "PONLEU",
    "SOVAN",
    "VUTHY",
]
_CHANGES = (
    ("PH", "P"), ("TH", "T"), ("KH", "K"), ("CHH", "CH"), ("V", "W"), ("Y", "I"), ("EA", "IA"), ("EA", "EAR"),
    ("OU", "U"), ("AY", "AI"), ("EY", "EI"), ("LL", "L"), ("U", "OU"), ("O", "U"),
)  # fmt: skip
_UNKNOWN = (("S", "Z"), ("R", "L"), ("A", "E"), ("CH", "TJ"))
_BASES = [chr(code) for code in range(0x1780, 0x17A3) if code not in (0x179D, 0x179E)]
_VOWELS = [chr(code) for code in range(0x17B6, 0x17C6)]
_COENG = "\u17d2"


@dataclass(frozen=True)
class Rates:
    """Shares of 1."""

    pairs: int
    false_non_match: float
    false_match: float


def latin(pairs: int, seed: int = _SEED) -> Rates:
    """Latin spellings."""
    source = random.Random(seed)  # noqa: S311 - a test set, not a secret
    missed = sum(not alike(name, _respelt(name, source)).alike for name in (_latin(source) for _ in range(pairs)))
    taken = sum(alike(*_two(lambda: _latin(source))).alike for _ in range(pairs))
    return Rates(pairs, missed / pairs, taken / pairs)


def khmer(pairs: int, seed: int = _SEED) -> Rates:
    """Khmer spellings: variants that look alike, and names that differ in one letter or vowel."""
    source = random.Random(seed)  # noqa: S311 - a test set, not a secret
    missed = taken = 0
    for _ in range(pairs):
        name = _khmer(source)
        missed += khmer_name("".join(name)).match_key != khmer_name(_disguised(name, source)).match_key
        other = list(name)
        at = source.randrange(len(other))
        other[at] = _khmer(source)[0]
        if not _look_alike("".join(other), "".join(name)):
            taken += khmer_name("".join(name)).match_key == khmer_name("".join(other)).match_key
    return Rates(pairs, missed / pairs, taken / pairs)


def _latin(source: random.Random) -> str:
    return "".join(source.choice(_LATIN) for _ in range(source.choice((1, 2, 2, 3))))


def _two(make: object) -> tuple[str, str]:
    one = make()  # type: ignore[operator]
    while (other := make()) == one:  # type: ignore[operator]
        pass
    return one, other


def _respelt(name: str, source: random.Random) -> str:
    """One or two changes where they fit; one in ten is of a kind that the engine does not know."""
    table = _UNKNOWN if source.random() < 0.1 else _CHANGES
    for _ in range(source.choice((1, 1, 2))):
        fitting = [(a, b) for a, b in table if a in name]
        if fitting:
            a, b = source.choice(fitting)
            name = name.replace(a, b, 1)
    return name


def _khmer(source: random.Random) -> list[str]:
    """Clusters: a base, sometimes one or two subscripts, sometimes a vowel and a sign."""
    clusters = []
    for _ in range(source.choice((2, 3, 3, 4))):
        subscripts = [_COENG + source.choice(_BASES) for _ in range(source.choice((0, 0, 1, 1, 2)))]
        vowel = source.choice(["", *_VOWELS])
        sign = source.choice(("", "", "\u17c6", "\u17c7"))
        clusters.append(source.choice(_BASES) + "".join(dict.fromkeys(subscripts)) + vowel + sign)
    return clusters


def _disguised(clusters: list[str], source: random.Random) -> str:
    """The same to the eye: other orders of marks, zero-width characters, split vowels, subscript DA for TA."""
    out = []
    for cluster in clusters:
        base, marks = cluster[0], _marks(cluster[1:])
        stacked = iter([mark for mark in marks if _stacks(mark)])  # their order can be seen
        source.shuffle(marks)
        text = base + "".join(next(stacked) if _stacks(mark) else mark for mark in marks)
        text = text.replace(_COENG + "\u178f", _COENG + "\u178a") if source.random() < 0.5 else text
        for whole, parts in (("\u17be", "\u17c1\u17b8"), ("\u17c4", "\u17c1\u17b6")):
            text = text.replace(whole, parts) if source.random() < 0.5 else text
        out.append(text + source.choice(("", "", "\u200b", "\u200c", "\u200d")))
    return "".join(out)


def _stacks(mark: str) -> bool:
    """A subscript below another one; RO stands beside, wherever it is written."""
    return mark[0] == _COENG and mark[1] != "\u179a"


def _marks(text: str) -> list[str]:
    marks, at = [], 0
    while at < len(text):
        step = 2 if text[at] == _COENG else 1
        marks.append(text[at : at + step])
        at += step
    return marks


def _look_alike(one: str, other: str) -> bool:
    """Whether two names differ only in what readers cannot tell apart: then they are no pair of different names."""

    def plain(text: str) -> list[str]:
        return sorted(_marks(text.replace(_COENG + "\u178a", _COENG + "\u178f")))

    return plain(one) == plain(other)


def main() -> int:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    for name, rates in (("Khmer, match key", khmer(pairs)), ("Latin, lattice", latin(pairs))):
        print(
            f"{name}: one name taken for two {rates.false_non_match:.2%}, two names for one {rates.false_match:.2%}"
            f" ({rates.pairs} pairs of each)"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
