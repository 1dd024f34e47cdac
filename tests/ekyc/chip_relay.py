"""A phone between server and specimen chip, and the DG14 of chips that agree on keys."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ekyc.chip.modp import GROUPS, ModpGroup
from foundation.x509 import der
from tests.ekyc.chip_parties import public_info

CIPHERS = {"3DES": 1, "AES-128": 2, "AES-192": 3, "AES-256": 4}


def agreement_dg14(
    key: ec.EllipticCurvePrivateKey,
    ciphers: Sequence[str] = ("AES-128",),
    *,
    key_id: int | None = None,
    also: Sequence[bytes] = (),
) -> bytes:
    """DG14 that names a key for chip authentication and its ciphers."""
    number = [] if key_id is None else [der.integer(key_id)]
    infos = [
        der.sequence([der.oid(f"0.4.0.127.0.7.2.2.3.2.{CIPHERS[one]}"), der.integer(1), *number]) for one in ciphers
    ]
    infos.append(der.sequence([der.oid("0.4.0.127.0.7.2.2.1.2"), public_info(key), *number]))
    return der.tlv(0x6E, der.tlv(0x31, b"".join(sorted([*infos, *also]))))


@dataclass(frozen=True)
class ModpChipKey:
    """A chip's key over a prime field."""

    group: ModpGroup
    x: int

    @property
    def y(self) -> int:
        return pow(self.group.g, self.x, self.group.p)

    def info(self, form: str = "X9.42", *, y: int | None = None, g: int | None = None, q: int | None = None) -> bytes:
        """SubjectPublicKeyInfo; what is given stands in the place of what is true."""
        group = self.group
        prime, base = der.integer(group.p), der.integer(group.g if g is None else g)
        order = der.integer(group.q if q is None else q)
        algorithm = {
            "X9.42": [der.oid("1.2.840.10046.2.1"), der.sequence([prime, base, order])],
            "PKCS #3": [der.oid("1.2.840.113549.1.3.1"), der.sequence([prime, base])],
            "number": [der.oid("0.4.0.127.0.7.1.2"), der.integer(GROUPS.index(group) if group in GROUPS else 99)],
        }[form]
        return der.sequence([der.sequence(algorithm), der.bit_string(der.integer(self.y if y is None else y))])


def modp_infos(
    key: ModpChipKey, ciphers: Sequence[str] = ("AES-128",), *, key_id: int | None = None, info: bytes | None = None
) -> list[bytes]:
    """What DG14 says of a key over a prime field and its ciphers."""
    number = [] if key_id is None else [der.integer(key_id)]
    infos = [
        der.sequence([der.oid(f"0.4.0.127.0.7.2.2.3.1.{CIPHERS[one]}"), der.integer(1), *number]) for one in ciphers
    ]
    return [*infos, der.sequence([der.oid("0.4.0.127.0.7.2.2.1.1"), info or key.info(), *number])]


def dg14_of(infos: Sequence[bytes]) -> bytes:
    return der.tlv(0x6E, der.tlv(0x31, b"".join(sorted(infos))))


def relay(key: ec.EllipticCurvePrivateKey | ModpChipKey, dg1: bytes, inside: Sequence[bytes], last: bytes) -> bytes:
    """Carry commands to a chip with this key in a process of its own; its answer to the last one."""
    if isinstance(key, ModpChipKey):
        what: dict[str, object] = {"modp": [f"{key.group.p:x}", f"{key.x:x}"]}
    else:
        what = {"key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()}
    lines = [json.dumps({**what, "dg1": dg1.hex()}), *(one.hex() for one in (*inside, last))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.ekyc.chip_simulator"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answers = [bytes.fromhex(one) for one in done.stdout.split()]
    assert len(answers) == len(inside) + 1
    assert all(one.endswith(b"\x90\x00") for one in answers[:-1])
    return answers[-1]
