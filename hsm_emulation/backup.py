"""Backups of a token: one sealed file, opened by what opens the token, put back as a new epoch.

    "camtrust-token-backup-1" newline | length and header | (length and chunk) ...

The header is canonical JSON: what a PIN or cards need to open the master key, the token's checkpoint of the moment, and
the size and SHA-256 of the copy. Chunks are the copy of the store, each sealed under a key derived from the master key
and bound to the header, its number and whether it is the last: cut off, swapped or mixed with another backup, none of
it is taken. A store that was put back signs nothing until it is accepted: by the quorum where it has custodians.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from foundation.canonical import canonical_json
from foundation.clock import Clock
from foundation.keys.attestation import Checkpoint, verify
from foundation.keys.errors import (
    AttestationInvalid,
    BackupInvalid,
    CardsRequired,
    TokenAlreadyInitialised,
    TokenPinIncorrect,
    WrappedKeyInvalid,
)
from foundation.keys.quorum import Custodians
from foundation.randomness import Randomness
from hsm_emulation import epoch
from hsm_emulation.audit import AuditLog
from hsm_emulation.cards import open_with_cards
from hsm_emulation.quorum import read_custodians
from hsm_emulation.sealing import KEY_LENGTH, Cost, derive, seal, unseal
from hsm_emulation.sessions import Role, master_key_of
from hsm_emulation.store import FILE

_FORMAT = b"camtrust-token-backup-1\n"
_CHUNK = 1 << 20
_LONGEST_HEADER = 1 << 20
Progress = Callable[[int, int], None]
"""Told how many octets of how many are done."""


def write_backup(
    source: sqlite3.Connection, folder: Path, master: bytes, checkpoint: bytes, token_key: bytes, randomness: Randomness
) -> Path:
    """Write a backup of an open store into ``folder``; gives its path. ``checkpoint``: of the store as it is."""
    name = f"backup-{hashlib.sha256(checkpoint).hexdigest()[:16]}"
    copy, target = folder / f".{name}.copy", folder / f"{name}.camtrust"
    try:
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(copy)) as made:
            source.backup(made)
            made.execute("PRAGMA journal_mode=DELETE")
        header = _header(source, copy, checkpoint, token_key, randomness)
        descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file, copy.open("rb") as plain:
            encoded = canonical_json(header)
            file.write(_FORMAT + _framed(encoded))
            key = _key(master, header)
            for number, last, chunk in _chunks(plain, header["size"]):
                file.write(_framed(seal(key, chunk, _bound_to(encoded, number, last), randomness)))
            file.flush()
            os.fsync(file.fileno())
    finally:
        copy.unlink(missing_ok=True)
    return target


def restore_backup(
    file: Path,
    directory: Path,
    opened_by: str | Sequence[str],
    *,
    clock: Clock,
    role: Role = Role.SO,
    progress: Progress | None = None,
) -> Custodians:
    """Put a backup into a directory that has no token. ``opened_by``: the PIN of ``role``, or cards.

    Gives the custodians: where there are any, the token signs nothing until they approve ``accept_store``; where there
    is nobody, it is accepted here. Either way it is written down. TokenAlreadyInitialised; BackupInvalid for what is
    cut off, changed or no backup; TokenPinIncorrect, CardsRequired, and what cards raise.
    """
    if (directory / FILE).exists():
        raise TokenAlreadyInitialised
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = directory / f".{FILE}.restored"
    try:
        with file.open("rb") as source:
            encoded, header = _read_header(source)
            master = _open(header, opened_by, role)
            _write_copy(source, partial, encoded, header, _key(master, header), progress)
        custodians = _admit(partial, header, master, clock)
        os.link(partial, directory / FILE)
    except FileExistsError:
        raise TokenAlreadyInitialised from None
    finally:
        partial.unlink(missing_ok=True)
    return custodians


def _header(
    source: sqlite3.Connection, copy: Path, checkpoint: bytes, token_key: bytes, randomness: Randomness
) -> dict[str, Any]:
    digest = hashlib.sha256()
    with copy.open("rb") as plain:
        while chunk := plain.read(_CHUNK):
            digest.update(chunk)
    operators = source.execute("SELECT role, salt, wrapped FROM operators ORDER BY role").fetchall()
    cards = source.execute("SELECT identifier, threshold, count, sealed FROM cards").fetchone()
    costs = source.execute("SELECT value FROM meta WHERE name = 'costs'").fetchone()
    return {
        "checkpoint": checkpoint.decode(),
        "token_key": _text(token_key),
        "operators": [[row[0], _text(row[1]), _text(row[2])] for row in operators],
        "cards": [cards[0], cards[1], cards[2], _text(cards[3])] if cards else None,
        "cost": json.loads(costs[0])["operator"],
        "nonce": _text(randomness.bytes(KEY_LENGTH)),
        "size": copy.stat().st_size,
        "sha256": digest.hexdigest(),
    }


def _read_header(source: BinaryIO) -> tuple[bytes, dict[str, Any]]:
    if source.read(len(_FORMAT)) != _FORMAT:
        raise BackupInvalid
    encoded = _frame(source, _LONGEST_HEADER)
    try:
        header = json.loads(encoded)
        verify(header["checkpoint"].encode(), _octets(header["token_key"]), Checkpoint)
    except (ValueError, KeyError, TypeError, AttributeError, AttestationInvalid):
        raise BackupInvalid from None
    return encoded, header


def _open(header: dict[str, Any], opened_by: str | Sequence[str], role: Role) -> bytes:
    """The master key, as the header has it sealed."""
    try:
        if not isinstance(opened_by, str):
            with closing(sqlite3.connect(":memory:")) as held:
                held.row_factory = sqlite3.Row
                held.execute("CREATE TABLE cards (identifier, threshold, count, sealed)")
                if header["cards"]:
                    *numbers, sealed = header["cards"]
                    held.execute("INSERT INTO cards VALUES (?, ?, ?, ?)", (*numbers, _octets(sealed)))
                return open_with_cards(held, opened_by)
        found = [row for row in header["operators"] if row[0] == role.value]
        if not found:
            raise CardsRequired if header["cards"] else TokenPinIncorrect
        return master_key_of(
            role, derive(opened_by, _octets(found[0][1]), Cost(**header["cost"])), _octets(found[0][2])
        )
    except WrappedKeyInvalid:
        raise TokenPinIncorrect from None
    except (ValueError, KeyError, TypeError):
        raise BackupInvalid from None


def _write_copy(
    source: BinaryIO, partial: Path, encoded: bytes, header: dict[str, Any], key: bytes, progress: Progress | None
) -> None:
    digest, done, number, last = hashlib.sha256(), 0, 0, False
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as copy:
        while not last:
            last = done + _CHUNK >= header["size"]
            try:
                chunk = unseal(key, _frame(source, _CHUNK + 64), _bound_to(encoded, number, last))
            except WrappedKeyInvalid:
                raise BackupInvalid from None
            digest.update(chunk)
            copy.write(chunk)
            done, number = done + len(chunk), number + 1
            if progress is not None:
                progress(done, header["size"])
        copy.flush()
        os.fsync(copy.fileno())
    if source.read(1) or done != header["size"] or digest.hexdigest() != header["sha256"]:
        raise BackupInvalid


def _admit(partial: Path, header: dict[str, Any], master: bytes, clock: Clock) -> Custodians:
    """Check the copy against its checkpoint; write down that it was put back; accept it where nobody else must."""
    checkpoint = verify(header["checkpoint"].encode(), _octets(header["token_key"]), Checkpoint)
    audit = AuditLog(clock)
    with closing(sqlite3.connect(partial, isolation_level=None)) as store:
        store.row_factory = sqlite3.Row
        row = store.execute("SELECT hash FROM audit WHERE sequence = ?", (checkpoint.sequence,)).fetchone()
        if row is None or bytes(row[0]).hex() != checkpoint.hash:
            raise BackupInvalid
        audit.verify(store)
        custodians = read_custodians(store, master)
        store.execute("BEGIN IMMEDIATE")
        epoch.put_back(store, checkpoint.sequence)
        details = {"checkpoint": checkpoint.sequence, "epoch": checkpoint.epoch}
        audit.append(store, Role.SO.value, "restore", "token", "done", details)
        if not custodians.people:
            epoch.accept(store, audit, Role.SO.value)
        store.execute("COMMIT")
    return custodians


def _key(master: bytes, header: dict[str, Any]) -> bytes:
    return HKDF(hashes.SHA256(), KEY_LENGTH, _octets(header["nonce"]), b"CamTrust: a backup of a token").derive(master)


def _bound_to(header: bytes, number: int, last: bool) -> dict[str, Any]:
    return {"what": "backup", "header": hashlib.sha256(header).hexdigest(), "number": number, "last": last}


def _chunks(plain: BinaryIO, size: int) -> Iterator[tuple[int, bool, bytes]]:
    done, number = 0, 0
    while chunk := plain.read(_CHUNK):
        done += len(chunk)
        yield number, done >= size, chunk
        number += 1


def _framed(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets


def _frame(source: BinaryIO, longest: int) -> bytes:
    length = int.from_bytes(source.read(4), "big")
    octets = source.read(length) if 0 < length <= longest else b""
    if not octets or len(octets) != length:
        raise BackupInvalid
    return octets


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _octets(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
