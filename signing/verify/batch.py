"""Many files at once: finding them, and judging them in several processes. Files in, verdicts out; no socket."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from foundation.x509.pem import read_certificate
from signing.verify import pdf_bytes
from signing.verify.errors import FileUnreadable
from signing.verify.model import FileVerdict, SubIndication, indeterminate
from signing.verify.policy import POLICIES, STRICT, Policy
from signing.verify.sandbox import STANDARD, Bounds, Exceeded, each
from signing.verify.trust import Trust, build_trust
from signing.verify.trust_list import read_trust_list
from signing.verify.verdict import too_much, verify_file

_SUFFIXES = (".pdf", ".p7s", ".p7m", ".asice", ".asics", ".sce", ".scs", ".xades.xml", ".jws", ".jws.json", ".ers")


@dataclass(frozen=True)
class Request:
    """Everything that a verification needs besides the files, as plain octets, so that it can go to a process.

    ``anchors``: PEM or DER certificates that were given by hand; ``pins`` by `signing.verify.bundle.read_pin`.
    """

    at: datetime
    bundle: bytes | None
    pins: frozenset[str]
    anchors: tuple[bytes, ...] = ()
    min_sequence: int | None = None
    min_operators: int = 0  # the lowest version of the set of operators
    password: bytes | None = None
    detached: bytes | None = None
    policy: str = STRICT.name
    lists: tuple[bytes, ...] = ()  # trust lists of countries (`trust_list`)
    list_pins: frozenset[str] = frozenset()  # whose signature on them is accepted
    memory: Path | None = None  # where the highest sequence is kept (`bundle_memory`); None: nowhere
    bounds: Bounds = STANDARD
    digests: bool = False  # whether verdicts carry the SHA-256 of their file, for reports

    def trust(self) -> Trust:
        """The trust that the request describes. Raises PemInvalid for an anchor that is not a certificate."""
        anchors = [read_certificate(one, "trust anchor") for one in self.anchors]
        trust = build_trust(self.bundle, self.pins, anchors, self.at, self.rules, self.min_sequence, self.min_operators)
        return trust.with_lists([read_trust_list(one, self.list_pins, self.at, self.rules) for one in self.lists])

    @property
    def rules(self) -> Policy:
        return POLICIES[self.policy]


def find_files(paths: Sequence[Path]) -> tuple[list[Path], int]:
    """The files to judge: those named, and in folders those that are signed documents by content or by name.

    Gives also how many other files in folders were passed over. Raises FileUnreadable for what is not there.
    """
    found: list[Path] = []
    passed_over = 0
    for path in paths:
        if not path.is_dir():
            if not path.is_file():
                raise FileUnreadable(name=str(path))
            found.append(path)
            continue
        for inner in sorted(path.rglob("*")):
            if not inner.is_file():
                continue
            if inner.name.lower().endswith(_SUFFIXES) or pdf_bytes.is_pdf(_read(inner, 1032)):
                found.append(inner)
            else:
                passed_over += 1
    return found, passed_over


def _read(path: Path, limit: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError:
        raise FileUnreadable(name=str(path)) from None


def judge(path: Path, request: Request, trust: Trust) -> FileVerdict:
    """The verdict on one file. Raises FileUnreadable."""
    policy = request.rules
    data = _read(path, policy.max_file_size + 1)
    verdict = verify_file(
        data, str(path), trust, request.at, policy, password=request.password, detached=request.detached
    )
    return replace(verdict, sha256=hashlib.sha256(data).hexdigest()) if request.digests else verdict


def judge_all(
    files: Sequence[Path], request: Request, jobs: int, done: Callable[[FileVerdict], None]
) -> list[FileVerdict]:
    """The verdicts on all files, in their order, by ``jobs`` processes that are bounded (`signing.verify.sandbox`).

    ``done`` is called for each as it comes.
    """
    found: list[FileVerdict] = []
    for verdict in _verdicts(files, request, min(jobs, len(files))):
        done(verdict)
        found.append(verdict)
    return found


def _verdicts(files: Sequence[Path], request: Request, jobs: int) -> Iterator[FileVerdict]:
    answers = each(files, partial(_prepared, request), max(1, jobs), request.bounds)
    for path, answer in zip(files, answers, strict=True):
        yield too_much(str(path)) if isinstance(answer, Exceeded) else answer


def _prepared(request: Request) -> Callable[[Path], FileVerdict]:
    """What a worker judges with: the trust is built once."""
    return partial(_judge_here, request, request.trust())


def _judge_here(request: Request, trust: Trust, path: Path) -> FileVerdict:
    try:
        return judge(path, request, trust)
    except FileUnreadable:  # it was there when the folder was listed; one file does not end the run
        reason = indeterminate(
            "FMT-UNREADABLE",
            "EN 319 102-1 §5.2.2",
            "verify_file_unreadable",
            SubIndication.SIGNED_DATA_NOT_FOUND,
            name=str(path),
        )
        return FileVerdict(str(path), None, (), (reason,))
