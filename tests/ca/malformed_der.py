"""Malformed DER of every kind: changes to valid structures, and bombs that no valid structure resembles.

Everything comes from a `random.Random`, so that a seed gives the same octets again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_LARGEST = 64 * 1024


@dataclass(frozen=True)
class Node:
    """An element of a structure: its tag octets, and its content or the elements in it."""

    tag: bytes
    content: bytes
    inner: tuple[Node, ...] | None = None

    def __bytes__(self) -> bytes:
        return tlv(self.tag, b"".join(map(bytes, self.inner)) if self.inner is not None else self.content)


def tlv(tag: bytes, content: bytes) -> bytes:
    return tag + shortest(len(content)) + content


def shortest(length: int) -> bytes:
    if length < 0x80:
        return bytes((length,))
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets


def parsed(data: bytes, depth: int = 0) -> tuple[Node, ...] | None:
    """The elements of valid DER; None for octets that are none (a string's content)."""
    found, at = [], 0
    while at < len(data):
        if len(data) - at < 2 or data[at] & 0x1F == 0x1F or depth > 30:
            return None
        tag, length, at = data[at : at + 1], data[at + 1], at + 2
        if length >= 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                return None
            length, at = int.from_bytes(data[at : at + count], "big"), at + count
        content = data[at : at + length]
        if len(content) != length:
            return None
        at += length
        inside = content[1:] if tag == b"\x03" and content[:1] == b"\x00" else content
        wraps = tag[0] & 0x20 or tag in (b"\x03", b"\x04")  # strings may hold a structure
        inner = parsed(inside, depth + 1) if wraps and inside else None
        if inner is not None and not tag[0] & 0x20 and tag == b"\x03":
            inner = None  # a bit string keeps its first octet: its content is changed as octets
        found.append(Node(tag, content, inner))
    return tuple(found)


def changed(chance: random.Random, valid: bytes) -> bytes:
    """A valid structure with one to three changes, anywhere in it; often its lengths are made right again."""
    data = valid
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        tree = parsed(data)
        data = _octets(chance, data) if not tree or chance.random() < 0.3 else _structure(chance, tree)
    return data[:_LARGEST]


def _octets(chance: random.Random, data: bytes) -> bytes:
    if not data:
        return bytes(chance.randrange(256) for _ in range(4))
    at, way = chance.randrange(len(data)), chance.randrange(6)
    if way == 0:
        return data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :]
    if way == 1:
        return data[:at] + bytes((chance.choice((0, 0x7F, 0x80, 0x81, 0x84, 0xFF)),)) + data[at + 1 :]
    if way == 2:
        return data[:at]
    if way == 3:
        return data + bytes(chance.randrange(256) for _ in range(chance.choice((1, 2, 64))))
    end = min(len(data), at + chance.choice((1, 2, 16)))
    return data[:at] + data[end:] if way == 4 else data[:end] + data[at:]


def _structure(chance: random.Random, tree: Sequence[Node]) -> bytes:
    """One element somewhere is changed, all lengths around it fit."""
    at = chance.randrange(len(tree))
    node = tree[at]
    rest = [bytes(one) for one in tree]
    if node.inner and chance.random() < 0.8:
        rest[at] = tlv(node.tag, _structure(chance, node.inner))
    else:
        rest[at : at + 1] = _WAYS[chance.randrange(len(_WAYS))](chance, node)
    return b"".join(rest)


def _any_tag(chance: random.Random, node: Node) -> list[bytes]:
    long = b"\x1f\x81\x01", b"\xbf\xff\xff\xff\x7f"
    tags = [bytes((tag,)) for tag in b"\x00\x01\x02\x03\x05\x06\x0c\x13\x17\x18\x1e\x30\x31\x80\xa0\xa3"]
    return [tlv(chance.choice([*tags, *long]), node.content)]


def _any_content(chance: random.Random, node: Node) -> list[bytes]:
    contents = (b"", b"\x00", b"\xff", b"\x00" * 9, b"\x80" + b"\x00" * 20, b"\xff" * 300, b"\x7f" * 5000, b"\x80" * 40)
    return [tlv(node.tag, chance.choice(contents))]


