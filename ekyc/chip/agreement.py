"""Chip authentication: a key agreement with the key in DG14, by which the chip shows that it is there.

ICAO 9303-11 §6.2 (BSI TR-03110-1 §3.4, version 1), over elliptic curves. A transcript that somebody brings proves
nothing here: whoever has the terminal's ephemeral key can make every answer. So that key is ours. It is made of random
octets that the caller draws, keeps sealed and takes out of its store before an answer is judged; the phone carries
commands to the chip and its answers back, and learns no key.

The chip's answer is judged with the key in the DG14 *that the state signed*, by the strongest cipher that it names:
what the phone said DG14 was when the commands were made counts for nothing.

Keys over prime fields (DH) are told as unsupported, and the cap stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ekyc.chip.curves import CURVES, CurveForged, CurveUnsupported
from ekyc.chip.der import INTEGER, OID, SEQUENCE, SET, Fields, Malformed, check_bounds, single
from ekyc.chip.lds import TAGS
from ekyc.chip.messaging import AES_128, AES_192, AES_256, TRIPLE_DES, Session, Suite, session_of
from ekyc.chip.signatures import AlgorithmUnsupported, oid, read_public_key
from ekyc.chip.verdict import ChipVerdict, Proof, Rule, Standing, Step, with_possession
from foundation.x509 import der

SECRET_OCTETS = 74  # 521 bits and 64 more: reduced, no value is likelier than another (FIPS 186-5 §A.2.1)
READ_OCTETS = 77  # all of the shortest DG1 (TD2)
_DG1 = 1  # its short identifier
_EC_KEY, _DH_KEY = "0.4.0.127.0.7.2.2.1.2", "0.4.0.127.0.7.2.2.1.1"
_DH_PROTOCOL = "0.4.0.127.0.7.2.2.3.1"
_WEAKEST = "0.4.0.127.0.7.2.2.3.2.1"  # 3DES: also where DG14 names a key alone
# The strongest first.
_SUITES: Mapping[str, Suite] = {
    "0.4.0.127.0.7.2.2.3.2.4": AES_256,
    "0.4.0.127.0.7.2.2.3.2.3": AES_192,
    "0.4.0.127.0.7.2.2.3.2.2": AES_128,
    _WEAKEST: TRIPLE_DES,
}
_FIRST, _SECOND = 1, 2  # the send sequence counter begins at nought and counts commands and answers


@dataclass(frozen=True)
class ChipKey:
    """What DG14 names for chip authentication: protocol, key, and its number where there are several."""

    protocol: str
    public: ec.EllipticCurvePublicKey
    key_id: int | None

    @property
    def suite(self) -> Suite:
        return _SUITES[self.protocol]


@dataclass(frozen=True)
class Agreement:
    """Octets that the server drew (:data:`SECRET_OCTETS`, ValueError otherwise) for one agreement, secret until it is
    over, and good before ``expires_at``.
    """

    secret: bytes
    expires_at: datetime

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_OCTETS or self.expires_at.tzinfo is None:
            raise ValueError(f"an agreement has {SECRET_OCTETS} octets and a time with a zone")

    def __repr__(self) -> str:
        return f"Agreement(expires_at={self.expires_at!r})"

    def commands(self, dg14: bytes) -> tuple[tuple[bytes, ...], bytes]:
        """The commands for a chip with this DG14: those that go as every other (inside the session that the phone has
        with the chip), and the one after them, protected by the new session, to be sent as it is.

        Raises Malformed, AlgorithmUnsupported, CurveUnsupported, CurveForged. ``dg14`` need not be true: a false one
        gives an agreement that no chip can answer.
        """
        chip = read_chip_key(dg14)
        key = self._key(chip.public.curve)
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        last = self._session(chip).read_binary(_DG1, READ_OCTETS, _FIRST)
        number = b"" if chip.key_id is None else der.tlv(0x84, _unsigned(chip.key_id))
        if chip.suite is TRIPLE_DES:
            return (_command(0x22, 0x41, 0xA6, der.tlv(0x91, point) + number),), last
        protocol = der.tlv(0x80, single(der.oid(chip.protocol)).content)
        chosen = _command(0x22, 0x41, 0xA4, protocol + number)
        return (chosen, _command(0x86, 0x00, 0x00, der.tlv(0x7C, der.tlv(0x80, point))) + b"\x00"), last

    def opened(self, dg14: bytes, response: bytes) -> bytes:
        """What the chip's answer to the last command says. Raises as :meth:`commands`; Malformed for another's."""
        return self._session(read_chip_key(dg14)).open(response, _SECOND)

    def _key(self, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        order = next(known.n for known in CURVES if known.name == curve.name)
        return ec.derive_private_key(int.from_bytes(self.secret, "big") % (order - 1) + 1, curve)

    def _session(self, chip: ChipKey) -> Session:
        return session_of(chip.suite, self._key(chip.public.curve).exchange(ec.ECDH(), chip.public))


def prove_by_agreement(verdict: ChipVerdict, agreement: Agreement, response: bytes, at: datetime) -> ChipVerdict:
    """The verdict with the chip's answer to :meth:`Agreement.commands` judged (the last one, protected).

    The key is that of a DG14 whose hash is signed, and what was read must be the beginning of the DG1 that is: a
    verdict that FAILED or is UNSUPPORTED has neither and is returned as it is. A wrong or late answer makes it FAILED.
    No key, or one that cannot be computed with, leaves outcome and cap as they are.
    """
    if not verdict.groups:
        return verdict
    return with_possession(verdict, _judge(verdict.groups, agreement, response, at), Proof.CHIP_AUTHENTICATION)


def announces(dg14: bytes) -> bool:
    """Whether a DG14 names a key for chip authentication, of whatever kind; False where it cannot be read."""
    try:
        return any(identifier in (_EC_KEY, _DH_KEY) for identifier, _ in _entries(dg14))
    except Malformed:
        return False


def read_chip_key(dg14: bytes) -> ChipKey:
    """The key and the strongest cipher that DG14 names (ICAO 9303-11 §9.2). Where it names a key alone, the
    cipher is 3DES. Raises Malformed, AlgorithmUnsupported, CurveUnsupported, CurveForged.
    """
    protocols: list[tuple[str, int | None]] = []
    keys: dict[int | None, bytes] = {}
    others = False
    for identifier, fields in _entries(dg14):
        if identifier in _SUITES:
            if fields.next(INTEGER).integer() == 1:
                protocols.append((identifier, _number(fields)))
        elif identifier == _EC_KEY:
            info = fields.next(SEQUENCE).raw
            number = _number(fields)
            if number in keys:
                raise Malformed("a key twice")
            keys[number] = info
        elif identifier == _DH_KEY or identifier.startswith(_DH_PROTOCOL):
            others = True
    if not keys:
        raise AlgorithmUnsupported("Diffie-Hellman over a prime field" if others else "no key in the chip")
    if not protocols and not others:
        protocols = [(_WEAKEST, number) for number in keys]
    strength = list(_SUITES)
    usable = sorted((one for one in protocols if one[1] in keys), key=lambda one: strength.index(one[0]))
    if not usable:
        raise AlgorithmUnsupported("no protocol for the chip's key")
    protocol, number = usable[0]
    public = read_public_key(keys[number])
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise Malformed("not a key on a curve")
    return ChipKey(protocol, public, number)


def _judge(groups: Mapping[int, bytes], agreement: Agreement, response: bytes, at: datetime) -> Step:
    if at >= agreement.expires_at:
        return Step(Rule.POSSESSION, Standing.FAILED, "too late")
    if 14 not in groups:
        return Step(Rule.POSSESSION, Standing.UNSUPPORTED, "no key in the chip")
    try:
        read = agreement.opened(groups[14], response)
    except CurveForged as error:
        return Step(Rule.POSSESSION, Standing.FAILED, f"explicit-curve forgery: {error}")
    except (AlgorithmUnsupported, CurveUnsupported) as error:
        return Step(Rule.POSSESSION, Standing.UNSUPPORTED, str(error)[:80])
    except Malformed as error:
        return Step(Rule.POSSESSION, Standing.FAILED, str(error)[:80])
    if read != groups[1][:READ_OCTETS]:
        return Step(Rule.POSSESSION, Standing.FAILED, "DG1 of another chip")
    return Step(Rule.POSSESSION, Standing.HOLDS)


def _entries(dg14: bytes) -> list[tuple[str, Fields]]:
    """Each SecurityInfo: its protocol, and what stands behind it."""
    check_bounds(dg14)
    found = []
    for element in Fields(single(single(dg14, TAGS[14]).content, SET).content).all(SEQUENCE, limit=64):
        fields = Fields(element.content)
        found.append((oid(fields.next(OID).raw), fields))
    return found


def _number(fields: Fields) -> int | None:
    element = fields.optional(INTEGER)
    fields.end()
    number = None if element is None else element.integer()
    if number is not None and not 0 <= number < 1 << 64:
        raise Malformed("number of a key")
    return number


def _unsigned(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _command(instruction: int, first: int, second: int, data: bytes) -> bytes:
    return bytes([0x00, instruction, first, second, len(data)]) + data
