"""Chip authentication: a key agreement with the key in DG14, by which the chip shows that it is there.

ICAO 9303-11 §6.2 (BSI TR-03110-1 §3.4, version 1), over elliptic curves or prime fields. A transcript that somebody
brings proves nothing here: whoever has the terminal's ephemeral key can make every answer. So that key is ours. It is
made of random octets that the caller draws, keeps sealed and takes out of its store before an answer is judged; the
phone carries commands to the chip and its answers back, and learns no key.

The chip's answer is judged with the key in the DG14 *that the state signed*, by the strongest cipher that it names:
what the phone said DG14 was when the commands were made counts for nothing.

A right answer by a group under 2048 bits is WEAK, as for RSA: it refuses nobody, proves nothing, and the cap stays.
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
from ekyc.chip.messaging import AES_128, AES_192, AES_256, TRIPLE_DES, Suite, session_of
from ekyc.chip.modp import ModpKey, read_modp_key
from ekyc.chip.signatures import AlgorithmUnsupported, oid, read_public_key
from ekyc.chip.verdict import ChipVerdict, Proof, Rule, Standing, Step, with_possession
from foundation.x509 import der

SECRET_OCTETS = 74  # 521 bits and 64 more: reduced, no value is likelier than another (FIPS 186-5 §A.2.1)
READ_OCTETS = 77  # all of the shortest DG1 (TD2)
_DG1 = 1  # its short identifier
_EC_KEY, _DH_KEY = "0.4.0.127.0.7.2.2.1.2", "0.4.0.127.0.7.2.2.1.1"
# The protocols of a kind of key (ICAO 9303-11 §9.2.7); 3DES also where DG14 names a key alone.
_PROTOCOLS: Mapping[str, str] = {_EC_KEY: "0.4.0.127.0.7.2.2.3.2", _DH_KEY: "0.4.0.127.0.7.2.2.3.1"}
_WEAKEST = 1
# The strongest first.
_CIPHERS: Mapping[int, Suite] = {4: AES_256, 3: AES_192, 2: AES_128, _WEAKEST: TRIPLE_DES}
_FIRST, _SECOND = 1, 2  # the send sequence counter begins at nought and counts commands and answers


@dataclass(frozen=True)
class ChipKey:
    """What DG14 names for chip authentication: protocol, key, and its number where there are several."""

    protocol: str
    public: ec.EllipticCurvePublicKey | ModpKey
    key_id: int | None

    @property
    def suite(self) -> Suite:
        return _CIPHERS[int(self.protocol.rpartition(".")[2])]

    @property
    def weaknesses(self) -> tuple[str, ...]:
        return self.public.weaknesses if isinstance(self.public, ModpKey) else ()

    def agree(self, secret: bytes) -> tuple[bytes, bytes]:
        """The server's public value or point for these random octets, and the secret that it shares with the chip."""
        if isinstance(self.public, ModpKey):
            return self.public.agree(secret)
        curve = self.public.curve
        order = next(known.n for known in CURVES if known.name == curve.name)
        key = ec.derive_private_key(int.from_bytes(secret, "big") % (order - 1) + 1, curve)
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return point, key.exchange(ec.ECDH(), self.public)


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
        ours, shared = chip.agree(self.secret)
        last = session_of(chip.suite, shared).read_binary(_DG1, READ_OCTETS, _FIRST)
        number = b"" if chip.key_id is None else der.tlv(0x84, _unsigned(chip.key_id))
        if chip.suite is TRIPLE_DES:
            return (_command(0x22, 0x41, 0xA6, der.tlv(0x91, ours) + number),), last
        protocol = der.tlv(0x80, single(der.oid(chip.protocol)).content)
        chosen = _command(0x22, 0x41, 0xA4, protocol + number)
        data = der.tlv(0x7C, der.tlv(0x80, ours))
        return (chosen, _command(0x86, 0x00, 0x00, data, answered=True)), last

    def opened(self, dg14: bytes, response: bytes) -> bytes:
        """What the chip's answer to the last command says. Raises as :meth:`commands`; Malformed for another's."""
        chip = read_chip_key(dg14)
        return session_of(chip.suite, chip.agree(self.secret)[1]).open(response, _SECOND)


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
        return any(identifier in _PROTOCOLS for identifier, _ in _entries(dg14))
    except Malformed:
        return False


