"""The issuance log: every certificate and every CRL, committed to in a Merkle tree that only grows (C2SP tlog-tiles).

An entry is recorded in the unit of work that stores what it is about, so that neither exists without the other. One
appender at a time gives positions (:meth:`IssuanceLog.integrate`); whoever asks for a checkpoint or a proof does it if
nobody has. A tree is committed before it is signed: a crash between the two leaves a tree whose checkpoint is made
next, never a checkpoint of a tree that is not there. What the commitments hide: docs/decisions/0007-issuance-log.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection

from foundation.clock import Clock
from foundation.db.engine import Database, StaleWrite
from foundation.keys.errors import LabelExists
from foundation.keys.handles import public_key
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse, Mechanism
from foundation.log_proof import (
    BLINDING_SIZE,
    EntryKind,
    InclusionProof,
    Opening,
    label,
    name_digest,
)
from foundation.merkle import (
    FULL_TILE,
    HASH_SIZE,
    TILE_WIDTH,
    TileName,
    TileReader,
    appended,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
)
from foundation.randomness import Randomness
from foundation.signed_note import (
    Checkpoint,
    NoteInvalid,
    NoteKey,
    SignatureType,
    cosigned_at,
    read_note,
    read_signatures,
    sign_note,
)
from issuing_ca import log_store
from issuing_ca.errors import LogBroken, LogEntryPending, LogEntryUnknown, LogTileUnknown
from issuing_ca.log_store import Head

KEY_LABEL = "issuance-log"
_BATCH = 4 * TILE_WIDTH  # entries in one unit of work


def log_origin(public_url: str) -> str:
    """The origin line of the log that is served under ``/log``: the URL prefix without its scheme (tlog-tiles)."""
    parts = urlsplit(public_url)
    return f"{parts.netloc}{parts.path.rstrip('/')}/log"


def name_of_log(database: Database, public_url: str) -> str:
    """The origin that the log has published under: its key and its labels go by that name for ever, wherever the
    services move to. :func:`log_origin` for one that has published nothing, or nothing that can be read."""
    with database.read() as connection:
        published = log_store.head(connection).checkpoint
    try:
        return Checkpoint.parse(read_note(published).text).origin if published else log_origin(public_url)
    except NoteInvalid:
        return log_origin(public_url)


class IssuanceLog:
    """Records, sequences, signs and proves. ``witnesses``: whose cosignatures are taken up, and of which verifiers are
    told to ask for ``quorum``."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        clock: Clock,
        randomness: Randomness,
        origin: str,
        witnesses: Sequence[NoteKey] = (),
        quorum: int = 0,
    ) -> None:
        self.origin = origin
        self._database = database
        self._keys = keys
        self._clock = clock
        self._randomness = randomness
        self.witnesses = tuple(witnesses)
        self.quorum = quorum
        self._key: tuple[NoteKey, KeyInfo] | None = None

    # --- recording ------------------------------------------------------------------------------------------------

    def record(self, connection: Connection, kind: EntryKind, digest: bytes, subject: str) -> None:
        """Record what happened, in the caller's unit of work. ``digest``: SHA-256 of the DER."""
        self._record(connection, kind, [(digest, subject)])

    def record_certificates(self, connection: Connection, issued: Sequence[tuple[bytes, str]]) -> None:
        """Record that certificates (DER) were issued, in the caller's unit of work, each with whom it names
        (`foundation.log_proof.subject_of`)."""
        about = [(hashlib.sha256(certificate).digest(), subject) for certificate, subject in issued]
        self._record(connection, EntryKind.CERTIFICATE, about)

    def _record(self, connection: Connection, kind: EntryKind, about: Sequence[tuple[bytes, str]]) -> None:
        at = self._clock.now().replace(microsecond=0)
        blindings = self._randomness.bytes(BLINDING_SIZE * len(about))
        openings = [
            Opening(
                kind,
                digest,
                label(self.origin, subject),
                at,
                blindings[number * BLINDING_SIZE : (number + 1) * BLINDING_SIZE],
            )
            for number, (digest, subject) in enumerate(about)
        ]
        log_store.add_entries(connection, openings)

    def record_crl(self, connection: Connection, crl: bytes, issuer: x509.Name) -> None:
        """Record a CRL (DER)."""
        self.record(connection, EntryKind.CRL, hashlib.sha256(crl).digest(), name_digest(issuer))

    def record_transcript(self, transcript: bytes, root_name: x509.Name) -> bytes:
        """Record the transcript of a ceremony, once, under the label of the root's name; gives its SHA-256."""
        digest = hashlib.sha256(transcript).digest()
        with self._database.unit_of_work() as connection:
            log_store.head(connection, lock=True)  # two processes never record the same one
            if log_store.entry_of(connection, digest, EntryKind.CEREMONY) is None:
                self.record(connection, EntryKind.CEREMONY, digest, name_digest(root_name))
        return digest

    # --- sequencing and signing -----------------------------------------------------------------------------------

    def integrate(self) -> int:
        """Give positions to all that waits, and sign the tree; gives its size.

        Raises LogBroken where the stored tree is not the one that was signed, and the key store's errors: then what was
        sequenced stays, and the next call signs it.
        """
        while self._sequence() == _BATCH:
            pass
        return Checkpoint.parse(read_note(self._publish()).text).size

    def checkpoint(self) -> bytes:
        """The newest checkpoint, a signed note with what witnesses added; one that covers all that was recorded."""
        with self._database.read() as connection:
            head = log_store.head(connection)
            done = head.checkpoint_size == head.size and not log_store.is_waiting(connection)
            if head.checkpoint is not None and done:
                return head.checkpoint
        self.integrate()
        with self._database.read() as connection:
            return log_store.head(connection).checkpoint or b""

    def verifier_key(self) -> NoteKey:
        """What a verifier pins; made in the token the first time."""
        return self._own_key()[0]

    def cosign(self, lines: str) -> datetime:
        """Take up the lines with which a witness answered for the newest checkpoint; gives when it last cosigned.

        Lines of strangers are left out. Raises NoteInvalid where none is of a known witness, or one is false; and
        StaleWrite where the log has meanwhile gone on.
        """
        with self._database.unit_of_work() as connection:
            head = log_store.head(connection, lock=True)
            if head.checkpoint is None:
                raise StaleWrite
            note, given = read_note(head.checkpoint), read_signatures(lines)
            witnesses = type(note)(note.text, given).opened_by(self.witnesses)
            taken = [line for line in given if any(key.made(line) for key in witnesses)]
            others = tuple(line for line in note.signatures if not any(key.made(line) for key in witnesses))
            after = bytes(type(note)(note.text, others).with_signatures(taken))
            log_store.replace_checkpoint(connection, head.checkpoint, after)
        return max(cosigned_at(line) for line in taken)

    # --- what is published ----------------------------------------------------------------------------------------

    def tile(self, path: str) -> bytes:
        """The octets behind ``/tile/{path}``: hashes, or a bundle of entries. Raises LogTileUnknown.

        Only what the newest checkpoint covers is given.
        """
        name = TileName.parse(path)
        with self._database.read() as connection:
            if name is None or not name.fits(log_store.head(connection).checkpoint_size):
                raise LogTileUnknown
            if name.level is not None:
                return log_store.tile(connection, name.level, name.index)[: name.width * HASH_SIZE]
            entries = log_store.bundle(connection, name.index * TILE_WIDTH, name.width)
        return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)

    def inclusion(self, digest: bytes, kind: EntryKind | None = None) -> InclusionProof:
        """The proof, with its opening, that what has this SHA-256 is in the log.

        Raises LogEntryUnknown, and LogEntryPending where the checkpoint does not cover it yet.
        """
        with self._database.read() as connection:
            if log_store.entry_of(connection, digest, kind) is None:
                raise LogEntryUnknown
        checkpoint = self.checkpoint()
        size = Checkpoint.parse(read_note(checkpoint).text).size
        with self._database.read() as connection:
            found = log_store.entry_of(connection, digest, kind)
            if found is None or found.position is None or found.position >= size:
                raise LogEntryPending(retry_after=1.0)
            hashes = inclusion_proof(log_store.tile_reader(connection), found.position, size)
        return InclusionProof(found.position, hashes, checkpoint, found.opening)

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """The proof that the tree of ``new`` leaves continues that of ``old`` (RFC 6962 §2.1.2); ValueError."""
        with self._database.read() as connection:
            return consistency_proof(log_store.tile_reader(connection), old, new)

    def of_subject(self, subject: str) -> tuple[InclusionProof, ...]:
        """Everything under a subject's label, oldest first: what a person sees who asks for their own."""
        with self._database.read() as connection:
            digests = log_store.digests_of(connection, label(self.origin, subject))
        return tuple(sorted((self.inclusion(digest) for digest in digests), key=lambda proof: proof.index))

    def verify(self) -> int:
        """Rebuild the whole tree from the openings and compare; gives its size. Raises LogBroken at the first change.

        For the operator: it reads every entry. Outsiders do the same from the published entries.
        """
        size, growing = 0, dict[tuple[int, int], bytes]()
        with self._database.read() as connection:
            head, stored = log_store.head(connection), log_store.tile_reader(connection)
            self._check_signed(stored, head)
            for entries in log_store.chunks(connection, head.size):
                if any(one.opening.commitment != one.entry for one in entries):
                    raise LogBroken(size=size + len(entries))
                leaves = [leaf_hash(one.entry) for one in entries]
                changed = appended(partial(_known, growing), size, leaves)
                size += len(entries)
                if any(stored(*at)[: len(hashes)] != hashes for at, hashes in changed.items()):
                    raise LogBroken(size=size)
                growing = {at: hashes for at, hashes in {**growing, **changed}.items() if len(hashes) < FULL_TILE}
            if size != head.size:
                raise LogBroken(size=size)
        return size

    # --- steps ----------------------------------------------------------------------------------------------------

    def _sequence(self) -> int:
        """One batch under the lock of the head; gives how many entries it took."""
        with self._database.unit_of_work() as connection:
            head = log_store.head(connection, lock=True)
            entries = log_store.waiting(connection, _BATCH)
            if not entries:
                return 0
            tiles = log_store.tile_reader(connection)
            _check(tiles, head.size, head.root)
            changed = appended(tiles, head.size, [leaf_hash(one.entry) for one in entries])
            size = head.size + len(entries)
            grown = root(lambda level, at: changed.get((level, at)) or tiles(level, at), size)
            log_store.place(connection, entries, head.size)
            log_store.put_tiles(connection, changed)
            log_store.grow(connection, head, size, grown)
        return len(entries)

    def _publish(self) -> bytes:
        """Sign the committed tree, unless its checkpoint is there; gives the newest checkpoint."""
        with self._database.read() as connection:
            head = log_store.head(connection)
            if head.checkpoint is not None and head.checkpoint_size == head.size:
                return head.checkpoint
            self._check_signed(log_store.tile_reader(connection), head)
        key, info = self._own_key()
        text = Checkpoint(self.origin, head.size, head.root).text
        note = sign_note(text, key, lambda message: self._keys.sign(info.key_id, Mechanism.EDDSA, message))
        note.opened_by([key])
        try:
            with self._database.unit_of_work() as connection:
                log_store.head(connection, lock=True)  # makes the row of an empty log
                log_store.publish(connection, bytes(note), head.size)
            return bytes(note)
        except StaleWrite:  # another process was first, with a checkpoint that is as new or newer
            with self._database.read() as connection:
                return log_store.head(connection).checkpoint or b""

    def _check_signed(self, tiles: TileReader, head: Head) -> None:
        """The stored tiles give the head's root, and the root that was signed last (by us) for its size."""
        _check(tiles, head.size, head.root)
        if head.checkpoint is not None:
            note = read_note(head.checkpoint)
            note.opened_by([self.verifier_key()])
            signed = Checkpoint.parse(note.text)
            if signed.size > head.size:
                raise LogBroken(size=head.size)
            _check(tiles, signed.size, signed.root)

    def _own_key(self) -> tuple[NoteKey, KeyInfo]:
        if self._key is None:
            found = self._keys.find(label=KEY_LABEL, use=KeyUse.LOG)
            try:
                info = found[0] if found else self._keys.generate(KEY_LABEL, KeyAlgorithm.ED25519, KeyUse.LOG)
            except LabelExists:  # another process was first
                info = self._keys.find(label=KEY_LABEL, use=KeyUse.LOG)[0]
            public = public_key(info)
            assert isinstance(public, Ed25519PublicKey)  # noqa: S101 - it was made as one
            raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
            self._key = NoteKey(self.origin, SignatureType.ED25519, raw), info
        return self._key


def _check(tiles: TileReader, size: int, expected: bytes) -> None:
    """Raises LogBroken where the tiles do not give this root, or are not all there."""
    try:
        found = root(tiles, size)
    except ValueError:
        raise LogBroken(size=size) from None
    if found != expected:
        raise LogBroken(size=size)


def _known(tiles: Mapping[tuple[int, int], bytes], level: int, index: int) -> bytes:
    return tiles[level, index]
