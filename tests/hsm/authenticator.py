"""A passkey device in software: it makes the octets that a browser and an authenticator make together (WebAuthn L2).

Every part that a verifier must look at can be made wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

RP_ID, ORIGIN = "specimen.example", "https://sign.specimen.example"
_UP, _UV, _AT = 0x01, 0x04, 0x40


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """One device with one key, ES256. ``count`` is its signature counter; None: a device that does not count."""

    def __init__(self, *, counts: bool = True) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = os.urandom(32)
        self.count = 0
        self.counts = counts

    def register(self, options: str, *, origin: str = ORIGIN, verified: bool = True, **client: Any) -> str:
        """What ``navigator.credentials.create()`` gives for these options."""
        asked = json.loads(options)
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor2.dumps(cose)
        flags = _UP | _AT | (_UV if verified else 0)
        data = self._data(asked["rp"]["id"], flags) + attested
        return self._credential(
            clientDataJSON=_client("webauthn.create", asked["challenge"], origin, client),
            attestationObject=cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data}),
        )

    def answer(
        self,
        options: str,
        *,
        origin: str = ORIGIN,
        rp_id: str | None = None,
        verified: bool = True,
        kind: str = "webauthn.get",
        challenge: bytes | None = None,
        **client: Any,
    ) -> str:
        """What ``navigator.credentials.get()`` gives for these options; one more signature of this device."""
        asked = json.loads(options)
        self.count += self.counts
        data = self._data(rp_id or asked["rpId"], _UP | (_UV if verified else 0))
        written = _client(kind, asked["challenge"] if challenge is None else b64(challenge), origin, client)
        signature = self.key.sign(data + hashlib.sha256(written).digest(), ec.ECDSA(hashes.SHA256()))
        return self._credential(clientDataJSON=written, authenticatorData=data, signature=signature)

    def _data(self, rp_id: str, flags: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _credential(self, **response: bytes) -> str:
        written = {name: b64(value) for name, value in response.items()}
        name = b64(self.credential_id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": written})


def _client(kind: str, challenge: str, origin: str, more: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin, **more}).encode()
