"""Which token, as RFC 7512 writes it, strictly.

    pkcs11:token=CamTrust%20CA;serial=0a1b2c3d?module-path=/usr/lib/vendor/libpkcs11.so

In the path: token, serial, manufacturer, model, slot-id; at least token, serial or slot-id. In the query: module-path.
Nothing else: ``object``, ``id`` and ``type`` name a key and not a token; ``pin-value`` would put the PIN where
addresses are logged. ``pin-source`` (a file, never a command) is taken where the caller says so; settings do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.keys.pkcs11.errors import KeyUriInvalid

# RFC 7512 §2.3: pk11-res-avail and unreserved; the path adds "&", the query "/", "?" and "|".
_PLAIN = r"A-Za-z0-9\-._~:\[\]@!$'()*+,="
_PATH_VALUE = re.compile(rf"(?:[{_PLAIN}&]|%[0-9A-Fa-f]{{2}})+")
_QUERY_VALUE = re.compile(rf"(?:[{_PLAIN}/?|]|%[0-9A-Fa-f]{{2}})+")
# Longest values, in octets of UTF-8: PKCS#11 v2.40 §3.2, CK_TOKEN_INFO.
_LONGEST = {"token": 32, "serial": 16, "manufacturer": 32, "model": 16, "slot-id": 20}
_NAMES_A_TOKEN = ("token", "serial", "slot-id")


@dataclass(frozen=True)
class Pkcs11Uri:
    """A token's address, decoded. What is None does not matter."""

    module_path: Path
    token: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    slot_id: int | None = None
    pin_source: Path | None = None

    def fits(self, token: Any) -> bool:
        """Whether a token (as python-pkcs11 shows it) is one that this address can mean."""
        there = (
            (self.token, token.label),
            (self.serial, token.serial.decode("utf-8", "replace")),
            (self.manufacturer, token.manufacturer_id),
            (self.model, token.model),
            (self.slot_id, token.slot.slot_id),
        )
        return all(wanted is None or wanted == found for wanted, found in there)


def parse_uri(uri: str, *, pin_source: bool = False) -> Pkcs11Uri:
    """The address in ``uri``, with a ``pin-source`` only if that is wanted (an absolute path, or ``file:`` and one).

    Raises KeyUriInvalid, with the name of the attribute that is wrong.
    """
    scheme, colon, rest = uri.partition(":")
    if scheme.lower() != "pkcs11" or not colon:
        raise KeyUriInvalid(part="pkcs11:")
    path, _, query = rest.partition("?")
    values = _attributes(path, ";", _PATH_VALUE, _LONGEST)
    if not any(name in values for name in _NAMES_A_TOKEN):
        raise KeyUriInvalid(part="token")
    known = {"module-path": 4096, "pin-source": 4096} if pin_source else {"module-path": 4096}
    queried = _attributes(query, "&", _QUERY_VALUE, known)
    module_path = _file("module-path", queried.get("module-path", ""))
    source = queried.get("pin-source")
    pin_file = None if source is None else _file("pin-source", source.removeprefix("file://").removeprefix("file:"))
    slot_id = values.pop("slot-id", None)
    if slot_id is not None and not re.fullmatch(r"[0-9]+", slot_id, re.ASCII):
        raise KeyUriInvalid(part="slot-id")
    number = None if slot_id is None else int(slot_id)
    return Pkcs11Uri(module_path, slot_id=number, pin_source=pin_file, **values)


def _file(name: str, path: str) -> Path:
    if not path.startswith("/") or "\0" in path:
        raise KeyUriInvalid(part=name)
    return Path(path)


def _attributes(text: str, separator: str, value_form: re.Pattern[str], known: dict[str, int]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if name not in known:
            # What is not a name is not repeated: it could be anything, a PIN too.
            raise KeyUriInvalid(part=name if re.fullmatch(r"[a-z0-9_\-]{1,40}", name) else "…")
        if not equals or name in found or not value_form.fullmatch(value):
            raise KeyUriInvalid(part=name)
        found[name] = _decoded(name, value, known[name])
    return found


def _decoded(name: str, value: str, longest: int) -> str:
    octets = re.sub(rb"%([0-9A-Fa-f]{2})", lambda pair: bytes.fromhex(pair[1].decode()), value.encode())
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise KeyUriInvalid(part=name) from None
    if len(octets) > longest:
        raise KeyUriInvalid(part=name)
    return text
