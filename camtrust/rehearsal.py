"""``make rehearsal``: a whole root ceremony on throwaway tokens in a folder that is gone afterwards, line by line.

Every act is checked, rehearsed and performed as officers would: at a terminal, where the words are typed, in Khmer and
in English by turns. Custodians and a witness sign the first and the last transcript with keys of their own. At the end
the last transcript is replayed. It needs no network and is meant to run where there is none.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, PublicFormat

from camtrust.keys import throwaway_token
from camtrust.officers_terminal import answer
from foundation.clock import SystemClock
from foundation.keys.handles import private_key
from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.x509.csr import build_csr
from foundation.x509.names import subject_name
from root_ca.ceremonies import ISSUING_SUBJECT, OCSP_SUBJECT, TSA_SUBJECT, Act, Place, specimen_acts
from root_ca.ceremony_file import load_ceremony
from root_ca.checks import examine
from root_ca.later_acts import twin_root
from root_ca.service import rehearse, verify

_REQUESTS = {
    "issuing": (ISSUING_SUBJECT, KeyUse.ISSUING_CA),
    "tsa": (TSA_SUBJECT, KeyUse.TSA_CA),
    "root-ocsp": (OCSP_SUBJECT, KeyUse.OCSP_RESPONDER),
}
_PLACE = Place("http://trust.example/ocsp", "http://trust.example/aia/root.cer", "http://trust.example/crl/root.crl")
_ROLES = ("custodian", "custodian", "witness")
_WORDS, _PASSWORD = "Type the words of this ceremony: ", "Password of the key"
_COMMAND = (sys.executable, "-c", "from camtrust.cli.main import main; main()", "root")


def main() -> int:
    """Run it; 0 when every act and the replay held."""
    with TemporaryDirectory(prefix="camtrust-rehearsal-") as folder:
        return _ceremony(Path(folder))


def _ceremony(folder: Path) -> int:
    clock, stick, home = SystemClock(), folder / "stick", folder / "home"
    stick.mkdir()
    print(f"Network interfaces: {', '.join(_interfaces()) or 'none'}")
    begin = clock.now() - timedelta(minutes=1)
    acts = specimen_acts(begin, _PLACE)
    twin = twin_root(begin.replace(microsecond=0), acts[-1].transcript, "6-twin.transcript.json")
    acts = (*acts, Act("6-twin.toml", twin, "twin.pem", "6-twin.transcript.json"))
    _make_requests(stick)
    people = _people(folder)
    for number, act in enumerate(acts):
        signed_by = people if act in (acts[0], acts[-1]) else {}
        (stick / act.file).write_text(act.text + "".join(signed_by.values()), encoding="utf-8")
        if not (_hold(stick / act.file, home, khmer=number % 2 == 1) and _sign(stick / act.transcript, signed_by)):
            return 1
    replayed = verify(stick / acts[-1].transcript)
    for problem in replayed.problems:
        print(f"CHANGED {problem.artifact}: {problem.rule}: {problem.message}")
    held = "all held" if replayed.valid else "NOT VALID"
    print(f"Replayed {len(replayed.acts)} acts from {acts[-1].transcript}: {held}")
    return 0 if replayed.valid else 1


def _interfaces() -> list[str]:
    """Every network interface but the loopback."""
    return [name for _, name in socket.if_nameindex() if name != "lo"]


def _make_requests(stick: Path) -> None:
    with throwaway_token() as spare:
        for name, (subject, use) in _REQUESTS.items():
            info = spare.generate(f"rehearsal-{name}", KeyAlgorithm.EC_P384, use)
            (stick / f"{name}.csr").write_bytes(build_csr(subject_name(subject), private_key(spare, info)))


def _people(folder: Path) -> dict[Path, str]:
    """Key files with passwords, each with the table that names its owner in a ceremony file."""
    made = {}
    for number, role in enumerate(_ROLES, 1):
        key, file = Ed25519PrivateKey.generate(), folder / f"{role}-{number}.pem"
        locked = BestAvailableEncryption(file.name.encode())
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        made[file] = (
            f'\n[[people]]\nname = "SPECIMEN {role} {number}"\nrole = "{role}"\n'
            f'key_sha256 = "{hashlib.sha256(public).hexdigest()}"\n'
        )
    return made


def _hold(file: Path, home: Path, *, khmer: bool) -> bool:
    """Check, rehearse, and perform at a terminal."""
    ceremony = load_ceremony(file)
    examined = examine(ceremony)
    print(
        f"{file.name}: {sum(one.passed is True for one in examined.results)} of {len(examined.results)} checks passed"
    )
    with throwaway_token() as token:
        rehearse(ceremony, token, SystemClock())
    print("   rehearsed on a throwaway token")
    words = " ".join(examined.words_km if khmer else examined.words)
    screen = answer([*_COMMAND, "perform", file, "--home", home], [(_WORDS, words)])
    for line in screen.text.splitlines():
        print(f"   | {line}")
    return screen.status == 0


def _sign(transcript: Path, people: dict[Path, str]) -> bool:
    for key in people:
        screen = answer([*_COMMAND, "cosign", transcript, "--key", key], [(_PASSWORD, key.name)])
        print(f"   {screen.text.splitlines()[-1]}")
        if screen.status != 0:
            return False
    return True


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
