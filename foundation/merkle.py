"""The Merkle tree of RFC 6962 §2.1 (RFC 9162 §2.1) over SHA-256, kept as tiles (C2SP tlog-tiles). Pure.

A tile is up to 256 consecutive hashes of one level: level 0 holds the leaves' hashes, and each hash of level L+1 is the
root of one full tile of level L. A tree only ever appends, so every shorter tile is the beginning of the longer one,
and the tiles of a tree give the root and the proofs of all its earlier sizes.

Sizes and indexes that make no sense (negative, beyond the tree) are a defect of the caller: ValueError. The two
``verify_…`` functions take what strangers say, and answer with a bool.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

HASH_SIZE = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
FULL_TILE = TILE_WIDTH * HASH_SIZE  # octets

EMPTY_ROOT = hashlib.sha256(b"").digest()

TileReader = Callable[[int, int], bytes]
"""(level, index) to the tile's hashes: at least those of the tree that is asked about, in their order."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry (RFC 6962 §2.1: 0x00 before it)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees (RFC 6962 §2.1: 0x01 before them)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


# --- the tree -----------------------------------------------------------------------------------------------------


def appended(tiles: TileReader, size: int, leaves: Sequence[bytes]) -> Mapping[tuple[int, int], bytes]:
    """Append leaf hashes to a tree of ``size`` leaves; gives the tiles that change, whole, by level and index."""
    changed: dict[tuple[int, int], bytes] = {}
    level, new = 0, list(leaves)
    while new:
        present = size >> (TILE_HEIGHT * level)
        index, at = divmod(present, TILE_WIDTH)
        hashes = (tiles(level, index)[: at * HASH_SIZE] if at else b"") + b"".join(new)
        new = []
        for start in range(0, len(hashes), FULL_TILE):
            tile = hashes[start : start + FULL_TILE]
            changed[level, index] = tile
            index += 1
            if len(tile) == FULL_TILE:
                new.append(_perfect(tile))
        level += 1
    return changed


def root(tiles: TileReader, size: int) -> bytes:
    """The Merkle Tree Hash of the first ``size`` leaves."""
    _check(size >= 0)
    return _range(tiles, 0, size) if size else EMPTY_ROOT


def inclusion_proof(tiles: TileReader, index: int, size: int) -> tuple[bytes, ...]:
    """PATH(index, D[size]): the hashes from the leaf's sibling up to the root's child (RFC 6962 §2.1.1)."""
    _check(0 <= index < size)
    proof, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range(tiles, middle, end))
            end = middle
        else:
            proof.append(_range(tiles, start, middle))
            start = middle
    return tuple(reversed(proof))


def consistency_proof(tiles: TileReader, old: int, new: int) -> tuple[bytes, ...]:
    """PROOF(old, D[new]): that the tree of ``old`` leaves is the beginning of the one of ``new`` (RFC 6962 §2.1.2).

    Empty where there is nothing to prove: ``old`` is 0, or equal to ``new``.
    """
    _check(0 <= old <= new)
    if old in (0, new):
        return ()
    proof, start, end, whole = [], 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_range(tiles, middle, end))
            end = middle
        else:
            proof.append(_range(tiles, start, middle))
            start, whole = middle, False
    if not whole:
        proof.append(_range(tiles, start, end))
    return tuple(reversed(proof))


class Frontier:
    """The right edge of a growing tree: enough to append and to give the root, in memory of its height alone.

    ``size`` leaves; the hashes are the roots of the perfect subtrees that the size is the sum of, the largest first.
    """

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        _check(size >= 0 and len(hashes) == size.bit_count() and _are_hashes(*hashes))
        self.size = size
        self._hashes = list(hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Frontier:
        """The inverse of :meth:`to_bytes`; ValueError where the hashes are not those of such a size."""
        _check(len(data) % HASH_SIZE == 0)
        return cls(size, [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)])

    def to_bytes(self) -> bytes:
        return b"".join(self._hashes)

    def append(self, leaf: bytes) -> None:
        """One more leaf, by its hash."""
        merged, size = leaf, self.size
        while size & 1:
            merged, size = node_hash(self._hashes.pop(), merged), size >> 1
        self._hashes.append(merged)
        self.size += 1

    @property
    def root(self) -> bytes:
        """The Merkle Tree Hash of all leaves."""
        if not self._hashes:
            return EMPTY_ROOT
        value = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            value = node_hash(left, value)
        return value


