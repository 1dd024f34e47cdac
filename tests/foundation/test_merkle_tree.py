"""The Merkle tree against published values, and against the definition of RFC 6962 written down as it stands."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.merkle import (
    EMPTY_ROOT,
    FULL_TILE,
    HASH_SIZE,
    TILE_WIDTH,
    Frontier,
    TileName,
    appended,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
    tiles_of,
    verify_consistency,
    verify_inclusion,
)

# Published values: the test data of the Certificate Transparency reference implementation (the same in
# transparency-dev/merkle, testonly/constants.go): the entries, the root after each, and proofs in the tree of eight.
ENTRIES = [
    bytes.fromhex(one)
    for one in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    bytes.fromhex(one)
    for one in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
INCLUSION_OF_0_IN_8 = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)
INCLUSION_OF_5_IN_8 = (
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
)
CONSISTENCY_OF_6_AND_8 = (
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
)
CONSISTENCY_OF_2_AND_5 = (
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
)


class Tiles:
    """Tiles in memory, grown in the steps that the test says."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.size = 0

    def __call__(self, level: int, index: int) -> bytes:
        return self.tiles[level, index]

    def append(self, entries: Sequence[bytes]) -> Mapping[tuple[int, int], bytes]:
        changed = appended(self, self.size, [leaf_hash(entry) for entry in entries])
        self.tiles.update(changed)
        self.size += len(entries)
        return changed


# --- the definition, as RFC 6962 §2.1 to §2.1.2 write it ----------------------------------------------------------


def split(length: int) -> int:
    power = 1
    while power * 2 < length:
        power *= 2
    return power


def mth(entries: Sequence[bytes]) -> bytes:
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = split(len(entries))
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(index: int, entries: Sequence[bytes]) -> list[bytes]:
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if index < k:
        return [*path(index, entries[:k]), mth(entries[k:])]
    return [*path(index - k, entries[k:]), mth(entries[:k])]


def subproof(old: int, entries: Sequence[bytes], whole: bool) -> list[bytes]:
    if old == len(entries):
        return [] if whole else [mth(entries)]
    k = split(len(entries))
    if old <= k:
        return [*subproof(old, entries[:k], whole), mth(entries[k:])]
    return [*subproof(old - k, entries[k:], False), mth(entries[:k])]


def numbered(count: int) -> list[bytes]:
    return [number.to_bytes(3, "big") for number in range(count)]


sizes = st.one_of(st.integers(1, 40), st.integers(1, 700), st.sampled_from([255, 256, 257, 511, 512, 513]))


def test_published_roots() -> None:
    """The roots of the trees of 0 to 8 entries are the published ones."""
    tiles = Tiles()
    tiles.append(ENTRIES)
    assert [root(tiles, size) for size in range(9)] == ROOTS
    assert ROOTS[0] == EMPTY_ROOT


@pytest.mark.parametrize(("index", "proof"), [(0, INCLUSION_OF_0_IN_8), (5, INCLUSION_OF_5_IN_8)])
def test_published_inclusion_proofs(index: int, proof: tuple[str, ...]) -> None:
    """Inclusion proofs are the published ones, and verify."""
    tiles = Tiles()
    tiles.append(ENTRIES)
    made = inclusion_proof(tiles, index, 8)
    assert tuple(one.hex() for one in made) == proof
    assert verify_inclusion(leaf_hash(ENTRIES[index]), index, 8, made, ROOTS[8])


@pytest.mark.parametrize(("old", "new", "proof"), [(6, 8, CONSISTENCY_OF_6_AND_8), (2, 5, CONSISTENCY_OF_2_AND_5)])
def test_published_consistency_proofs(old: int, new: int, proof: tuple[str, ...]) -> None:
    """Consistency proofs are the published ones, and verify."""
    tiles = Tiles()
    tiles.append(ENTRIES)
    made = consistency_proof(tiles, old, new)
    assert tuple(one.hex() for one in made) == proof
    assert verify_consistency(old, new, ROOTS[old], ROOTS[new], made)