def read_chip_key(dg14: bytes) -> ChipKey:
    """The key and the strongest cipher that DG14 names (ICAO 9303-11 §9.2.5, §9.2.6): among several, a key that counts
    before one that is weak, then the stronger cipher, then a curve. Keys that cannot be computed with are passed over
    where there is another. Where DG14 names keys alone, the cipher is 3DES.

    Raises Malformed, AlgorithmUnsupported, CurveUnsupported, CurveForged.
    """
    named: list[tuple[str, int, int | None]] = []
    keys: dict[tuple[str, int | None], bytes] = {}
    for identifier, fields in _entries(dg14):
        protocol, _, arc = identifier.rpartition(".")
        if identifier in _PROTOCOLS:
            info = fields.next(SEQUENCE).raw
            number = _number(fields)
            if (identifier, number) in keys:
                raise Malformed("a key twice")
            keys[identifier, number] = info
        elif protocol in _PROTOCOLS.values() and int(arc) in _CIPHERS and fields.next(INTEGER).integer() == 1:
            kind = next(one for one, known in _PROTOCOLS.items() if known == protocol)
            named.append((kind, int(arc), _number(fields)))
    if not keys:
        raise AlgorithmUnsupported("no key in the chip")
    if not named:
        named = [(kind, _WEAKEST, number) for kind, number in keys]
    kinds = list(_PROTOCOLS)
    usable = [one for one in named if (one[0], one[2]) in keys]
    usable.sort(key=lambda one: (-one[1], kinds.index(one[0])))
    found: list[ChipKey] = []
    unusable: Exception = AlgorithmUnsupported("no protocol for the chip's key")
    for kind, cipher, key_id in usable:
        try:
            found.append(ChipKey(f"{_PROTOCOLS[kind]}.{cipher}", _read(kind, keys[kind, key_id]), key_id))
        except (AlgorithmUnsupported, CurveUnsupported) as error:
            unusable = error
    if not found:
        raise unusable
    return min(found, key=lambda one: bool(one.weaknesses))


def _read(kind: str, info: bytes) -> ec.EllipticCurvePublicKey | ModpKey:
    if kind == _DH_KEY:
        return read_modp_key(info)
    public = read_public_key(info)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise Malformed("not a key on a curve")
    return public


def _judge(groups: Mapping[int, bytes], agreement: Agreement, response: bytes, at: datetime) -> Step:
    if at >= agreement.expires_at:
        return Step(Rule.POSSESSION, Standing.FAILED, "too late")
    if 14 not in groups:
        return Step(Rule.POSSESSION, Standing.UNSUPPORTED, "no key in the chip")
    try:
        read = agreement.opened(groups[14], response)
        weak = read_chip_key(groups[14]).weaknesses
    except CurveForged as error:
        return Step(Rule.POSSESSION, Standing.FAILED, f"explicit-curve forgery: {error}")
    except (AlgorithmUnsupported, CurveUnsupported) as error:
        return Step(Rule.POSSESSION, Standing.UNSUPPORTED, str(error)[:80])
    except Malformed as error:
        return Step(Rule.POSSESSION, Standing.FAILED, str(error)[:80])
    if read != groups[1][:READ_OCTETS]:
        return Step(Rule.POSSESSION, Standing.FAILED, "DG1 of another chip")
    return Step(Rule.POSSESSION, Standing.WEAK if weak else Standing.HOLDS, " ".join(weak))


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


def _command(instruction: int, first: int, second: int, data: bytes, *, answered: bool = False) -> bytes:
    """A command with data, of extended length where it must be: values of 2048 bits (ICAO 9303-11 §9.3.1)."""
    header = bytes([0x00, instruction, first, second])
    if len(data) > 0xFF:
        return header + b"\x00" + len(data).to_bytes(2, "big") + data + (b"\x00\x00" if answered else b"")
    return header + bytes([len(data)]) + data + (b"\x00" if answered else b"")
