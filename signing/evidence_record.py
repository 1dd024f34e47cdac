"""Evidence records (RFC 4998): one timestamp proves for many documents, of any kind, that they existed.

The digests of a batch are the leaves of a tree; its root is timestamped once. A document's record holds what leads
from its digest to that root, and learns nothing about the other documents but digests. A record is renewed by a new
timestamp over the one before.

Built with binary trees, in which a node without a neighbour goes up as it is, so that every list is of a group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from foundation.x509 import der
from signing.cms_parts import DIGESTS

HASH = "sha256"
_MAX_TIMESTAMPS = 100
_MAX_LISTS = 64
_MAX_HASHES = 10_000
_ALGORITHM, _ATTRIBUTES, _TREE = 0xA0, 0xA1, 0xA2


@dataclass(frozen=True)
class ArchiveTimestamp:
    """An ArchiveTimeStamp (§4.1): the reduced tree, list by list from the leaf up, and the token over its root."""

    tree: tuple[tuple[bytes, ...], ...]
    token: bytes
    hash_name: str = HASH

    def root(self, leaf: bytes) -> bytes | None:
        """§4.3: what the token has to be over, for the digest of what it is about; None where that is not in it."""
        found = leaf
        for number, hashes in enumerate(self.tree):
            if number == 0 and leaf not in hashes:
                return None
            members = hashes if number == 0 else (*hashes, found)
            found = hashlib.new(self.hash_name, b"".join(sorted(members))).digest()
        return found

    def encode(self) -> bytes:
        parts = [der.implicit(0, DIGESTS[self.hash_name])]
        if self.tree:
            lists = (der.sequence(der.octet_string(one) for one in hashes) for hashes in self.tree)
            parts.append(der.implicit(2, der.sequence(lists)))
        return der.sequence((*parts, self.token))


@dataclass(frozen=True)
class EvidenceRecord:
    """An EvidenceRecord (§3.1) of one chain: the oldest timestamp first, each over the one before."""

    chain: tuple[ArchiveTimestamp, ...]

    def encode(self) -> bytes:
        names = dict.fromkeys(one.hash_name for one in self.chain)
        chain = der.sequence(one.encode() for one in self.chain)
        digests = der.sequence(DIGESTS[name] for name in names)
        return der.sequence((der.integer(1), digests, der.sequence((chain,))))

    @classmethod
    def parse(cls, octets: bytes) -> EvidenceRecord:
        """Read DER. ValueError for what is none, for more than one chain, encryption, or more than the limits."""
        try:
            version, digests, *optional, sequence = der.children(octets)
            (chain,) = der.children(sequence)
            found = cls(tuple(_timestamp(one) for one in der.children(chain)))
        except (IndexError, ValueError, StopIteration) as error:
            raise ValueError("not an evidence record of one chain") from error
        named = [_hash_name(one) for one in der.children(digests)]
        plain = not optional and version == der.integer(1) and 0 < len(found.chain) <= _MAX_TIMESTAMPS
        if not plain or len(set(named)) != len(named) or found.encode() != octets:
            raise ValueError("not an evidence record in the one form that is read")
        return found

    def renewed(self, hash_name: str = HASH) -> bytes:
        """What the next timestamp has to be over: the digest of the last token (§5.2)."""
        return hashlib.new(hash_name, self.chain[-1].token).digest()

    def with_token(self, token: bytes) -> EvidenceRecord:
        """With one more timestamp over what :meth:`renewed` gives."""
        return replace(self, chain=(*self.chain, ArchiveTimestamp((), token)))


def tree_of(leaves: Sequence[bytes]) -> tuple[bytes, list[tuple[tuple[bytes, ...], ...]]]:
    """The root over digests, and for each the reduced tree that leads there (§4.2). ValueError without any."""
    if not leaves:
        raise ValueError("no leaves")
    paths: list[list[tuple[bytes, ...]]] = [[] for _ in leaves]
    level = [(leaf, [number]) for number, leaf in enumerate(leaves)]
    while len(level) > 1:
        above = []
        for left, right in zip(level[::2], level[1::2], strict=False):
            node = hashlib.new(HASH, b"".join(sorted((left[0], right[0])))).digest()
            for (own, members), (sibling, _) in ((left, right), (right, left)):
                for number in members:  # the first list holds the leaf itself; those above hold neighbours alone
                    paths[number].append((sibling,) if paths[number] else tuple(sorted((own, sibling))))
            above.append((node, left[1] + right[1]))
        level = above + ([level[-1]] if len(level) % 2 else [])
    return level[0][0], [tuple(path) for path in paths]


def _timestamp(octets: bytes) -> ArchiveTimestamp:
    *optional, token = der.children(octets)
    parts = {one[0]: one for one in optional}
    if len(parts) != len(optional) or set(parts) - {_ALGORITHM, _TREE} or _ALGORITHM not in parts:
        raise ValueError("not an archive timestamp in the one form that is read")
    tree = tuple(
        tuple(one[der.read(one)[1] :] for one in der.children(hashes))
        for hashes in der.children(parts.get(_TREE, b"0\0"))
    )
    if len(tree) > _MAX_LISTS or sum(map(len, tree)) > _MAX_HASHES or () in tree:
        raise ValueError("more than any record needs")
    return ArchiveTimestamp(tree, token, _hash_name(bytes((der.SEQUENCE,)) + parts[_ALGORITHM][1:]))


def _hash_name(algorithm: bytes) -> str:
    oid = der.children(algorithm)[0]
    return next(name for name, one in DIGESTS.items() if der.children(one)[0] == oid)