@settings(max_examples=60)
@given(size=sizes, data=st.data())
def test_the_tree_is_as_defined(size: int, data: st.DataObject) -> None:
    """However it was appended to, in whatever steps: root and proofs of every earlier size are as RFC 6962 defines
    them, and a change of anything in them is noticed."""
    entries, tiles = numbered(size), Tiles()
    at = 0
    while at < size:
        step = data.draw(st.integers(1, size - at))
        tiles.append(entries[at : at + step])
        at += step
    then = data.draw(st.integers(1, size))
    assert root(tiles, then) == mth(entries[:then])
    index = data.draw(st.integers(0, then - 1))
    proof = inclusion_proof(tiles, index, then)
    assert list(proof) == path(index, entries[:then])
    leaf, head = leaf_hash(entries[index]), root(tiles, then)
    assert verify_inclusion(leaf, index, then, proof, head)
    assert not verify_inclusion(leaf_hash(b"other"), index, then, proof, head)
    assert not verify_inclusion(leaf, index, then, [*proof, head], head)
    if proof:
        broken = list(proof)
        broken[data.draw(st.integers(0, len(proof) - 1))] = bytes(32)
        assert not verify_inclusion(leaf, index, then, broken, head)
        assert not verify_inclusion(leaf, index, then, proof[:-1], head)
        other = data.draw(st.integers(0, then - 1).filter(lambda number: number != index))
        assert not verify_inclusion(leaf, other, then, proof, head)


@settings(max_examples=60)
@given(size=sizes, data=st.data())
def test_consistency_is_as_defined(size: int, data: st.DataObject) -> None:
    """Consistency proofs are as RFC 6962 defines them; no proof makes a tree with a changed past consistent."""
    entries, tiles = numbered(size), Tiles()
    tiles.append(entries)
    old = data.draw(st.integers(1, size))
    proof = consistency_proof(tiles, old, size)
    assert list(proof) == subproof(old, entries[:size], True)
    before, now = root(tiles, old), root(tiles, size)
    assert verify_consistency(old, size, before, now, proof)
    changed = Tiles()
    changed.append([b"changed", *entries[1:]])
    assert not verify_consistency(old, size, root(changed, old), now, proof)
    assert not verify_consistency(old, size, before, root(changed, size), consistency_proof(changed, old, size))
    if proof:
        broken = list(proof)
        broken[data.draw(st.integers(0, len(proof) - 1))] = bytes(32)
        assert not verify_consistency(old, size, before, now, broken)
        assert not verify_consistency(old, size, before, now, proof[:-1])
        assert not verify_consistency(old, size, before, now, [*proof, now])


def test_the_empty_tree() -> None:
    """Everything grows out of nothing; nothing grows out of a root that is not that of nothing."""
    tiles = Tiles()
    tiles.append(ENTRIES)
    assert consistency_proof(tiles, 0, 8) == ()
    assert verify_consistency(0, 8, EMPTY_ROOT, ROOTS[8], ())
    assert verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, ())
    assert not verify_consistency(0, 8, ROOTS[1], ROOTS[8], ())
    assert not verify_consistency(0, 0, EMPTY_ROOT, ROOTS[1], ())
    assert not verify_consistency(0, 8, EMPTY_ROOT, ROOTS[8], (ROOTS[1],))


def test_what_strangers_say_is_refused_quietly() -> None:
    """Sizes that make no sense and hashes of other lengths are false, never an exception."""
    head = ROOTS[8]
    for index, size in ((8, 8), (-1, 8), (0, 0), (0, -1)):
        assert not verify_inclusion(head, index, size, (), head)
    assert not verify_inclusion(head[:31], 0, 1, (), head[:31])
    assert not verify_inclusion(head, 0, 2, (b"",), head)
    for old, new in ((9, 8), (-1, 8), (4, 8), (3, 8)):
        assert not verify_consistency(old, new, head, head, ())
    assert not verify_consistency(8, 8, ROOTS[7], head, ())


@pytest.mark.parametrize(("index", "size"), [(8, 8), (-1, 8), (0, 9), (0, 0)])
def test_no_proof_beyond_the_tree(index: int, size: int) -> None:
    """A proof that the tiles cannot give is ValueError (or a missing tile), never a wrong proof."""
    tiles = Tiles()
    tiles.append(ENTRIES)
    with pytest.raises(ValueError, match="not within"):
        inclusion_proof(tiles, index, size)


