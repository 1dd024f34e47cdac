"""What a module and its token say of themselves."""

from __future__ import annotations

from typing import Any

from pkcs11.constants import TokenFlag

from foundation.keys.pkcs11.sessions import Connection
from foundation.keys.probe.report import Finding, Verdict


def check_module(connection: Connection) -> Finding:
    """That it loads, is told about threads, and takes the PIN; with its makers, versions and flags."""
    told = connection.run(lambda session: _told(session.raw.token))
    said = (
        f"{told['manufacturer']} {told['model']}, Cryptoki {told['cryptoki']}; loaded with CKF_OS_LOCKING_OK, logged in"
    )
    return Finding("module", Verdict.PASS, said, told)


def _told(token: Any) -> dict[str, Any]:
    slot = token.slot
    return {
        "label": token.label,
        "manufacturer": token.manufacturer_id,
        "model": token.model,
        "serial": token.serial.decode("ascii", "replace"),
        "cryptoki": ".".join(map(str, slot.cryptoki_version)),
        "firmware": ".".join(map(str, token.firmware_version)),
        "flags": [flag.name for flag in TokenFlag if flag in token.flags],
        "mechanisms": sorted(getattr(one, "name", hex(one)) for one in slot.get_mechanisms()),
    }
