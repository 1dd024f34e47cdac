"""Who makes receipts of proofing: a key of its own in the token, the timestamping service, the issuance log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from ekyc.receipts import receipt
from foundation.keys.errors import LabelExists
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse, Mechanism
from foundation.log_proof import EntryKind
from issuing_ca.log import IssuanceLog
from issuing_ca.service import CertificateAuthority

LABEL = "ekyc-receipts"
_USE = KeyUse.REGISTRATION_AUTHORITY


class ReceiptKey:
    """`ekyc.ports.ReceiptAuthority` over the services of this process. The key is made when it is first wanted; the CA
    takes no approval by it: it is not the one that is pinned.
    """

    def __init__(self, issuer: str, keys: KeyStore, ca: CertificateAuthority, log: IssuanceLog) -> None:
        self._issuer, self._keys, self._ca, self._log = issuer, keys, ca, log

    @property
    def issuer(self) -> str:
        return self._issuer

    def public_key(self) -> bytes:
        return self._info().public_key

    def sign(self, claims: Mapping[str, Any]) -> str:
        info = self._info()
        return receipt.sign(
            lambda message: self._keys.sign(info.key_id, Mechanism.ECDSA_SHA256, message), info.public_key, claims
        )

    def timestamp(self, digest: bytes) -> bytes:
        return self._ca.timestamps.token(digest, "sha256")

    def record(self, connection: Connection, digest: bytes, subject: str) -> None:
        self._log.record(connection, EntryKind.RECEIPT, digest, subject)

    def proof(self, digest: bytes) -> bytes:
        return bytes(self._log.inclusion(digest, EntryKind.RECEIPT))

    def log_key(self) -> str:
        return str(self._log.verifier_key())

    def _info(self) -> KeyInfo:
        found = self._keys.find(label=LABEL, use=_USE)
        if found:
            return found[0]
        try:
            return self._keys.generate(LABEL, KeyAlgorithm.EC_P256, _USE)
        except LabelExists:  # another process was first
            return self._keys.find(label=LABEL, use=_USE)[0]
