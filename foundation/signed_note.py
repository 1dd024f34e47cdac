"""Signed notes and checkpoints as C2SP writes them (c2sp.org/signed-note, /tlog-checkpoint, /tlog-cosignature). Pure.

A note is text with signature lines below it. A checkpoint is a note whose text tells a log's tree head. A log signs its
checkpoints with Ed25519; witnesses that saw them grow add timestamped cosignatures (``cosignature/v1``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from foundation.errors import CamTrustError, Kind
from foundation.merkle import HASH_SIZE

MAX_NOTE = 64 * 1024  # octets; room for more than the 16 signatures that verifiers must accept
_DASH = "\u2014"
_ED25519_KEY, _ED25519_SIGNATURE = 32, 64
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


class NoteInvalid(CamTrustError):
    """A note, key or checkpoint that is not written as it must be, or that no known key has signed.

    ``rule``: NOTE-FORM (the note), NOTE-KEY (a verifier key), NOTE-SIGNATURE (the signatures), NOTE-CHECKPOINT (the
    text of a checkpoint).
    """

    code = "foundation.note_invalid"
    kind = Kind.INVALID


class SignatureType(IntEnum):
    """Signature types of c2sp.org/signed-note that we know; verifiers ignore the rest."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


@dataclass(frozen=True)
class NoteSignature:
    """One signature line, taken apart but not verified."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        return f"{_DASH} {self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True)
class NoteKey:
    """A public key that signs notes: its name, how it signs, and 32 octets of Ed25519."""

    name: str
    type: SignatureType
    public_key: bytes

    def __post_init__(self) -> None:
        if not _is_key_name(self.name) or len(self.public_key) != _ED25519_KEY:
            raise NoteInvalid(rule="NOTE-KEY")

    @property
    def key_id(self) -> bytes:
        """The first four octets of SHA-256(name, newline, type, key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes((self.type,)) + self.public_key).digest()[:4]

    def __str__(self) -> str:
        """The verifier key: ``name+id+base64(type and key)``, as one pins it."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes((self.type,)) + self.public_key).decode()}"

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        """The inverse of ``str``. Raises NoteInvalid, also where the id is not that of the key."""
        name, _, rest = text.partition("+")
        encoded = _base64(rest.partition("+")[2], "NOTE-KEY")
        try:
            key = cls(name, SignatureType(encoded[0]), encoded[1:])
        except (ValueError, IndexError):
            raise NoteInvalid(rule="NOTE-KEY") from None
        if str(key) != text:
            raise NoteInvalid(rule="NOTE-KEY")
        return key

    def made(self, line: NoteSignature) -> bool:
        """Whether the line says that it is of this key."""
        return (line.name, line.key_id) == (self.name, self.key_id)

    def verify(self, line: NoteSignature, text: str) -> bool:
        """Whether the line is this key's signature of the note text."""
        message, signature = text.encode(), line.signature
        if self.type is SignatureType.COSIGNATURE_V1:
            timestamp, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = b"cosignature/v1\ntime %d\n" % timestamp + message
        if not self.made(line) or len(signature) != _ED25519_SIGNATURE:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Note:
    """A note that was read. Its text means nothing until :meth:`opened_by` has named a key that one trusts."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __bytes__(self) -> bytes:
        return "".join([self.text, "\n", *(signature.line for signature in self.signatures)]).encode()

    def opened_by(self, keys: Iterable[NoteKey]) -> tuple[NoteKey, ...]:
        """Those of ``keys`` that have signed; signatures of others are ignored, as the specification asks.

        Raises NoteInvalid where none has, and where a line says that it is of one of them and does not verify.
        """
        signers = []
        for key in keys:
            lines = [line for line in self.signatures if key.made(line)]
            if not all(key.verify(line, self.text) for line in lines):
                raise NoteInvalid(rule="NOTE-SIGNATURE")
            if lines:
                signers.append(key)
        if not signers:
            raise NoteInvalid(rule="NOTE-SIGNATURE")
        return tuple(signers)

    def with_signatures(self, lines: Sequence[NoteSignature]) -> Note:
        """The same note with more signatures; a line that is there already is not added again."""
        return Note(self.text, tuple(dict.fromkeys((*self.signatures, *lines))))


def sign_note(text: str, key: NoteKey, sign: Callable[[bytes], bytes]) -> Note:
    """A note with one signature by ``key`` (Ed25519), made by ``sign`` over the text."""
    if key.type is not SignatureType.ED25519 or not _is_text(text):
        raise NoteInvalid(rule="NOTE-FORM")
    return Note(text, (NoteSignature(key.name, key.key_id, sign(text.encode())),))


def read_note(data: bytes) -> Note:
    """Take a note apart: text, blank line, signature lines, and nothing else. Raises NoteInvalid."""
    try:
        whole = data.decode() if len(data) <= MAX_NOTE else ""
    except UnicodeDecodeError:
        raise NoteInvalid(rule="NOTE-FORM") from None
    text, separator, signatures = whole.rpartition("\n\n")
    if not separator or not _is_text(text + "\n"):
        raise NoteInvalid(rule="NOTE-FORM")
    lines = read_signatures(signatures)
    if not lines:
        raise NoteInvalid(rule="NOTE-FORM")
    return Note(text + "\n", lines)


def read_signatures(text: str) -> tuple[NoteSignature, ...]:
    """Signature lines alone, as a witness answers with. Raises NoteInvalid for anything else among them."""
    if text and not text.endswith("\n"):
        raise NoteInvalid(rule="NOTE-FORM")
    lines = []
    for line in text.split("\n")[:-1]:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        signature = _base64(encoded, "NOTE-FORM")
        if dash != _DASH or not _is_key_name(name) or len(signature) < 5:
            raise NoteInvalid(rule="NOTE-FORM")
        lines.append(NoteSignature(name, signature[:4], signature[4:]))
    return tuple(lines)


@dataclass(frozen=True)
class Checkpoint:
    """A log's tree head: whose, how many leaves, and the Merkle Tree Hash over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note text. There are no extension lines: monitors cannot audit them."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The inverse of :attr:`text`; ignores extension lines of other logs. Raises NoteInvalid."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not _NUMBER.fullmatch(lines[1]):
            raise NoteInvalid(rule="NOTE-CHECKPOINT")
        root = _base64(lines[2], "NOTE-CHECKPOINT")
        if len(root) != HASH_SIZE:
            raise NoteInvalid(rule="NOTE-CHECKPOINT")
        return cls(lines[0], int(lines[1]), root)


def cosigned_at(line: NoteSignature) -> datetime:
    """When a witness says that it cosigned; from a line that has verified. Raises NoteInvalid for no such time."""
    try:
        return datetime.fromtimestamp(int.from_bytes(line.signature[:8], "big"), UTC)
    except (OverflowError, ValueError, OSError):
        raise NoteInvalid(rule="NOTE-FORM") from None


def _base64(text: str, rule: str) -> bytes:
    """Standard Base 64 (RFC 4648 §4) in its one form: padded, no white space, no stray bits."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteInvalid(rule=rule) from None
    if base64.b64encode(value).decode() != text:
        raise NoteInvalid(rule=rule)
    return value


def _is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(sign.isspace() or sign < " " for sign in name)


def _is_text(text: str) -> bool:
    return len(text) > 1 and text.endswith("\n") and all(sign >= " " or sign == "\n" for sign in text)
