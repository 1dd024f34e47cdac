"""A specimen chip in a process of its own: its side of chip authentication, and READ BINARY in the session after it.

Written from ICAO 9303-11 apart from `ekyc.chip`: what one side gets wrong, the other does not repeat. One line of JSON
says what the chip is (``key``: PEM, or ``modp``: prime and private value in hex; ``dg1``: hex); then each line is a
command in hex, answered by a line in hex. The session that a phone has with the chip before (BAC, PACE) is left out:
its commands come as they are.
"""

from __future__ import annotations

import hashlib
import json
import sys

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.serialization import load_pem_private_key

ECDH, DH = bytes.fromhex("04007f000702020302"), bytes.fromhex("04007f000702020301")  # id-CA-*, without the last arc
KEYS = {1: ("sha1", 16), 2: ("sha1", 16), 3: ("sha256", 24), 4: ("sha256", 32)}
GOOD, WRONG = b"\x90\x00", b"\x69\x88"


def objects(data: bytes) -> dict[int, bytes]:
    """Data objects by tag; lengths up to 65535."""
    found = {}
    while data:
        more = data[1] - 0x80 if data[1] > 0x80 else 0
        at = 2 + more
        size = int.from_bytes(data[2:at], "big") if more else data[1]
        found[data[0]], data = data[at : at + size], data[at + size :]
    return found


def tlv(tag: int, value: bytes) -> bytes:
    return bytes([tag]) + (b"\x81" if len(value) > 127 else b"") + bytes([len(value)]) + value


class Chip:
    """The chip: its private key, DG1, and the session it is in."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | tuple[int, int], dg1: bytes) -> None:
        self.key, self.dg1 = key, dg1  # the key: or prime and private value
        self.oid = DH if isinstance(key, tuple) else ECDH
        self.variant: int | None = None
        self.keys: tuple[bytes, bytes] | None = None
        self.counter = 0

    def answer(self, command: bytes) -> bytes:
        if command[0] == 0x0C:
            return self.protected(command) if self.keys else WRONG
        long = command[4] == 0  # extended length
        size = int.from_bytes(command[5:7], "big") if long else command[4]
        data = objects(command[7 : 7 + size] if long else command[5 : 5 + size])
        if command[1:4] == b"\x22\x41\xa4" and data[0x80][:-1] == self.oid:
            self.variant = data[0x80][-1]
            return GOOD
        if command[1:4] == b"\x22\x41\xa6":
            self.variant = 1
            return self.agree(data[0x91], b"")
        if command[1:4] == b"\x86\x00\x00" and self.variant in (2, 3, 4):
            return self.agree(objects(data[0x7C])[0x80], b"\x7c\x00")
        return b"\x6d\x00"

    def agree(self, point: bytes, told: bytes) -> bytes:
        if isinstance(self.key, tuple):
            prime, private = self.key
            shared = pow(int.from_bytes(point, "big"), private, prime).to_bytes((prime.bit_length() + 7) // 8, "big")
        else:
            other = ec.EllipticCurvePublicKey.from_encoded_point(self.key.curve, point)
            shared = self.key.exchange(ec.ECDH(), other)
        name, size = KEYS[self.variant or 0]
        enc, mac = (hashlib.new(name, shared + bytes([0, 0, 0, n])).digest()[:size] for n in (1, 2))
        self.keys, self.counter = (enc, mac), 0
        return told + GOOD

    @property
    def block(self) -> int:
        return 8 if self.variant == 1 else 16

    def pad(self, data: bytes) -> bytes:
        data += b"\x80"
        while len(data) % self.block:
            data += b"\x00"
        return data

    def mac(self, data: bytes) -> bytes:
        assert self.keys is not None
        padded, key = self.pad(self.counter.to_bytes(self.block, "big") + data), self.keys[1]
        if self.variant != 1:
            code = CMAC(algorithms.AES(key))
            code.update(padded)
            return code.finalize()[:8]

        def des(key: bytes, block: bytes, *, back: bool = False) -> bytes:
            cipher = Cipher(TripleDES(key * 3), modes.ECB())  # noqa: S305 - one block of DES
            return (cipher.decryptor() if back else cipher.encryptor()).update(block)

        state = bytes(8)
        for at in range(0, len(padded), 8):
            state = des(key[:8], bytes(a ^ b for a, b in zip(state, padded[at : at + 8], strict=True)))
        return des(key[:8], des(key[8:], state, back=True))

    def encrypt(self, data: bytes) -> bytes:
        assert self.keys is not None
        if self.variant == 1:
            return Cipher(TripleDES(self.keys[0] + self.keys[0][:8]), modes.CBC(bytes(8))).encryptor().update(data)
        cipher = algorithms.AES(self.keys[0])
        start = Cipher(cipher, modes.ECB()).encryptor().update(self.counter.to_bytes(16, "big"))  # noqa: S305
        return Cipher(cipher, modes.CBC(start)).encryptor().update(data)

    def protected(self, command: bytes) -> bytes:
        body = command[5 : 5 + command[4]]
        sent = objects(body)
        self.counter += 1
        if self.mac(self.pad(command[:4]) + body[: body.rindex(b"\x8e\x08")]) != sent[0x8E]:
            self.keys = None
            return WRONG
        if command[1:4] != b"\xb0\x81\x00":
            return b"\x6d\x00"
        self.counter += 1
        told = tlv(0x87, b"\x01" + self.encrypt(self.pad(self.dg1[: sent[0x97][0]]))) + tlv(0x99, GOOD)
        return told + tlv(0x8E, self.mac(told)) + GOOD


def main() -> None:
    """Answer until the input ends."""
    said = json.loads(sys.stdin.readline())
    key: ec.EllipticCurvePrivateKey | tuple[int, int]
    if "modp" in said:
        prime, private = (int(one, 16) for one in said["modp"])
        key = prime, private
    else:
        loaded = load_pem_private_key(said["key"].encode(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        key = loaded
    chip = Chip(key, bytes.fromhex(said["dg1"]))
    for line in sys.stdin:
        print(chip.answer(bytes.fromhex(line.strip())).hex(), flush=True)


if __name__ == "__main__":
    main()
