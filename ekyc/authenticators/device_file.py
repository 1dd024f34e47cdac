"""The file of seeds that comes with devices: a compact JWE (RFC 7516, ``dir``, A256GCM); its key comes by
another way. Inside: ``{"devices": [{"serial": "…", "seed": "hex"}, …]}``.
"""

from __future__ import annotations

import json

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from ekyc.authenticators.without_phone import DeviceFileInvalid, DeviceSeed

_ALGORITHMS = ["dir", "A256GCM"]
_KEY = 32
_LARGEST = 16 * 1024 * 1024


def read_devices(sealed: bytes, key: bytes) -> tuple[DeviceSeed, ...]:
    """The devices of a file. ``key``: 32 octets. Raises DeviceFileInvalid; nothing of a seed is in what it says."""
    if len(key) != _KEY:
        raise DeviceFileInvalid(problem="the transport key has not 32 octets")
    if len(sealed) > _LARGEST:
        raise DeviceFileInvalid(problem="the file is too large")
    try:
        opened = jwe.decrypt_compact(sealed.strip(), OctKey.import_key(key), _ALGORITHMS)
    except (JoseError, ValueError):
        raise DeviceFileInvalid(problem="it does not open with this key") from None
    try:
        listed = json.loads(opened.plaintext or b"")["devices"]
        return tuple(DeviceSeed(str(one["serial"]), bytes.fromhex(one["seed"])) for one in listed)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DeviceFileInvalid(problem="it is not a list of devices") from None
