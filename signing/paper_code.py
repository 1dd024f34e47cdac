"""The code on paper: what a seal's QR code carries besides the way to verification, so that a print can be checked.

    https://HOST/verify#<Base64url of a COSE_Sign1>            behind the #, so that no server is told of it
    COSE_Sign1 (RFC 9052 §4.2), tagged, in the core deterministic encoding of CBOR (RFC 8949 §4.2.1)
      protected    1: alg (-7 ES256, -35 ES384; RFC 9053 §2.1)   4: kid, the first 8 octets of the certificate's SHA-256
      payload      1: form, 1              2: when it was sealed, seconds since 1970
                   3: SHA-256 of the document before it was sealed, which is how its sealed version begins
                   4: the octets of that   5: serial number of the certificate: what to ask its status for
                   6: printed fields, label → value: what a reader compares with the paper

It is small, so that it can be printed small: at most 480 octets. Pure: octets in, values out.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.base64url import encoded
from foundation.printable import is_printable
from signing.raw_signature import der_ecdsa, raw_ecdsa

LARGEST = 480
MOST_FIELDS = 6
LONGEST_LABEL, LONGEST_VALUE = 40, 60
_TAG, _FORM, _KID = 18, 1, 8
_ALGORITHMS: Mapping[str, tuple[int, hashes.HashAlgorithm]] = {
    "secp256r1": (-7, hashes.SHA256()),
    "secp384r1": (-35, hashes.SHA384()),
}
_TEXT = re.compile(r"[A-Za-z0-9._~:/?&=%\[\]@!$'()*+,;-]{1,200}/verify#([A-Za-z0-9_-]{1,660})")


class CodeInvalid(ValueError):
    """Not a code of this form. ``what``: form, size, fields, key."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass(frozen=True)
class Claim:
    """What a code says. ``sha256`` and ``size`` of the document as it was before the seal."""

    at: datetime
    sha256: bytes
    size: int
    serial: int
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Code:
    """A code that was read, and is not verified yet. ``kid``: how the certificate's SHA-256 begins."""

    claim: Claim
    kid: bytes
    algorithm: int
    signed: bytes
    signature: bytes

    def names(self, certificate: x509.Certificate) -> bool:
        """Whether this is the certificate that it names, by digest and serial number."""
        return kid(certificate) == self.kid and certificate.serial_number == self.claim.serial

    def verifies(self, certificate: x509.Certificate) -> bool:
        """Whether the signature is by the certificate's key, under that key's own algorithm."""
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _ALGORITHMS:
            return False
        number, kind = _ALGORITHMS[key.curve.name]
        if number != self.algorithm:
            return False
        try:
            key.verify(der_ecdsa(self.signature, key), self.signed, ec.ECDSA(kind))
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Unsigned:
    """A code that waits for its signature over ``digest``; ``hash_name``: the digest's."""

    protected: bytes
    payload: bytes
    digest: bytes
    hash_name: str