# --- trees that are held as a list -------------------------------------------------------------------------------


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over hashes of leaves, or of perfect subtrees of one size of which the last may be smaller."""
    row = list(hashes)
    while len(row) > 1:
        row = _paired(row)
    return row[0] if row else EMPTY_ROOT


def path_of(hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The inclusion proof of one of them (RFC 9162 §2.1.3.1), from the bottom up; ValueError outside of the list."""
    _check(0 <= index < len(hashes))
    row, path = list(hashes), []
    while len(row) > 1:
        if index ^ 1 < len(row):
            path.append(row[index ^ 1])
        row, index = _paired(row), index >> 1
    return tuple(path)


def _paired(row: Sequence[bytes]) -> list[bytes]:
    """Pairs from the left; an odd one goes up as it is, which gives the tree of RFC 6962 §2.1."""
    made = [node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
    return [*made, row[-1]] if len(row) % 2 else made


# --- what a verifier does -----------------------------------------------------------------------------------------


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], tree_root: bytes) -> bool:
    """Whether the leaf with hash ``leaf`` stands at ``index`` in the tree (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes(leaf, tree_root, *proof):
        return False
    node, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            value = node_hash(sibling, value)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and value == tree_root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of ``old`` leaves is the beginning of the one of ``new`` (RFC 9162 §2.1.4.2)."""
    if not 0 <= old <= new or not _are_hashes(old_root, new_root, *proof):
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT and (new > 0 or new_root == EMPTY_ROOT)
    if old == new:
        return not proof and old_root == new_root
    hashes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if len(hashes) < 1 + (old & (old - 1) == 0):
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = hashes[0]
    for value in hashes[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first, second = node_hash(value, first), node_hash(value, second)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, value)
        node, last = node >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


# --- names of tiles -----------------------------------------------------------------------------------------------

_PATH = re.compile(
    r"(?P<level>0|[1-9][0-9]?|entries)/(?P<index>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True)
class TileName:
    """``<L>/<N>[.p/<W>]`` as C2SP tlog-tiles writes it. ``level`` is None for a bundle of entries."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path behind ``/tile/``: the index in groups of three digits, an ``x`` before all but the last."""
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        level = "entries" if self.level is None else str(self.level)
        return f"{level}/{number}" + ("" if self.width == TILE_WIDTH else f".p/{self.width}")

    def fits(self, size: int) -> bool:
        """Whether a tree of ``size`` leaves has all hashes (or entries) of this tile."""
        return self.index * TILE_WIDTH + self.width <= size >> (TILE_HEIGHT * (self.level or 0))

    @classmethod
    def parse(cls, path: str) -> TileName | None:
        """The inverse of :attr:`path`; None for anything that is not written in exactly that way."""
        found = _PATH.fullmatch(path)
        if found is None:
            return None
        level = None if found["level"] == "entries" else int(found["level"])
        name = cls(level, int(re.sub("[x/]", "", found["index"])), int(found["width"] or TILE_WIDTH))
        return name if name.path == path and (level or 0) <= 63 else None


def tiles_of(size: int) -> tuple[TileName, ...]:
    """The tiles that hold a tree of ``size`` leaves, full ones first on each level, from the leaves up."""
    names, level = [], 0
    while hashes := size >> (TILE_HEIGHT * level):
        full, rest = divmod(hashes, TILE_WIDTH)
        names += [TileName(level, index) for index in range(full)]
        if rest:
            names.append(TileName(level, full, rest))
        level += 1
    return tuple(names)


# --- within -------------------------------------------------------------------------------------------------------


def _range(tiles: TileReader, start: int, end: int) -> bytes:
    """MTH(D[start:end]), where ``start`` is a multiple of the largest power of two that is not above the length."""
    length = end - start
    if length & (length - 1):
        middle = start + _split(length)
        return node_hash(_range(tiles, start, middle), _range(tiles, middle, end))
    height = length.bit_length() - 1
    level, within = divmod(height, TILE_HEIGHT)
    index, at = divmod(start >> (TILE_HEIGHT * level), TILE_WIDTH)
    hashes = tiles(level, index)[at * HASH_SIZE : (at + (1 << within)) * HASH_SIZE]
    _check(len(hashes) == HASH_SIZE << within)
    return _perfect(hashes)


def _perfect(hashes: bytes) -> bytes:
    """The root over 2^n hashes, one after the other."""
    row = [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def _split(length: int) -> int:
    """The largest power of two below ``length`` (RFC 6962 §2.1)."""
    return 1 << (length - 1).bit_length() - 1


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_SIZE for value in values)


def _check(sound: bool) -> None:
    if not sound:
        raise ValueError("not within the tree")
