"""A monitor of the issuance log as a stranger would write it: from the C2SP specifications, over HTTP, with hashes and
signatures of `hashlib` and `cryptography` alone. It imports nothing of the project.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class LogMisbehaves(Exception):
    """The log is not what it said it was."""


def expect(sound: bool, what: str) -> None:
    if not sound:
        raise LogMisbehaves(what)


def tree_hash(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    while len(leaves) > 1:
        # pairs from the left; an odd one goes up as it is, which gives the same tree as RFC 6962 §2.1
        paired = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in zip(leaves[::2], leaves[1::2], strict=False)]
        leaves = paired + leaves[len(paired) * 2 :]
    return leaves[0]


class Monitor:
    """Reads a whole log, remembers it, and compares when it comes back. Keeps an eye on every tile."""

    def __init__(self, address: str, verifier_key: str) -> None:
        self.host = urlsplit(address).netloc
        self.name, key_id, key = verifier_key.split("+", 2)
        self.key_id, self.key = bytes.fromhex(key_id), base64.b64decode(key)
        expect(self.key[0] == 1, "not an Ed25519 key")
        named = hashlib.sha256(self.name.encode() + b"\n" + self.key).digest()[:4]
        expect(named == self.key_id, "the key's id is not its own")
        self.entries: list[bytes] = []
        self.fetched = 0

    def get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        expect(answer.status == 200, f"{path} answers {answer.status}")
        self.fetched += 1
        return body

    def checkpoint(self) -> tuple[int, bytes]:
        """Fetch the checkpoint; size and root, once its signature is verified."""
        text, _, signatures = self.get("/log/checkpoint").decode().rpartition("\n\n")
        for line in signatures.splitlines():
            dash, name, encoded = line.split(" ")
            signature = base64.b64decode(encoded)
            if (dash, name, signature[:4]) == ("—", self.name, self.key_id):
                Ed25519PublicKey.from_public_bytes(self.key[1:]).verify(signature[4:], (text + "\n").encode())
                break
        else:
            raise LogMisbehaves("the checkpoint is not signed by the log")
        origin, size, root = text.split("\n")
        expect(origin == self.name, "the checkpoint is of another log")
        return int(size), base64.b64decode(root)

    def watch(self) -> list[bytes]:
        """Fetch everything, check that it fits together and that what was seen before is still there; all entries."""
        size, root = self.checkpoint()
        expect(size >= len(self.entries), "the log has become shorter")
        entries: list[bytes] = []
        level, below = 0, [b""] * size
        while below:
            row: list[bytes] = []
            for number in range(0, len(below), 256):
                width = min(256, len(below) - number)
                path = self.path(number // 256, width)
                tile = self.get(f"/log/tile/{level}/{path}")
                expect(len(tile) == 32 * width, "a tile has another length than its name says")
                hashes = [tile[at : at + 32] for at in range(0, len(tile), 32)]
                if level == 0:
                    bundle = self.bundle(self.get(f"/log/tile/entries/{path}"))
                    leaves = [hashlib.sha256(b"\x00" + entry).digest() for entry in bundle]
                    expect(leaves == hashes, "the entries do not hash to their tile")
                    entries += bundle
                else:
                    expect(hashes == below[number : number + width], "a tile is not made of the tiles below it")
                if level == 0 and len(below) == size:
                    below[number : number + width] = hashes
                if width == 256:
                    row.append(tree_hash(hashes))
            if level == 0:
                expect(tree_hash(list(below)) == root, "the tree does not have the root that was signed")
            level, below = level + 1, row
        expect(size > 0 or root == tree_hash([]), "an empty log with a root")
        expect(entries[: len(self.entries)] == self.entries, "an entry that was seen has changed")
        self.entries = entries
        return entries

    @staticmethod
    def path(index: int, width: int) -> str:
        digits = str(index)
        digits = "0" * (-len(digits) % 3) + digits
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        return "".join(f"x{one}/" for one in groups[:-1]) + groups[-1] + ("" if width == 256 else f".p/{width}")

    @staticmethod
    def bundle(data: bytes) -> list[bytes]:
        entries = []
        while data:
            length = int.from_bytes(data[:2], "big")
            expect(len(data) >= 2 + length, "a bundle ends too soon")
            entries.append(data[2 : 2 + length])
            data = data[2 + length :]
        return entries