def test_tiles_are_as_specified() -> None:
    """A tree of 70,000 has 273 full tiles and one of 112 at level 0, one full and one of 17 at level 1, one of width 1
    at level 2: the example of c2sp.org/tlog-tiles. Each hash above is the root of a full tile below."""
    names = tiles_of(70_000)
    count = dict.fromkeys(((0, 256), (0, 112), (1, 256), (1, 17), (2, 1)), 0)
    for name in names:
        assert name.level is not None
        count[name.level, name.width] += 1
        assert name.fits(70_000)
    assert count == {(0, 256): 273, (0, 112): 1, (1, 256): 1, (1, 17): 1, (2, 1): 1}
    tiles = Tiles()
    tiles.append(numbered(70_000))
    assert {(name.level, name.index): name.width for name in names} == {
        at: len(hashes) // HASH_SIZE for at, hashes in tiles.tiles.items()
    }
    assert tiles(1, 0)[:HASH_SIZE] == mth(numbered(256))
    assert tiles(2, 0) == mth(numbered(65_536))
    assert len(tiles(0, 0)) == FULL_TILE


def test_a_full_tile_starts_the_next_level() -> None:
    """A tree of 256 is a full tile, and a tile of width 1 above it (c2sp.org/tlog-tiles)."""
    assert tiles_of(256) == (TileName(0, 0), TileName(1, 0, 1))
    assert tiles_of(255) == (TileName(0, 0, 255),)
    assert tiles_of(0) == ()


@settings(max_examples=40)
@given(first=st.integers(0, 600), more=st.integers(1, 600))
def test_tiles_only_grow(first: int, more: int) -> None:
    """Appending changes no hash that was there: each tile is the beginning of what it becomes, full ones stay."""
    tiles = Tiles()
    tiles.append(numbered(first))
    before = dict(tiles.tiles)
    changed = tiles.append(numbered(more))
    assert all(tiles(*at).startswith(hashes) for at, hashes in before.items())
    assert not [at for at in changed if len(before.get(at, b"")) == FULL_TILE]


@pytest.mark.parametrize(
    ("name", "path_"),
    [
        (TileName(0, 0), "0/000"),
        (TileName(0, 1234067), "0/x001/x234/067"),
        (TileName(63, 1000, 1), "63/x001/000.p/1"),
        (TileName(None, 5, 255), "entries/005.p/255"),
        (TileName(None, 999_999), "entries/x999/999"),
    ],
)
def test_tile_paths(name: TileName, path_: str) -> None:
    """Paths are those of c2sp.org/tlog-tiles (index 1234067 is x001/x234/067)."""
    assert name.path == path_
    assert TileName.parse(path_) == name


@pytest.mark.parametrize(
    "path_",
    [
        "", "0", "0/", "0/0", "0/00", "0/0000", "00/000", "01/000", "64/000", "-1/000", "0/x000/001", "0/001/002",
        "0/x001", "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/", "0/000.p/1000", "0/000/", "/0/000", "0/000\n",
        "entries", "entries/000.p", "0/٠٠٠", "0/../000", "0/" + "x001/" * 6 + "001",
    ],
)  # fmt: skip
def test_paths_that_name_no_tile(path_: str) -> None:
    """A tile has one path; every other spelling names nothing."""
    assert TileName.parse(path_) is None


@given(
    level=st.one_of(st.none(), st.integers(0, 63)),
    index=st.integers(0, 10**15),
    width=st.integers(1, TILE_WIDTH),
)
def test_tile_paths_go_both_ways(level: int | None, index: int, width: int) -> None:
    """Every tile's path gives the tile."""
    name = TileName(level, index, width)
    assert TileName.parse(name.path) == name


@pytest.mark.parametrize("size", range(9))
def test_a_frontier_has_the_published_roots(size: int) -> None:
    """Appending one leaf after the other, and again from its octets after each, gives every published root."""
    frontier = Frontier()
    for entry in ENTRIES[:size]:
        frontier.append(leaf_hash(entry))
        frontier = Frontier.from_bytes(frontier.size, frontier.to_bytes())
    assert (frontier.size, frontier.root) == (size, ROOTS[size])


@given(st.lists(st.binary(max_size=4), max_size=600))
@settings(max_examples=30)
def test_a_frontier_is_the_tree(entries: list[bytes]) -> None:
    """The same root as the tree of tiles, at every size."""
    leaves = [leaf_hash(entry) for entry in entries]
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    changed = appended(lambda _level, _index: b"", 0, leaves)
    assert frontier.root == root(lambda level, index: changed[level, index], len(leaves))


def test_a_frontier_of_another_size_is_refused() -> None:
    """As many hashes as the size has ones in binary, each of 32 octets."""
    for size, data in ((1, b""), (3, bytes(32)), (1, bytes(31)), (0, bytes(32))):
        with pytest.raises(ValueError, match="tree"):
            Frontier.from_bytes(size, data)