def _lengths(chance: random.Random, node: Node) -> list[bytes]:
    size = len(node.content)
    length = chance.choice((
        b"\x80", b"\xff", b"\x84\xff\xff\xff\xff", b"\x88" + b"\xff" * 8, b"\x84" + size.to_bytes(4, "big"),
        b"\x82" + (size % 65536).to_bytes(2, "big"), shortest(size + 1), shortest(max(size - 1, 0)), b"\x81\x00",
    ))  # fmt: skip
    return [node.tag + length + node.content + (b"\x00\x00" if length == b"\x80" else b"")]


def _text(chance: random.Random, node: Node) -> list[bytes]:
    texts = (
        "é" * 40,
        "\u200b",
        "\x00",
        "a" * 3000,
        "\U0001f512",
        "..",
        "xn--",
        "*",
        "999999999999Z",
        "20260229000000Z",
    )
    return [tlv(node.tag, chance.choice(texts).encode())]


def _broken_text(chance: random.Random, node: Node) -> list[bytes]:
    return [tlv(node.tag, chance.choice((b"\xed\xa0\x80", b"\xc0\x80", b"\xff\xfe", b"\xd8\x00", b"20261331246199Z")))]


_WAYS: tuple[Callable[[random.Random, Node], list[bytes]], ...] = (
    _any_tag,
    _any_content,
    _lengths,
    _text,
    _broken_text,
    lambda *_: [],
    lambda _, node: [bytes(node)] * 2,
    lambda chance, node: [bytes(node)] * chance.choice((20, 200)),
    lambda _, node: [tlv(b"\x30", bytes(node))],
    lambda chance, node: [nested(chance.choice((2, 50, 500)), bytes(node))],
    lambda _, node: [bytes(node), b"\x05\x00"],
    lambda _, node: [tlv(node.tag, b"".join(map(bytes, reversed(node.inner or ()))))],
)


def nested(depth: int, inside: bytes = b"") -> bytes:
    """SEQUENCEs in each other, as deep as wanted."""
    for _ in range(depth):
        inside = tlv(b"\x30", inside)
    return inside


def bombs() -> Iterator[tuple[str, bytes]]:
    """What is meant to break a parser, by name."""
    yield "nothing", b""
    yield "one octet", b"\x30"
    yield "nested deep", nested(3000)
    yield "nested deep in explicit tags", b"".join(tlv(b"\xa0", b"") for _ in range(1)) + nested(1500)
    yield "indefinite, never ended", b"\x30\x80" * 4000
    yield "indefinite, ended", b"\x30\x80" * 1000 + b"\x00\x00" * 1000
    yield "indefinite strings in pieces", b"\x24\x80" + b"\x04\x01A" * 3000 + b"\x00\x00"
    yield "four gigabytes announced", b"\x30\x84\xff\xff\xff\xff" + bytes(100)
    yield "2^64 octets announced", b"\x30\x88" + b"\xff" * 8
    yield "a length of 126 octets", b"\x30\xfe" + b"\x01" * 126
    yield "the reserved length", b"\x30\xff" + bytes(127)
    yield "a huge integer", tlv(b"\x30", tlv(b"\x02", b"\x7f" + b"\xff" * 8000))
    yield "a negative huge integer", tlv(b"\x30", tlv(b"\x02", b"\x80" + b"\x00" * 8000))
    yield "an endless object identifier", tlv(b"\x30", tlv(b"\x30", tlv(b"\x06", b"\xff" * 8000)))
    yield (
        "an object identifier with an arc of kilobytes",
        tlv(b"\x30", tlv(b"\x06", b"\x2a" + b"\xff" * 6000 + b"\x7f")),
    )
    yield "many small elements", tlv(b"\x30", b"\x05\x00" * 4500)
    yield "many empty sequences", tlv(b"\x30", tlv(b"\x30", b"\x30\x00" * 4500))
    yield "a tag that never ends", b"\x3f" + b"\xff" * 5000
    yield "a set of a thousand times", tlv(b"\x31", tlv(b"\x17", b"260101000000Z") * 500)
    yield "zeros", bytes(9000)
    yield "ones", b"\xff" * 9000
    yield "text", b"-----BEGIN CERTIFICATE REQUEST-----\n" + b"A" * 6000 + b"\n-----END CERTIFICATE REQUEST-----\n"
