"""Secure messaging with a chip: session keys, a protected READ BINARY, and the opening of its answer.

ICAO 9303-11 §9.7.1 (keys) and §9.8 (messages), 3DES and AES. Ciphers, CMAC and hashes are the library's; what is put
together here is which octets they are given. ISO/IEC 9797-1 MAC algorithm 3 is one 3DES-CBC after one DES-CBC.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import constant_time
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from ekyc.chip.der import Fields, Malformed
from ekyc.chip.signatures import digest
from foundation.x509 import der

_DATA, _EXPECTED, _STATUS, _MAC = 0x87, 0x97, 0x99, 0x8E
_GOOD = b"\x90\x00"
_MAC_OCTETS = 8
MAX_RESPONSE = 512  # octets: a short answer, protected


@dataclass(frozen=True)
class Suite:
    """Cipher of a session. ``hash_name``: of the key derivation."""

    name: str
    key_octets: int
    block: int
    hash_name: str


TRIPLE_DES = Suite("3DES", 16, 8, "sha1")
AES_128 = Suite("AES-128", 16, 16, "sha1")
AES_192 = Suite("AES-192", 24, 16, "sha256")
AES_256 = Suite("AES-256", 32, 16, "sha256")


@dataclass(frozen=True)
class Session:
    """Keys of one session, by which both sides know each other."""

    suite: Suite
    encryption: bytes
    authentication: bytes

    def read_binary(self, file_id: int, octets: int, counter: int) -> bytes:
        """READ BINARY of the first ``octets`` (1 to 223) of the file with this short identifier (ISO/IEC 7816-4
        §11.2.3), protected. ``counter``: the send sequence counter of this command.
        """
        return self.protect(bytes([0x00, 0xB0, 0x80 | file_id, 0x00]), octets, counter)

    def protect(self, header: bytes, octets: int, counter: int) -> bytes:
        """A command without data (its four octets) that expects ``octets``, protected."""
        suite = self.suite
        masked = bytes([header[0] | 0x0C]) + header[1:]
        expected = der.tlv(_EXPECTED, bytes([octets]))
        covered = counter.to_bytes(suite.block, "big") + _padded(masked, suite.block) + expected
        body = expected + der.tlv(_MAC, self._mac(covered))
        return masked + bytes([len(body)]) + body + b"\x00"

    def open(self, response: bytes, counter: int) -> bytes:
        """The data of a good answer (9000) whose code was made with this session's key. Raises Malformed otherwise."""
        if len(response) > MAX_RESPONSE or response[-2:] != _GOOD:
            raise Malformed("status")
        fields = Fields(response[:-2])
        data = fields.next(_DATA)
        status = fields.next(_STATUS)
        code = fields.next(_MAC).content
        fields.end()
        covered = counter.to_bytes(self.suite.block, "big") + data.raw + status.raw
        if not constant_time.bytes_eq(self._mac(covered), code):
            raise Malformed("code of the answer")
        if status.content != _GOOD or data.content[:1] != b"\x01" or len(data.content) % self.suite.block != 1:
            raise Malformed("answer")
        plain = self._decrypt(data.content[1:], counter)
        body, mark, rest = plain.rpartition(b"\x80")
        if not mark or rest.strip(b"\x00") or len(rest) >= self.suite.block:
            raise Malformed("padding")
        return body

    def _mac(self, covered: bytes) -> bytes:
        padded, key = _padded(covered, self.suite.block), self.authentication
        if self.suite is TRIPLE_DES:
            single, double = key[:8] * 3, key + key[:8]
            before = Cipher(TripleDES(single), modes.CBC(bytes(8))).encryptor().update(padded[:-8])[-8:]
            return Cipher(TripleDES(double), modes.CBC(before)).encryptor().update(padded[-8:])
        code = CMAC(AES(key))
        code.update(padded)
        return code.finalize()[:_MAC_OCTETS]

    def _decrypt(self, data: bytes, counter: int) -> bytes:
        key = self.encryption
        if self.suite is TRIPLE_DES:
            return Cipher(TripleDES(key + key[:8]), modes.CBC(bytes(8))).decryptor().update(data)
        start = Cipher(AES(key), modes.ECB()).encryptor().update(counter.to_bytes(16, "big"))  # noqa: S305
        return Cipher(AES(key), modes.CBC(start)).decryptor().update(data)


def session_of(suite: Suite, secret: bytes) -> Session:
    """The session keys that a shared secret gives: the hash of the secret and a counter of 32 bits."""
    encryption, authentication = (
        digest(suite.hash_name, secret + number.to_bytes(4, "big"))[: suite.key_octets] for number in (1, 2)
    )
    return Session(suite, encryption, authentication)


def _padded(data: bytes, block: int) -> bytes:
    """ISO/IEC 9797-1 padding method 2."""
    return data + b"\x80" + bytes(-(len(data) + 1) % block)
