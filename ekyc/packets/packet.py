"""Packets: what an officer's station collected from a person without a network, in one sealed file. Pure.

Each item is sealed to the service's key for this station the moment it is captured (HPKE, RFC 9180: X25519,
HKDF-SHA256, AES-256-GCM), for this station, case, place and kind; the station itself cannot read it again. The manifest
lists the items by the SHA-256 of what is sealed, and is signed by the collecting officer (compact JWS, ES256, ``typ``
``camtrust-packet+json``). A station's packets are a chain: each names its number and the digest of the manifest before.

    {"items": ["base64url", …], "manifest": "…JWS…"}
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import load_der_public_key
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from ekyc.packets.errors import PacketInvalid, PacketSignatureInvalid, PacketUnreadable
from foundation.base64url import encoded
from foundation.canonical import canonical_json
from foundation.clock import rfc3339

TYPE = "camtrust-packet+json"
GENESIS = "0" * 64
MOST_ITEMS = 16
MOST_OCTETS = 24 * 1024 * 1024  # of all sealed items of a packet
LARGEST = 34 * 1024 * 1024  # a packet, in Base64
_ALGORITHM = "ES256"
_HEADER = {"alg": _ALGORITHM, "typ": TYPE}
_MANIFEST_MOST = 20_000  # characters
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Z]{3}-[A-Z2-7]{16}")
_MEMBERS = frozenset(
    {"case", "closed_at", "items", "language", "level", "officer", "presence", "previous", "sequence", "started_at"}
    | {"station", "type"}
)


class ItemKind(StrEnum):
    """What an item is."""

    CLAIM = "claim"  # the code by which the person goes on
    CONSENT = "consent"
    CONTACT = "contact"
    DOCUMENT = "document"
    IMAGE = "image"
    CHIP = "chip"


@dataclass(frozen=True)
class Item:
    """What was captured, as JSON."""

    kind: ItemKind
    content: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Manifest:
    """What a packet is, without anything of the person. ``items``: kind and digest of each, in their order."""

    station: str
    officer: str
    case: str
    sequence: int
    previous: str
    level: str
    language: str
    started_at: datetime
    closed_at: datetime
    items: tuple[tuple[ItemKind, str], ...]

    def said(self) -> bytes:
        """What the officer signs: that they had the person before them while this was collected."""
        return canonical_json(
            {
                "case": self.case,
                "closed_at": rfc3339(self.closed_at),
                "items": [{"kind": kind.value, "sha256": digest} for kind, digest in self.items],
                "language": self.language,
                "level": self.level,
                "officer": self.officer,
                "presence": "in-person",
                "previous": self.previous,
                "sequence": self.sequence,
                "started_at": rfc3339(self.started_at),
                "station": self.station,
                "type": TYPE,
            }
        )


@dataclass(frozen=True)
class Packet:
    """A packet as it came. Nothing in it is believed before :func:`check_signature`."""

    manifest: Manifest
    signed: str
    items: tuple[bytes, ...] = field(repr=False)

    @property
    def digest(self) -> str:
        """What the packet behind it in the chain names."""
        return digest_of(self.signed)


def digest_of(signed: str) -> str:
    """SHA-256 of a signed manifest, hex."""
    return hashlib.sha256(signed.encode("ascii")).hexdigest()


def seal_item(recipient: bytes, item: Item, station: str, case: str, place: int) -> bytes:
    """An item for whoever has the private key of ``recipient`` (32 octets), and for this place alone."""
    public = x25519.X25519PublicKey.from_public_bytes(recipient)
    return _SUITE.encrypt(canonical_json(dict(item.content)), public, _info(item.kind, station, case, place))


def open_items(packet: Packet, private: bytes) -> tuple[Item, ...]:
    """All items. Raises PacketUnreadable where one is not what was sealed here, in its place, to this key."""
    key, manifest = x25519.X25519PrivateKey.from_private_bytes(private), packet.manifest
    opened = []
    for place, ((kind, _), sealed) in enumerate(zip(manifest.items, packet.items, strict=True)):
        try:
            plain = _SUITE.decrypt(sealed, key, _info(kind, manifest.station, manifest.case, place))
            content = json.loads(plain)
        except (InvalidTag, ValueError, RecursionError):
            raise PacketUnreadable(place=place) from None
        if not isinstance(content, dict):
            raise PacketUnreadable(place=place)
        opened.append(Item(kind, content))
    return tuple(opened)


def sign(key: ec.EllipticCurvePrivateKey, manifest: Manifest) -> str:
    """The signed manifest. ``key`` is on P-256."""
    return jws.serialize_compact(dict(_HEADER), manifest.said(), ECKey.import_key(key), [_ALGORITHM])


def written(signed: str, items: Sequence[bytes]) -> bytes:
    """The file of a packet."""
    return canonical_json({"items": [encoded(one) for one in items], "manifest": signed})


def read(data: bytes) -> Packet:
    """A packet, by its form and the digests of its items. Raises PacketInvalid."""
    if len(data) > LARGEST:
        raise PacketInvalid(problem="size")
    try:
        given = json.loads(data)
        signed, listed = given["manifest"], given["items"]
        items = tuple(_octets(one) for one in listed)
        if set(given) != {"items", "manifest"}:
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise PacketInvalid(problem="form") from None
    manifest = manifest_of(signed)
    if len(items) > MOST_ITEMS or sum(map(len, items)) > MOST_OCTETS:
        raise PacketInvalid(problem="size")
    digests = [hashlib.sha256(one).hexdigest() for one in items]
    if digests != [digest for _, digest in manifest.items]:
        raise PacketInvalid(problem="items")
    return Packet(manifest, signed, items)


def manifest_of(signed: str) -> Manifest:
    """What a signed manifest says; the signature is not looked at. Raises PacketInvalid."""
    try:
        if len(signed) > _MANIFEST_MOST or signed.count(".") != 2:
            raise ValueError
        return _manifest(json.loads(_octets(signed.split(".")[1])))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise PacketInvalid(problem="form") from None


def check_signature(packet: Packet, public_key: bytes | None) -> None:
    """Raises PacketSignatureInvalid unless the holder of this key (SubjectPublicKeyInfo, DER) signed the manifest."""
    try:
        key = load_der_public_key(public_key or b"")
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError
        given = jws.deserialize_compact(packet.signed.encode("ascii"), ECKey.import_key(key), [_ALGORITHM])
    except (JoseError, ValueError):
        raise PacketSignatureInvalid from None
    if given.headers() != _HEADER or not hmac.compare_digest(given.payload, packet.manifest.said()):
        raise PacketSignatureInvalid


def _manifest(said: Any) -> Manifest:
    """Raises ValueError, TypeError, KeyError."""
    if set(said) != _MEMBERS or said["type"] != TYPE or said["presence"] != "in-person":
        raise ValueError
    names = (said["station"], said["case"])
    if not all(_NAME.fullmatch(one) for one in names) or not _DIGEST.fullmatch(said["previous"]):
        raise ValueError
    if type(said["sequence"]) is not int or not 0 < said["sequence"] < 1 << 31:
        raise ValueError
    texts = (said["officer"], said["level"], said["language"])
    if not all(isinstance(one, str) and 0 < len(one) <= 64 for one in texts):
        raise ValueError
    items = tuple((ItemKind(one["kind"]), str(one["sha256"])) for one in said["items"])
    return Manifest(
        station=said["station"],
        officer=said["officer"],
        case=said["case"],
        sequence=said["sequence"],
        previous=said["previous"],
        level=said["level"],
        language=said["language"],
        started_at=_time(said["started_at"]),
        closed_at=_time(said["closed_at"]),
        items=items,
    )


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError
    return at


def _info(kind: ItemKind, station: str, case: str, place: int) -> bytes:
    return canonical_json({"case": case, "kind": kind.value, "place": place, "station": station, "type": TYPE})


def _octets(text: str) -> bytes:
    """Base64url without padding, in its one form. Raises ValueError."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError from error
    if encoded(data) != text:
        raise ValueError
    return data
