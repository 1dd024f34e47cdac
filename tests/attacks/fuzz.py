"""A long search for files that pass and should not, or that the verifier trips over: ``python -m tests.attacks.fuzz SECONDS``.

Signed documents are cut, spliced, changed and updated at random. What was found is written beside, so that it can be kept as a
test: a pass whose signed octets are not those of the specimen, an exception inside the verifier, or no answer within ten seconds.
"""

from __future__ import annotations

import logging
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pikepdf

from signing.verify.model import Indication
from signing.verify.policy import STRICT
from signing.verify.trust import Trust, build_trust
from signing.verify.verdict import verify_file
from tests.attacks.increments import byte_ranges, increment, trailer_of
from tests.attacks.specimens import Specimens
from tests.verify.verify_world import NOW, World

BASES = ("signed", "long-term", "archive", "form", "certified-2")
SLOW = 10.0  # seconds
_WORDS = (
    b"endobj", b"endstream", b"stream\n", b"/Kids", b"/Contents", b"/ByteRange [0 1 2 3]", b"/Annots []", b"/V null", b"<<", b">>",
    b"0 R", b"xref\n", b"trailer", b"%%EOF", b"/OC 1 0 R", b"/AA <<>>", b"null", b"\x00", b"-1", b"99999999999", b"/F 2",
)  # fmt: skip
Mutation = Callable[[random.Random, bytes], bytes]


def flip(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes((chance.randrange(256),)) + data[at + 1 :]


def insert(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + chance.choice(_WORDS) + data[at:]


def overwrite(chance: random.Random, data: bytes) -> bytes:
    at, word = chance.randrange(len(data)), chance.choice(_WORDS)
    return data[:at] + word + data[at + len(word) :]


def cut(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randrange(1, 200) :]


def repeat(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data + data[at : at + chance.randrange(1, 2000)]


def update(chance: random.Random, data: bytes) -> bytes:
    """A well-formed update of one object, with a body that is another object's, changed."""
    number = chance.randrange(1, 25)
    start = data.find(b"%d 0 obj" % chance.randrange(1, 25))
    body = data[data.find(b"\n", start) : data.find(b"endobj", start)].strip() or b"null"
    try:
        return increment(data, {(number, 0): insert(chance, body)}, trailer_of(data))
    except (pikepdf.PdfError, ValueError, IndexError, AttributeError):  # changed too much already to be updated
        return repeat(chance, data)


MUTATIONS: tuple[Mutation, ...] = (flip, insert, overwrite, cut, repeat, update)


def finding(data: bytes, base: bytes, trust: Trust) -> str | None:
    """What is wrong with the verifier's answer; None where nothing is."""
    begin = time.monotonic()
    verdict = verify_file(data, "fuzz", trust, NOW)
    if time.monotonic() - begin > SLOW:
        return "slow"
    if verdict.indication is not Indication.TOTAL_PASSED:
        return None
    _, before, after, rest = byte_ranges(base)[0]
    same = data[:before] == base[:before] and data[after : after + rest] == base[after : after + rest]
    return None if same else "passes"


def run(seconds: float, seed: int, keep: Path) -> int:
    """Search for so long; gives how many files were tried. Raises AssertionError with the first finding's file."""
    world = World()
    specimens, chance = Specimens(world), random.Random(seed)  # noqa: S311  (it must be repeatable)
    trust = build_trust(world.bundle(), frozenset({world.pin}), [], NOW, STRICT)
    tried, end = 0, time.monotonic() + seconds
    with _tripping():
        while time.monotonic() < end:
            base = specimens[chance.choice(BASES)]
            data = base
            for _ in range(chance.randrange(1, 4)):
                data = chance.choice(MUTATIONS)(chance, data)
            tried += 1
            try:
                found = finding(data, base, trust)
            except Tripped as error:
                found = str(error)
            if found is not None:
                path = keep / f"fuzz-{seed}-{tried}.pdf"
                path.write_bytes(data)
                raise AssertionError(f"{found}: {path}")
    return tried


class Tripped(Exception):
    """The verifier logged an exception of its own."""


class _Tripped(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise Tripped(record.getMessage())


@contextmanager
def _tripping() -> Iterator[None]:
    """As long as the search goes on, what the verifier logs stops it; afterwards its log is anybody's again."""
    log, handler = logging.getLogger("signing.verify"), _Tripped()
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}, {seconds:.0f} s", flush=True)
    print(f"{run(seconds, seed, Path.cwd())} files, nothing found")


if __name__ == "__main__":
    main()
