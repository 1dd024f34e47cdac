"""The later life of the specimen root: its acts, in order, each written when those before it are there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from foundation.keys.handles import private_key
from foundation.keys.port import KeyStore
from foundation.x509.csr import build_csr
from foundation.x509.names import subject_name
from foundation.x509.pem import read_certificate
from root_ca import later_acts
from root_ca.later_acts import LICENSED_SUBJECT, TWIN_LABEL, TWIN_SUBJECT, Revoked
from root_ca.service import verify
from tests.root.root_world import BEGIN, NOW, PLACE, perform_file

Write = Callable[[Path, KeyStore], str]
LAST = "transcript.json"


def at(days: int) -> datetime:
    """So many days after the first five acts."""
    return BEGIN + timedelta(days=days)


def _twin(folder: Path, store: KeyStore) -> str:
    return later_acts.twin_root(BEGIN, LAST, "6-twin.transcript.json")


def _cross(folder: Path, store: KeyStore) -> str:
    twin = store.find(label=TWIN_LABEL)[0]
    (folder / "other.csr").write_bytes(build_csr(subject_name(TWIN_SUBJECT), private_key(store, twin)))
    (folder / "other.pem").write_bytes((folder / "twin.pem").read_bytes())
    return later_acts.cross_certificate(BEGIN, PLACE, "6-twin.transcript.json", "7-cross.transcript.json")


def _licence(folder: Path, store: KeyStore) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "licensed.csr").write_bytes(build_csr(subject_name(LICENSED_SUBJECT), key))
    (folder / "audit-report.pdf").write_bytes(b"SPECIMEN audit report\n")
    report = hashlib.sha256(b"SPECIMEN audit report\n").hexdigest()
    return later_acts.licensed_ca(BEGIN, PLACE, report, "7-cross.transcript.json", "8-licensed.transcript.json")


def _rollover(folder: Path, store: KeyStore) -> str:
    old = read_certificate((folder / "root.pem").read_bytes())
    return later_acts.rollover(
        at(1), old.not_valid_after_utc, PLACE, "8-licensed.transcript.json", "9-rollover.transcript.json"
    )


def compromised(folder: Path) -> tuple[Revoked, ...]:
    """The issuing CA and the licensed one are revoked."""
    serials = [read_certificate((folder / name).read_bytes()).serial_number for name in ("issuing.pem", "licensed.pem")]
    return tuple((serial, at(2), "cACompromise") for serial in serials)


def _emergency(folder: Path, store: KeyStore) -> str:
    return later_acts.emergency_crl(
        at(2), 2, compromised(folder), "9-rollover.transcript.json", "10-emergency.transcript.json"
    )


def everything_left(folder: Path, last: str) -> tuple[Revoked, ...]:
    """Whatever the first root issued: what is revoked already as it stands, and the rest because it ends."""
    state = verify(folder / last).states[0]
    before = {int(one.serial, 16): (int(one.serial, 16), one.revoked_at, one.reason) for one in state.revoked}
    return tuple(
        before.get(serial, (serial, at(3), "cessationOfOperation"))
        for serial in (one.certificate.serial_number for one in state.issued)
    )


def _end(folder: Path, store: KeyStore) -> str:
    left = everything_left(folder, "10-emergency.transcript.json")
    return later_acts.end_of_ca(at(3), BEGIN, 3, left, "10-emergency.transcript.json", "11-end.transcript.json")


def _destroy(folder: Path, store: KeyStore) -> str:
    return later_acts.destroy("11-end.transcript.json", "12-destroy.transcript.json")


LATER_ACTS: dict[str, tuple[int, Write]] = {
    "6-twin.toml": (0, _twin),
    "7-cross.toml": (0, _cross),
    "8-licensed.toml": (0, _licence),
    "9-rollover.toml": (1, _rollover),
    "10-emergency.toml": (2, _emergency),
    "11-end.toml": (3, _end),
    "12-destroy.toml": (3, _destroy),
}


def moment(file: str) -> datetime:
    """When an act is performed: on its day, at the time of the first ceremony, a minute after the one before."""
    return NOW + timedelta(days=LATER_ACTS[file][0], minutes=1 + list(LATER_ACTS).index(file))


def write(folder: Path, file: str, store: KeyStore) -> Path:
    """Write one act's file; those before it have been performed."""
    path = folder / file
    path.write_text(LATER_ACTS[file][1](folder, store), encoding="utf-8")
    return path


def live(folder: Path, store: KeyStore, files: Iterable[str] = tuple(LATER_ACTS)) -> None:
    """Write and perform acts after the first five."""
    for file in files:
        perform_file(write(folder, file, store), store, moment(file))
