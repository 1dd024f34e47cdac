"""What goes between the service and a process that judges: a document and what to hold it against; its verdict.

The question is a line of JSON, then the bundle, then the document. The answer is JSON to the end: who reads it builds
values of known classes from it and nothing else, for it comes from a process that a stranger's document may have taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter

from signing.verify.batch import Request
from signing.verify.model import FileVerdict
from signing.verify.sandbox import Bounds
from signing.verify.verdict import verify_file

NAME = "document"  # what the verdict calls it: its own name is nobody's business there
_LONGEST_HEAD = 64 * 1024


@dataclass(frozen=True)
class Judged:
    """The verdict, the ``bundle`` object of the contract (what it rests on), and failures of ours, for the log."""

    verdict: FileVerdict
    bundle: dict[str, Any]
    failures: tuple[str, ...] = ()


_ANSWER = TypeAdapter(Judged)


def write_answer(judged: Judged) -> bytes:
    """The answer's octets."""
    return _ANSWER.dump_json(judged)


def read_answer(octets: bytes) -> Judged:
    """The answer again. Raises ValueError for what is none."""
    return _ANSWER.validate_json(octets)


class _Head(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime
    pins: tuple[str, ...]
    bundle: int | None  # octets that follow
    document: int  # octets behind them
    seconds: float
    memory: int


@dataclass(frozen=True)
class Question:
    """A document, the time, the bundle published here with the pins of its signers, and what judging may take."""

    document: bytes = field(repr=False)
    at: datetime
    bundle: bytes | None = field(repr=False)
    pins: frozenset[str]
    bounds: Bounds

    def write(self) -> tuple[bytes, ...]:
        """The question's octets, in parts: none is copied."""
        head = _Head(
            at=self.at,
            pins=tuple(sorted(self.pins)),
            bundle=None if self.bundle is None else len(self.bundle),
            document=len(self.document),
            seconds=self.bounds.seconds,
            memory=self.bounds.memory,
        )
        return head.model_dump_json().encode() + b"\n", self.bundle or b"", self.document

    def answer(self) -> Judged:
        """Judge it, here and now."""
        trust = Request(self.at, self.bundle, self.pins).trust()
        return Judged(verify_file(self.document, NAME, trust, self.at), trust.json())

    def without_verdict(self, verdict: FileVerdict) -> Judged:
        """What is told when judging it took too much: this verdict."""
        return Judged(verdict, Request(self.at, self.bundle, self.pins).trust().json())


@dataclass(frozen=True)
class Announced:
    """A question of which the first line was read."""

    head: _Head
    rest: IO[bytes] = field(repr=False)

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.head.seconds, self.head.memory)

    def question(self) -> Question:
        """The whole question. Raises ValueError where it ends early."""
        head = self.head
        bundle = None if head.bundle is None else self.rest.read(head.bundle)
        document = self.rest.read(head.document)
        if len(document) != head.document:
            raise ValueError("the question ended early")
        return Question(document, head.at, bundle, frozenset(head.pins), self.bounds)


def announced(incoming: IO[bytes]) -> Announced:
    """Read the first line of a question. Raises ValueError for what is none."""
    return Announced(_Head.model_validate_json(incoming.readline(_LONGEST_HEAD)), incoming)