def checked_fields(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Printed fields as a code holds them: NFC, one line each, in the order of their labels. Raises CodeInvalid."""
    if len(given) > MOST_FIELDS:
        raise CodeInvalid("fields")
    pairs = [(unicodedata.normalize("NFC", name), unicodedata.normalize("NFC", value)) for name, value in given.items()]
    for name, value in pairs:
        if not 1 <= len(name) <= LONGEST_LABEL or not 1 <= len(value) <= LONGEST_VALUE:
            raise CodeInvalid("fields")
        if not is_printable(name + value):
            raise CodeInvalid("fields")
    return tuple(sorted(pairs))


def kid(certificate: x509.Certificate) -> bytes:
    """How a code names a certificate."""
    return certificate.fingerprint(hashes.SHA256())[:_KID]


def prepare(claim: Claim, certificate: x509.Certificate) -> Unsigned:
    """A code to be signed by the certificate's key. Raises CodeInvalid where it is too large, and for other keys."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _ALGORITHMS:
        raise CodeInvalid("key")
    number, kind = _ALGORITHMS[key.curve.name]
    protected = _dump({1: number, 4: kid(certificate)})
    payload = _dump(
        {
            1: _FORM,
            2: int(claim.at.timestamp()),
            3: claim.sha256,
            4: claim.size,
            5: claim.serial.to_bytes((claim.serial.bit_length() + 7) // 8, "big"),
            6: dict(claim.fields),
        }
    )
    if len(protected) + len(payload) + 2 * ((key.key_size + 7) // 8) + 12 > LARGEST:
        raise CodeInvalid("size")
    digest = hashlib.new(kind.name, _to_be_signed(protected, payload)).digest()
    return Unsigned(protected, payload, digest, kind.name)


def complete(code: Unsigned, signature: bytes, certificate: x509.Certificate, address: str) -> str:
    """The text of the QR code, for a DER signature; ``address``: of the page ``/verify``. Raises CodeInvalid."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CodeInvalid("key")
    message = [code.protected, {}, code.payload, raw_ecdsa(signature, key)]
    octets = _dump(cbor2.CBORTag(_TAG, message))
    made = f"{address}#{encoded(octets)}"
    if not read(made).verifies(certificate):
        raise CodeInvalid("key")
    return made


def looks_like(text: bytes) -> bool:
    """Whether a file holds the text of a code and nothing else but white space around it."""
    return len(text) <= 1024 and b"/verify#" in text and text.strip().isascii() and text.strip().count(b"#") == 1


def read(text: str) -> Code:
    """The code in the text of a QR code. Raises CodeInvalid for whatever is not written in the one way there is."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise CodeInvalid("form")
    try:
        octets = base64.b64decode(
            found[1].replace("-", "+").replace("_", "/") + "=" * (-len(found[1]) % 4), validate=True
        )
        tagged = cbor2.loads(octets)
        if len(octets) > LARGEST:
            raise CodeInvalid("size")
        if not isinstance(tagged, cbor2.CBORTag) or tagged.tag != _TAG or _dump(tagged) != octets:
            raise CodeInvalid("form")
        protected, unprotected, payload, signature = tagged.value
        head, said = _canonical(protected), _canonical(payload)
        number, named = head.get(1), head.get(4)
        if unprotected or set(head) != {1, 4} or set(said) != {1, 2, 3, 4, 5, 6} or said[1] != _FORM:
            raise CodeInvalid("form")
        claim = _claim(said)
        if type(number) is not int or type(named) is not bytes or len(named) != _KID or type(signature) is not bytes:
            raise CodeInvalid("form")
        return Code(claim, named, number, _to_be_signed(protected, payload), signature)
    except CodeInvalid:
        raise
    except Exception:  # whatever hostile octets do to a parser: no code
        raise CodeInvalid("form") from None


def _claim(said: Mapping[int, object]) -> Claim:
    _, at, sha256, size, serial, fields = (said[number] for number in range(1, 7))
    if type(at) is not int or type(size) is not int or type(sha256) is not bytes or type(serial) is not bytes:
        raise CodeInvalid("form")
    if not 0 <= at < 1 << 40 or not 0 < size < 1 << 40 or len(sha256) != hashlib.sha256().digest_size:
        raise CodeInvalid("form")
    if not 1 <= len(serial) <= 20 or serial[0] == 0 or not isinstance(fields, dict):
        raise CodeInvalid("form")
    if checked_fields(fields) != tuple(sorted(fields.items())):
        raise CodeInvalid("fields")
    return Claim(
        datetime.fromtimestamp(at, UTC), sha256, size, int.from_bytes(serial, "big"), tuple(sorted(fields.items()))
    )


def _canonical(octets: bytes) -> dict[int, object]:
    value = cbor2.loads(octets)
    if not isinstance(value, dict) or _dump(value) != octets:
        raise CodeInvalid("form")
    return value


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure without external data (RFC 9052 §4.4)."""
    return _dump(["Signature1", protected, b"", payload])


def _dump(value: object) -> bytes:
    return bytes(cbor2.dumps(value, canonical=True))
