"""Trees that are held as a list give the roots and proofs of the same trees held as tiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.merkle import EMPTY_ROOT, Frontier, leaf_hash, path_of, root_of, verify_inclusion


@given(st.integers(1, 70), st.sampled_from((1, 2, 4, 16)), st.data())
def test_blocks_and_nodes_are_one_tree(size: int, block: int, data: st.DataObject) -> None:
    """Of any size, cut into blocks of any power of two: the same root, and the path within the block and above it."""
    leaves = [leaf_hash(bytes((number,))) for number in range(size)]
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    nodes = [root_of(leaves[start : start + block]) for start in range(0, size, block)]
    assert root_of(leaves) == root_of(nodes) == frontier.root
    index = data.draw(st.integers(0, size - 1))
    first = index - index % block
    path = path_of(leaves[first : first + block], index - first) + path_of(nodes, first // block)
    assert path == path_of(leaves, index)
    assert verify_inclusion(leaves[index], index, size, path, frontier.root)


def test_nothing_and_beyond() -> None:
    """The empty tree has its root; there is no proof outside of a list."""
    assert root_of([]) == EMPTY_ROOT
    for index in (-1, 1):
        with pytest.raises(ValueError):  # noqa: PT011 - a defect of the caller
            path_of([bytes(32)], index)
