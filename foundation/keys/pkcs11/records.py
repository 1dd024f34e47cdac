"""What PKCS#11 has no attribute for, in data objects (CKO_DATA, private to the token's user) beside each key.

- ``CamTrust key``: a record, written once when the key is made: canonical JSON of :class:`Record`.
- ``CamTrust enabled``: a marker that is there while the key may sign. Disabling destroys it, which is one step for
  every process that uses the token; a key without one does not sign.

Both are labelled with the key's id (CKA_ID in hexadecimal). How far they can be trusted: the token keeps them from
everybody who does not log in as its user. Whoever does can change them, and can sign with the keys by other programs
too. So use, owner and enabled are enforced by this adapter and not by the token (no ``Feature.POLICY_INSIDE``).
The public key in a record is proved by every signature, which is verified under it: a record that is put beside
another key gives no signature.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pkcs11.constants import Attribute, ObjectClass

from foundation.canonical import canonical_json
from foundation.keys.errors import KeyHandleInvalid
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse

KEY = "CamTrust key"
ENABLED = "CamTrust enabled"
_FORMAT = 2
_FIELDS = {"format", "key_id", "label", "algorithm", "use", "owner", "public_key", "made", "policy"}


@dataclass(frozen=True)
class Record:
    """A key as it was made. ``made``: RFC 3339; ``public_key``: DER SubjectPublicKeyInfo; ``policy``: its hash."""

    key_id: str
    label: str
    algorithm: KeyAlgorithm
    use: KeyUse
    owner: str | None
    public_key: bytes
    made: str
    policy: str

    def info(self, enabled: bool) -> KeyInfo:
        return KeyInfo(
            self.key_id, self.label, self.algorithm, self.use, self.public_key, self.owner, enabled, self.policy
        )


def written(record: Record) -> bytes:
    """Canonical JSON of a record."""
    return canonical_json(
        {
            "format": _FORMAT,
            "key_id": record.key_id,
            "label": record.label,
            "algorithm": record.algorithm.value,
            "use": record.use.value,
            "owner": record.owner,
            "public_key": base64.b64encode(record.public_key).decode(),
            "made": record.made,
            "policy": record.policy,
        }
    )


def read(data: bytes) -> Record:
    """The inverse of :func:`written`, strictly. KeyHandleInvalid: what is beside the key is not what we write."""
    try:
        value = json.loads(data)
        if not isinstance(value, dict) or set(value) != _FIELDS or value["format"] != _FORMAT:
            raise ValueError
        record = Record(
            key_id=_text(value["key_id"]),
            label=_text(value["label"]),
            algorithm=KeyAlgorithm(value["algorithm"]),
            use=KeyUse(value["use"]),
            owner=None if value["owner"] is None else _text(value["owner"]),
            public_key=base64.b64decode(value["public_key"], validate=True),
            made=_text(value["made"]),
            policy=_text(value["policy"]),
        )
    except (ValueError, TypeError, binascii.Error):
        raise KeyHandleInvalid from None
    if written(record) != data:
        raise KeyHandleInvalid
    return record


def template(application: str, key_id: str | None = None) -> Mapping[Any, Any]:
    """What a data object of ours is found by."""
    found = {Attribute.CLASS: ObjectClass.DATA, Attribute.TOKEN: True, Attribute.APPLICATION: application}
    return found if key_id is None else {**found, Attribute.LABEL: key_id}


def data_object(application: str, key_id: str, value: bytes) -> dict[Any, Any]:
    """What a data object of ours is made from."""
    return {**template(application, key_id), Attribute.PRIVATE: True, Attribute.VALUE: value}


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value
