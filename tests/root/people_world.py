"""People of a specimen ceremony, with keys of their own in files, as they would bring them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

PASSWORD = "specimen password"


@dataclass(frozen=True)
class Person:
    """Somebody in the room, and the file that holds their key (with `PASSWORD` where ``encrypted``)."""

    name: str
    role: str
    key: Path
    sha256: str
    encrypted: bool

    @property
    def table(self) -> str:
        """The person's table in a ceremony file."""
        return f'\n[[people]]\nname = "{self.name}"\nrole = "{self.role}"\nkey_sha256 = "{self.sha256}"\n'


def people(folder: Path) -> tuple[Person, ...]:
    """A custodian with a P-256 key under a password, another with Ed25519, and a witness with P-384."""
    folder.mkdir(exist_ok=True)
    made = []
    for number, (role, key, encrypted) in enumerate(
        (
            ("custodian", ec.generate_private_key(ec.SECP256R1()), True),
            ("custodian", ed25519.Ed25519PrivateKey.generate(), False),
            ("witness", ec.generate_private_key(ec.SECP384R1()), False),
        ),
        1,
    ):
        locked = BestAvailableEncryption(PASSWORD.encode()) if encrypted else NoEncryption()
        file = folder / f"person-{number}.pem"
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        sha256 = hashlib.sha256(public).hexdigest()
        made.append(Person(f"SPECIMEN {role} {number}", role, file, sha256, encrypted))
    return tuple(made)


def name_them(path: Path, persons: tuple[Person, ...]) -> None:
    """Write the people into a ceremony file."""
    text = path.read_text(encoding="utf-8") + "".join(person.table for person in persons)
    path.write_text(text, encoding="utf-8")
