"""The transcript of an act: a JSON file whose steps are chained by SHA-256 and signed with the audit key.

Each step names its rule, what it took (``inputs``) and what it gave (``outputs``), as text. A step's ``hash`` covers
the step and the hash before it; the first one covers the header. The audit key signs the last hash. The file has
exactly one form (`render`), so that no octet of it can change unseen.
"""

from __future__ import annotations

import hashlib
import json
import platform
from datetime import datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from foundation.canonical import digest
from foundation.clock import parse_rfc3339, rfc3339
from foundation.x509.algorithms import key_algorithm, sign, verify
from foundation.x509.errors import AlgorithmInvalid, SignatureWrong
from root_ca.errors import TranscriptInvalid

FORMAT = "camtrust-root-transcript-1"
MAX_BYTES = 4 * 1024 * 1024
_SIGNED = f"{FORMAT}\0".encode()

Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class FileRecord(Record):
    """A file by its path (from the folder of the transcript) and digest."""

    file: str
    sha256: Sha256


class Software(Record):
    """What made the transcript: versions, and one digest over the modules of root and foundation."""

    camtrust: str
    cryptography: str
    python: str
    modules_sha256: Sha256


class Header(Record):
    format: Literal["camtrust-root-transcript-1"]
    act: str
    title: str
    rehearsal: bool
    software: Software
    ceremony: FileRecord
    previous: FileRecord | None


class Step(Record):
    rule: str
    at: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    hash: Sha256


class Transcript(Record):
    header: Header
    steps: Annotated[tuple[Step, ...], Field(strict=False, min_length=1)]
    audit_key: Hex
    signature: Hex

    def step(self, rule: str, output: str | None = None) -> Step:
        """The step of a rule, about an output where there are several; TranscriptInvalid when there is none."""
        for step in self.steps:
            if step.rule == rule and (output is None or step.inputs.get("output", output) == output):
                return step
        raise TranscriptInvalid(file=self.header.act, reason=f"it has no step {rule}")


class TranscriptWriter:
    """A transcript under way: steps are added, then it is signed."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.steps: list[Step] = []

    def add(self, rule: str, at: datetime, inputs: dict[str, str], outputs: dict[str, str]) -> None:
        content = {"rule": rule, "at": rfc3339(at), "inputs": inputs, "outputs": outputs}
        before = self.steps[-1].hash if self.steps else header_hash(self.header)
        self.steps.append(Step(**content, hash=_step_hash(content, before)))  # type: ignore[arg-type]

    def unfinished(self) -> bytes:
        """What there is so far, for the record that lies there while the act is under way."""
        return _dump({"header": self.header.model_dump(), "steps": [step.model_dump() for step in self.steps]})

    def sign(self, key: CertificateIssuerPrivateKeyTypes, audit_key: bytes) -> bytes:
        """The finished file. ``audit_key`` is the DER SubjectPublicKeyInfo of ``key``."""
        signature = sign(key, _SIGNED + bytes.fromhex(self.steps[-1].hash))
        finished = Transcript(
            header=self.header, steps=tuple(self.steps), audit_key=audit_key.hex(), signature=signature.hex()
        )
        return render(finished)


def render(transcript: Transcript) -> bytes:
    """The one form of a transcript file."""
    return _dump(transcript.model_dump())


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def parse(data: bytes, name: str) -> Transcript:
    """The inverse of `render`; TranscriptInvalid for anything that is not exactly a transcript in its one form."""
    if len(data) > MAX_BYTES:
        raise TranscriptInvalid(file=name, reason="it is too long")
    try:
        transcript = Transcript.model_validate(json.loads(data.decode("utf-8")))
    except (ValueError, RecursionError, ValidationError):
        raise TranscriptInvalid(file=name, reason="it has another structure") from None
    if render(transcript) != data:
        raise TranscriptInvalid(file=name, reason="it is not in the form that was written")
    return transcript


def header_hash(header: Header) -> str:
    return digest({"header": header.model_dump()}).hex()


def _step_hash(content: dict[str, Any], before: str) -> str:
    return digest({"before": before, "step": content}).hex()


def broken_step(transcript: Transcript) -> int | None:
    """The number of the first step whose hash is wrong, from 0; None when the chain holds."""
    before = header_hash(transcript.header)
    for number, step in enumerate(transcript.steps):
        if step.hash != _step_hash(step.model_dump(exclude={"hash"}), before):
            return number
        before = step.hash
    return None


def signed_by(transcript: Transcript, audit_key: bytes) -> bool:
    """Whether the audit key (DER SubjectPublicKeyInfo) signed the last hash."""
    try:
        key: Any = load_der_public_key(audit_key)
        key_algorithm(key)
        verify(key, bytes.fromhex(transcript.signature), _SIGNED + bytes.fromhex(transcript.steps[-1].hash))
    except (SignatureWrong, AlgorithmInvalid, ValueError):
        return False
    return True


@cache
def software() -> Software:
    """What runs now."""
    return Software(
        camtrust=version("camtrust"),
        cryptography=version("cryptography"),
        python=platform.python_version(),
        modules_sha256=_modules_digest(),
    )


def _modules_digest() -> str:
    whole = hashlib.sha256()
    for package in ("foundation", "root_ca"):
        for path, content in sorted(_sources(files(package), package)):
            whole.update(f"{path}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for item in folder.iterdir():
        path = f"{prefix}/{item.name}"
        if item.is_dir():
            found += _sources(item, path)
        elif Path(item.name).suffix in (".py", ".toml", ".txt"):
            found.append((path, item.read_bytes()))
    return found


def last_moment(transcript: Transcript) -> datetime:
    """When the last step was taken."""
    return parse_rfc3339(transcript.steps[-1].at)
